"""Boxes that others published, in the form in which they published them, each bound to a video and a time.

python -m spm.boxes.benchmarks dsol-solo --out boxes.csv

writes the boxes of a named set, downloaded from its pinned address and checked by its sha256, or of a file or folder
in one of these forms, as the CSV that `corpus.given_boxes` names:

    DSOL's three JSON files            {key: {"bbox": [{"category_id": …, "normbox": [x, y, w, h]}, …]}}
    VGG-SS's vggss.json                [{"file": …, "class": …, "bbox": [[x, y, x, y], …]}, …]
    Flickr-SoundNet's annotations      a folder of XML, several annotators a picture
    MUSIC-Synthetic's boxes            a folder of .npy, rows x, y, w, h, category
    Open Images' boxes                 CSV with ImageID, LabelName, XMin, XMax, YMin, YMax
    our own                            CSV with category, x, y, w, h, and key, or video_id and time_s
"""

import argparse
import csv
import hashlib
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pandas as pd

from spm.base import tables
from spm.base.config import UserError
from spm.boxes import ground_truth

# The order of Co-Separation's detector, which DSOL's category ids count. MUSIC's other categories (xylophone, erhu,
# tuba, clarinet) have no class there: nothing was boxed for them, and nothing can be scored.
DETECTOR = (
    "banjo", "cello", "drum", "acoustic_guitar", "harp", "harmonica", "oboe", "piano", "saxophone", "trombone",
    "trumpet", "violin", "flute", "accordion", "horn",
)  # fmt: skip
FRAME_RATE = 30  # DSOL's frame numbers count re-encodes at 30 fps, whatever the video's own rate
CLIP_S = 10  # of VGG-Sound; the boxes are of its middle frame
FLICKR_PX = 256
CACHE = Path("~/.cache/spm").expanduser()


class Box(NamedTuple):
    """One box."""

    category: str
    sides: tuple[float, float, float, float]  # fractions of the frame, in the form of its set


@dataclass(frozen=True)
class Frame:
    """The boxes of one frame; none is a frame that was looked at and shows nothing that sounds."""

    boxes: tuple[Box, ...]
    video_id: str
    time_s: float | None = None  # from the start of the video; None: a picture


@dataclass(frozen=True)
class BenchmarkBoxes:
    """The frames of a set by their keys, as the peers write them, and how their boxes are written."""

    frames: Mapping[str, Frame] = field(default_factory=dict)
    form: Literal["xywh", "xyxy"] = "xywh"  # corner and size, or two corners
    annotators: int = 1  # boxes that make a pixel certain: Flickr-SoundNet's consensus wants two


class Source(NamedTuple):
    """Where a named set is published."""

    address: str
    sha256: str


_DSOL = (
    "https://raw.githubusercontent.com/DTaoo/Discriminative-Sounding-Objects-Localization/"
    "7f402071e2d654e4ff82791bfb3d5218f19f20df"
)
SETS = {
    "dsol-solo": Source(
        f"{_DSOL}/music-exp/solotest.json",
        "57fb92b151f7306869f4f3395237d052395885dca226138539e93f72a952faa4",
    ),
    "dsol-duet": Source(
        f"{_DSOL}/music-exp/duettest.json",
        "d9f0a4faa8bebf3e281ea05d04597bf4070c2210aad137322d96d79c9d155fdd",
    ),
    "dsol-audioset": Source(
        f"{_DSOL}/audioset-instrument/audioset_box.json",
        "fa9f78ce83c1544ea780df6e4adb321ed34bd485f683f548b6f117add3417b74",
    ),
    "vgg-ss": Source(
        "https://raw.githubusercontent.com/hche11/Localizing-Visual-Sounds-the-Hard-Way/"
        "8fe8cbbf810e804cf8cc9b244bb5d77ec8aa8315/metadata/vggss.json",
        "ae300b4a259267e6fe839970d495862edd70bfe3da63d925bcdb34054ed3b15e",
    ),
}


