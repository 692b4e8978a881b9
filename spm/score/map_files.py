"""Read maps that any system made.

A file or folder has one of these forms:

    maps.npz      `keys` (n,) and `maps`, (n, h, w), or (n, classes, h, w) with their `classes`; if
                  the second axis is clusters, `cluster_of_class` has the cluster of each class
    maps.npy      the maps alone; their keys are the lines of the file maps.keys.txt beside it. A
                  single map, (h, w) or (1, h, w), needs no such file: its key is the file's name
    maps.pt, .pth a file of torch.save: a dict with the arrays of a .npz, a dict from keys to maps
                  (h, w) or (classes, h, w), or a tensor, with keys as for a .npy
    maps.h5       HDF5: datasets with the arrays of a .npz, or one dataset per key
    maps.parquet  `map`, `height`, `width`, and `key`, or `video_id` and `time_s`; with maps of
                  classes also `category`
    a folder      .npy files, one per frame, with the map (h, w) or the maps (classes, h, w), or
                  gray PNG images of 8 or 16 bits, whose white is 1; the frame's key is the path of
                  its file in the folder, without the suffix
"""

import math
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from spm.base.errors import UserError
from spm.base.pictures import open_picture
from spm.base.sizes import check_packed
from spm.boxes.formats.frames import frame_key
from spm.score import map_arrays, map_streams, map_tables
from spm.score.map_arrays import ExternalMaps
from spm.score.map_streams import StreamedMaps
from spm.score.map_tables import TableRow
from spm.score.masks import Maps

PNG_WHITE = {"L": 255, "I;16": 65535, "I": 65535, "1": 1}  # by the mode of the image


