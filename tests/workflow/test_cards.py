"""The results as a data set: card, Croissant metadata, cards of networks, and docs/data.md."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from spm.base import runs
from spm.report import cards
from tests.support.project import ROOT

pytestmark = pytest.mark.slow
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/data.md").read_text(), re.S)
# What the blocks of the page print, by the package that they need.
PRINTED = {"duckdb": "mean_iou", "datasets": "6 seconds to test on", "mlcroissant": "test"}


@pytest.fixture(scope="module")
def results(undisturbed) -> Path:
    """The results of the smallest project."""
    return undisturbed.folder / "results"


def read_card(path: Path) -> tuple[dict, str]:
    """The YAML and the Markdown of a card."""
    _, front_matter, text = path.read_text().split("---\n", 2)
    return yaml.safe_load(front_matter), text


def test_the_card_lists_exactly_the_parquet_files_of_the_results(results):
    about, _ = read_card(results / "README.md")
    listed = set()
    for config in about["configs"]:
        files = list(results.glob(config["data_files"]))
        assert files, config
        listed.update(files)
    assert listed == set(results.rglob("*.parquet"))


def test_the_card_has_coverage_license_and_sources_of_the_media(results):
    about, text = read_card(results / "README.md")
    assert (about["license"], about["size_categories"]) == ("other", ["n<1K"])
    assert "4 of 4 listed videos are available. They have 12 clips of 1 s, of which\n12 are" in text
    assert "| solo | cello | test | 1 | 1 | 3 | 3 |" in text
    assert "belong to their uploaders" in text
    assert "| local | 4 | " in text


def test_the_metadata_are_valid_croissant_and_describe_all_columns(results):
    mlcroissant = pytest.importorskip("mlcroissant", reason="pip install mlcroissant")
    dataset = mlcroissant.Dataset(jsonld=results / "croissant.json")
    assert not dataset.metadata.issues.errors
    about = json.loads((results / "croissant.json").read_text())
    for files, records in zip(about["distribution"], about["recordSet"], strict=True):
        columns = [field["source"]["extract"]["column"] for field in records["field"]]
        for file in results.glob(files["includes"]):
            assert columns == pd.read_parquet(file).columns.tolist(), file


def test_the_card_of_a_network_has_its_measured_scores(results):
    about, text = read_card(results / "fusion/train/spm/README.md")
    summary = json.loads((results / "score/scores/spm/solo/given/spm-paper.json").read_text())
    (model,) = about["model-index"]
    (result,) = model["results"]
    counts = f"{summary['frames']} frames of 2 videos"
    assert result["dataset"]["name"] == f"solo, given boxes: {counts}"
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    scores = summary["run"]
    assert values == {name: pytest.approx(scores[name]) for name in scores["interval_95"]}
    assert "trained on 6 seconds of 2 solo videos.\n" in text
    assert f"| **spm** | {values['auc']:.3f}" in text
    assert "| whole-image | " in text


def test_the_card_of_a_network_has_its_settings(results):
    _, text = read_card(results / "fusion/train/spm/README.md")
    config = json.loads((results / "fusion/train/spm/network.json").read_text())["config"]
    assert yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.S)[1]) == config


def test_the_card_of_a_network_without_training_says_so():
    about = {"config": {"method": "zero_shot"}}
    assert cards.origin(pd.DataFrame(), about) == "which uses pretrained networks as they are"
    assert cards.LIMITS_OF_METHOD.keys() == runs.UNTRAINED


def blocks_of(package: str) -> list[str]:
    """The blocks of docs/data.md that need a package, after those that need pandas only."""
    blocks = []
    for text in BLOCKS:
        if package in text or "import pandas" in text or "read_parquet" in text:
            blocks.append(text)
    if package == "datasets":  # a later block uses the import of an earlier one
        blocks += [text for text in BLOCKS if text.startswith("index = load_dataset")]
    return blocks


@pytest.mark.parametrize("package", PRINTED)
def test_the_blocks_of_the_page_on_data_run(package, results, tmp_path):
    pytest.importorskip(package, reason="pip install 'sound-promotion[data]' mlcroissant")
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path),
        "HF_DATASETS_CACHE": str(tmp_path / "datasets"),
    }
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks_of(package))],
        cwd=results.parent,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert "demo-cello-01_0000000 ['cello'] (48, 48) 16000" in done.stdout
    assert PRINTED[package] in done.stdout


def test_every_block_is_run_with_one_of_the_packages():
    packages = ("pandas", "read_parquet", "duckdb", "datasets", "load_dataset", "mlcroissant")
    for text in BLOCKS:
        assert any(name in text for name in packages), text
