"""Published boxes: download a data set, or read a file in one of the published formats.

python -m spm.boxes.benchmarks dsol-solo --out boxes.csv

writes the boxes as the CSV that `corpus.given_boxes` names. The source is the name of a data set
(docs/protocols.md lists them), which is downloaded and checked by its sha256; such a name with a
folder, as flickr=annotations/, for a set that needs a local copy; or a file or folder in one of
these formats:

    DSOL               JSON: {key: {"bbox": [{"category_id": …, "normbox": [x, y, w, h]}, …]}, …}
    VGG-SS             JSON: [{"file": …, "class": …, "bbox": [[x, y, x, y], …]}, …]
    SSLalignment       JSON: [{"image": …, "audio": …, "gt_box": [x, y, x, y]}, …]
    COCO               JSON with `segmentation`; the boxes are those of the masks
    masks              a folder of .png files; the boxes are those of the masks
    Flickr-SoundNet    a folder of XML files, several annotators per image
    MUSIC-Synthetic    a folder of .npy files, rows x, y, w, h, category
    Open Images        CSV with ImageID, LabelName, XMin, XMax, YMin, YMax
    this project       CSV with category, x, y, w, h, and key, or video_id and time_s
"""

import argparse
import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from spm.base import spreadsheets, tables
from spm.base.errors import UserError
from spm.base.words import one_of
from spm.boxes.benchmark_sets import SETS, PublishedFile
from spm.boxes.formats import (
    checks,
    csv,
    dsol,
    flickr,
    masks,
    music_synthetic,
    openimages,
    sslalignment,
    vggss,
)
from spm.boxes.formats.frames import COLUMNS, BenchmarkBoxes, to_table

CACHE = Path("~/.cache/spm").expanduser()
TIMEOUT_S = 60


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
        If there is no such data set, file or folder, its format is not one of these, or the data
        set needs a local folder.
    """
    set_name, _, folder = name.partition("=")
    if set_name in SETS and not Path(name).exists():
        return _read_set(set_name, folder)
    path = Path(name)
    if not path.exists():
        raise UserError(
            f"{name}: no such file or folder of boxes, and no such set; {one_of(name, SETS)}"
        )
    with _known_format(path):
        benchmark = _reader(path)(path)
    if not benchmark.frames:
        raise UserError(f"{name}: no boxes; expected at least one")
    return benchmark


def _read_set(name: str, folder: str) -> BenchmarkBoxes:
    """A data set of SETS, from its published files, and from its local folder if it has one."""
    benchmark_set = SETS[name]
    if benchmark_set.folder and not folder:
        raise UserError(f"{name}: expected {name}=FOLDER, a folder with {benchmark_set.folder}")
    if folder and not benchmark_set.folder:
        raise UserError(f"{name}={folder}: {name} has no local files; expected {name} alone")
    local = [Path(folder)] if folder else []
    if folder and not local[0].is_dir():
        raise UserError(f"{name}={folder}: no such folder; expected {benchmark_set.folder}")
    paths = [download(source) for source in benchmark_set.files]
    with _known_format(local[0] if folder else paths[0]):
        return benchmark_set.read(*paths, *local)


@contextmanager
def _known_format(path: Path) -> Iterator[None]:
    """Turn what a reader raises for another format into an error that names the file."""
    try:
        yield
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise UserError(
            f"{path}: not boxes in a known format ({type(error).__name__}: {error});"
            " python -m spm.boxes.benchmarks --help lists the formats"
        ) from error


def _reader(path: Path) -> Callable[[Path], BenchmarkBoxes]:
    """The reader of a file's or folder's format."""
    if path.is_dir():
        if any(path.glob("*.xml")):
            return flickr.read
        is_masks = not any(path.glob("*.npy")) and any(path.rglob("*.png"))
        return masks.read_folder if is_masks else music_synthetic.read
    if path.suffix == ".json":
        content = checks.read_json(path)
        if sslalignment.is_list(content):
            return sslalignment.read
        if masks.is_coco(content):
            return masks.read_coco
        return vggss.read if isinstance(content, list) else dsol.read
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
