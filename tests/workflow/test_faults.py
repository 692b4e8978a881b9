"""After kills, damaged files and wrong clocks, the next run ends with undisturbed results."""

import os
import shutil
import time
from pathlib import Path
from random import Random

import pytest

from spm.corpus.manifest import write
from tests.support.faults import PAUSE_S, compared, disturb, served_project
from tests.support.project import Project
from tests.support.slurm import until
from tests.support.web import serving
from tests.workflow.conftest import new_project

pytestmark = pytest.mark.slow
DAY_S = 86_400.0


def test_a_workflow_killed_at_random_moments_ends_with_the_same_bytes(
    videos, undisturbed, tmp_path, monkeypatch
):
    """Two kills; `python -m tests.support.faults` kills fifty times."""
    monkeypatch.setenv("no_proxy", "*")
    with serving(videos, PAUSE_S) as root:
        project = served_project(videos, root, tmp_path / "project")
        hits = disturb(project, 2, Random(1))
    assert hits.total() == 2
    assert "fetch" in {stage for _, stage in hits}
    assert compared(project) == compared(undisturbed)


def test_a_second_snakemake_in_the_same_folder_is_refused(videos, tmp_path):
    project = new_project(videos, tmp_path / "project")
    with project.running("all", log=tmp_path / "log"):
        until(lambda: any((project.folder / ".snakemake/locks").glob("*")), "a lock", 60)
        # Without the option, Snakemake refuses because of the incomplete outputs.
        output = project.fail("all", "--rerun-incomplete")
    assert "Directory cannot be locked" in output


@pytest.fixture
def done(undisturbed, tmp_path) -> Project:
    """A copy of the finished project, to damage."""
    shutil.copytree(undisturbed.folder, tmp_path / "project", copy_function=shutil.copy2)
    return Project(tmp_path / "project", undisturbed.config)


@pytest.mark.parametrize(
    ("name", "reader", "message"),
    [
        ("fusion/maps/spm/solo.parquet", "scores", "solo.parquet is not a complete Parquet file"),
        (
            "fusion/train/spm/network.safetensors",
            "maps",
            "no complete weights at results/fusion/train/spm/network",
        ),
    ],
)
def test_a_truncated_file_is_named_and_nothing_after_it_looks_current(done, name, reader, message):
    file = done.folder / "results" / name
    file.write_bytes(file.read_bytes()[:-100])
    output = done.fail("all", "--forcerun", reader)
    assert message in output
    assert "Traceback" not in output
    assert {"scores", "tables", "figures"} <= set(done.stale("all"))


def set_time(time_s: float, *files: Path) -> None:
    for file in files:
        os.utime(file, (time_s, time_s))


def test_file_times_of_the_past_or_the_future_make_nothing_stale(done):
    inputs = (done.folder / "manifest.csv", done.folder / "results/corpus/clips/0000.parquet")
    set_time(time.time() + DAY_S, *inputs)
    assert not done.stale("all")
    outputs = (path for path in (done.folder / "results").rglob("*") if path.is_file())
    set_time(1e9, *outputs)  # in the year 2001
    assert not done.stale("all")


def test_a_changed_file_with_a_time_in_the_future_is_noticed_and_the_clock_named(done):
    boxes = done.folder / "boxes.csv"
    boxes.write_text("\n".join(boxes.read_text().splitlines()[:-1]) + "\n")
    set_time(time.time() + DAY_S, boxes)
    output = done.fail("all")
    assert "than input boxes.csv" in output
    assert "clock skew" in output
    followers = {"scores", "tables", "figures", "best_worst", "overlay_videos", "pages", "cards"}
    assert set(done.stale("all")) == {"annotations", "costs", "overview", *followers}
    boxes.touch()
    done.run("all", "--until", "scores")  # the stages of the report follow as after any change
    assert set(done.stale("all")) == {"costs", "overview", *followers - {"scores"}}


def test_a_deleted_store_is_named_and_fetched_again(site, tmp_path):
    rows = [(name, f"{site.root}/{name}.mp4", "solo", "violin") for name in "abc"]
    write(tmp_path / "manifest.csv", rows)
    site.answers |= {f"/{name}.mp4": ["media"] for name in "abc"}
    config = {
        "corpus": {"manifest": "manifest.csv", "shards": 1, "boxes": []},
        "index": {"test_solos": 1},
        "fetch": {"sleep_s": 0, "private_hosts": ["127.0.0.1"]},
        "clips": {"size": 48},
        "clusters": {"k": 2},
        "train": {"crop": 32},
    }
    project = Project(tmp_path, config)
    project.run("index")
    shutil.rmtree(tmp_path / "store")
    assert not project.stale("index")  # the clips do not depend on the media
    project.config["clips"]["size"] = 32
    assert "3 of 3 fetched videos are missing" in project.fail("index")
    project.run("--forcerun", "fetch", "--until", "fetch", "--", "index")  # as `make retry` does
    project.run("index")
    assert not project.stale("index")