def read(path: Path, classes: Sequence[str] = ()) -> ExternalMaps:
    """Read maps; `classes` names their second axis if the file does not.

    Raises
    ------
    UserError
        If the file has none of the forms, is damaged, or needs more memory than the machine has; if
        a key is repeated, maps differ in shape, or a value is not a finite number.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder of maps")
    if path.is_dir():
        return _read_folder(path, tuple(classes))
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(
            f"{path}: maps in an unknown form; expected {', '.join(READERS)}, or a folder of .npy"
            " or .png files"
        )
    with map_arrays.one_line_errors(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch and Pillow warn of files before they fail
        return reader(path, tuple(classes))


def _read_npz(path: Path, classes: tuple[str, ...]) -> ExternalMaps:
    if not zipfile.is_zipfile(path):
        raise ValueError("not a zip archive, or its end is missing")
    with np.load(path, allow_pickle=False) as file:
        wanted = [name for name in file.files if name in map_arrays.ARRAYS]
        arrays: dict[str, Any] = {}
        if "maps" in wanted and (maps := map_streams.from_npz(path, file.zip, "maps.npy")):
            arrays["maps"] = maps
        wanted = [name for name in wanted if name not in arrays]
        members = [file.zip.getinfo(f"{name}.npy") for name in wanted]
        for member in members:
            check_packed(member.file_size, member.compress_size, map_streams.STREAM_BYTES)
        map_arrays.check_memory(path, sum(member.file_size for member in members))
        arrays, names = arrays | {name: file[name] for name in wanted}, file.files
    return map_arrays.from_arrays(path, arrays, names, classes)


def _read_npy(path: Path, classes: tuple[str, ...]) -> ExternalMaps:
    maps = map_streams.from_npy(path)
    return map_arrays.from_array(path, _load_npy(path) if maps is None else maps, classes)


def _load_npy(path: Path) -> Maps:
    """One array; the file is mapped, so that a wrong size in its head needs no memory."""
    with map_arrays.one_line_errors(path):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it is a .npz archive")
    return map_arrays.numbers(path, array)


def _read_torch(path: Path, classes: tuple[str, ...]) -> ExternalMaps:
    import torch

    # Large files are mapped, so that the maps of a few frames can be read.
    is_zip = zipfile.is_zipfile(path)
    is_mapped = path.stat().st_size > map_streams.STREAM_BYTES // 8 and is_zip
    for member in zipfile.ZipFile(path).infolist() if is_zip else ():
        check_packed(member.file_size, member.compress_size, map_streams.STREAM_BYTES)
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_mapped)
    if isinstance(content, torch.Tensor):
        return map_arrays.from_array(path, _array(path, content), classes)
    if not isinstance(content, Mapping):
        raise ValueError(f"it holds a {type(content).__name__}, not a dict or a tensor")
    tensors = [value for value in content.values() if isinstance(value, torch.Tensor)]
    if tensors and "maps" not in content and _is_stream(tensors, len(content)):
        shape = tuple(tensors[0].shape)
        load = map_streams.from_items(
            path, list(map(str, content)), shape, lambda n: tensors[n].float().numpy()
        )
        return map_arrays.from_stream(list(map(str, content)), load, classes)
    arrays = {str(name): _array(path, value) for name, value in content.items()}
    return map_arrays.from_dict(path, arrays, classes)


def _is_stream(arrays: Sequence[Any], count: int) -> bool:
    """Whether `count` entries are all maps, of two or three dimensions, and take much memory."""
    is_maps = len(arrays) == count and len(arrays[0].shape) in (2, 3)
    return is_maps and map_streams.is_large((count, *arrays[0].shape))


def _array(path: Path, value: Any) -> Any:
    """A tensor, or a list of tensors, as an array; other values are left as they are."""
    import torch

    if (
        isinstance(value, torch.Tensor)
        and value.ndim in (3, 4)
        and map_streams.is_large(value.shape)
    ):
        tensor = value.detach()
        if not tensor.is_complex() and tensor.layout == torch.strided:
            return StreamedMaps(path, tuple(tensor.shape), lambda n: tensor[n].float().numpy())
    if isinstance(value, list) and value and isinstance(value[0], torch.Tensor):
        value = torch.stack(value)
    if not isinstance(value, torch.Tensor):
        return value
    map_arrays.check_memory(path, 4 * value.numel())
    return (value if value.is_complex() else value.detach().to_dense().float()).numpy()


def _read_hdf5(path: Path, classes: tuple[str, ...]) -> ExternalMaps:
    import h5py

    nodes: dict[str, Any] = {}

    def collect(name: str, node: object) -> None:
        """Find a dataset; the names of groups are a part of its name."""
        if isinstance(node, h5py.Dataset):
            nodes[name] = node

    file = h5py.File(path, "r")  # streamed maps keep it open
    file.visititems(collect)
    found = list(nodes.values())
    for node in found:
        _check_chunks(node)
    if found and not {"keys", "maps"} & nodes.keys() and _is_stream(found, len(found)):
        maps = map_streams.from_items(path, list(nodes), found[0].shape, lambda n: found[n][()])
        return map_arrays.from_stream(list(nodes), maps, classes)
    arrays = {name: _dataset(path, name, node) for name, node in nodes.items()}
    if not any(isinstance(values, StreamedMaps) for values in arrays.values()):
        file.close()
    return map_arrays.from_dict(path, arrays, classes)


def _dataset(path: Path, name: str, node: Any) -> Any:
    """The values of a dataset of HDF5; large maps stay in the file."""
    is_maps = name == "maps" and node.ndim in (3, 4) and node.dtype.kind in "fiub"
    if is_maps and map_streams.is_large(node.shape) and node.id.get_storage_size():
        return StreamedMaps(path, node.shape, lambda rows: node[rows])
    map_arrays.check_memory(path, node.nbytes)
    return node[()]


def _check_chunks(node: Any) -> None:
    """Each chunk of a dataset, which is unpacked as a whole, has a useful size."""
    if node.chunks:
        chunk_bytes = node.dtype.itemsize * math.prod(node.chunks)
        check_packed(chunk_bytes, node.id.get_storage_size(), map_streams.STREAM_BYTES)


def _read_parquet(path: Path, classes: tuple[str, ...]) -> ExternalMaps:
    by_key = "key" in pq.ParquetFile(path).schema_arrow.names
    columns = ["key"] if by_key else ["video_id", "time_s"]
    table = map_tables.read(path, _key if by_key else _key_of_time, columns)
    times = {}
    for key, row in table.frames.items():
        if row.get("video_id") is not None and row.get("time_s") is not None:
            times[key] = (str(row["video_id"]), float(row["time_s"]))
    maps = (table.frame_maps, table.class_maps)
    return ExternalMaps(list(table.frames), *maps, table.classes, times)


def _key(row: TableRow) -> str:
    return str(row["key"])


def _key_of_time(row: TableRow) -> str:
    return frame_key(str(row["video_id"]), float(row["time_s"]))


READERS: Mapping[str, Callable[[Path, tuple[str, ...]], ExternalMaps]] = {
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".parquet": _read_parquet,
}


def _read_folder(path: Path, classes: tuple[str, ...]) -> ExternalMaps:
    # macOS writes files named ._NAME beside the others.
    files = [file for file in sorted(path.rglob("*")) if file.name[0] != "."]
    arrays = [file for file in files if file.suffix == ".npy"]
    load, selected = _load_npy, arrays
    if not arrays:
        load, selected = _load_png, [file for file in files if file.suffix == ".png"]
    if not selected:
        raise UserError(f"{path}: no .npy or .png file in this folder")
    keys = [file.relative_to(path).with_suffix("").as_posix() for file in selected]
    first = load(selected[0])
    if first.ndim in (2, 3) and map_streams.is_large((len(keys), *first.shape)):
        maps = map_streams.from_items(path, keys, first.shape, lambda n: load(selected[n]))
        return map_arrays.from_stream(keys, maps, classes)
    others = [load(file) for file in selected[1:]]
    return map_arrays.from_maps(path, dict(zip(keys, [first, *others], strict=True)), classes)


def _load_png(path: Path) -> Maps:
    """A gray image; white is 1."""
    with map_arrays.one_line_errors(path), open_picture(path) as image:
        if image.mode not in PNG_WHITE:
            raise ValueError(f"an image of the mode {image.mode}, not gray of 8 or 16 bits")
        map_arrays.check_memory(path, 4 * image.width * image.height)
        return np.asarray(image, np.float32) / np.float32(PNG_WHITE[image.mode])
