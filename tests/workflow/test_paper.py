"""The paper's tables as targets: what they want, and a small one for real."""

import json

import pandas as pd
import pytest
import yaml

from spm.base import tables
from spm.demo.scenario import Demo
from spm.demo.scenario import run as render
from tests.support.project import ROOT, Project

pytestmark = pytest.mark.slow
PAPER = yaml.safe_load((ROOT / "workflow/configs/paper.yaml").read_text())
NETWORK = {"visual": "mobilenet_v2", "start": "none", "crop": 48, "epochs": 2, "batch": 8}
LIGHT = {
    "corpus": {"manifest": "corpus/manifest.csv", "shards": 2, "boxes": ["given"]},
    "clips": {"size": 64, "frames_per_clip": 1},
    "index": {"test_solos": 1},
    "clusters": {"k": 4, "restarts": 2},
    "pretrain": {"epochs": 1},
    "audio": {"many": {"clusters": {"k": 6}}},
    "mosaics": {"train": 8, "test": 12, "size": 64},
    "train": NETWORK,
    "methods": {"dsol": {"clusters": 4, "passes": 1, "mosaic_epochs": 1}},
    "runs": {
        "spm": {},
        "no-promotion": False,
        "dsol": {"method": "dsol"},
        "dsol-promoted": {"method": "dsol", "promote": True, "audio": "many"},
    },
    "maps": {"kinds": ["solo", "synthetic"]},
    "scores": {"protocols": ["spm-paper", "dsol-synthetic"], "bootstrap": 50},
    "paper": {
        "table1": ["spm", "dsol", "dsol-promoted"],
        "ablation": ["dsol", "dsol-promoted"],
        "promotion": ["dsol", "dsol-promoted"],
    },
}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    render(
        Demo(solos=2, duets=0, scenes=1, scene_s=2, width=96, height=72),
        out=folder / "corpus",
        processes=2,
    )
    manifest = pd.read_csv(folder / "corpus" / "manifest.csv")
    few = manifest[manifest["categories"].isin(["cello", "flute", "trumpet", "xylophone"])]
    few.to_csv(folder / "corpus" / "manifest.csv", index=False)
    project = Project(folder, LIGHT)
    project.run("--", "table1", "promotion", "drawings")
    return project


def test_class_aware_maps_of_mosaics_end_in_the_papers_table(done):
    table = pd.read_csv(done.folder / "results/report/paper/table1.csv").set_index("run")
    assert {"spm", "dsol", "dsol-promoted", "whole-image", "dmc", "sound-of-pixels"} <= set(
        table.index
    )
    assert table.loc["dsol", "printed CIoU@0.3"] == pytest.approx(0.306)
    assert table.loc[["spm", "dsol", "whole-image"], "CIoU@0.3"].between(0, 1).all()
    assert table.loc["dmc", ["CIoU@0.3", "frames"]].isna().all()
    assert (table.loc[["spm", "dsol"], "frames"] == 12).all()
    written = (done.folder / "results/report/paper/table1.md").read_text()
    assert (
        "12 frames of 4 videos, synthetic test set, given boxes, protocol dsol-synthetic" in written
    )
    maps = tables.read(done.folder / "results/fusion/maps/dsol/synthetic.parquet")
    assert set(maps["category"].to_pylist()) == {None, "cello", "flute", "trumpet", "xylophone"}


def test_the_papers_figures_are_drawn_as_far_as_there_are_runs(done):
    drawn = {path.name for path in (done.folder / "results/report/paper").glob("fig*.svg")}
    assert drawn == {"fig2.svg", "fig3.svg", "fig4.svg", "fig6.svg"}


def test_runs_start_from_the_audio_network_that_they_name(done):
    sizes = {
        name: len(
            json.loads((done.folder / f"results/audio/clusters/{name}/centroids.json").read_text())[
                "sizes"
            ]
        )
        for name in ("main", "many")
    }
    assert sizes == {"main": 4, "many": 6}
    about = {run: json.loads((done.folder / f"results/fusion/train/{run}/network.json").read_text())["config"]
             for run in ("spm", "dsol-promoted")}  # fmt: skip
    assert {run: config["audio"] for run, config in about.items()} == {
        "spm": "main",
        "dsol-promoted": "many",
    }


def test_what_promotion_adds_is_said_with_its_interval(done):
    assert (
        "- dsol-promoted over dsol, CIoU@0.3: "
        in (done.folder / "results/report/paper/promotion.md").read_text()
    )


def test_a_methods_key_reruns_its_own_runs_alone(done):
    methods = done.config["methods"]
    done.config["methods"] = {"dsol": {**methods["dsol"], "sharpness": 2.0}}
    stale = done.stale("--", "table1")
    done.config["methods"] = methods
    assert stale == {"train": 2, "maps": 2, "scores": 2, "paper": 1, "table1": 1}


def test_more_mosaics_to_learn_from_leave_those_to_score_on_alone(done):
    mosaics = done.config["mosaics"]
    done.config["mosaics"] = {**mosaics, "train": 9}
    stale = done.stale("--", "table1")
    done.config["mosaics"] = mosaics
    assert stale["mosaics"] == stale["mosaic_spectrograms"] == 1
    assert stale["train"] == 2


def test_a_table_whose_runs_are_missing_says_what_to_lay_over(tmp_path):
    failed = Project(tmp_path, {}).snakemake("--dry-run", "--", "table1")
    assert failed.returncode != 0
    assert (
        "table1 wants runs.sound-of-pixels, runs.object-that-sound, "
        in failed.stdout + failed.stderr
    )
    assert "lay workflow/configs/paper.yaml over it" in failed.stdout + failed.stderr


def test_every_table_of_the_paper_is_planned_on_its_corpus(tmp_path):
    (tmp_path / "detector.safetensors").touch()
    (tmp_path / "detector.json").touch()
    project = Project(tmp_path, PAPER | {"detect": {"weights": "detector.safetensors"}})
    stale = project.stale("--", "table1", "table2", "ablation", "promotion")
    assert (stale["paper"], stale["train"], stale["pretrain"], stale["mosaics"]) == (4, 22, 1, 2)
    assert stale["maps"] == stale["scores"] == len(PAPER["runs"]) == 22
