"""What is left behind is a data set: its card, its Croissant metadata, the networks' cards, and docs/data.md."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.support.project import ROOT

pytestmark = pytest.mark.slow
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/data.md").read_text(), re.S)


@pytest.fixture(scope="module")
def left(undisturbed) -> Path:
    """The results of the smallest project."""
    return undisturbed.folder / "results"


def card(path: Path) -> tuple[dict, str]:
    """A card's YAML and its Markdown."""
    _, front, text = path.read_text().split("---\n", 2)
    return yaml.safe_load(front), text


def test_the_card_names_every_parquet_file_that_there_is_and_no_other(left):
    about, _ = card(left / "README.md")
    named = {file for each in about["configs"] for file in left.glob(each["data_files"])}
    assert named == set(left.rglob("*.parquet"))
    assert all(list(left.glob(each["data_files"])) for each in about["configs"])


def test_the_card_says_coverage_license_and_where_media_came_from(left):
    about, text = card(left / "README.md")
    assert (about["license"], about["size_categories"]) == ("other", ["n<1K"])
    assert "4 of 4 listed videos: 12 seconds of them, 12 loud enough" in text
    assert "| solo | cello | test | 1 | 1 | 3 | 3 |" in text
    assert "their uploaders'" in text
    assert "| local | 4 | " in text


def test_the_metadata_is_valid_croissant_and_has_every_column_of_every_file(left):
    mlcroissant = pytest.importorskip("mlcroissant", reason="pip install mlcroissant")
    described = mlcroissant.Dataset(jsonld=left / "croissant.json")
    assert not described.metadata.issues.errors
    about = json.loads((left / "croissant.json").read_text())
    for files, records in zip(about["distribution"], about["recordSet"], strict=True):
        named = [field["source"]["extract"]["column"] for field in records["field"]]
        for file in left.glob(files["includes"]):
            assert named == pd.read_parquet(file).columns.tolist(), file


def test_a_networks_card_has_the_scores_that_were_measured_with_what_they_were_measured_on(left):
    about, text = card(left / "fusion/train/spm/README.md")
    summary = json.loads((left / "score/scores/spm/solo/given/spm-paper.json").read_text())
    (model,) = about["model-index"]
    (result,) = model["results"]
    assert result["dataset"]["name"] == f"solo, given boxes: {summary['frames']} frames of 2 videos"
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert values == {
        name: pytest.approx(summary["run"][name]) for name in summary["run"]["interval_95"]
    }
    assert "trained on 6 seconds of 2 solo videos.\n" in text
    assert f"| **spm** | {values['auc']:.3f}" in text
    assert "| whole-image | " in text
    config = json.loads((left / "fusion/train/spm/network.json").read_text())["config"]
    assert yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.S)[1]) == config


@pytest.mark.parametrize("package", ["duckdb", "datasets", "mlcroissant"])
def test_every_block_of_the_page_on_data_runs_where_the_results_are(package, left, tmp_path):
    pytest.importorskip(package, reason="pip install 'spm[data]' mlcroissant")
    blocks = [
        text
        for text in BLOCKS
        if package in text or "import pandas" in text or "read_parquet" in text
    ]
    blocks += [
        text for text in BLOCKS if package == "datasets" and text.startswith("index = load_dataset")
    ]
    offline = {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path),
        "HF_DATASETS_CACHE": str(tmp_path / "datasets"),
    }
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)], cwd=left.parent, capture_output=True, text=True, check=False,
        env={**os.environ, **offline},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "demo-cello-01_0000000 ['cello'] (48, 48) 16000" in done.stdout
    assert {"duckdb": "mean_iou", "datasets": "6 seconds to test on", "mlcroissant": "test"}[
        package
    ] in done.stdout


def test_every_block_is_run_with_one_of_the_packages():
    with_packages = ("pandas", "read_parquet", "duckdb", "datasets", "load_dataset", "mlcroissant")
    assert all(any(name in text for name in with_packages) for text in BLOCKS)
