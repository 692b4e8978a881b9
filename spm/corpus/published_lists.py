"""Published lists of videos and of windows of videos, as rows of a manifest.

    VGGSound         vggsound.csv      id,start,"label",train|test     windows of 10 s
    AudioSet         *_segments.csv    id, start, end, "/m/09x0r,…"    windows of 10 s
    AVE              Annotations.txt   label&id&quality&start&end      windows of its files
    VGG-SS           vggss.json        id_start, class, boxes          windows of 10 s
    VGG-SS           vggss_test.csv    id_start                        the same, without labels
    Flickr-SoundNet  flickr_test.csv   id,number                       whole videos, without labels

The id of a row is that of the video and the start of its window in ms. AudioSet's labels have their
names where class_labels_indices.csv is beside the list.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from spm.base.errors import UserError
from spm.base.statuses import Kind, Split
from spm.corpus.ids import sanitize_id
from spm.corpus.manifest_columns import COLUMNS
from spm.corpus.windows import WINDOW_COLUMNS, YOUTUBE, window_id

WINDOW_S = 10.0  # of VGGSound's clips
NAMES = (*COLUMNS, "split", *WINDOW_COLUMNS)
AUDIOSET_NAMES = "class_labels_indices.csv"
AVE_SPLITS: dict[str, str] = {
    "trainSet.txt": Split.TRAIN,
    "valSet.txt": Split.VAL,
    "testSet.txt": Split.TEST,
}
CLIP_NAME = re.compile(r"(?P<id>[\w-]{11})_(?P<start_s>\d{6})", re.ASCII)
FLICKR = "https://www.flickr.com/photos/soundnet/"


class Listed(NamedTuple):
    """One entry of a list."""

    name: str  # of the video
    url: str
    labels: Sequence[str]
    split: str
    start_s: float | None  # None: the whole video
    end_s: float | None


def rows(path: Path) -> list[tuple[str, ...]] | None:
    """Rows of a manifest with the columns NAMES; None when the file is no list that is known.

    Raises
    ------
    UserError
        When an entry of the list can't be read.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        reader = _reader(path, text)
        return None if reader is None else _unique(reader)
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror}): expected a list") from error
    except (ValueError, LookupError, TypeError, AttributeError, csv.Error, RecursionError) as error:
        raise UserError(
            f"{path}: an entry can't be read ({error}): expected the list as it was published"
        ) from error


def _reader(path: Path, text: str) -> Iterable[Listed] | None:
    """The entries of a list, by what its first lines look like."""
    first = next((line for line in text.splitlines() if line and not line.startswith("#")), "")
    if path.suffix == ".json" and '"bbox"' in text[:2000] and '"file"' in text[:2000]:
        return _vggss(json.loads(text))
    if first.startswith("Category&VideoID"):
        return _ave(path, text)
    if re.match(r"[\w-]{11}, *[\d.]+, *[\d.]+, *\"", first):
        return _audioset(path, text)
    if re.match(r"[\w-]{11},\d+,.*,(train|test)$", first):
        return _vggsound(text)
    if all(CLIP_NAME.fullmatch(line) for line in text.split()[:5]) and first:
        return (_clip(name, (), Split.TEST) for name in text.split())
    if re.fullmatch(r"\d{6,},\d*", first):
        return _flickr(text)
    return None


def _clip(name: str, labels: Sequence[str], split: str) -> Listed:
    match = CLIP_NAME.fullmatch(name)
    if not match:
        raise ValueError(f"{name!r}: expected the id of a video and its start in s")
    start_s = float(match["start_s"])
    return Listed(match["id"], YOUTUBE + match["id"], labels, split, start_s, start_s + WINDOW_S)


def _vggsound(text: str) -> Iterator[Listed]:
    for name, start, label, split in _cells(text):
        start_s = float(start)
        yield Listed(name, YOUTUBE + name, [label], split, start_s, start_s + WINDOW_S)


def _audioset(path: Path, text: str) -> Iterator[Listed]:
    """Labels are AudioSet's ids where the file with their names is not beside the list."""
    names_file = path.with_name(AUDIOSET_NAMES)
    known = {}
    if names_file.is_file():
        known = {mid: label for _, mid, label in _cells(names_file.read_text(encoding="utf-8"))}
    split = Split.TEST if path.name.startswith("eval") else Split.TRAIN
    for name, start, end, mids in _cells(text):
        labels = [known.get(mid, mid[1:].replace("/", "_")) for mid in mids.split(",")]
        yield Listed(name, YOUTUBE + name, labels, split, float(start), float(end))


def _ave(path: Path, text: str) -> Iterator[Listed]:
    """Times of AVE are within its files, which lie in the folder AVE beside the list."""
    splits: dict[tuple[str, ...], str] = {}
    for file, split in AVE_SPLITS.items():
        part = path.with_name(file)
        lines = part.read_text(encoding="utf-8").splitlines() if part.is_file() else []
        splits |= {tuple(line.split("&")[:2]): split for line in lines}
    for line in text.splitlines()[1:]:
        label, name, _, start, end = line.split("&")
        split = splits.get((label, name), "")
        url = str((path.parent / "AVE" / f"{name}.mp4").absolute())
        yield Listed(name, url, [label], split, float(start), float(end))


def _vggss(clips: Iterable[dict[str, str]]) -> Iterator[Listed]:
    for clip in clips:
        yield _clip(clip["file"], [clip["class"]], Split.TEST)


def _flickr(text: str) -> Iterator[Listed]:
    for name, *_ in _cells(text):
        yield Listed(name, FLICKR + name, (), Split.TEST, None, None)


def _cells(text: str) -> Iterator[list[str]]:
    """Cells of a CSV without its comments and blank lines."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    yield from csv.reader(lines, skipinitialspace=True)


def _unique(entries: Iterable[Listed]) -> list[tuple[str, ...]]:
    """Rows with ids of their own; the labels of entries of the same window are joined."""
    found: dict[tuple[str, float | None], Listed] = {}
    for entry in entries:
        key = (entry.name, entry.start_s)
        same = found.get(key)
        found[key] = entry._replace(labels=[*same.labels, *entry.labels]) if same else entry
    return [_row(entry) for entry in found.values()]


def _row(entry: Listed) -> tuple[str, ...]:
    """The values of NAMES."""
    categories = dict.fromkeys(category_of(label) for label in entry.labels)
    kind = {0: Kind.SOLO, 1: Kind.SOLO, 2: Kind.DUET}.get(len(categories), Kind.ENSEMBLE)
    times = () if entry.start_s is None else (f"{entry.start_s:g}", f"{entry.end_s:g}")
    name = entry.name if entry.start_s is None else window_id(entry.name, entry.start_s)
    return name, entry.url, kind, " ".join(categories), entry.split, *(times or ("", ""))


def category_of(label: str) -> str:
    """A published label as a category.

    >>> category_of("female speech, woman speaking")
    'female_speech_woman_speaking'
    """
    if re.fullmatch(r"\w[\w.-]*", label):
        return label
    return re.sub(r"_+", "_", sanitize_id(label.replace("'", ""))).lstrip("-+.")
