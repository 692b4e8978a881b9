"""Maps of every form that spm/score/map_files.py reads, whole and damaged."""

import contextlib
import pickle
import re
import struct
import zipfile
import zlib

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.score import map_files

pytestmark = pytest.mark.filterwarnings("error")  # a warning would be a second line
KEYS = ["a/1", "b/1", "b/2"]
MAPS = np.random.default_rng(0).integers(0, 256, (3, 4, 5)).astype(np.float32) / np.float32(255)


def write_npz(path, keys, maps):
    np.savez(path, keys=keys, maps=maps)


def write_npy(path, keys, maps):
    np.save(path, maps)
    path.with_suffix(".keys.txt").write_text("\n".join(keys) + "\n")


def write_tensors(path, keys, maps):
    torch.save({"keys": keys, "maps": as_tensor(maps)}, path)


def write_tensor_per_key(path, keys, maps):
    torch.save({key: as_tensor(cells) for key, cells in zip(keys, maps, strict=True)}, path)


def write_tensor(path, keys, maps):
    torch.save(as_tensor(maps), path)
    path.with_suffix(".keys.txt").write_text("\n".join(keys) + "\n")


def as_tensor(array):
    """A tensor of numbers, or a list of texts, which torch has no tensors for."""
    return torch.from_numpy(array) if array.dtype.kind == "f" else array.tolist()


def write_datasets(path, keys, maps):
    with h5py.File(path, "w") as file:
        file["keys"], file["maps"] = keys, h5_array(maps)


def write_dataset_per_key(path, keys, maps):
    with h5py.File(path, "w") as file:
        for key, cells in zip(keys, maps, strict=True):
            file[key] = h5_array(cells)


def h5_array(array):
    return array if array.dtype.kind == "f" else array.astype(h5py.string_dtype())


def write_parquet(path, keys, maps):
    height, width = maps.shape[1:3] if maps.ndim >= 3 else (1, len(maps[0]))
    cells = {"map": [cells.ravel().tolist() for cells in maps], "height": height, "width": width}
    pd.DataFrame({"key": keys} | cells).to_parquet(path)


def write_folder_of_npy(path, keys, maps):
    for key, cells in zip(keys, maps, strict=True):
        (path / key).parent.mkdir(parents=True, exist_ok=True)
        np.save(path / f"{key}.npy", cells)
    (path / "a/._1.npy").write_bytes(b"macOS writes such files into archives")


def write_folder_of_png(path, keys, maps):
    for key, cells in zip(keys, maps, strict=True):
        (path / key).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((cells * 255).round().astype(np.uint8)).save(path / f"{key}.png")


def write_folder_of_deep_png(path, keys, maps):
    for key, cells in zip(keys, maps, strict=True):
        (path / key).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((cells * 65535).round().astype(np.uint16)).save(path / f"{key}.png")


FORMS = {
    "maps.npz": write_npz,
    "maps.npy": write_npy,
    "maps.pt": write_tensors,
    "per-key.pth": write_tensor_per_key,
    "tensor.pt": write_tensor,
    "maps.h5": write_datasets,
    "per-key.hdf5": write_dataset_per_key,
    "maps.parquet": write_parquet,
    "folder-of-npy": write_folder_of_npy,
    "folder-of-png": write_folder_of_png,
    "folder-of-deep-png": write_folder_of_deep_png,
}
HDF5 = {"maps.h5", "per-key.hdf5"}  # its library can end the process at a changed byte
IMAGES = {"folder-of-png", "folder-of-deep-png"}  # they hold numbers of two dimensions only


def first_file(path):
    """The file, or the first file of maps in a folder."""
    return next(p for p in sorted(path.rglob("*.*")) if p.name[0] != ".") if path.is_dir() else path


