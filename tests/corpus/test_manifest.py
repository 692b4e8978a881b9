"""The manifest: what is accepted, what is refused and in which words, and how manifests are made."""

import csv
import json
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spm.base.config import UserError
from spm.corpus import manifest
from spm.corpus.ids import ID_BYTES, sanitize_id, unique_ids
from spm.corpus.manifest import Corpus, Video, address, folder, is_remote, music, read, write

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
HEADER = "video_id,url,kind,categories\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.csv"


def wrote(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def video(url: str) -> Video:
    return Video("a", url, "solo", ("violin",), None, 0)


def test_a_row_is_a_video(path):
    wrote(
        path,
        "video_id,url,kind,categories,split\n-a,x.mp4,duet,violin acoustic_guitar,val\nb,y.mp4,solo,erhu,\n",
    )
    assert read(path) == [
        Video("-a", "x.mp4", "duet", ("violin", "acoustic_guitar"), "val", 0),
        Video("b", "y.mp4", "solo", ("erhu",), None, 0),
    ]


def test_positions_count_the_videos_of_the_same_kind_and_categories_in_any_order(path):
    rows = "a,a,solo,violin\nb,b,duet,violin cello\nc,c,solo,violin\nd,d,duet,cello violin\ne,e,duet,cello erhu\n"
    assert [video.position for video in read(wrote(path, HEADER + rows))] == [0, 0, 1, 1, 0]


def test_the_rows_that_are_wanted_are_read_with_the_positions_that_they_have_among_all(path):
    wrote(path, HEADER + "".join(f"v{n},{n}.mp4,solo,violin\n" for n in range(4)))
    assert read(path, wanted=lambda video_id: video_id in ("v1", "v3")) == [
        read(path)[1],
        read(path)[3],
    ]
    assert read(path, wanted=lambda video_id: False) == []


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + HEADER + "a,x.mp4,solo,violin\n",
        HEADER.replace("\n", "\r\n") + "a,x.mp4,solo,violin\r\n",
        HEADER + "\n\na,x.mp4,solo,violin",
        "categories, kind ,url,video_id\nviolin,solo, x.mp4 ,a\n",
        HEADER + '"a","x.mp4","solo","violin"\n',
    ],
    ids=[
        "byte order mark",
        "CRLF",
        "blank lines, none at the end",
        "other order, spaces",
        "quotes",
    ],
)
def test_what_spreadsheets_write_is_read(path, text):
    assert read(wrote(path, text)) == [Video("a", "x.mp4", "solo", ("violin",), None, 0)]


LONG = "x" * (ID_BYTES + 1)
FLAWED = [
    (f"{bad},x.mp4,solo,violin", "video_id", "expected letters, digits and - _")
    for bad in ("a/b", "a\\b", "..", "a..b", ".", "a b", "a\tb", "a\x7fb", "a\x00b", "$(a)", "../../a", "a;b", "`a`")
] + [
    (f"{LONG},x.mp4,solo,violin", "video_id", "at most 128"),
    ("é" * 65 + ",x.mp4,solo,violin", "130 bytes", "at most 128"),
    ("a,,solo,violin", "url ''", "expected an http(s) address"),
    ("a,ftp://example.org/x.mp4,solo,violin", "url 'ftp:", "expected http://"),
    ("a,ytsearch:violin,solo,violin", "url 'ytsearch:", "expected http://"),
    ("a,https:///x.mp4,solo,violin", "url 'https:", "expected http://"),
    ("a,http://[::1/x.mp4,solo,violin", "url 'http:", "expected http://"),
    ('a,"x\ny.mp4",solo,violin', "url", "expected an http(s) address"),
]  # fmt: skip
WRONG = [
    (",x.mp4,solo,violin", "line 2: video_id ''", "expected a name"),
    ("a,x.mp4,solo,violin\nb,y.mp4,solo,violin\na,z.mp4,solo,violin", "line 4: video_id 'a'", "line 2 has it too"),
    ("a,x.mp4,trio,violin", "line 2: kind 'trio'", "expected solo or duet"),
    ("a,x.mp4,Solo,violin", "line 2: kind 'Solo'", "expected solo or duet"),
    ("a,x.mp4,solo,", "line 2: categories ''", "expected one category for a solo"),
    ("a,x.mp4,solo,violin cello", "line 2: categories 'violin cello'", "expected one category for a solo"),
    ("a,x.mp4,duet,violin", "line 2: categories 'violin'", "expected two different categories"),
    ("a,x.mp4,duet,violin violin", "line 2: categories 'violin violin'", "expected two different categories"),
    ("a,x.mp4,solo,../violin", "line 2: categories '../violin'", "expected a letter"),
    ("a,x.mp4,solo", "line 2: 3 fields", "expected 4"),
    ("a,x.mp4,solo,violin,train", "line 2: 5 fields", "expected 4"),
    ('a,"x.mp4,solo,violin', "not CSV", "unexpected end"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "named", "expected"), FLAWED)
