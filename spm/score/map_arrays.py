"""Maps of any system as arrays with keys, checked; `map_files` reads them from files."""

import os
import pickle
import re
import struct
import tokenize
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from spm.base import file_kinds
from spm.base.errors import UserError
from spm.base.sizes import MOST_BYTES, MOST_PIXELS
from spm.base.words import shown
from spm.score.map_streams import MapArray, StreamedMaps
from spm.score.masks import Maps

ARRAYS = ("keys", "maps", "classes", "cluster_of_class")
# What the libraries raise for files that are damaged, or are of another kind than their suffix:
# NumPy reads a head as Python, and torch calls functions with what a damaged file names.
DAMAGED = (
    ValueError, LookupError, OSError, EOFError, RuntimeError, MemoryError, OverflowError, TypeError,
    AttributeError, AssertionError, SyntaxError, tokenize.TokenError, struct.error, zlib.error,
    zipfile.BadZipFile, pickle.UnpicklingError, pa.ArrowException, Image.DecompressionBombError,
)  # fmt: skip


# What NumPy and torch say of Python objects; they advise to read them.
PICKLED = re.compile(r"pickle|weights_only|Python objects|Weights only")


@dataclass(frozen=True)
class ExternalMaps:
    """Maps of some frames by key: one per frame, one per frame and class, or both."""

    keys: list[str]
    maps: MapArray | None = None  # (n, h, w)
    class_maps: MapArray | None = None  # (n, classes, h, w)
    classes: tuple[str, ...] = ()
    # Video and time of the frames whose file has them in columns beside the key.
    times: Mapping[str, tuple[str, float]] = field(default_factory=dict)


@contextmanager
def one_line_errors(path: Path) -> Iterator[None]:
    """Turn what the libraries raise for an unusable file into an error that names the file."""
    try:
        yield
    except DAMAGED as error:
        raise UserError(
            f"{path}: can't be read as maps ({_reason(path, error)}); expected a complete file in"
            " one of the forms of docs/protocols.md: write it again"
        ) from error


def _reason(path: Path, error: Exception) -> str:
    """Why a file can't be read: what it is, where it is no file of maps, or the library's words."""
    kind = file_kinds.read_kind(path) if path.is_file() else ""
    if kind in (file_kinds.TEXT, file_kinds.PICKLE, file_kinds.WEB_PAGE, file_kinds.LFS):
        return kind
    if PICKLED.search(str(error)):
        return "it holds Python objects, which could run code, in place of numbers"
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def check_memory(path: Path, size_bytes: int) -> None:
    """Raise a UserError for arrays that are too large for memory, before they are read."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size_bytes > min(memory_bytes, MOST_BYTES):
        raise UserError(
            f"{path}: the maps need {size_bytes / 1e9:,.0f} GB of memory; this machine has"
            f" {memory_bytes / 1e9:,.0f} GB, and at most {MOST_BYTES / 1e9:,.0f} GB are used: use"
            " smaller maps, or several files"
        )


def numbers(path: Path, values: Any, name: str = "maps") -> Maps:
    """Real numbers as float32."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise UserError(f"{path}: {name} of the type {array.dtype}; expected numbers")
    check_memory(path, 4 * array.size)
    with np.errstate(over="ignore"):  # too large for float32: infinity, which _fault finds
        return array.astype(np.float32)


def _texts(path: Path, name: str, values: Any) -> list[str]:
    """Names in one dimension."""
    array = np.asarray(values)
    names = [value.decode() if isinstance(value, bytes) else value for value in array.tolist()]
    if array.ndim != 1 or not all(isinstance(value, str | int) for value in names):
        raise UserError(
            f"{path}: {name} of the type {array.dtype} and shape {array.shape}; expected texts in"
            " one dimension"
        )
    return [str(value) for value in names]


def from_dict(path: Path, arrays: Mapping[str, Any], classes: tuple[str, ...]) -> ExternalMaps:
    """Maps of named arrays: the arrays of a .npz, or one array per key."""
    if "maps" in arrays or "keys" in arrays:
        return from_arrays(path, arrays, list(arrays), classes)
    maps = {key: numbers(path, values, key) for key, values in arrays.items()}
    return from_maps(path, maps, classes)


def from_arrays(
    path: Path, arrays: Mapping[str, Any], names: Sequence[str], classes: tuple[str, ...]
) -> ExternalMaps:
    """Maps of the arrays of ARRAYS; `names` are all that the file has."""
    if missing := sorted({"keys", "maps"} - arrays.keys()):
        held = shown(names) or "nothing"
        raise UserError(
            f"{path}: no array named {' or '.join(missing)}: it holds {held}; expected keys and"
            " maps, as of np.savez(file, keys=list(maps), maps=list(maps.values()))"
        )
    keys, maps = _texts(path, "keys", arrays["keys"]), arrays["maps"]
    if not isinstance(maps, StreamedMaps):
        maps = numbers(path, maps)
    if maps.ndim == 4 and "cluster_of_class" in arrays:
        clusters = _clusters(path, arrays["cluster_of_class"], maps.shape[1])
        is_stream = isinstance(maps, StreamedMaps)
        maps = maps.of_channels(clusters) if is_stream else maps[:, clusters]
    if "classes" in arrays and not classes:
        classes = tuple(_texts(path, "classes", arrays["classes"]))
    return _checked(path, keys, maps, classes)