def error_of(path):
    """The message of the error that reading raises."""
    with pytest.raises(UserError) as caught:
        map_files.read(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_keys_and_maps(form, tmp_path):
    FORMS[form](tmp_path / form, KEYS, MAPS)
    found = map_files.read(tmp_path / form)
    assert found.keys == KEYS
    assert found.maps.dtype == np.float32
    assert np.abs(found.maps - MAPS).max() <= 1e-7
    assert found.class_maps is None


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("damage", ["empty", "half", "garbage"])
def test_a_damaged_file_of_any_form_is_one_line_that_names_it(form, damage, tmp_path):
    FORMS[form](tmp_path / form, KEYS, MAPS)
    file = first_file(tmp_path / form)
    content = file.read_bytes()
    half = content[: len(content) // 2]
    file.write_bytes({"empty": b"", "half": half, "garbage": b"\x8f\x02~garbage" * 50}[damage])
    message = error_of(tmp_path / form)
    assert message.startswith(f"{file}: can't be read as maps (")
    assert message.endswith("write it again")


@pytest.mark.parametrize("form", FORMS)
def test_a_file_cut_at_any_place_is_one_line_or_is_read(form, tmp_path):
    """Some bytes at the end are of no use, as in a PNG; every other cut is an error."""
    FORMS[form](tmp_path / form, KEYS, MAPS)
    file = first_file(tmp_path / form)
    content = file.read_bytes()
    for length in range(0, len(content), max(1, len(content) // 50)):
        file.write_bytes(content[:length])
        with contextlib.suppress(UserError):
            assert np.abs(map_files.read(tmp_path / form).maps - MAPS).max() <= 1e-7


@pytest.mark.parametrize("form", [form for form in FORMS if form not in HDF5])
def test_a_file_with_other_bytes_is_one_line_or_is_read(form, tmp_path):
    FORMS[form](tmp_path / form, KEYS, MAPS)
    file = first_file(tmp_path / form)
    content, generator = file.read_bytes(), np.random.default_rng(0)
    for _ in range(50):
        damaged = bytearray(content)
        for place in generator.integers(len(content), size=3):
            damaged[place // 2 if len(content) > 400 else place] = generator.integers(256)
        file.write_bytes(damaged)
        with contextlib.suppress(UserError):
            map_files.read(tmp_path / form)


FAULTS = {
    "texts": (
        np.full((3, 4, 5), "warm"),
        "expected (lists of )?numbers|it holds a list, not a dict",
    ),
    "NaN": (
        np.where(np.arange(60).reshape(3, 4, 5) == 25, np.nan, MAPS),
        "b/1: NaN or infinity; expected finite numbers",
    ),
    "infinity": (np.full((3, 4, 5), 1e300), "a/1: NaN or infinity"),
    "one dimension": (MAPS[:, 0], r"of shape \(3, 5\); expected|3 keys for 1 maps"),
    "five dimensions": (MAPS[:, None, None, None], r"of shape \(3, 1, 1, 1, 4, 5\); expected"),
    "no pixel": (MAPS[:, :, :0], r"of shape \(3, 4, 0\); expected|list<element: null>"),
}


@pytest.mark.parametrize("form", [form for form in FORMS if form not in IMAGES])
@pytest.mark.parametrize("fault", FAULTS)
def test_maps_that_are_not_finite_numbers_of_two_dimensions_are_one_line(form, fault, tmp_path):
    maps, message = FAULTS[fault]
    if form == "maps.parquet" and "dimension" in fault:
        pytest.skip("the maps of a table have one dimension; its columns say their size")
    FORMS[form](tmp_path / form, KEYS, maps)
    assert re.search(message, error_of(tmp_path / form))


@pytest.mark.parametrize("form", ["maps.npz", "maps.npy", "folder-of-npy"])
def test_arrays_of_python_objects_are_not_unpickled(form, tmp_path):
    FORMS[form](tmp_path / form, KEYS, np.array([{"code": "runs"}] * 3))
    assert "it holds Python objects, which could run code" in error_of(tmp_path / form)


class Attack:
    """An object whose pickle opens a file for writing."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_in_a_file_of_torch_is_not_run(tmp_path):
    attack = Attack(tmp_path / "ran")
    torch.save({"keys": KEYS, "maps": attack}, tmp_path / "maps.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(attack))
    for name in ("maps.pt", "plain.pt"):
        assert "can't be read as maps (" in error_of(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_the_keys_of_a_npy_are_in_a_file_beside_it_unless_it_has_one_map(tmp_path):
    np.save(tmp_path / "many.npy", MAPS)
    assert "3 maps without keys: write their keys into" in error_of(tmp_path / "many.npy")
    (tmp_path / "many.keys.txt").write_text("a/1\n\nb/1\r\n")
    assert error_of(tmp_path / "many.npy").endswith(
        "many.npy: 2 keys for 3 maps; expected one key per map"
    )
    for cells in (MAPS[0], MAPS[:1]):
        np.save(tmp_path / "a@1.250.npy", cells)
        found = map_files.read(tmp_path / "a@1.250.npy")
        assert found.keys == ["a@1.250"]
        assert (found.maps == MAPS[:1]).all()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"keys": KEYS}, "no array named maps: it holds keys"),
        ({"maps": MAPS}, "no array named keys: it holds maps"),
        ({"weights": MAPS}, "no array named keys or maps: it holds weights"),
        ({"keys": KEYS[:2], "maps": MAPS}, "2 keys for 3 maps"),
        ({"keys": ["a", "b", "a"], "maps": MAPS}, "key 'a' is repeated"),
        ({"keys": [0.5, 1, 2], "maps": MAPS}, "keys of the type float64 .* expected texts"),
        ({"keys": [KEYS], "maps": MAPS}, r"keys of the type <U3 and shape \(1, 3\)"),
        ({"keys": KEYS, "maps": MAPS * 1j}, "maps of the type complex"),
        ({"keys": KEYS, "maps": MAPS[:, None]}, "1 maps per frame and 0 class names"),
        (
            {"keys": KEYS, "maps": np.stack([MAPS] * 2, 1), "classes": ["tuba"] * 2},
            "class 'tuba' is repeated",
        ),
        (
            {"keys": KEYS, "maps": MAPS[:, None], "classes": ["tuba"], "cluster_of_class": [1]},
            r"cluster_of_class \[1\]; expected the number of a cluster per class, from 0 to 0",
        ),
    ],
)
def test_arrays_that_do_not_fit_together_are_one_line(arrays, message, tmp_path):
    np.savez(tmp_path / "maps.npz", **arrays)
    assert re.search(message, error_of(tmp_path / "maps.npz"))


@pytest.mark.parametrize("form", ["npz", "pt", "h5"])
def test_class_maps_with_their_names_are_read_from_arrays_of_any_form(form, tmp_path):
    class_maps = np.stack([MAPS, 1 - MAPS], axis=1)
    path = tmp_path / f"maps.{form}"
    if form == "npz":
        np.savez(path, keys=KEYS, maps=class_maps, classes=["cello", "tuba"])
    elif form == "pt":
        tensors = {"keys": KEYS, "maps": torch.from_numpy(class_maps), "classes": ["cello", "tuba"]}
        torch.save(tensors, path)
    else:
        with h5py.File(path, "w") as file:
            file["keys"], file["maps"], file["classes"] = KEYS, class_maps, ["cello", "tuba"]
    found = map_files.read(path)
    assert found.classes == ("cello", "tuba")
    assert found.maps is None
    assert (found.class_maps == class_maps).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.uint8])
def test_tensors_of_any_real_type_are_read(dtype, tmp_path):
    torch.save(
        {"a": torch.ones(4, 5, dtype=dtype, requires_grad=dtype.is_floating_point)},
        tmp_path / "maps.pt",
    )
    assert map_files.read(tmp_path / "maps.pt").maps.tolist() == np.ones((1, 4, 5)).tolist()


def test_a_checkpoint_in_place_of_maps_is_one_line(tmp_path):
    torch.save({"epoch": 3, "model": {"weight": torch.ones(2)}}, tmp_path / "checkpoint.pt")
    assert "model of the type object; expected numbers" in error_of(tmp_path / "checkpoint.pt")
    torch.save(torch.nn.Linear(2, 3).state_dict(), tmp_path / "weights.pt")
    assert "bias: shape (3,); expected that of the first map, (3, 2)" in error_of(
        tmp_path / "weights.pt"
    )


def test_a_table_has_one_map_of_one_size_per_frame_and_class(tmp_path):
    row = {"key": "a", "map": [0.0] * 20, "height": 4, "width": 5}
    for change, message in (
        ({"map": [0.0] * 19}, r"b: 19 values for \(4, 5\)"),
        ({"height": 5, "width": 4}, r"b: 20 values for \(5, 4\); expected a map of \(4, 5\)"),
        ({"key": "a"}, "a: two maps; expected one"),
        ({"map": None}, "a row without map"),
        ({"key": None}, "a row without key"),
        ({"height": 4.5}, "height of type double; expected integers"),
        ({"category": "tuba"}, "no map of"),
    ):
        pd.DataFrame([row, row | {"key": "b"} | change]).to_parquet(tmp_path / "maps.parquet")
        assert re.search(message, error_of(tmp_path / "maps.parquet")), message
    pd.DataFrame([row]).drop(columns="key").to_parquet(tmp_path / "maps.parquet")
    assert "no column video_id or time_s: it has map, height, width" in error_of(
        tmp_path / "maps.parquet"
    )


def test_a_table_may_have_maps_of_frames_and_of_classes(tmp_path):
    cells = MAPS[0].ravel()
    frame = {"clip_id": "v_0", "video_id": "v", "frame": 0, "time_s": 0.25, "height": 4, "width": 5}
    rows = [frame | {"category": name, "map": cells} for name in (None, "cello", "tuba")]
    tables.write_rows(tmp_path / "maps.parquet", schemas.MAPS, rows)
    found = map_files.read(tmp_path / "maps.parquet")
    assert found.keys == ["v/0.250"]
    assert found.times == {"v/0.250": ("v", 0.25)}
    assert (found.maps.shape, found.class_maps.shape) == ((1, 4, 5), (1, 2, 4, 5))
    assert found.classes == ("cello", "tuba")


HUGE = 10**7  # sides of a map of 400 TB


def huge_npy(path):
    np.save(path, np.zeros((1, 2, 2), np.float32))
    content = path.read_bytes().replace(b"(1, 2, 2), }            ", b"(1, 10000000, 10000000),}")
    assert str(HUGE).encode() in content
    path.write_bytes(content)


def huge_npz(path):
    huge_npy(path.with_suffix(".npy"))
    np.savez(path, keys=["a"])
    with zipfile.ZipFile(path, "a") as archive:
        archive.write(path.with_suffix(".npy"), "maps.npy")


def huge_tensor(path):
    torch.save({"a": torch.zeros(1).expand(HUGE, HUGE)}, path)


def huge_dataset(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("a", (HUGE, HUGE), np.float32, chunks=(64, 64))


def huge_image(path):
    Image.new("L", (4, 4)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", HUGE, HUGE)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("maps.npy", huge_npy),
        ("maps.npz", huge_npz),
        ("maps.pt", huge_tensor),
        ("maps.h5", huge_dataset),
        ("folder/a.png", huge_image),
    ],
)
def test_a_small_file_that_claims_maps_of_400_tb_is_one_line(name, write, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    write(path)
    assert path.stat().st_size < 10_000
    message = error_of(path.parent if path.parent != tmp_path else path)
    assert re.search("GB of memory; this machine has|can't be read as maps", message)


@pytest.mark.parametrize("suffix", map_files.READERS)
def test_a_file_of_10_tb_is_one_line(suffix, tmp_path):
    path = tmp_path / f"maps{suffix}"
    with path.open("wb") as file:
        file.truncate(10**13)  # it has no blocks on the disk
    assert "can't be read as maps (" in error_of(path)


def test_an_image_that_is_not_gray_is_one_line(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    assert "a.png: can't be read as maps (an image of the mode RGB, not gray" in error_of(tmp_path)


def test_maps_of_different_shapes_an_empty_folder_and_unknown_forms_are_one_line(tmp_path):
    assert error_of(tmp_path).endswith("no .npy or .png file in this folder")
    for name, size in (("a", 4), ("b", 5)):
        np.save(tmp_path / f"{name}.npy", np.ones((size, size)))
    assert error_of(tmp_path).endswith(": b: shape (5, 5); expected that of the first map, (4, 4)")
    assert error_of(tmp_path / "nowhere").endswith("no such file or folder of maps")
    (tmp_path / "maps.csv").write_text("key,map\n")
    assert "maps.csv: maps in an unknown form; expected .npz, .npy, .pt" in error_of(
        tmp_path / "maps.csv"
    )