def test_an_id_or_an_address_that_cannot_be_used_is_its_videos_flaw_and_stops_nobody(
    path, row, named, expected
):
    flawed, good = read(wrote(path, f"{HEADER}{row}\nz,z.mp4,solo,violin\n"))
    assert named in flawed.flaw
    assert expected in flawed.flaw
    assert "\n" not in flawed.flaw
    assert (good.flaw, good.position) == ("", 1)
    with pytest.raises(UserError, match="expected"):
        write(path, [(flawed.video_id, flawed.url, "solo", "violin")])


@pytest.mark.parametrize(("rows", "named", "expected"), WRONG)
def test_a_wrong_row_is_one_line_that_names_it_and_what_was_expected(path, rows, named, expected):
    with pytest.raises(UserError) as error:
        read(wrote(path, HEADER + rows + "\n"))
    message = str(error.value)
    assert message.startswith(str(path))
    assert named in message
    assert expected in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "empty: expected video_id,url,kind,categories[,split]"),
        (HEADER, "no videos"),
        ("video_id,url,kind\na,b,solo\n", "line 1: column 'categories' is missing"),
        ("video_id,url,kind,categories,Split\n", "line 1: column 'Split' is unknown"),
        ("video_id,url,kind,categories,url\n", "line 1: a column stands twice"),
        (
            HEADER.strip() + ",split\na,b,solo,erhu,testing\n",
            "line 2: split 'testing': expected train, val, test",
        ),
        (HEADER.encode() + b"a,caf\xe9.mp4,solo,violin\n", "line 2: byte 0xe9: expected UTF-8"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_what_was_expected(path, text, named):
    with pytest.raises(UserError) as error:
        read(wrote(path, text))
    assert str(path) in str(error.value)
    assert named in str(error.value)


def test_a_manifest_that_is_not_there_is_named(path):
    with pytest.raises(UserError, match=r"manifest\.csv: cannot be read \(No such file"):
        read(path)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://example.org/a.mp4?x=1", "https://example.org/a.mp4?x=1"),
        ("-DlGdZNAsxA", "https://www.youtube.com/watch?v=-DlGdZNAsxA"),
        ("youtu.be/jW_AuF6dQYY", "https://youtu.be/jW_AuF6dQYY"),
        ("www.youtube.com/watch?v=jW_AuF6dQYY", "https://www.youtube.com/watch?v=jW_AuF6dQYY"),
        ("videos/a b.mp4", "/data/videos/a b.mp4"),
        ("../a.mp4", "/a.mp4"),
        ("/else/a.mp4", "/else/a.mp4"),
        ("./jW_AuF6dQYY", "/data/jW_AuF6dQYY"),
        ("./take:2.mp4", "/data/take:2.mp4"),
        ("file:///else/a%20b.mp4", "/else/a b.mp4"),
    ],
)
def test_an_address_is_where_the_video_is(url, place):
    assert address(video(url), Path("/data/manifest.csv")) == place
    assert is_remote(place) == place.startswith("http")


def test_the_published_lists_are_what_the_project_carries(tmp_path):
    source = SHARED / "manifests" / "MUSIC"
    if not source.is_dir():
        pytest.skip(
            "MUSIC's published lists are not beside this checkout (shared/data/manifests/MUSIC)"
        )
    music(source, tmp_path)
    for name in ("music.csv", "music21.csv"):
        assert (tmp_path / name).read_bytes() == (
            ROOT / "workflow" / "manifests" / name
        ).read_bytes()


def test_music_is_536_solos_then_149_duets_and_music21_1164_solos():
    videos = read(ROOT / "workflow" / "manifests" / "music.csv")
    assert [video.kind for video in videos] == ["solo"] * 536 + ["duet"] * 149
    solos = Counter(video.categories for video in videos[:536])
    assert (len(solos), solos[("saxophone",)], solos[("accordion",)]) == (11, 25, 60)
    assert [video.video_id for video in videos[:3]] == ["jW_AuF6dQYY", "3wPouBFa9U0", "eHbxLcoLWYY"]
    assert len([video for video in videos[:536] if video.position < 5]) == 11 * 5
    assert len([video for video in videos[536:] if video.position < 2]) == 9 * 2
    assert len([video for video in videos if video.video_id.startswith("-")]) == 19 + 6
    more = read(ROOT / "workflow" / "manifests" / "music21.csv")
    assert (
        len(more),
        len({video.categories for video in more}),
        {video.kind for video in more},
    ) == (
        1164,
        21,
        {"solo"},
    )
    assert {video.video_id for video in videos[:536]} <= {video.video_id for video in more}