def _clusters(path: Path, values: Any, count: int) -> NDArray[np.int64]:
    """The cluster of each class, among `count` clusters."""
    clusters = np.asarray(values)
    valid = clusters.dtype.kind in "fiu" and clusters.ndim == 1
    if not valid or not set(clusters.tolist()) <= set(range(count)):
        raise UserError(
            f"{path}: cluster_of_class {clusters.tolist()}; expected the number of a cluster per"
            f" class, from 0 to {count - 1}"
        )
    return clusters.astype(np.int64)


def from_array(
    path: Path, values: StreamedMaps | NDArray[Any], classes: tuple[str, ...]
) -> ExternalMaps:
    """Maps of an array that has no keys: they are in a file beside it."""
    keys_file, keys = path.with_suffix(".keys.txt"), [path.stem]
    maps = values if isinstance(values, StreamedMaps) else numbers(path, values)
    if not isinstance(maps, StreamedMaps) and maps.ndim == 2:
        maps = maps[None]  # (1, h, w)
    if keys_file.exists():
        with one_line_errors(keys_file):
            lines = keys_file.read_text(encoding="utf-8-sig").splitlines()
        keys = [line.strip() for line in lines if line.strip()]
    elif maps.ndim in (3, 4) and len(maps) > 1:
        raise UserError(
            f"{path}: {len(maps)} maps without keys: write their keys into {keys_file}, one per"
            " line, in the order of the maps"
        )
    return _checked(path, keys, maps, classes)


def from_maps(path: Path, maps: Mapping[str, Maps], classes: tuple[str, ...]) -> ExternalMaps:
    """One array per frame."""
    if not maps:
        raise UserError(f"{path}: holds no maps; expected at least one")
    first = next(iter(maps.values())).shape
    for key, array in maps.items():
        if array.shape != first:
            raise UserError(
                f"{path}: {key}: shape {array.shape}; expected that of the first map, {first}"
            )
    check_memory(path, 4 * len(maps) * int(np.prod(first)))
    return _checked(path, list(maps), np.stack(list(maps.values())), classes)


def from_stream(keys: list[str], maps: StreamedMaps, classes: tuple[str, ...]) -> ExternalMaps:
    """Maps that stay in their file."""
    return _checked(maps.path, keys, maps, classes)


def _checked(
    path: Path, keys: list[str], maps: Maps | StreamedMaps, classes: tuple[str, ...]
) -> ExternalMaps:
    """Maps with their keys, if nothing is wrong with them; streamed values are checked later."""
    if fault := _fault(keys, maps, classes):
        raise UserError(f"{path}: {fault}")
    if isinstance(maps, StreamedMaps):
        check_memory(path, 4 * int(np.prod(maps.shape[1:], dtype=object)))  # of one frame
        maps.keys = keys
    if maps.ndim == 3:
        return ExternalMaps(keys, maps)
    return ExternalMaps(keys, None, maps, classes)


def _fault(keys: Sequence[str], maps: Maps | StreamedMaps, classes: Sequence[str]) -> str:
    """What is wrong with the maps; empty if nothing is."""
    if maps.ndim not in (3, 4) or 0 in maps.shape:
        return f"maps of shape {maps.shape}; expected (n, h, w) or (n, classes, h, w)"
    if (px := maps.shape[-2] * maps.shape[-1]) > MOST_PIXELS:
        return f"can't be read as maps: {px:,} px each; expected at most {MOST_PIXELS:,} px"
    if len(keys) != len(maps):
        return f"{len(keys)} keys for {len(maps)} maps; expected one key per map"
    if len(set(keys)) < len(keys):
        return f"key {_repeated(keys)!r} is repeated; expected each key once"
    if maps.ndim == 4 and len(classes) != maps.shape[1]:
        return (
            f"{maps.shape[1]} maps per frame and {len(classes)} class names: "
            "name every class with --classes, in the order of the maps"
        )
    if maps.ndim == 4 and len(set(classes)) < len(classes):
        return f"class {_repeated(classes)!r} is repeated; expected each class once"
    if isinstance(maps, StreamedMaps):
        return ""
    finite = np.isfinite(maps).all(tuple(range(1, maps.ndim)))
    if not finite.all():
        return f"{keys[int(finite.argmin())]}: NaN or infinity; expected finite numbers"
    return ""


def _repeated(names: Sequence[str]) -> str:
    """The first name that occurs more than once."""
    return next(name for name, count in Counter(names).items() if count > 1)
