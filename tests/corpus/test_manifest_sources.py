"""Manifests that are made from the published lists of MUSIC, or from a folder of videos."""

import csv
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from spm.base.errors import UserError
from spm.cli.manifest import next_steps
from spm.corpus.manifest import address, read
from spm.corpus.manifest_sources import workflow_command, write_folder, write_music
from spm.corpus.media import ffmpeg
from spm.corpus.video_files import (
    EXTENSIONS,
    HIDDEN,
    ILLEGIBLE_NAME,
    NOT_A_FILE,
    NOT_A_VIDEO,
    NOT_IN_A_CATEGORY,
)

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "workflow" / "manifests"
PUBLISHED = ROOT.parent / "shared" / "data" / "manifests" / "MUSIC"
# SHA-256 of the published lists: of json.dumps(lists["videos"], ensure_ascii=False).
DIGESTS = {
    "MUSIC_solo": "1fea060207e16ce8301b6da06f441250bc7752073eef53c79c95f89fdb2209eb",
    "MUSIC_duet": "c699d14bd95a35ebb6e205cad7aa7f4626fc5e0e81b4111f73f71c4d0dab8ce6",
    "MUSIC21_solo": "bb8a66092a305ab79e1ef22ac8840eafaa77991478377202fc33386cc6576ef4",
}


def digest(videos: dict[str, list[str]]) -> str:
    return hashlib.sha256(json.dumps(videos, ensure_ascii=False).encode()).hexdigest()


def list_of(manifest: str, kind: str) -> dict[str, list[str]]:
    """The published list that a manifest was made from: ids by category, in its order."""
    videos: dict[str, list[str]] = {}
    for video in read(MANIFESTS / manifest):
        if video.kind == kind:
            videos.setdefault(" ".join(video.categories), []).append(video.video_id)
    return videos


def test_the_manifests_of_the_project_are_the_published_lists(tmp_path):
    lists = {
        "MUSIC_solo": list_of("music.csv", "solo"),
        "MUSIC_duet": list_of("music.csv", "duet"),
        "MUSIC21_solo": list_of("music21.csv", "solo"),
    }
    assert {name: digest(videos) for name, videos in lists.items()} == DIGESTS
    for name, videos in lists.items():
        (tmp_path / f"{name}_videos.json").write_text(json.dumps({"videos": videos}))
    write_music(tmp_path, tmp_path)
    for name in ("music.csv", "music21.csv"):
        assert (tmp_path / name).read_bytes() == (MANIFESTS / name).read_bytes()
    if PUBLISHED.is_dir():
        for name, expected in DIGESTS.items():
            text = (PUBLISHED / f"{name}_videos.json").read_text()
            assert digest(json.loads(text)["videos"]) == expected


