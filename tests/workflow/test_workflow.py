"""The whole workflow with Snakemake, on a corpus of a few seconds."""

import json
import os
import re
import shutil
from collections import Counter

import pandas as pd
import pytest
import yaml

from spm.base import tables
from spm.boxes.formats.openimages import CLASSES
from spm.boxes.review import decision_log
from spm.boxes.review.decisions import Decision
from tests.support.openimages import publish
from tests.support.project import ROOT, Project
from tests.workflow.conftest import TINY

pytestmark = pytest.mark.slow
DETECTOR = {
    "source": "given",
    "model": "mobilenet_v2",
    "start": "none",
    "size": 64,
    "max_frames": 16,
    "max_test_frames": 8,
    "epochs": 1,
    "threads": 1,
}
LIGHT = {
    **{section: values for section, values in TINY.items() if section != "runs"},
    "corpus": {**TINY["corpus"], "boxes": ["given", "detector"]},
    "detector": DETECTOR,
    "detect": {"frames": 1, "threads": 1},
}
COSTS = {"costs", "overview"}  # costs reads all benchmarks
AFTER_SCORES = {"tables", "figures", "best_worst", "pages", "cards"}


@pytest.fixture(scope="module")
def done(undisturbed, tmp_path_factory):
    """The smallest project, after a second run that adds the boxes of a detector."""
    folder = tmp_path_factory.mktemp("made") / "project with spaces"
    shutil.copytree(undisturbed.folder, folder, copy_function=shutil.copy2)
    project = Project(folder, LIGHT)
    (folder / "printed.txt").write_text(project.run("all"))
    return project


@pytest.fixture
def copy(done, tmp_path):
    """A copy of that project, for changes."""
    shutil.copytree(done.folder, tmp_path / "copy", copy_function=shutil.copy2)
    return Project(tmp_path / "copy", LIGHT)


def shards(project: Project) -> int:
    return len(list((project.folder / "results/corpus/clips").iterdir()))


def test_videos_become_scores_next_to_those_of_the_baselines(done):
    table = pd.read_csv(done.folder / "results/report/tables/scores.csv")
    assert set(table["box_source"]) <= {"given", "detector"}
    given = table[(table["box_source"] == "given") & (table["protocol"] == "spm-paper")].set_index(
        "run"
    )
    assert {"spm", "no-promotion", "whole-image", "centre-square-50%", "mean-box"} <= set(
        given.index
    )
    assert given.loc[["object-prior", "zero-shot"], "pointing_game"].between(0, 1).all()
    assert given["auc"].between(0, 1).all()
    assert (given["frames"] == given["frames"].iloc[0]).all()
    assert given["videos"].iloc[0] == 2
    for name in ("heatmaps", "scores", "classes", "training", "coverage"):
        assert (done.folder / f"results/report/figures/{name}.svg").stat().st_size > 1000
    weights = (done.folder / "state").rglob("*.safetensors")
    kept = done.folder / "state/finished"
    assert not [path for path in weights if not path.is_relative_to(kept)]  # no checkpoints


def test_the_workflow_ends_with_a_verdict_on_each_run(done):
    verdicts = (done.folder / "results/report/tables/verdict.txt").read_text()
    assert [line.split("` ")[0] for line in verdicts.splitlines()] == [
        f"{about}: `{run}"
        for about in ("solo, given boxes, spm-paper", "solo")  # the second: other sounds
        for run in ("no-promotion", "spm")
    ]
    assert verdicts.count(" the object prior (Δ AUC ") == 2
    last = (done.folder / "printed.txt").read_text().split("steps (100%) done")[1]
    assert verdicts in last


def test_runs_are_scored_again_with_the_object_prior_without_training(copy):
    copy.config["maps"]["prior_alpha"] = 0.4
    stale = copy.stale("all")
    assert (stale["prior_maps"], stale["scores"]) == (2, 4)  # two sources of boxes
    assert not {"train", "maps", "baseline_maps"} & set(stale)
    place = "solo/given/spm-paper.json"
    copy.run(f"results/score/scores/spm+prior/{place}")
    folder = copy.folder / "results/score/scores"
    mixed, alone = (json.loads((folder / run / place).read_text()) for run in ("spm+prior", "spm"))
    assert mixed["baselines"]["object-prior"] == alone["baselines"]["object-prior"]
    assert mixed["run"] != alone["run"]


def test_every_clip_has_a_row_and_a_split(done):
    index = tables.read(done.folder / "results/corpus/index/clips.parquet")
    assert index.num_rows == 4 * 3
    assert Counter(index["split"].to_pylist()) == {"test": 6, "train": 6}


def test_a_second_run_has_nothing_to_do(done):
    assert "Nothing to be done" in done.run("all")