def download(source: Source, cache: Path = CACHE) -> Path:
    """The file of a named set, downloaded once and checked every time.

    Raises
    ------
    UserError
        When it can't be downloaded, or is not the file that was published.
    """
    path = cache / f"{source.sha256[:16]}-{source.address.rsplit('/', 1)[1]}"
    if not path.is_file():
        try:
            with urlopen(source.address, timeout=60) as answer, tables.atomic_write(path) as part:
                part.write_bytes(_checked(answer.read(), source, source.address))
        except (URLError, TimeoutError) as error:
            raise UserError(
                f"{source.address} can't be downloaded ({error}): name a copy of it instead"
            ) from error
    _checked(path.read_bytes(), source, str(path))
    return path


def _checked(content: bytes, source: Source, where: str) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != source.sha256:
        raise UserError(
            f"{where} has sha256 {found}, expected {source.sha256}: it is not what was published"
        )
    return content


def read(name: str) -> BenchmarkBoxes:
    """Read a named set, a file, or a folder, whichever form it has.

    Raises
    ------
    UserError
        When there is no such set or file, or it has none of the forms.
    """
    path = download(SETS[name]) if name in SETS else Path(name)
    if not path.exists():
        raise UserError(f"{name}: expected a file or folder of boxes, or one of {', '.join(SETS)}")
    try:
        return _reader(path)(path)
    except (
        KeyError,
        ValueError,
        TypeError,
        IndexError,
        AttributeError,
        ElementTree.ParseError,
    ) as error:
        raise UserError(
            f"{path}: not boxes in a form that is known ({type(error).__name__}: {error})"
        ) from error


def _reader(path: Path) -> Callable[[Path], BenchmarkBoxes]:
    if path.is_dir():
        return flickr if any(path.glob("*.xml")) else synthetic
    if path.suffix == ".json":
        return _json
    with path.open(encoding="utf-8-sig") as file:
        return open_images if "ImageID" in file.readline() else read_csv


def _json(path: Path) -> BenchmarkBoxes:
    content = json.loads(path.read_text(encoding="utf-8"))
    return vgg_ss(content) if isinstance(content, list) else dsol(content)


def dsol(content: Mapping[str, Any]) -> BenchmarkBoxes:
    """DSOL's boxes of MUSIC, `<id>_0_1000/frame_<second>/<frame number>.jpg`, and of AudioSet, `<id>/<second>`.

    The authors publish no names for AudioSet's ids; they are read in the order of the detector, as MUSIC's are.
    """
    return BenchmarkBoxes({key: _dsol_frame(key, frame["bbox"]) for key, frame in content.items()})


def _dsol_frame(key: str, boxes: Sequence[Mapping[str, Any]]) -> Frame:
    found = tuple(
        Box(
            DETECTOR[box["category_id"] if "category_id" in box else box["category"]],
            _four(box["normbox"]),
        )
        for box in boxes
    )
    video, *_, last = key.split("/")
    number = int(last.removesuffix(".jpg"))
    is_music = "category_id" in boxes[0] if boxes else last.endswith(".jpg")
    return Frame(
        found, re.sub(r"_\d+_\d+$", "", video), number / FRAME_RATE if is_music else float(number)
    )


def vgg_ss(content: Sequence[Mapping[str, Any]]) -> BenchmarkBoxes:
    """VGG-SS: `<id>_<start second>`, the middle frame of ten seconds; a wild corner is cut at the frame when drawn."""
    frames = {}
    for clip in content:
        video, start = clip["file"].rsplit("_", 1)
        boxes = tuple(Box(clip["class"], _four(sides)) for sides in clip["bbox"])
        frames[clip["file"]] = Frame(boxes, video, int(start) + CLIP_S / 2)
    return BenchmarkBoxes(frames, "xyxy")


def flickr(folder: Path) -> BenchmarkBoxes:
    """Flickr-SoundNet's test annotations: one XML a picture, a box from each annotator, in pixels of 256 × 256."""
    frames = {}
    for file in sorted(folder.glob("*.xml")):
        corners = [[int(str(side.text)) / FLICKR_PX for side in list(box)[-4:]]
                   for box in ElementTree.parse(file).getroot().iter("bbox")]  # fmt: skip
        frames[file.stem] = Frame(
            tuple(Box("sounding", _four(sides)) for sides in corners), file.stem
        )
    return BenchmarkBoxes(frames, "xyxy", annotators=2)


