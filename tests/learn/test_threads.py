"""The bytes of a network do not depend on the cores that its job gets."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from spm.learn import loader
from spm.learn.device import pick_device
from tests.support import preloaded
from tests.support.corpora import Corpus
from tests.support.project import ROOT

SETTINGS = {
    "visual": "mobilenet_v2",
    "start": "none",
    "crop": 32,
    "batch": 8,
    "promote": False,
    "epochs": 1,
    "device": "cpu",
    "threads": 2,
}
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def threads():
    """Torch's number of threads, which the tests change."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def train(corpus: Corpus, index: Path, folder: Path, cores: int) -> bytes:
    """The weights that the stage `train` writes; Snakemake sets OMP_NUM_THREADS like this."""
    options = {
        "config": json.dumps(SETTINGS),
        "index": index,
        "clips": corpus.clips,
        "spectrograms": corpus.spectrograms,
        "out": folder / "network.safetensors",
        "history": folder / "history.parquet",
        "state": folder / "state",
    }
    words = [f"--{option}={value}" for option, value in options.items()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(cores)}
    done = preloaded.run(["-m", "spm.fusion.train", *words], env=environment)
    assert done.returncode == 0, done.stderr
    return options["out"].read_bytes()


@pytest.mark.slow
def test_a_network_has_the_same_bytes_on_one_core_and_on_three(squares, tmp_path):
    rows = pq.read_table(squares.index)
    index = tmp_path / "index.parquet"
    pq.write_table(
        pa.concat_tables([rows.slice(start, 1) for start in range(0, len(rows), 4)]), index
    )
    one, three = (train(squares, index, tmp_path / str(cores), cores) for cores in (1, 3))
    assert one == three


def test_a_stage_computes_with_the_threads_of_its_setting():
    pick_device("cpu", 3)
    assert torch.get_num_threads() == 3
    pick_device("cpu")
    assert torch.get_num_threads() == 3


def test_an_item_is_made_on_one_thread_with_and_without_workers():
    torch.set_num_threads(3)
    for workers in (0, 1):
        made = loader.load(range(2), lambda _: torch.get_num_threads(), device=CPU, workers=workers)
        assert list(made) == [1, 1], workers
    assert torch.get_num_threads() == 3