@pytest.mark.parametrize("text", ["", "[]", '{"videos": []}', '{"videos": {"violin": 3}}'])
def test_a_list_that_is_not_musics_leaves_nothing_half_done(tmp_path, text):
    for name in ("MUSIC_solo_videos.json", "MUSIC_duet_videos.json", "MUSIC21_solo_videos.json"):
        (tmp_path / name).write_text(json.dumps({"videos": {"violin": ["aaaaaaaaaaa"]}}))
    (tmp_path / "MUSIC21_solo_videos.json").write_text(text)
    with pytest.raises(UserError, match=r"MUSIC21_solo_videos\.json: not a list of MUSIC"):
        music(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_videos_becomes_a_manifest_and_says_what_to_run(tmp_path, capsys):
    root = tmp_path / "my videos"
    names = [
        "violin/b.mp4",
        "violin/a.MOV",
        "violin+cello/1.mkv",
        "acoustic guitar/a.mp4",
        "acoustic guitar/x (2).mp4",
    ]
    for name in [*names, "violin/notes.txt", "violin/._b.mp4", "loose.mp4"]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    folder(root)
    rows = list(csv.reader((root / "manifest.csv").open()))[1:]
    assert rows == [
        ["acoustic_guitar-a", "acoustic guitar/a.mp4", "solo", "acoustic_guitar"],
        ["x_2", "acoustic guitar/x (2).mp4", "solo", "acoustic_guitar"],
        ["violin-a", "violin/a.MOV", "solo", "violin"],
        ["b", "violin/b.mp4", "solo", "violin"],
        ["1", "violin+cello/1.mkv", "duet", "violin cello"],
    ]
    assert all(
        Path(address(video, root / "manifest.csv")).is_file()
        for video in read(root / "manifest.csv")
    )
    said = capsys.readouterr().out
    assert "x (2).mp4: its id is x_2" in said
    assert "loose.mp4: left out" in said
    command = shlex.split(said.strip().splitlines()[-1])
    assert json.loads(command[command.index("--config") + 1].removeprefix("corpus=")) == {
        "manifest": str(root / "manifest.csv"),
        "boxes": [],
    }
    assert command[:2] == [
        "snakemake",
        "all",
    ]  # a target after --config would be taken for another setting
    (root / "boxes.csv").touch()
    assert '"boxes"' not in manifest.command(root / "manifest.csv")


def test_a_manifest_mended_by_hand_is_kept_beside_the_new_one(tmp_path):
    (tmp_path / "violin").mkdir()
    (tmp_path / "violin" / "a.mp4").touch()
    (tmp_path / "manifest.csv").write_text("mine")
    folder(tmp_path)
    assert (tmp_path / "manifest.csv.old").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.mp4", "expected videos in folders named by what is heard"),
        ("a+b+c/x.mp4", "expected two different categories"),
        ("violin+violin/x.mp4", "expected two different categories"),
    ],
)
def test_a_folder_that_says_nothing_leaves_no_manifest(tmp_path, name, expected):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(UserError, match=expected):
        folder(tmp_path)
    assert not list(tmp_path.glob("manifest.csv*"))


@given(
    st.lists(
        st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1),
        min_size=1,
    )
)
def test_every_file_gets_a_legal_id_of_its_own(tmp_path_factory, names):
    ids = unique_ids(
        [Path("violin" if n % 2 else "cello", f"{name}.mp4") for n, name in enumerate(names)]
    )
    assert len(ids) == len(names)
    path = tmp_path_factory.mktemp("made") / "manifest.csv"
    assert [
        video.video_id for video in write(path, [(i, "x.mp4", "solo", "violin") for i in ids])
    ] == ids


@pytest.mark.parametrize(
    "name", ["jW_AuF6dQYY", "-DlGdZNAsxA", "violin-01", "violin+acoustic_guitar-01", "déjà"]
)
def test_a_legal_name_is_its_own_id(name):
    assert sanitize_id(name) == name


def test_the_command_line_ends_in_one_line(tmp_path):
    command = [sys.executable, "-m", "spm.corpus.manifest", "--folder", str(tmp_path / "nowhere")]
    job = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert job.returncode == 1
    assert job.stderr.count("\n") == 1
    assert "nowhere: expected videos in folders" in job.stderr


def test_reading_a_manifest_needs_neither_torch_nor_pyarrow():
    code = "import sys, spm.corpus.manifest; sys.exit(bool({'torch', 'pyarrow', 'numpy', 'yt_dlp'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize(
    "wrong", [{"shards": 0}, {"shards": 10_001}, {"boxes": ["drawn"]}, {"shard": 3}]
)
def test_the_corpus_section_refuses_what_it_does_not_know(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Corpus.model_validate({"manifest": "m.csv", "shards": 4} | wrong)
    assert Corpus(manifest="m.csv", shards=4, boxes=["given", "detector"]).boxes == (
        "given",
        "detector",
    )