def synthetic(folder: Path) -> BenchmarkBoxes:
    """MUSIC-Synthetic: `<key>.npy` with rows x, y, w, h, category."""
    files = sorted(folder.glob("*.npy"))
    if not files:
        raise ValueError("no .xml and no .npy in it")
    rows = {file.stem: np.load(file, allow_pickle=False).reshape(-1, 5) for file in files}
    return BenchmarkBoxes({
        key: Frame(tuple(Box(DETECTOR[int(row[4])], _four(row[:4].tolist())) for row in table), key)
        for key, table in rows.items()
    })  # fmt: skip


def open_images(path: Path) -> BenchmarkBoxes:
    """Open Images' box table: one key a picture, categories by their MID or name."""
    return _grouped(
        ((row["ImageID"], row["ImageID"], None, row["LabelName"],
          (row["XMin"], row["YMin"], row["XMax"], row["YMax"])) for row in _rows(path)), "xyxy",
    )  # fmt: skip


def read_csv(path: Path) -> BenchmarkBoxes:
    """Our own CSV: `category,x,y,w,h` with `key`, or with `video_id,time_s`, whose key is `<video_id>/<time_s>`."""
    return _grouped(_own_rows(path), "xywh")


Line = tuple[str, str, float | None, str, Sequence[Any]]  # key, video, time, category, four sides


def _own_rows(path: Path) -> Iterator[Line]:
    for row in _rows(path):
        sides = [row[side] for side in "xywh"]
        if row.get("key"):
            yield row["key"], row.get("video_id") or row["key"], None, row["category"], sides
        else:
            time_s = float(row["time_s"])
            yield key_of(row["video_id"], time_s), row["video_id"], time_s, row["category"], sides


def key_of(video_id: str, time_s: float) -> str:
    """The key of a frame of a video, where nobody gave it another: to the millisecond."""
    return f"{video_id}/{time_s:.3f}"


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def _grouped(lines: Iterable[Line], form: Literal["xywh", "xyxy"]) -> BenchmarkBoxes:
    found: dict[str, tuple[list[Box], str, float | None]] = {}
    for key, video, time_s, category, sides in lines:
        found.setdefault(key, ([], video, time_s))[0].append(Box(category, _four(sides)))
    return BenchmarkBoxes(
        {key: Frame(tuple(boxes), video, time_s) for key, (boxes, video, time_s) in found.items()},
        form,
    )


def _four(sides: Sequence[Any]) -> tuple[float, float, float, float]:
    a, b, c, d = map(float, sides)
    if not all(map(np.isfinite, (a, b, c, d))):
        raise ValueError(f"a box of {a}, {b}, {c}, {d}")
    return a, b, c, d


def table(published: BenchmarkBoxes) -> pd.DataFrame:
    """Boxes by video and time, x, y, w, h cut at the frame: what `corpus.given_boxes` reads; pictures have time 0."""
    rows = [
        (frame.video_id, frame.time_s or 0.0, box.category, *_inside(box.sides, published.form))
        for frame in published.frames.values()
        for box in frame.boxes
    ]
    found = pd.DataFrame(rows, columns=ground_truth.COLUMNS)
    return found[(found["w"] > 0) & (found["h"] > 0)].sort_values(
        ground_truth.COLUMNS, ignore_index=True
    )


def _inside(sides: Sequence[float], form: str) -> tuple[float, float, float, float]:
    x, y, w, h = (
        sides if form == "xywh" else (sides[0], sides[1], sides[2] - sides[0], sides[3] - sides[1])
    )
    left, top = min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)
    return left, top, min(w - (left - x), 1 - left), min(h - (top - y), 1 - top)


def main() -> None:
    """Write the CSV of what the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("boxes", help=f"a file or folder, or one of {', '.join(SETS)}")
    parser.add_argument("--out", type=Path, required=True, metavar="CSV")
    given = parser.parse_args()
    try:
        found = table(read(given.boxes))
    except UserError as error:
        sys.exit(f"{parser.prog}: error: {error}")
    with tables.atomic_write(given.out) as part:
        found.to_csv(part, index=False)
    print(f"{given.out}: {len(found)} boxes of {found['video_id'].nunique()} videos")


if __name__ == "__main__":
    main()
