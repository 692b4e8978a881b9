"""Damaged files of users: every reader either reads them, or says what is wrong in one line.

A row of READERS is a kind of file: how a good one is made, and what reads it. A row of DAMAGES
changes the bytes of a good file. Each pair is a test.
"""

import io
import json
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save as serialize

from spm.base import json_file, project_files, tables, validation, yaml_file
from spm.base.errors import UserError
from spm.boxes import benchmarks
from spm.boxes.annotations import detector_classes
from spm.boxes.formats import coco, csv, image_names
from spm.boxes.review import decisions
from spm.corpus import manifest, published_lists
from spm.corpus.fetch import Fetch, read_cookies
from spm.learn import weights
from spm.score import map_files
from spm.workflow import project

BOXES = "video_id,time_s,category,x,y,w,h\na,0.5,cello,0.1,0.1,0.5,0.5\nb,1.5,flute,0,0,1,1\n"
MANIFEST = "video_id,url,kind,categories\na,a.mp4,solo,cello\nb,b.mp4,duet,cello flute\n"
REVIEWS = ",".join(decisions.COLUMNS) + "\na_0,0,cello 0 0 1 1,accept,cello,0,0,0.5,1,ann\n"
COOKIES = "# Netscape HTTP Cookie File\n.a.org\tTRUE\t/\tTRUE\t0\tname\tvalue\n"
CONFIG = "corpus: {manifest: mine.csv, shards: 2}\ntrain:\n  lr: 0.001\n  epochs: 3\n"
COCO = {
    "images": [{"id": 1, "file_name": "a_0000500ms.jpg", "width": 10, "height": 10}],
    "categories": [{"id": 1, "name": "cello"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5],
                     "segmentation": [[1, 1, 5, 1, 5, 5]]}],
}  # fmt: skip
DSOL = {"a_0_1000/frame_1/30.jpg": {"bbox": [{"category_id": 1, "normbox": [0, 0, 0.5, 0.5]}]}}
VGGSS = [{"file": "jW_AuF6dQYY_000030", "class": "cello", "bbox": [[0.1, 0.1, 0.5, 0.5]]}]
SSL = [{"image": "a.jpg", "audio": "a.wav", "gt_box": [0.1, 0.1, 0.5, 0.5]}]
OPENIMAGES = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\n0001,x,/m/01xqw,1,0.1,0.5,0.1,0.5\n"
)
XML = "<annotation><bbox><a>1</a><b>1</b><c>9</c><d>9</d></bbox></annotation>"
DETECTOR = {"categories": ["cello"], "model": "mobilenet_v2", "size": 64}


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.full((4, 4), 0.5, np.float32))
    return file.getvalue()


def boxes_npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([[0.1, 0.1, 0.5, 0.5, 1.0]]))
    return file.getvalue()


def npz() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, keys=np.array(["a", "b"]), maps=np.full((2, 4, 4), 0.5, np.float32))
    return file.getvalue()


def parquet() -> bytes:
    file = io.BytesIO()
    rows = {"key": ["a", "b"], "height": [2, 2], "width": [2, 2], "map": [[0.5] * 4, [0.25] * 4]}
    pq.write_table(pa.table(rows), file)
    return file.getvalue()


def hdf5() -> bytes:
    import h5py

    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        content["a"] = np.full((4, 4), 0.5, np.float32)
    return file.getvalue()


def torch_file() -> bytes:
    import torch

    file = io.BytesIO()
    torch.save({"a": torch.full((4, 4), 0.5)}, file)
    return file.getvalue()


def png() -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save(file, "PNG")
    return file.getvalue()


def read_config(path: Path) -> Any:
    return project.load_project(path.parent, [path])


def read_settings(path: Path) -> Any:
    config = yaml_file.read(project_files.CONFIG)
    change = yaml_file.read(path)
    return validation.validate(project_files.merge(config, change), project_files.SCHEMA, [change])


def read_folder(path: Path) -> Any:
    return benchmarks.read(str(path.parent))


def read_weights_about(path: Path) -> Any:
    path.with_suffix(".safetensors").write_bytes(serialize({"a": np.zeros(3)}))
    return weights.load(path.with_suffix(".safetensors"))


def read_weights(path: Path) -> Any:
    path.with_suffix(".json").write_text(json.dumps(DETECTOR))
    return weights.load(path)