def test_touch_makes_a_copy_without_file_times_current(copy):
    """As docs/faq.md says; Snakemake compares files of up to 1 MB by content, here none."""
    files = sorted(path for path in copy.folder.rglob("*") if path.is_file())
    for number, file in enumerate(files):  # as `cp -r` would copy them
        os.utime(file, (10**9 + number, 10**9 + number))
    by_time = ["--max-checksum-file-size", "0"]
    assert copy.stale("all", *by_time)["train"]
    copy.run("all", "--touch", *by_time)
    assert "Nothing to be done" in copy.run("all", "--dry-run", *by_time)
    copy.config["train"]["epochs"] = 3  # a later change is noticed as usual
    assert copy.stale("all", *by_time)["train"] == 2


@pytest.mark.parametrize(
    ("section", "key", "value", "rules"),
    [
        ("scores", "seed", 5, {"scores", *AFTER_SCORES}),
        (
            "annotations",
            "min_score",
            0.5,
            {"annotations", "quality", "scores", *AFTER_SCORES, "overlay_videos"},
        ),
        ("figures", "examples", 2, {"figures"}),
        ("maps", "batch", 3, {"maps", "scores", *AFTER_SCORES, "overlay_videos"}),
        ("train", "lr", 0.01, {"train", "maps", "scores", *AFTER_SCORES, "overlay_videos"}),
        (
            "pretrain",
            "epochs",
            3,
            {"pretrain", "train", "maps", "scores", *AFTER_SCORES, "overlay_videos"},
        ),
    ],
)
def test_a_changed_setting_reruns_its_stage_and_the_later_ones(done, section, key, value, rules):
    done.config[section] = {**done.config.get(section, {}), key: value}
    try:
        stale = done.stale("all")
    finally:
        done.config = json.loads(json.dumps(LIGHT))
    assert set(stale) == rules | COSTS
    if section == "pretrain":
        assert (stale["train"], stale["maps"]) == (1, 1)  # only the promoted run


def decide(project, row, verdict):
    sides = {side: row[side] for side in "xywh"}
    about = {"category": row["category"], **sides, "reviewer": "ada"}
    decision_log.append(
        project.folder / "reviews.csv",
        Decision(row["clip_id"], row["frame"], row["box"], verdict, **about),
    )


def test_a_decision_makes_only_annotations_and_later_stages_stale(copy):
    """The first decision creates the file, the second one adds to it."""
    table = copy.folder / "results/boxes/annotations/given.parquet"
    first, second = tables.read(table).to_pylist()[:2]
    for row in (first, second):
        decide(copy, row, "reject")
        stale = copy.stale("all")
        assert set(stale) == {
            "annotations",
            "quality",
            "scores",
            *AFTER_SCORES,
            "overlay_videos",
            *COSTS,
        }
        copy.run(str(table.relative_to(copy.folder)))
    assert [row["status"] for row in tables.read(table).to_pylist()[:2]] == ["rejected", "rejected"]


def test_a_detector_learns_from_open_images_and_its_boxes_are_annotated(copy):
    """Open Images is a folder in the published form, with three of its classes."""
    three = {name: CLASSES[name] for name in ("cello", "flute", "guitar")}
    copy.config["openimages"] = {
        "mirror": str(publish(copy.folder / "open images")),
        "max_per_class": 3,
    }
    copy.config["detector"]["source"] = "openimages"
    stale = copy.stale("all")
    assert {rule: stale[rule] for rule in ("openimages", "detector", "detect")} == {
        "openimages": 1,
        "detector": 1,
        "detect": shards(copy),
    }
    copy.run("results/boxes/annotations/detector.parquet")
    weights = json.loads((copy.folder / "results/boxes/detector/weights.json").read_text())
    assert weights["categories"] == sorted(three)
    counts = pd.read_csv(copy.folder / "results/boxes/openimages/counts.csv")
    assert set(counts["category"]) == set(three)


def test_mel_settings_decode_no_video(done):
    done.config["spectrograms"] = {"preset": "clean"}
    stale = done.stale("all")
    done.config = json.loads(json.dumps(LIGHT))
    assert not {"fetch", "clips", "index", "detector", "detect", "annotations"} & set(stale)
    assert stale["spectrograms"] == shards(done)


def test_reordered_keys_and_a_comment_rerun_nothing(done):
    done.config = {key: dict(reversed(value.items())) for key, value in reversed(LIGHT.items())}
    assert not done.stale("all")
    done.config = json.loads(json.dumps(LIGHT))


def test_a_new_video_makes_one_shard_stale(copy):
    manifest = copy.folder / "manifest.csv"
    manifest.write_text(manifest.read_text() + "demo-tuba-01,videos/demo-tuba-01.mp4,solo,tuba\n")
    stale = copy.stale("all")
    assert {
        rule: stale[rule] for rule in ("fetch", "clips", "spectrograms", "detect", "index")
    } == {
        "fetch": 1,
        "clips": 1,
        "spectrograms": 1,
        "detect": shards(copy),  # the detector changes
        "index": 1,
    }


