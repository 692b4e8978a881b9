"""The paper's tables as targets: what they need, and small ones that are really made."""

import json

import pandas as pd
import pytest
import yaml

from spm.base import tables
from tests.support.project import ROOT, Project
from tests.workflow.conftest import FOUR, write_videos

pytestmark = pytest.mark.slow
PAPER = yaml.safe_load((ROOT / "workflow/configs/paper.yaml").read_text())
NETWORK = {
    "visual": "mobilenet_v2",
    "start": "none",
    "crop": 48,
    "epochs": 2,
    "batch": 8,
    "threads": 1,
}
LIGHT = {
    "corpus": {"manifest": "corpus/manifest.csv", "shards": 2, "boxes": ["given"]},
    "clips": {"size": 64, "frames_per_clip": 1},
    "index": {"test_solos": 1},
    "clusters": {"k": 4, "restarts": 2, "threads": 1},
    "pretrain": {"epochs": 1, "threads": 1},
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
    "maps": {"testsets": ["solo", "synthetic"], "threads": 1},
    "baseline_maps": {"image_px": 96, "threads": 1},
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
    write_videos(folder / "corpus", FOUR, scene_s=2)
    project = Project(folder, LIGHT)
    project.run("--", "table1", "promotion", "drawings")
    return project


def test_class_aware_maps_of_mosaics_are_scored_in_the_table_of_the_paper(done):
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


def test_the_figures_of_the_paper_are_drawn_for_the_present_runs(done):
    drawn = {path.name for path in (done.folder / "results/report/paper").glob("fig*.svg")}
    assert drawn == {"fig2.svg", "fig3.svg", "fig4.svg"}  # the last one counts the videos of MUSIC


def test_each_run_starts_from_its_audio_network(done):
    sizes = {
        name: len(
            json.loads((done.folder / f"results/audio/clusters/{name}/centroids.json").read_text())[
                "sizes"
            ]
        )
        for name in ("main", "many")
    }
    assert sizes == {"main": 4, "many": 6}
    for run, audio in (("spm", "main"), ("dsol-promoted", "many")):
        network = done.folder / f"results/fusion/train/{run}/network.json"
        assert json.loads(network.read_text())["config"]["audio"] == audio


def test_the_gain_of_promotion_is_reported_with_its_interval(done):
    assert (
        "- dsol-promoted over dsol, CIoU@0.3: "
        in (done.folder / "results/report/paper/promotion.md").read_text()
    )


def test_a_key_of_a_method_reruns_only_runs_of_that_method(done):
    methods = done.config["methods"]
    done.config["methods"] = {"dsol": {**methods["dsol"], "sharpness": 2.0}}
    stale = done.stale("--", "table1")
    done.config["methods"] = methods
    assert stale == {"train": 2, "maps": 2, "scores": 2, "paper": 1, "table1": 1}


def test_the_number_of_training_mosaics_does_not_affect_the_test_mosaics(done):
    mosaics = done.config["mosaics"]
    done.config["mosaics"] = {**mosaics, "train": 9}
    stale = done.stale("--", "table1")
    done.config["mosaics"] = mosaics
    assert stale["mosaics"] == stale["mosaic_spectrograms"] == 1
    assert stale["train"] == 2


def test_a_table_without_its_runs_names_the_config_to_add(tmp_path):
    output = Project(tmp_path, {}).fail("--dry-run", "--", "table1")
    assert "table1 needs runs.sound-of-pixels, runs.object-that-sound, " in output
    assert "add --configfile workflow/configs/paper.yaml" in output


def test_every_table_of_the_paper_is_planned_on_its_corpus(tmp_path):
    (tmp_path / "detector.safetensors").touch()
    (tmp_path / "detector.json").write_text('{"categories": ["cello", "flute"]}')
    project = Project(tmp_path, PAPER | {"detect": {"weights": "detector.safetensors"}})
    stale = project.stale("--", "table1", "table2", "ablation", "promotion")
    assert (stale["paper"], stale["train"], stale["pretrain"], stale["mosaics"]) == (4, 22, 1, 2)
    assert stale["maps"] == stale["scores"] == len(PAPER["runs"]) == 22
