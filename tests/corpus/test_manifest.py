"""The manifest: which rows are accepted, which are refused, and with which messages."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from spm.base.errors import UserError
from spm.corpus.ids import ID_BYTES
from spm.corpus.manifest import Corpus, Video, address, is_remote, read, write

ROOT = Path(__file__).parents[2]
HEADER = "video_id,url,kind,categories\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "manifest.csv"


def write_text(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def video(url: str) -> Video:
    return Video("a", url, "solo", ("violin",), None, 0)


def test_a_row_is_a_video(path):
    rows = "-a,x.mp4,duet,violin acoustic_guitar,val\nb,y.mp4,solo,erhu,\n"
    assert read(write_text(path, HEADER.strip() + ",split\n" + rows)) == [
        Video("-a", "x.mp4", "duet", ("violin", "acoustic_guitar"), "val", 0),
        Video("b", "y.mp4", "solo", ("erhu",), None, 0),
    ]


def test_a_kind_may_have_unknown_categories_and_an_ensemble_any_number(path):
    rows = "a,a,solo,\nb,b,duet,\nc,c,ensemble,a b c d\nd,d,trio,a b c\ne,e,ensemble,\nf,f,solo,\n"
    videos = read(write_text(path, HEADER + rows))
    assert [(v.kind, v.categories) for v in videos] == [
        ("solo", ()), ("duet", ()), ("ensemble", tuple("abcd")), ("ensemble", tuple("abc")),
        ("ensemble", ()), ("solo", ()),
    ]  # fmt: skip
    assert [video.position for video in videos] == [0, 0, 0, 0, 0, 1]


WINDOWS = HEADER.strip() + ",start_s,end_s\n"


def test_a_row_may_be_a_window_of_a_video(path):
    rows = "a_30000,u,solo,x,30,40.5\nb,u,solo,x,,\nc,u,solo,x, 1.23456 ,2e0\n"
    first, second, third = read(write_text(path, WINDOWS + rows))
    assert (first.window, second.window, third.window) == ((30, 40.5), None, (1.235, 2))
    assert second == Video("b", "u", "solo", ("x",), None, 1)


def test_windows_of_one_video_are_in_one_shard_however_its_address_is_written(path):
    urls = [
        "jW_AuF6dQYY",
        "youtu.be/jW_AuF6dQYY?t=3",
        "https://m.youtube.com/watch?a=b&v=jW_AuF6dQYY",
    ]
    rows = "".join(f"w{n},{url},solo,x,{n},{n + 1}\n" for n, url in enumerate(urls))
    write_text(path, WINDOWS + rows + "whole,jW_AuF6dQYY,solo,x,,\n")
    videos = read(path)
    assert len({video.shard_key for video in videos[:3]}) == 1
    assert videos[3].shard_key == "whole"
    assert read(path, wanted=lambda key: key == videos[0].shard_key) == videos[:3]


@pytest.mark.parametrize(
    ("cells", "named"),
    [
        ("30,", "end_s '': expected seconds"), (",40", "start_s '': expected seconds"),
        ("40,40", "end_s '40': expected more than start_s (40)"), ("-1,4", "start_s '-1'"),
        ("0,nan", "end_s 'nan'"), ("0,inf", "end_s 'inf'"), ("0:30,0:40", "start_s '0:30'"),
    ],
)  # fmt: skip
def test_a_wrong_window_is_an_error_that_names_the_cell(path, cells, named):
    with pytest.raises(UserError, match=re.escape(named)):
        read(write_text(path, f"{WINDOWS}a,u,solo,x,{cells}\n"))


def test_windows_with_the_same_id_are_told_how_to_name_them(path):
    with pytest.raises(UserError, match=r"line 3: video_id 'a': .*line 2.*such as a_40000"):
        read(write_text(path, WINDOWS + "a,u,solo,x,30,40\na,u,solo,x,40,50\n"))


def test_positions_count_videos_of_the_same_kind_and_categories_in_any_order(path):
    rows = (
        "a,a,solo,violin\nb,b,duet,violin cello\nc,c,solo,violin\n"
        "d,d,duet,cello violin\ne,e,duet,cello erhu\n"
    )
    videos = read(write_text(path, HEADER + rows))
    assert [video.position for video in videos] == [0, 0, 1, 1, 0]


def test_wanted_rows_have_their_positions_among_all_rows(path):
    write_text(path, HEADER + "".join(f"v{n},{n}.mp4,solo,violin\n" for n in range(4)))
    videos = read(path)
    wanted = read(path, wanted=lambda video_id: video_id in ("v1", "v3"))
    assert wanted == [videos[1], videos[3]]
    assert read(path, wanted=lambda video_id: False) == []


def lines(separator: str, *rows: str, end: str = "\n") -> str:
    """Rows, written with commas, as the lines of a file with another separator or line end."""
    return "".join(row.replace(",", separator) + end for row in rows)


NAMES, ROW = HEADER.strip(), "a,x.mp4,solo,violin"
SPREADSHEETS = {
    "byte order mark": "\ufeff" + HEADER + ROW,
    "two byte order marks": "\ufeff\ufeff" + HEADER + ROW,
    "UTF-16 of Excel": (HEADER + ROW).replace(",", "\t").encode("utf-16"),
    "UTF-16, big endian": "\ufeff".encode("utf-16-be") + (HEADER + ROW).encode("utf-16-be"),
    "UTF-16 without its mark": (HEADER + ROW).encode("utf-16-le"),
    "UTF-16 without its mark, big endian": (HEADER + ROW).encode("utf-16-be"),
    "UTF-32": (HEADER + ROW).encode("utf-32"),
    "CRLF": lines(",", NAMES, ROW, end="\r\n"),
    "CR": lines(",", NAMES, ROW, end="\r"),
    "blank lines": "\n,,,,\n" + HEADER + "\n\n" + ROW,
    "blank rows": HEADER + ",,,\n" + ROW + "\n,,,\n;;;;\n   \n\u00a0,\u00a0,,\n \t \n",
    "semicolons": lines(";", NAMES, ";;;", ROW, ";;;"),
    "tabs": lines("\t", NAMES, ROW),
    "bars": lines("|", NAMES, ROW),
    "Excel's line on the separator": "sep=;\n" + lines(";", NAMES, ROW),
    "semicolons, quotes": lines(";", '"video_id","url","kind","categories"', ROW),
    "other order, spaces": "categories, kind ,url,video_id\nviolin,solo, x.mp4 ,a\n",
    "quotes after spaces": HEADER + '"a", "x.mp4", "solo", "violin"\n',
    "empty columns at the end": lines(",", NAMES + ",,", ROW + ",,"),
    "empty columns at the end of rows": lines(",", NAMES, ROW + ",,,"),
    "empty columns at the end of the header": lines(",", NAMES + ",,", ROW),
    "no cell for an empty split": lines(",", NAMES + ",split", ROW),
    "apostrophes of text cells": lines(",", NAMES, "'a,x.mp4,'solo,'violin"),
    "typographic quotes": lines(",", NAMES, "“a”,x.mp4,‘solo’,“violin”"),
    "invisible characters": lines(
        ",", "\u200bvideo_id,url\u00a0,kind,categories",
        "\u200ba\ufeff,\u00a0x.mp4,solo\u200f, violin\u3000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", SPREADSHEETS.values(), ids=SPREADSHEETS)
def test_the_formats_of_spreadsheets_are_read(path, text):
    videos = read(write_text(path, text))
    assert videos == [Video("a", "x.mp4", "solo", ("violin",), None, 0)]


@pytest.mark.parametrize(
    ("cell", "url"),
    [
        ("'-DlGdZNAsxA", "-DlGdZNAsxA"),
        ("\u201chttps://example.org/a\u201d", "https://example.org/a"),
        ("'til/x.mp4", "'til/x.mp4"),  # an apostrophe in the name of a file
        ("https://example.org/'a'", "https://example.org/'a'"),
    ],
)
def test_quotes_around_an_address_are_removed_and_those_of_a_path_are_kept(path, cell, url):
    (listed,) = read(write_text(path, f"{HEADER}a,{cell},solo,violin\n"))
    assert (listed.url, listed.flaw) == (url, "")


def test_columns_of_the_user_are_ignored_at_any_place(path):
    text = lines(
        ";", "notes,video_id,,url,kind,my split,categories,split,notes,",
        '"two, words",a,,x.mp4,solo,,violin,val,,', ",b,,y.mp4,solo,3,violin",
    ).replace("two; words", "two, words")  # fmt: skip
    assert read(write_text(path, text)) == [
        Video("a", "x.mp4", "solo", ("violin",), "val", 0),
        Video("b", "y.mp4", "solo", ("violin",), None, 1),
    ]


ENDS = ("\n", "\r\n", "\r")


@pytest.mark.parametrize("end", ENDS, ids=map(repr, ENDS))
def test_the_line_of_a_wrong_row_is_right_after_blank_and_long_rows(path, end):
    long = f'b,"x{end}y{end}.mp4",solo,violin'  # three lines
    text = lines(",", "", NAMES, "a,x.mp4,solo,violin", ",,,", long, "c,z.mp4,band,violin", end=end)
    with pytest.raises(UserError, match="line 8: kind 'band'"):
        read(write_text(path, text))
    with pytest.raises(UserError, match=r"line 5: not CSV \(unexpected end of data\)"):
        read(write_text(path, text.replace('.mp4",', ".mp4,")))
    latin = text.replace("band", "caf\xe9").encode("latin-1")
    with pytest.raises(UserError, match=r"line 8: byte 0xe9: expected UTF-8.*Windows-1252.*'é'"):
        read(write_text(path, latin))


LONG = "x" * (ID_BYTES + 1)
BAD_IDS = (
    "a/b", "a\\b", "..", "a..b", ".", "a b", "a\tb", "a\x7fb", "a\x00b", "$(a)", "../../a", "a;b",
    "`a`",
)  # fmt: skip
VALID_ID = "expected letters, digits and - _"
FLAWED = [
    *[(f"{bad},x.mp4,solo,violin", "video_id", VALID_ID) for bad in BAD_IDS],
    (f"{LONG},x.mp4,solo,violin", "video_id", "at most 128"),
    ("é" * 65 + ",x.mp4,solo,violin", "130 bytes", "at most 128"),
    ("a,,solo,violin", "url ''", "expected an http(s) address"),
    ("a,ftp://example.org/x.mp4,solo,violin", "url 'ftp:", "expected http://"),
    ("a,ytsearch:violin,solo,violin", "url 'ytsearch:", "expected http://"),
    ("a,https:///x.mp4,solo,violin", "url 'https:", "expected http://"),
    ("a,http://[::1/x.mp4,solo,violin", "url 'http:", "expected http://"),
    ('a,"x\ny.mp4",solo,violin', "url", "expected an http(s) address"),
]  # fmt: skip
ONE, TWO = "expected one category for a solo", "expected two different categories"
WRONG = [
    (",x.mp4,solo,violin", "line 2: video_id ''", "expected a name"),
    ("a,x,solo,erhu\nb,y,solo,erhu\na,z,solo,erhu", "line 4: video_id 'a'", "line 2 has it too"),
    ("a,x.mp4,band,violin", "line 2: kind 'band'", "expected solo, duet or ensemble"),
    ("a,x.mp4,Solo,violin", "line 2: kind 'Solo'", "expected solo, duet or ensemble"),
    ("a,x.mp4,solo,violin cello", "line 2: categories 'violin cello'", ONE),
    ("a,x.mp4,duet,violin", "line 2: categories 'violin'", TWO),
    ("a,x.mp4,duet,violin violin", "line 2: categories 'violin violin'", "different categories"),
    ("a,x.mp4,ensemble,a b c a", "line 2: categories 'a b c a'", "different categories"),
    ("a,x.mp4,trio,a b", "line 2: categories 'a b'", "expected three different categories"),
    ("a,x.mp4,solo,../violin", "line 2: categories '../violin'", "expected a letter"),
    ("a,x.mp4,solo", "line 2: 3 fields", "expected 4"),
    ("a,x.mp4,solo,violin,train", "line 2: 5 fields", "expected 4"),
    ("a,x,y.mp4,solo,violin", "line 2: 5 fields 'a,x,y.mp4,solo,violin'", "expected 4"),
    ('a,"x.mp4,solo,violin', "line 2: not CSV", "unexpected end"),
    ('a,"x"y.mp4,solo,violin', "line 2: not CSV", "correct the quotes"),
    ('b,y,solo,erhu\na,"x.mp4,solo,violin' + "\nb,y,solo,erhu" * 9999, "line 3: not CSV", "end of"),
    ("a,x.mp4," + "solo" * 9999 + ",violin", "line 2: kind 'solosolo", "expected solo, duet"),
    ("a,x.mp4,solo,vio\u200blin", "line 2: categories 'vio\\u200blin'", "expected a letter"),
    ("a,x.mp4,so\0lo,violin", "line 2: kind 'so\\x00lo'", "expected solo, duet"),
    ("\0" * 4096, "line 2: 1 fields", "expected 4"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "named", "expected"), FLAWED)
def test_an_invalid_id_or_address_is_a_flaw_of_its_video_and_no_error(path, row, named, expected):
    flawed, good = read(write_text(path, f"{HEADER}{row}\nz,z.mp4,solo,violin\n"))
    assert named in flawed.flaw
    assert expected in flawed.flaw
    assert "\n" not in flawed.flaw
    assert (good.flaw, good.position) == ("", 1)
    with pytest.raises(UserError, match="expected"):
        write(path, [(flawed.video_id, flawed.url, "solo", "violin")])


@pytest.mark.parametrize(("rows", "named", "expected"), WRONG)
def test_a_wrong_row_gives_one_line_with_the_row_and_the_expected_value(
    path, rows, named, expected
):
    with pytest.raises(UserError) as error:
        read(write_text(path, HEADER + rows + "\n"))
    message = str(error.value)
    assert message.startswith(str(path))
    assert named in message
    assert expected in message
    assert "\n" not in message
    assert len(message) < len(str(path)) + 500


WRONG_FILES = [
    ("", "empty: expected video_id,url,kind,categories[,split]"),
    (HEADER, "no videos"),
    ("video_id,url,kind\na,b,solo\n", "line 1: column 'categories' is missing"),
    ("\n\na,x.mp4,solo,violin\n", "line 3: column 'video_id' is missing from 'a,x.mp4,solo,"),
    ("video_id,url,kind,categories,url\n", "line 1: column 'url' occurs twice"),
    (NAMES + ",Split\n", "line 1: column 'Split' is unknown: did you mean 'split'?"),
    (NAMES + ",spilt\n", "line 1: column 'spilt' is unknown: did you mean 'split'?"),
    (NAMES + ",URL\n", "line 1: column 'URL' is unknown: did you mean 'url'?"),
    ("video_id,url,kind,categoris\n", "'categoris' is unknown: did you mean 'categories'?"),
    ("video_id;url;kind;category\n", "'category' is unknown: did you mean 'categories'?"),
    ("Video ID,url,kind,categories\n", "'Video ID' is unknown: did you mean 'video_id'?"),
    (NAMES + ",start,end\n", "column 'start' is unknown: did you mean 'start_s'?"),
    (NAMES + ",notes,End Time\n", "column 'End Time' is unknown: did you mean 'end_s'?"),
    (NAMES + ",start_s\n", "column 'end_s' is missing from"),
    (NAMES + ",end_s,split\n", "column 'start_s' is missing from"),
    (b"x" * 200_000, "line 1: column 'video_id' is missing from 'xxx"),
    (b"PK\x03\x04\x14\0\x06\0\x08\0\xff\n", "a compressed archive; expected a CSV file"),
    (b"video_id\xff\n", "line 1: byte 0xff: expected UTF-8"),
    ((HEADER + "a").encode("utf-16")[:-1], "line 2: byte 0x61: expected UTF-16-LE"),
    (HEADER.encode() + "a,x.mp4,solo,バイオリン\n".encode("shift_jis"), "line 2: byte 0x83"),
    (
        HEADER.strip() + ",split\na,b,solo,erhu,testing\n",
        "line 2: split 'testing': expected train, val, test",
    ),
    (HEADER.encode() + b"a,caf\xe9.mp4,solo,violin\n", "line 2: byte 0xe9: expected UTF-8"),
]


@pytest.mark.parametrize(("text", "named"), WRONG_FILES)
def test_a_wrong_file_gives_one_line_with_the_expected_content(path, text, named):
    with pytest.raises(UserError) as error:
        read(write_text(path, text))
    assert str(path) in str(error.value)
    assert named in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_manifest_is_named(path):
    with pytest.raises(UserError, match=r"manifest\.csv: cannot be read \(No such file"):
        read(path)


ADDRESSES = [
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
]


@pytest.mark.parametrize(("url", "location"), ADDRESSES)
def test_an_address_is_the_location_of_the_video(url, location):
    assert address(video(url), Path("/data/manifest.csv")) == location
    assert is_remote(location) == location.startswith("http")


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
    assert len(more) == 1164
    assert len({video.categories for video in more}) == 21
    assert {video.kind for video in more} == {"solo"}
    assert {video.video_id for video in videos[:536]} <= {video.video_id for video in more}


def test_reading_a_manifest_imports_neither_torch_nor_pyarrow():
    heavy = "{'torch', 'pyarrow', 'numpy', 'yt_dlp'}"
    code = f"import sys, spm.corpus.manifest; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize(
    "wrong", [{"shards": 0}, {"shards": 10_001}, {"boxes": ["drawn"]}, {"shard": 3}]
)
def test_the_corpus_section_refuses_unknown_keys_and_values(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Corpus.model_validate({"manifest": "m.csv", "shards": 4} | wrong)
    corpus = Corpus(manifest="m.csv", shards=4, boxes=["given", "detector"])
    assert corpus.boxes == ("given", "detector")
