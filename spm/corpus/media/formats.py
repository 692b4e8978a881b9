"""Formats of media files that are read: those whose files contain all that is played.

A playlist, a list of files or a manifest of a stream names other files, or addresses; libav would
open them. Such formats are refused, whatever the name of the file is.
"""

from pathlib import Path

from spm.base import file_kinds

FORMATS = (
    # Containers, by the names of libav's demuxers
    "mov", "matroska", "mpegts", "mpeg", "avi", "flv", "ogg", "asf", "wtv", "rm", "dv", "nut",
    "mxf", "gxf", "nsv", "nuv", "dhav", "swf", "ivf", "gif",
    # Pictures without a container
    "h261", "h263", "h264", "hevc", "vvc", "av1", "obu", "m4v", "mpegvideo", "vc1", "mjpeg",
    "yuv4mpegpipe",
    # Sound
    "wav", "w64", "aiff", "au", "caf", "mp3", "aac", "ac3", "eac3", "dts", "amr", "flac", "ape",
    "tta", "wv",
)  # fmt: skip
FORMAT_LIST = ",".join(FORMATS)
# Options of libav's demuxers, for PyAV and for ffmpeg's command line
INPUT_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": FORMAT_LIST}
REFUSED = "damaged, or in none of the formats of docs/media.md"
# How files begin that are no media, but that libav reads: they name other files.
LISTS = (
    (rb"#EXTM3U", "a playlist (HLS)"),
    (rb"ffconcat version", "a list of files (ffconcat)"),
    (rb"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<MPD", "the manifest of a stream (DASH)"),
    (rb"v=0\s", "the description of a session (SDP)"),
    (rb"(?i)\[(playlist|reference)\]", "a playlist"),
)


def input_of(path: Path, span: tuple[int, int] | None) -> tuple[str, dict[str, str]]:
    """Name of an input for libav, and its options: of a file, or of a span of its bytes."""
    if span is None:
        return f"file:{path}", INPUT_OPTIONS
    name = f"subfile,,start,{span[0]},end,{span[1]},,:file:{path}"
    return name, {**INPUT_OPTIONS, "protocol_whitelist": "subfile,file"}


def describe(path: Path) -> str:
    """What a file is that can't be opened; empty where its first bytes do not tell."""
    with path.open("rb") as file:
        head = file.read(file_kinds.HEAD_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip()
    kind = file_kinds.kind_of(head, LISTS + file_kinds.DOCUMENTS)
    return f"{kind}: expected a file that contains pictures and sound" if kind else ""