def test_after_a_failed_rerun_old_results_do_not_look_current(copy):
    copy.config["index"]["min_rms_db"] = 0.0  # no clip is that loud, which only a run can find
    assert "the index has no audible training clips" in copy.fail("all", "--until", "clusters")
    assert {"clusters", "train", "maps", "scores", "tables"} <= set(copy.stale("all"))


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("train", "epsylon", 1, "train: unknown key epsylon; expected one of"),
        ("clips", "size", "big", 'clips.size: "big"; expected whole number'),
        ("corpus", "manifest", "nowhere.csv", "nowhere.csv"),
        ("corpus", "given_boxes", "nowhere.csv", "which does not exist: write it"),
    ],
)
def test_a_wrong_setting_is_named_before_any_job_runs(done, section, key, value, message):
    done.config[section] = {**done.config.get(section, {}), key: value}
    output = done.fail("--dry-run", "all")
    done.config = json.loads(json.dumps(LIGHT))
    assert message in output
    assert "Traceback" not in output


def test_the_workflow_lints_and_the_slurm_profile_plans_every_gpu_rule(done):
    assert "Congratulations" in done.run("--lint")
    planned = done.run(
        "all",
        "--forceall",
        "--dry-run",
        "--workflow-profile",
        str(ROOT / "workflow/profiles/slurm"),
    )
    partition = dict(
        re.findall(r"^(?:local)?rule (\w+):.*?slurm_partition=(\w+)", planned, re.M | re.S)
    )
    gpu = {"detector", "detect", "clusters", "pretrain", "train", "maps", "baseline_maps"}
    assert {rule for rule in gpu if partition.get(rule) == "gpu"} == gpu
    assert partition["clips"] == "cpu"


def test_the_published_corpus_plans_every_stage(tmp_path):
    stale = Project(tmp_path, {}).stale("all")
    assert (stale["fetch"], stale["clips"], stale["spectrograms"]) == (16, 16, 16)
    assert (stale["pretrain"], stale["train"], stale["maps"]) == (1, 2, 2)


def test_real_recordings_become_scores_with_the_command_of_the_readme(shared, tmp_path):
    """Six seconds of five recordings; their own boxes lie later, so two are given here.

    The jobs are forks; test_conda.py has the workflow whose jobs are started as users do.
    """
    wanted = ["flute-01", "flute-02", "trumpet-01", "trumpet-02", "violin+acoustic_guitar-01"]
    manifest = (
        pd.read_csv(shared / "real/manifest.csv").set_index("video_id").loc[wanted].reset_index()
    )
    manifest["url"] = [str(shared / "real" / url) for url in manifest["url"]]
    manifest.to_csv(tmp_path / "manifest.csv", index=False)
    boxes = "flute-01,5,flute,0.05,0.3,0.83,0.11\ntrumpet-01,5,trumpet,0.155,0.285,0.46,0.245\n"
    (tmp_path / "boxes.csv").write_text("video_id,time_s,category,x,y,w,h\n" + boxes)
    config = yaml.safe_load((ROOT / "workflow/configs/local.yaml").read_text())
    config["corpus"]["manifest"] = "manifest.csv"
    config["clips"] |= {"max_s": 6, "size": 96}
    config["clusters"]["k"] = 2
    config["train"] |= {"crop": 80, "epochs": 1}
    config["baseline_maps"] = {"image_px": 224}
    project = Project(tmp_path, config)
    output = project.run("all")
    assert "warning: 3 training videos of 4 categories: in a study with 81 of 25, no" in output
    table = pd.read_csv(tmp_path / "results/report/tables/scores.csv")
    assert set(table["frames"]) == {2}
    assert not table["run"].duplicated().any()
    assert {"spm", "zero-shot", "object-prior", "whole-image"} <= set(table["run"])
    verdict, others = (tmp_path / "results/report/tables/verdict.txt").read_text().splitlines()
    assert re.search(r": `spm` is .* the object prior .* zero-shot .*; 2 frames", verdict)
    assert verdict in output
    assert re.match(r"solo: `spm` finds a source in \d+ % of frames with silence", others)
    coverage = pd.read_csv(tmp_path / "results/corpus/index/coverage.csv")
    assert coverage["available"].sum() == 5
    split = coverage.set_index(["categories", "split"])["available"].to_dict()
    assert split["flute", "test"] == split["trumpet", "test"] == 1
    assert split["violin acoustic_guitar", "train"] == 1  # duets are for training
    assert "Nothing to be done" in project.run("all")
