"""Lists of the frames of a test set, which other files have boxes of.

    vggss_heard_test.csv           VIDEO                        the frames of the set
    flickr_test.csv                VIDEO,number                 the same
    vggss_test_plus_silent.csv     video,audio,non-sounding     pictures with another clip's sound
    vggsound_duet_test.csv         VIDEO,class,VIDEO,class      two pictures side by side

Sources: SLAVC (Mo and Morgado, NeurIPS 2022) and SSLalignment, the same files; AVGN (Mo and Tian,
CVPR 2023) and T-VSL (Mahmud et al., CVPR 2024), the same files.
"""

from csv import reader
from dataclasses import replace
from pathlib import Path

from spm.base.errors import UserError
from spm.boxes.formats import checks, masks
from spm.boxes.formats.frames import BenchmarkBoxes, Box, Form, Frame, Sides
from spm.corpus.published_lists import category_of

NEGATIVE = "non-sounding"


def _rows(path: Path, columns: int) -> list[list[str]]:
    """Cells of a list without a header, at least `columns` per line.

    Raises
    ------
    UserError
        If a line has fewer cells (names the line).
    """
    rows = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(reader(file), 1):
            if row and len(row) < columns:
                raise UserError(f"{path}, line {number}: {len(row)} cells; expected {columns}")
            rows += [row] if row else []
    return rows


def keep(benchmark: BenchmarkBoxes, path: Path) -> BenchmarkBoxes:
    """The frames of a list.

    Raises
    ------
    UserError
        If a frame of the list has no boxes.
    """
    frames = {name: _listed(benchmark, name, path) for name, *_ in _rows(path, 1)}
    return replace(benchmark, frames=frames)


def _listed(benchmark: BenchmarkBoxes, name: str, path: Path) -> Frame:
    if name not in benchmark.frames:
        raise UserError(f"{path}: {name} has no boxes; expected boxes of every listed frame")
    return benchmark.frames[name]


def key_of_pair(picture: str, sound: str) -> str:
    """The key of a picture that is shown with the sound of another clip.

    >>> key_of_pair("9PmzQI8ZYpg_000147", "Kp3-Drt61_M_000064")
    '9PmzQI8ZYpg_000147@Kp3-Drt61_M_000064'
    >>> key_of_pair("9PmzQI8ZYpg_000147", "9PmzQI8ZYpg_000147")
    '9PmzQI8ZYpg_000147'
    """
    return picture if picture == sound else f"{picture}@{sound}"


def add_negatives(benchmark: BenchmarkBoxes, path: Path) -> BenchmarkBoxes:
    """The frames, and the pairs of a picture and a sound of which nothing visible makes the sound.

    If picture and sound are of one clip, the clip itself is silent, or its source is not visible.
    """
    frames = dict(benchmark.frames)
    for picture, sound, label in _rows(path, 3)[1:]:
        if label != NEGATIVE:
            raise UserError(f"{path}: label {label!r}; expected {NEGATIVE}")
        key, original = key_of_pair(picture, sound), benchmark.frames.get(picture)
        video, time_s = (original.video_id, original.time_s) if original else (picture, None)
        other = "" if sound == picture else sound
        frames[key] = Frame((), video, time_s, sound=other)
    return replace(benchmark, frames=frames, silent=True)


def duets(benchmark: BenchmarkBoxes, path: Path) -> BenchmarkBoxes:
    """Two pictures side by side, with both sounds; the key is the name of the left one.

    The frame is 448 x 224 px for the authors. As all frames, it is scored on a square here, so that
    an edge of a box may move by half a pixel of theirs.
    """
    frames = {}
    for left, left_class, right, right_class in _rows(path, 4):
        boxes: list[Box] = []
        for name, category, offset in ((left, left_class, 0.0), (right, right_class, 0.5)):
            half = _listed(benchmark, name, path)
            boxes += [
                Box(category_of(category), _in_half(box.sides, offset, benchmark.form))
                for box in half.boxes
            ]
        frames[left] = Frame(tuple(boxes), _listed(benchmark, left, path).video_id)
    return replace(benchmark, frames=frames)


def _in_half(sides: Sides, offset: float, form: Form) -> Sides:
    """A box of a picture in the half of the frame that starts at `offset`."""
    x, y, third, fourth = sides
    x, third = min(max(x, 0.0), 1.0), min(max(third, 0.0), 1.0)
    return offset + x / 2, y, third / 2 + (offset if form == "xyxy" else 0), fourth


def masks_of(path: Path, folder: Path) -> BenchmarkBoxes:
    """Masks of the listed frames, an image per frame in `folder` or below; the list has classes."""
    files, frames = masks.FilesBelow(folder), {}
    for name, category, *_ in _rows(path, 2):
        with checks.named(str(path)):
            mask = masks.ImageMask(files.find(name))
        frames[name] = masks.with_mask(Frame((), name), mask, category_of(category))
    return BenchmarkBoxes(frames, "xyxy")