@pytest.mark.parametrize("text", ["", "[]", '{"videos": []}', '{"videos": {"violin": 3}}'])
def test_a_wrong_list_leaves_no_files(tmp_path, text):
    for name in ("MUSIC_solo_videos.json", "MUSIC_duet_videos.json", "MUSIC21_solo_videos.json"):
        (tmp_path / name).write_text(json.dumps({"videos": {"violin": ["aaaaaaaaaaa"]}}))
    (tmp_path / "MUSIC21_solo_videos.json").write_text(text)
    with pytest.raises(UserError, match=r"MUSIC21_solo_videos\.json: not a list of MUSIC"):
        write_music(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


MORE = ["aaaaaaaaaaa", "bbbbbbbbbbb"]


def test_the_lists_of_music_are_added_to_and_never_written_over(tmp_path):
    for name in ("MUSIC_solo", "MUSIC_duet", "MUSIC21_solo"):
        videos = {"flute violin" if name == "MUSIC_duet" else "flute": [name[-11:].ljust(11, "0")]}
        (tmp_path / f"{name}_videos.json").write_text(json.dumps({"videos": videos}))
    first, _ = write_music(tmp_path, tmp_path)
    assert (len(first.added), first.listed_before) == (2, 0)
    mine = first.path.read_text().replace("flute violin", "flute cello") + "x,x.mp4,solo,flute\n"
    first.path.write_text(mine)
    again, _ = write_music(tmp_path, tmp_path)
    assert (again.added, again.listed_before, first.path.read_text()) == ([], 3, mine)
    (tmp_path / "MUSIC_solo_videos.json").write_text(json.dumps({"videos": {"flute": MORE}}))
    assert write_music(tmp_path, tmp_path)[0].added == MORE
    assert first.path.read_text().startswith(mine)


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


FOLDER_ROWS = [
    ["x_1", "./ bass/x 1.mp4", "solo", "bass"],
    ["acoustic_guitar-a", "acoustic guitar/a.mp4", "solo", "acoustic_guitar"],
    ["x_2", "acoustic guitar/x (2).mp4", "solo", "acoustic_guitar"],
    ["violin-a", "violin/a.MOV", "solo", "violin"],
    ["b", "violin/b.mp4", "solo", "violin"],
    ["1", "violin+cello/1.mkv", "duet", "violin cello"],
]


def test_a_folder_of_videos_becomes_a_manifest(tmp_path):
    root = tmp_path / "my videos"
    for _, url, _, _ in FOLDER_ROWS:
        touch(root / url)
    listing = write_folder(root)
    assert list(csv.reader(listing.path.open()))[1:] == FOLDER_ROWS
    assert all(Path(address(video, listing.path)).is_file() for video in read(listing.path))
    assert "acoustic guitar/x (2).mp4: its id is x_2" in listing.renamed
    assert "acoustic guitar/a.mp4: its categories are acoustic_guitar" in listing.renamed


def test_the_command_that_runs_the_workflow_names_the_manifest(tmp_path):
    manifest = tmp_path / "my videos" / "manifest.csv"
    command = shlex.split(workflow_command(manifest))
    assert command[:2] == ["snakemake", "all"]  # after --config, a target would be another setting
    config = command[command.index("--config") + 1].removeprefix("corpus=")
    assert json.loads(config) == {"manifest": str(manifest)}


def test_boxes_are_drawn_before_the_workflow_runs_if_there_are_none(tmp_path):
    steps = "".join(next_steps(tmp_path / "manifest.csv"))
    assert steps.index("clips.parquet") < steps.index("spm review --draw") < steps.index(" all ")
    (tmp_path / "boxes.csv").touch()
    assert "spm review" not in "".join(next_steps(tmp_path / "manifest.csv"))


def test_files_that_are_not_listed_are_named_with_the_reason(tmp_path):
    names = [
        "violin/notes.txt", "violin/._b.mp4", ".venv/a.mp4", "loose.mp4", "violin/2020/c.mp4",
        "cover.GIF", "violin/song.m4a", "violin/a\nb.mp4", "boxes.csv", "violin/a.mp4",
    ]  # fmt: skip
    for name in names:
        touch(tmp_path / name)
    (tmp_path / os.fsdecode(b"violin/caf\xe9.mp4")).touch()
    (tmp_path / "violin" / "gone.mp4").symlink_to("nowhere.mp4")
    (tmp_path / "violin" / "again").symlink_to(tmp_path)
    listing = write_folder(tmp_path)
    assert listing.added == ["a"]
    assert listing.skipped == {
        HIDDEN: [".venv", "violin/._b.mp4"],
        NOT_A_VIDEO: ["cover.GIF", "violin/notes.txt", "violin/song.m4a"],
        NOT_IN_A_CATEGORY: ["loose.mp4", "violin/2020/c.mp4"],
        ILLEGIBLE_NAME: ["violin/a\\nb.mp4", "violin/caf\\udce9.mp4"],
        NOT_A_FILE: ["violin/gone.mp4"],
    }


def test_a_linked_folder_is_a_category(tmp_path):
    touch(tmp_path / "disk" / "v1" / "a.mp4")
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "violin").symlink_to(tmp_path / "disk" / "v1")
    assert write_folder(tmp_path / "videos").added == ["a"]
    assert write_folder(tmp_path / "videos").added == []


# Formats that ffmpeg writes with pictures and sound. The extensions below are of other content.
MUXERS = (
    "3g2 3gp amv asf avi dv dvd f4v flv gxf ismv ivf matroska mov mp4 mpeg mpegts mxf nut ogv psp"
    " rm svcd swf vob webm wtv"
)
OTHER_CONTENT = {"mka", "wma", "ra", "ogg", "mks", "isma"}


