"""Which formats are read, and which are refused because their files name other files."""

import shutil
import subprocess
from pathlib import Path

import pytest
from yt_dlp import YoutubeDL
from yt_dlp.postprocessor import ffmpeg as programs

from spm.corpus.fetching.local import local_record
from spm.corpus.fetching.options import POSTPROCESSOR_ARGS
from spm.corpus.media import formats, probe
from spm.corpus.media.ffmpeg import binary
from tests.support.media import ffmpeg

DASH = (
    '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
    ' mediaPresentationDuration="PT2S"><Period><AdaptationSet mimeType="video/mp4">'
    '<Representation id="1" bandwidth="1"><BaseURL>secret.mp4</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>"
)
HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsecret.mp4\n#EXT-X-ENDLIST\n"
SDP = (
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)
CONCAT = "ffconcat version 1.0\nfile secret.mp4\n"
LISTS = {
    "list.m3u8": (HLS, "a playlist"),
    "hls.mp4": (HLS, "a playlist"),
    "hls.ts": (HLS, "a playlist"),
    "concat.mp4": (CONCAT, "a list of files"),
    "bom.mkv": (f"\ufeff{CONCAT}", "a list of files"),
    "list.ffconcat": (CONCAT, "a list of files"),
    "film.mpd": (DASH, "the manifest of a stream"),
    "dash.mp4": (DASH, "the manifest of a stream"),
    "session.sdp": (SDP, "the description of a session"),
    "cpl.xml": ("<CompositionPlaylist></CompositionPlaylist>", "a text in XML"),
    "list.pls": ("[playlist]\nFile1=secret.mp4\n", "a playlist"),
}
CONVERTED = {
    "mkv": (), "webm": (), "ts": (), "avi": (), "ogv": (), "wmv": (), "mov": (), "nut": (),
    "flv": ("-ar", "44100"), "mpg": ("-r", "25"), "3gp": ("-an", "-c:v", "h263", "-s", "176x144"),
    "gif": (), "wav": (), "mp3": (),
}  # fmt: skip


@pytest.fixture
def folder(media, tmp_path) -> Path:
    """A folder with a film that a list can name."""
    shutil.copy(media, tmp_path / "secret.mp4")
    return tmp_path


@pytest.mark.parametrize("name", LISTS)
def test_a_file_that_names_other_files_is_refused_and_described(folder, name):
    text, kind = LISTS[name]
    (folder / name).write_text(text, encoding="utf-8")
    found = probe.contents(str(folder / name))
    assert found["status"] == "unreadable"
    assert found["reason"].startswith(kind)


def test_a_list_of_files_is_bad_in_the_ledger(folder):
    (folder / "film.mp4").write_text(CONCAT)
    record = local_record("film", folder / "film.mp4")
    assert record.status == "bad"
    assert "a list of files (ffconcat)" in record.reason


@pytest.mark.parametrize("name", ["%03d.jpg", "001.jpg", "text.txt"])
def test_numbered_pictures_and_texts_are_no_films(folder, media, name):
    ffmpeg("-i", media, "-frames:v", "2", folder / "%03d.jpg")
    (folder / "%03d.jpg").write_bytes((folder / "001.jpg").read_bytes())
    (folder / "text.txt").write_text("film\n" * 1000)
    found = probe.contents(str(folder / name))
    assert found["status"] == "unreadable"
    assert found["reason"].startswith(("a picture", "a text", formats.REFUSED))


def test_ffmpeg_refuses_what_the_probe_refuses(folder):
    (folder / "film.mp4").write_text(CONCAT)
    options = [
        word for name, value in formats.INPUT_OPTIONS.items() for word in (f"-{name}", value)
    ]
    command = [binary(), "-v", "error", *options, "-i", folder / "film.mp4", "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "not on whitelist" in done.stderr


@pytest.mark.parametrize(
    "name", [name for name in dir(programs) if name.startswith(("FFmpegMerger", "FFmpegFixup"))]
)
def test_the_programs_that_yt_dlp_starts_read_no_lists(name):
    with YoutubeDL({"postprocessor_args": POSTPROCESSOR_ARGS, "plugin_dirs": ()}) as ydl:
        program = getattr(programs, name)(ydl)
        if program.pp_key() != "FixupPostProcess":  # the base of others
            arguments = program._configuration_args("ffmpeg", ["_i1", "_i"])
            assert formats.FORMAT_LIST in arguments


@pytest.mark.parametrize("suffix", CONVERTED)
def test_formats_that_contain_their_media_are_read(media, tmp_path, suffix):
    ffmpeg("-i", media, *CONVERTED[suffix], tmp_path / f"film.{suffix}")
    found = probe.contents(str(tmp_path / f"film.{suffix}"))
    assert "status" not in found, found
    assert bool(found["pictures"]) == (suffix not in ("wav", "mp3"))