class Reader(NamedTuple):
    """A kind of file."""

    name: str
    good: Callable[[], bytes]
    read: Callable[[Path], Any]


def text(content: str) -> Callable[[], bytes]:
    return content.encode


def dumped(content: Any) -> Callable[[], bytes]:
    return json.dumps(content, indent=1).encode


READERS = {
    "config": Reader("mine.yaml", text(CONFIG), read_settings),
    "manifest": Reader("manifest.csv", text(MANIFEST), manifest.read),
    "published list": Reader(
        "vggsound.csv", text('jW_AuF6dQYY,30,"cello",train\n'), published_lists.rows
    ),
    "boxes": Reader("boxes.csv", text(BOXES), csv.read),
    "boxes of a benchmark": Reader("b.csv", text(BOXES), lambda path: benchmarks.read(str(path))),
    "coco": Reader("coco.json", dumped(COCO), coco.read),
    "coco masks": Reader("coco.json", dumped(COCO), lambda path: benchmarks.read(str(path))),
    "dsol": Reader("dsol.json", dumped(DSOL), lambda path: benchmarks.read(str(path))),
    "vggss": Reader("vggss.json", dumped(VGGSS), lambda path: benchmarks.read(str(path))),
    "sslalignment": Reader("ssl.json", dumped(SSL), lambda path: benchmarks.read(str(path))),
    "open images": Reader("oi.csv", text(OPENIMAGES), lambda path: benchmarks.read(str(path))),
    "flickr": Reader("1.xml", text(XML), read_folder),
    "music synthetic": Reader("1.npy", boxes_npy, read_folder),
    "masks": Reader("1.png", png, read_folder),
    "frames of an export": Reader(
        "frames.csv", text("file_name,video_id,time_s\na_1.jpg,a,0.5\n"), image_names.read_list
    ),
    "npz maps": Reader("maps.npz", npz, map_files.read),
    "parquet maps": Reader("maps.parquet", parquet, map_files.read),
    "hdf5 maps": Reader("maps.h5", hdf5, map_files.read),
    "torch maps": Reader("maps.pt", torch_file, map_files.read),
    "png map": Reader("a.png", png, lambda path: map_files.read(path.parent)),
    "npy map": Reader("maps.npy", npy, lambda path: map_files.read(path.parent)),
    "reviews": Reader("reviews.csv", text(REVIEWS), decisions.read),
    "cookies": Reader(
        "cookies.txt", text(COOKIES), lambda path: read_cookies(Fetch(cookies=str(path)))
    ),
    "detector's classes": Reader(
        "weights.json", dumped(DETECTOR), lambda path: detector_classes(path, [])
    ),
    "json of weights": Reader("weights.json", dumped(DETECTOR), read_weights_about),
    "weights": Reader("weights.safetensors", lambda: serialize({"a": np.zeros(3)}), read_weights),
    "table": Reader("t.parquet", parquet, tables.read),
    "json": Reader("t.json", dumped(DETECTOR), partial(json_file.read, signed=False)),
}


def ragged(content: bytes) -> bytes:
    return content + b"one,two\n,,,,,,,,,,,,,,\n"


