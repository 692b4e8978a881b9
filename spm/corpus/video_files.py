"""The video files in a folder, and the reason why each other file is not listed."""

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path

# Extensions of the video formats that ffmpeg reads: its demuxers name some of them, the others are
# in use. Still and moving pictures (.gif, .webp) and sound (.m4a, .mka, .ogg) are left out.
FORMATS = """
    264 265 266 360 3g2 3gp 3gp2 3gpp 3gpp2 4xm amv asf avi bfi bik bk2 cdxl cine cpk dav dif divx
    drc dv dvd dvr-ms dxa evo f4v flc fli flm flv gdv gxf h261 h263 h264 h265 h266 hdmov hevc imx
    insv ismv ivf ivr kux lrv lvf lxf m1v m2p m2t m2ts m2v m4v mj2 mjpeg mjpg mk3d mkv mlv mod
    moflex mov mp4 mp4v mpe mpeg mpeg1 mpeg2 mpeg4 mpegts mpg mpg4 mpgv mpv mpv2 mts mtv mve mvi
    mxf mxg nsv nut nuv obu ogm ogv ogx pmp psp pva qt r3d rec rm rmvb roq rpl rv smk swf thp tod
    trp ts ty ty+ usm vc1 viv vivo vmd vob vro vvc webm wm wmv wtv xesc xmv xvid y4m yop
"""
EXTENSIONS = {f".{name}" for name in FORMATS.split()}
OWN_FILES = {"manifest.csv", "manifest.csv.old", "boxes.csv", "reviews.csv"}  # beside the folders
ILLEGIBLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # the last: bytes that are not UTF-8

HIDDEN = "hidden"
NOT_A_VIDEO = "no video by their extension"
NOT_IN_A_CATEGORY = "not in the folder of a category (expected CATEGORY/VIDEO)"
ILLEGIBLE_NAME = "name with control characters, or not in UTF-8 (rename them)"
NOT_A_FILE = "no file at the end of the link"


def find_videos(root: Path, listed: Collection[str]) -> tuple[list[Path], dict[str, list[str]]]:
    """Find the videos <category>/<name> in a folder.

    Parameters
    ----------
    root : Path
        The folder; links to folders are followed.
    listed : collection of str
        Real paths of files that are neither returned nor counted.

    Returns
    -------
    tuple
        The paths of videos relative to the folder, sorted; and the names of all other files, by
        the reason why they are no video to list.
    """
    videos: list[Path] = []
    skipped: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(_walk(root)):
        if os.path.realpath(root / path) in listed:
            continue
        if reason := _reason(root, path):
            skipped[reason].append(repr(path.as_posix())[1:-1])
        else:
            videos.append(path)
    return videos, dict(skipped)


def _walk(root: Path) -> Iterator[Path]:
    """Every file below a folder; of a hidden folder, the folder itself."""
    visited = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        place = Path(folder).relative_to(root)
        if (real := os.path.realpath(folder)) in visited:  # a link to a folder above it
            folders.clear()
            continue
        visited.add(real)
        yield from (place / name for name in files if place.parts or name not in OWN_FILES)
        yield from (place / name for name in folders if name.startswith("."))
        folders[:] = sorted(name for name in folders if not name.startswith("."))


def _reason(root: Path, path: Path) -> str:
    """Why a file is not listed; empty for a video."""
    if path.name.startswith("."):
        return HIDDEN
    if path.suffix.lower() not in EXTENSIONS:
        return NOT_A_VIDEO
    if len(path.parts) != 2:
        return NOT_IN_A_CATEGORY
    if ILLEGIBLE.search(str(path)):
        return ILLEGIBLE_NAME
    return "" if (root / path).is_file() else NOT_A_FILE
