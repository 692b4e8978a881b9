"""Files whose headers claim absurd sizes are refused before memory is taken."""

import io
import struct
import tracemalloc
import zipfile
import zlib
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from spm.base import sizes
from spm.base.errors import UserError
from spm.base.pictures import open_picture
from spm.boxes import detection_dataset, openimages
from spm.boxes.download import DownloadError
from spm.boxes.formats.masks import ImageMask
from spm.learn import transforms
from spm.score import map_files, map_streams

SIDE = 12_000  # px: 432 MB as RGB


def jpeg(side: int = SIDE) -> bytes:
    """A small JPEG whose header claims a size."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG")
    content = bytearray(file.getvalue())
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", side, side)
    return bytes(content)


def png(side: int = SIDE) -> bytes:
    file = io.BytesIO()
    Image.new("L", (16, 16)).save(file, "PNG")
    content = bytearray(file.getvalue())
    content[16:24] = struct.pack(">II", side, side)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


@pytest.fixture(autouse=True)
def little_memory():
    """Fail where more than 20 MB were taken."""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6


@pytest.mark.parametrize("content", [jpeg(), png()], ids=["jpeg", "png"])
def test_a_picture_of_an_absurd_size_is_refused_by_its_header(content, tmp_path):
    with pytest.raises(sizes.AbsurdSize, match="12000 × 12000 px: expected at most 36,000,000 px"):
        open_picture(io.BytesIO(content))
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.png: can't be read as a mask \(12000 × 12000 px"):
        ImageMask(tmp_path / "a.png").read()
    with pytest.raises(UserError, match=r"a\.png: can't be read as maps \(12000 × 12000 px"):
        map_files.read(tmp_path)


def test_a_frame_of_8k_video_is_not_absurd():
    sizes.check_pixels(7680, 4320)


def test_a_picture_of_open_images_is_bad_and_no_training_reads_it(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    with pytest.raises(DownloadError, match="not a whole JPEG: 12000 × 12000 px"):
        openimages.inspect_image(tmp_path / "a.jpg")
    with pytest.raises(UserError, match="12000 × 12000 px"):
        detection_dataset.decode_square(jpeg(), 224)


@pytest.mark.parametrize("function", [transforms.decode, transforms.decode_each])
def test_a_frame_of_an_absurd_size_is_refused_by_its_header(function):
    with pytest.raises(UserError, match="12000 × 12000 px"):
        function([jpeg()])


def test_a_whole_large_picture_is_checked_with_little_memory(tmp_path):
    Image.new("RGB", (4000, 3000), (200, 30, 30)).save(tmp_path / "a.jpg")
    found = openimages.inspect_image(tmp_path / "a.jpg")
    assert (found["width"], found["height"]) == (4000, 3000)
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-5000])
    with pytest.raises(DownloadError, match="not a whole JPEG"):
        openimages.inspect_image(tmp_path / "a.jpg")


def test_packed_arrays_of_an_absurd_size_are_refused_by_their_header(tmp_path, monkeypatch):
    monkeypatch.setattr(map_streams, "STREAM_BYTES", 1_000_000)
    cells = np.zeros((1, 600, 600), np.float32)
    np.savez_compressed(tmp_path / "keys.npz", keys=cells, maps=cells[:, :9, :9])
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        file.create_dataset("maps", data=cells, chunks=cells.shape, compression="gzip")
    torch.save(torch.from_numpy(cells), tmp_path / "stored.pt")
    repack(tmp_path / "stored.pt", tmp_path / "maps.pt")
    for name in ("keys.npz", "maps.h5", "maps.pt"):
        with pytest.raises(UserError, match=r"contain 1,440,\d+ bytes: expected at most 250 times"):
            map_files.read(tmp_path / name)


def repack(path: Path, out: Path) -> None:
    """Compress the members of a zip file."""
    with (
        zipfile.ZipFile(path) as stored,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in stored.namelist():
            packed.writestr(name, stored.read(name))


def test_packed_maps_that_are_streamed_are_refused_by_their_header(tmp_path, monkeypatch):
    monkeypatch.setattr(map_streams, "STREAM_BYTES", 1000)
    monkeypatch.setattr(map_streams, "check_packed", partial(sizes.check_packed, most_bytes=10**6))
    cells = np.zeros((1, 600, 600), np.float32)
    np.savez_compressed(tmp_path / "maps.npz", keys=["a"], maps=cells)
    with pytest.raises(UserError, match=r"contain 1,440,\d+ bytes: expected at most 250 times"):
        map_files.read(tmp_path / "maps.npz")


def write_maps(path, height: int, width: int, values: int) -> None:
    """Equal maps, which take no space in the file."""
    maps = pa.array([np.zeros(values, np.float32)] * 4, pa.list_(pa.float32()))
    columns = {"key": list("abcd"), "height": [height] * 4, "width": [width] * 4, "map": maps}
    pq.write_table(pa.table(columns), path)


def test_a_table_with_more_values_than_pixels_is_refused_by_its_header(tmp_path):
    write_maps(tmp_path / "maps.parquet", 1, 1, 200_000)
    with pytest.raises(UserError, match=r"800,000 values in 4 maps of up to 1 px; expected one"):
        map_files.read(tmp_path / "maps.parquet")


def test_a_table_whose_maps_claim_an_absurd_size_is_refused(tmp_path):
    write_maps(tmp_path / "maps.parquet", SIDE, SIDE, 4)
    with pytest.raises(UserError, match=r"maps of up to 144,000,000 px; expected .* 36,000,000 px"):
        map_files.read(tmp_path / "maps.parquet")


def test_a_table_of_absurdly_many_rows_is_refused_by_its_header(tmp_path, monkeypatch):
    monkeypatch.setattr("spm.score.map_tables.MOST_ROWS", 3)
    write_maps(tmp_path / "maps.parquet", 2, 2, 4)
    with pytest.raises(UserError, match="4 rows; expected at most 3"):
        map_files.read(tmp_path / "maps.parquet")