def archive(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        out.writestr("inside", content)
    return file.getvalue()


def inserted(new: bytes) -> Callable[[bytes], bytes]:
    def insert(content: bytes) -> bytes:
        return content[: len(content) // 2] + new + content[len(content) // 2 :]

    return insert


def reencoded(encoding: str) -> Callable[[bytes], bytes]:
    def encode(content: bytes) -> bytes:
        return content.decode("latin-1").encode(encoding)

    return encode


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda content: content,
    "empty": lambda _: b"",
    "one byte": lambda content: content[:1],
    "half": lambda content: content[: len(content) // 2],
    "all but the last bytes": lambda content: content[:-7],
    "twice": lambda content: content * 2,
    "ragged": ragged,
    "utf-16": reencoded("utf-16"),
    "utf-32": reencoded("utf-32"),
    "latin-1": inserted("é".encode("latin-1")),
    "nul": inserted(b"\0"),
    "nuls only": lambda content: bytes(len(content)),
    "noise": lambda content: np.random.default_rng(0).bytes(len(content)),
    "cr line ends": lambda content: content.replace(b"\n", b"\r"),
    "a long cell": inserted(b"x" * 200_000),
    "control characters": inserted(b"\x1b[31m\x07"),
    "an archive": archive,
    "a cut archive": lambda content: archive(content)[:-30],
    "a picture": lambda _: png(),
    "blank lines": lambda _: b"\n \n,,,\n",
    "nan": lambda content: content.replace(b"0.5", b"nan").replace(b": 3", b": .nan"),
    "infinity": lambda content: content.replace(b"0.5", b"1e999").replace(b": 3", b": .inf"),
    "json nan": lambda content: content.replace(b"0.5", b"NaN"),
    "names that are numbers": lambda content: content.replace(b"cello", b"1234"),
    "names with a dollar": lambda content: content.replace(b"cello", b"$HOME"),
    "names that are lists": lambda content: content.replace(b'"cello"', b"[[]]"),
    "numbers that are mappings": lambda content: content.replace(b"0.5", b"{}"),
    "names that are null": lambda content: content.replace(b'"cello"', b"null"),
    "null": lambda _: b"null",
    "a list": lambda _: b"[]",
    "a list of numbers": lambda _: b"[1, 2]",
    "a mapping": lambda _: b"{}",
    "a mapping of null": lambda _: b'{"images": null, "annotations": null, "a": null}',
    "a number": lambda _: b"12345678901234567890",
    "deep": lambda _: b"[" * 100_000,
    "deep mappings": lambda _: b'{"a":' * 100_000,
    "merge keys": lambda _: b"a: &a {lr: 1}\ntrain:\n  <<: *a\n",
    "aliases of aliases": lambda _: yaml_bomb(),
    "a recursive alias": lambda _: b"train: &a\n  lr: *a\n",
    "a tag": lambda _: b"train: !!python/object/apply:os.getcwd []\n",
    "two documents": lambda _: b"train: {}\n---\ntrain: {}\n",
    "an empty list": lambda _: b"maps: {testsets: []}\nscores: {protocols: []}\n",
    "sections that are null": lambda _: b"train: null\nmaps: null\nruns: null\n",
    "sections that are lists": lambda _: b"train: [1]\nruns: [spm]\nmethods: 3\naudio: x\n",
    "keys that are numbers": lambda _: b"1: 2\ntrain: {3: 4}\nruns: {5: {lr: 1}}\n",
    "keys that are lists": lambda _: b"train: {[1, 2]: 3}\n",
    "rows that are numbers": lambda _: b"runs: {spm: 3, a: [1]}\naudio: {main: 2}\n",
}  # fmt: skip


def yaml_bomb() -> bytes:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    return "\n".join(lines).encode()


def message_of(reader: Reader, path: Path) -> str:
    """What the reader says of a file; empty if it reads it."""
    try:
        reader.read(path)
    except UserError as error:
        return str(error)
    return ""


def check(message: str, path: Path) -> None:
    """One line, or one per fault, each of which a terminal shows as it is."""
    for line in message.splitlines():
        assert line.isprintable(), repr(line)
        assert len(line) < 2000
    if message and path.suffix != ".yaml":  # of settings, the keys are named
        assert len(message.splitlines()) == 1, message
        assert path.stem in message


@pytest.mark.parametrize("kind", READERS)
def test_a_good_file_is_read(kind, tmp_path):
    path = tmp_path / READERS[kind].name
    path.write_bytes(READERS[kind].good())
    READERS[kind].read(path)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", READERS)
def test_a_damaged_file_is_one_line_or_read(kind, damage, tmp_path):
    reader = READERS[kind]
    path = tmp_path / reader.name
    path.write_bytes(DAMAGES[damage](reader.good()))
    check(message_of(reader, path), path)


@pytest.mark.parametrize("kind", READERS)
def test_a_folder_in_place_of_a_file_is_one_line(kind, tmp_path):
    reader = READERS[kind]
    path = tmp_path / reader.name
    path.mkdir()
    message = message_of(reader, path)
    assert message
    check(message, path if reader.read is not read_folder else tmp_path)


@pytest.mark.parametrize("kind", READERS)
def test_a_missing_file_is_one_line(kind, tmp_path):
    reader = READERS[kind]
    path = tmp_path / "missing" / reader.name
    path.parent.mkdir()
    message = message_of(reader, path)
    assert message
    check(message, path.parent)
