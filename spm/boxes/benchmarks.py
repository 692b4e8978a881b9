"""Published boxes: download a data set, or read a file in one of the published formats.

python -m spm.boxes.benchmarks dsol-solo --out boxes.csv

writes the boxes as the CSV that `corpus.given_boxes` names. The source is the name of a data set
(dsol-solo, dsol-duet, dsol-audioset, vgg-ss), which is downloaded and checked by its sha256, or a
file or folder in one of these formats:

    DSOL               JSON: {key: {"bbox": [{"category_id": …, "normbox": [x, y, w, h]}, …]}, …}
    VGG-SS             JSON: [{"file": …, "class": …, "bbox": [[x, y, x, y], …]}, …]
    Flickr-SoundNet    a folder of XML files, several annotators per image
    MUSIC-Synthetic    a folder of .npy files, rows x, y, w, h, category
    Open Images        CSV with ImageID, LabelName, XMin, XMax, YMin, YMax
    this project       CSV with category, x, y, w, h, and key, or video_id and time_s
"""

import argparse
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

from spm.base import spreadsheets, tables
from spm.base.errors import UserError
from spm.boxes.formats import checks, csv, dsol, flickr, music_synthetic, openimages, vggss
from spm.boxes.formats.frames import COLUMNS, BenchmarkBoxes, to_table

CACHE = Path("~/.cache/spm").expanduser()
TIMEOUT_S = 60


class PublishedFile(NamedTuple):
    """Address and digest of a published file."""

    url: str
    sha256: str


_DSOL = (
    "https://raw.githubusercontent.com/DTaoo/Discriminative-Sounding-Objects-Localization/"
    "7f402071e2d654e4ff82791bfb3d5218f19f20df"
)
SETS = {
    "dsol-solo": PublishedFile(
        f"{_DSOL}/music-exp/solotest.json",
        "57fb92b151f7306869f4f3395237d052395885dca226138539e93f72a952faa4",
    ),
    "dsol-duet": PublishedFile(
        f"{_DSOL}/music-exp/duettest.json",
        "d9f0a4faa8bebf3e281ea05d04597bf4070c2210aad137322d96d79c9d155fdd",
    ),
    "dsol-audioset": PublishedFile(
        f"{_DSOL}/audioset-instrument/audioset_box.json",
        "fa9f78ce83c1544ea780df6e4adb321ed34bd485f683f548b6f117add3417b74",
    ),
    "vgg-ss": PublishedFile(
        "https://raw.githubusercontent.com/hche11/Localizing-Visual-Sounds-the-Hard-Way/"
        "8fe8cbbf810e804cf8cc9b244bb5d77ec8aa8315/metadata/vggss.json",
        "ae300b4a259267e6fe839970d495862edd70bfe3da63d925bcdb34054ed3b15e",
    ),
}


def download(source: PublishedFile, cache: Path = CACHE) -> Path:
    """Path of a published file; it is downloaded once and checked on every call.

    Raises
    ------
    UserError
        If the download fails, or the file is not the published one.
    """
    path = cache / f"{source.sha256[:16]}-{source.url.rsplit('/', 1)[1]}"
    if not path.is_file():
        try:
            with (
                urlopen(source.url, timeout=TIMEOUT_S) as response,
                tables.atomic_write(path) as part,
            ):
                part.write_bytes(_check_digest(response.read(), source, source.url))
        except (URLError, TimeoutError) as error:
            raise UserError(
                f"{source.url} can't be downloaded ({error}): give the path of a copy instead"
            ) from error
    _check_digest(path.read_bytes(), source, str(path))
    return path


def _check_digest(content: bytes, source: PublishedFile, origin: str) -> bytes:
    digest = hashlib.sha256(content).hexdigest()
    if digest != source.sha256:
        raise UserError(
            f"{origin} has sha256 {digest}, expected {source.sha256}: it is not the published file"
        )
    return content


def read(name: str) -> BenchmarkBoxes:
    """Read a data set by name, or a file or folder in any of the formats.

    Raises
    ------
    UserError
        If there is no such data set, file or folder, or its format is not one of these.
    """
    path = download(SETS[name]) if name in SETS else Path(name)
    if not path.exists():
        raise UserError(f"{name}: expected a file or folder of boxes, or one of {', '.join(SETS)}")
    try:
        return _reader(path)(path)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise UserError(
            f"{path}: not boxes in a known format ({type(error).__name__}: {error});"
            " python -m spm.boxes.benchmarks --help lists the formats"
        ) from error


def _reader(path: Path) -> Callable[[Path], BenchmarkBoxes]:
    """The reader of a file's or folder's format."""
    if path.is_dir():
        return flickr.read if any(path.glob("*.xml")) else music_synthetic.read
    if path.suffix == ".json":
        is_list = isinstance(checks.read_json(path), list)
        return vggss.read if is_list else dsol.read
    header = spreadsheets.read(path, (*COLUMNS, "ImageID")).header
    return openimages.read if "ImageID" in header else csv.read_frames


def main() -> None:
    """Write published boxes as given boxes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("boxes", help=f"a file or folder, or one of {', '.join(SETS)}")
    parser.add_argument("--out", type=Path, required=True, metavar="CSV")
    options = parser.parse_args()
    try:
        benchmark = read(options.boxes)
    except UserError as error:
        sys.exit(f"{parser.prog}: error: {error}")
    boxes = to_table(benchmark)
    csv.write(options.out, boxes)
    without_area = sum(len(frame.boxes) for frame in benchmark.frames.values()) - len(boxes)
    left_out = f"; {without_area} without area are left out" if without_area else ""
    print(f"{options.out}: {len(boxes)} boxes of {boxes['video_id'].nunique()} videos{left_out}")


if __name__ == "__main__":
    main()
