"""`spm push` and `spm pull`: the real client, and a local server that answers as a hub does."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open

from spm.learn import weights
from tests.support import hub
from tests.support.project import ROOT

pytest.importorskip("huggingface_hub", reason="pip install 'sound-promotion[hub]'")
CARD = """\
---
library_name: spm
model-index:
- name: spm
  results:
  - metrics: [{type: auc, value: 0.43}]
---

# A network
"""
DATA_CARD = """\
---
pretty_name: Some videos
configs:
- {config_name: clips, data_files: corpus/clips/*.parquet}
- {config_name: scores, data_files: score/scores/*/*.parquet}
- {config_name: detect, data_files: boxes/detect/*.parquet}
---

# Some videos
"""


@pytest.fixture
def served(tmp_path):
    (tmp_path / "served").mkdir()
    with hub.serve(tmp_path / "served") as (address, requests):
        yield address, requests


@pytest.fixture
def run(tmp_path) -> Path:
    folder = tmp_path / "results/fusion/train/spm"
    folder.mkdir(parents=True)
    weights.save(
        folder / "network.safetensors", {"weight": torch.arange(99.0)}, {"config": {"epochs": 3}}
    )
    (folder / "README.md").write_text(CARD)
    return folder


@pytest.fixture
def results(tmp_path, run) -> Path:
    results = tmp_path / "results"
    for name in ("corpus/clips/0000", "score/scores/spm/adaptive"):
        (results / name).parent.mkdir(parents=True)
        (results / f"{name}.parquet").write_bytes(b"table " * 50)
    (results / "README.md").write_text(DATA_CARD)
    (results / "croissant.json").write_text("{}")
    return results


def spm(folder: Path, address: str, *words: str) -> str:
    """Run a command that succeeds; what it prints."""
    done = start(folder, address, *words, token="token")
    assert done.returncode == 0, done.stderr
    return done.stdout


def start(folder: Path, address: str, *words: str, token: str) -> subprocess.CompletedProcess[str]:
    """Run a command in another process, because the client reads its environment at import."""
    return subprocess.run(
        [sys.executable, "-m", "spm.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={
            **os.environ,
            "HF_ENDPOINT": address,
            "HF_HOME": str(folder / "home"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_TOKEN": token,
            "NO_PROXY": "*",
            "PYTHONPATH": str(ROOT),
        },
    )


@pytest.mark.slow
def test_a_network_comes_back_with_its_card_and_its_scores_in_the_file(served, run, tmp_path):
    printed = spm(tmp_path, served[0], "push", str(run), "me/localizer")
    assert printed.strip().endswith(f"commit/{hub.COMMIT}")
    files = spm(tmp_path, served[0], "pull", "me/localizer").split()
    names = ["README.md", "network.json", "network.safetensors"]
    assert [Path(file).name for file in files] == names
    pulled = tmp_path / "localizer" / "network.safetensors"
    tensors, about = weights.load(pulled)
    assert torch.equal(tensors["weight"], torch.arange(99.0))
    assert about == {"config": {"epochs": 3}}
    with safe_open(pulled, "pt") as file:
        metadata = file.metadata()
    (scores,) = json.loads(metadata["scores"])
    assert scores["results"][0]["metrics"] == [{"type": "auc", "value": 0.43}]
    assert json.loads(metadata["settings"]) == {"epochs": 3}
    assert (tmp_path / "localizer" / "README.md").read_text() == CARD


@pytest.mark.slow
def test_a_data_set_has_no_pictures_or_sound_unless_asked(served, results, tmp_path):
    spm(tmp_path, served[0], "push", str(results), "me/tables")
    spm(tmp_path, served[0], "pull", "me/tables", "--data", "--out", "first")
    files = {path.relative_to(tmp_path / "first").as_posix() for path in _files(tmp_path / "first")}
    assert files == {"README.md", "croissant.json", "score/scores/spm/adaptive.parquet"}
    front_matter = (tmp_path / "first/README.md").read_text().split("---\n")[1]
    assert [row["config_name"] for row in yaml.safe_load(front_matter)["configs"]] == ["scores"]
    spm(tmp_path, served[0], "push", str(results), "me/tables", "--with-clips")
    spm(tmp_path, served[0], "pull", "me/tables", "--data", "--out", "second")
    assert (tmp_path / "second/corpus/clips/0000.parquet").read_bytes() == b"table " * 50


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["push", "results/fusion/train/spm", "me/localizer"], "log in with `hf auth login`"),
        (["pull", "me/none"], "is there such a repository"),
        (["push", "corpus", "me/none"], "corpus/README.md: no such file: run the workflow"),
    ],
)
def test_a_failure_is_one_line(served, results, tmp_path, words, message):
    done = start(tmp_path, served[0], *words, token="wrong")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "error" in line]
    assert re.search(message, line)