@pytest.mark.parametrize("muxer", MUXERS.split())
def test_the_extensions_of_the_formats_of_ffmpeg_are_listed(muxer):
    command = [ffmpeg.binary(), "-hide_banner", "-h", f"muxer={muxer}"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (names,) = re.findall(r"Common extensions: (.*)\.", text)
    assert {f".{name}" for name in set(names.split(",")) - OTHER_CONTENT} <= EXTENSIONS


# A manifest as its user left it: columns, separators, encoding, quotes and line ends of their own.
EDITED = {
    "as written": "video_id,url,kind,categories\na,violin/a.mp4,solo,violin\n",
    "no line end at the end": "video_id,url,kind,categories\na,violin/a.mp4,solo,violin",
    "edited rows": "video_id,url,kind,categories\n\"mine\", violin/a.mp4 ,duet,violin cello\n",
    "an absolute path": "video_id,url,kind,categories\na,ROOT/violin/a.mp4,solo,violin\n",
    "a file address": "video_id,url,kind,categories\na,file://ROOT/violin/a.mp4,solo,violin\n",
    "a flawed id": "video_id,url,kind,categories\na b,violin/a.mp4,solo,violin\n",
    "columns": "notes,kind,categories,split,url,video_id,\n"
    "\"1,2\",solo,violin,val,violin/a.mp4,a,\n",
    "semicolons, CRLF": "video_id;url;kind;categories;;\r\n"
    "a;violin/a.mp4;solo;violin;;\r\n;;;;;\r\n",
    "UTF-16, tabs": "\ufeffvideo_id\turl\tkind\tcategories\r\na\tviolin/a.mp4\tsolo\tviolin\r\n",
    "UTF-8 with a mark, CR": "\ufeffvideo_id,url,kind,categories\ra,violin/a.mp4,solo,violin\r",
    "only the header": "video_id,url,kind,categories,notes\n",
}  # fmt: skip


@pytest.mark.parametrize("form", EDITED)
def test_new_files_are_added_below_the_rows_of_the_user_which_stay_as_they_are(tmp_path, form):
    encoding = "utf-16-le" if "UTF-16" in form else "utf-8"
    mine = EDITED[form].replace("ROOT", str(tmp_path)).encode(encoding)
    path = tmp_path / "manifest.csv"
    path.write_bytes(mine)
    path.chmod(0o664)
    for name in ("violin/a.mp4", "cello/a.mp4", "cello/é, b.mp4"):
        touch(tmp_path / name)
    before = read(path) if form != "only the header" else []
    listing = write_folder(tmp_path)
    assert (listing.listed_before, len(listing.added)) == (len(before), 3 - len(before))
    written = path.read_bytes()
    assert written.startswith(mine)
    assert (path.stat().st_mode & 0o777) == 0o664
    videos = read(path)
    assert videos[: len(before)] == before
    assert {address(video, path) for video in videos if "cello" in video.categories[:1]} == {
        str(tmp_path / "cello/a.mp4"), str(tmp_path / "cello/é, b.mp4")
    }  # fmt: skip
    text = written.decode(encoding)
    ends = {re.search(r"\r\n|\r|\n", mine.decode(encoding))[0]}
    assert set(re.findall(r"\r\n|\r|\n", text)) == ends
    assert write_folder(tmp_path).added == []
    assert path.read_bytes() == written


def test_nothing_is_written_when_there_is_nothing_to_add(tmp_path):
    touch(tmp_path / "violin" / "a.mp4")
    path = write_folder(tmp_path).path
    old = path.stat()
    assert write_folder(tmp_path).added == []
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (old.st_mtime_ns, old.st_ino)
    assert sorted(os.listdir(tmp_path)) == ["manifest.csv", "violin"]


def test_ids_and_splits_of_listed_videos_stay_when_files_are_added_and_removed(tmp_path):
    for name in ("violin/b.mp4", "violin/c.mp4"):
        touch(tmp_path / name)
    path = write_folder(tmp_path).path
    before = read(path)
    for name in ("violin/a.mp4", "cello/b.mp4", "cello/b.mkv"):
        touch(tmp_path / name)
    (tmp_path / "violin" / "c.mp4").unlink()
    assert write_folder(tmp_path).added == ["cello-b", "cello-b-2", "a"]
    assert read(path)[:2] == before
    assert [video.position for video in read(path)] == [0, 1, 0, 1, 2]


def test_a_linked_manifest_stays_a_link(tmp_path):
    touch(tmp_path / "videos" / "violin" / "a.mp4")
    header = "video_id,url,kind,categories,notes\n"
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "mine.csv").write_text(header)
    (tmp_path / "videos" / "manifest.csv").symlink_to("../lists/mine.csv")
    write_folder(tmp_path / "videos")
    assert (tmp_path / "videos" / "manifest.csv").is_symlink()
    listed = (tmp_path / "lists" / "mine.csv").read_text()
    assert listed == header + "a,violin/a.mp4,solo,violin,\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("mine", "column 'video_id' is missing from 'mine'"),
        ("video_id,url,kind,categories\na,violin/a.mp4,band,violin\n", "line 2: kind 'band'"),
        ("video_id,url,kind,categories,Split\n", "did you mean 'split'"),
    ],
)
def test_a_manifest_with_a_fault_is_an_error_and_stays_as_it_is(tmp_path, text, named):
    touch(tmp_path / "violin" / "a.mp4")
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(UserError, match=named):
        write_folder(tmp_path)
    assert (tmp_path / "manifest.csv").read_text() == text
    assert sorted(os.listdir(tmp_path)) == ["manifest.csv", "violin"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.mp4", "expected videos in folders named by the sounding .* a.mp4 .not in the folder"),
        ("violin/a.txt", "expected videos in folders .* example: violin/a.txt .no video by"),
        ("a+b+c+a/x.mp4", "expected different categories"),
        ("violin+violin/x.mp4", "expected two different categories"),
    ],
)
def test_a_folder_without_categories_gives_no_manifest(tmp_path, name, expected):
    touch(tmp_path / name)
    with pytest.raises(UserError, match=expected):
        write_folder(tmp_path)
    assert not list(tmp_path.glob("manifest.csv*"))


@pytest.mark.slow
def test_an_error_of_the_command_line_is_one_line(tmp_path):
    command = [sys.executable, "-m", "spm.cli", "manifest", str(tmp_path)]
    job = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert job.returncode == 1
    assert job.stderr.count("\n") == 1
    assert f"{tmp_path}: expected videos in folders" in job.stderr
