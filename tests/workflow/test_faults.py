"""Whatever is killed, and however often: the next run ends with the bytes of an undisturbed one."""

import os
import shutil
import time
from pathlib import Path
from random import Random

import pytest

from spm.corpus.manifest import write
from tests.support.faults import disturb
from tests.support.project import Project
from tests.support.slurm import until
from tests.workflow.conftest import begun, results

pytestmark = pytest.mark.slow
DAY_S = 86_400.0


def test_a_workflow_killed_at_random_moments_ends_with_the_same_bytes(films, undisturbed, tmp_path):
    """Four here; `python -m tests.support.faults` kills fifty times."""
    project = begun(films, tmp_path / "project")
    assert disturb(project, 4, Random(1)).total() == 4
    assert results(project) == results(undisturbed)


def test_a_second_snakemake_in_the_same_folder_is_refused(films, tmp_path):
    project = begun(films, tmp_path / "project")
    with project.begun("all", said=tmp_path / "said"):
        until(lambda: any((project.folder / ".snakemake/locks").glob("*")), "a lock", 60)
        second = project.snakemake(
            "all", "--rerun-incomplete"
        )  # without it, the first one's open outputs refuse it
    assert second.returncode != 0
    assert "Directory cannot be locked" in second.stdout + second.stderr


@pytest.fixture
def done(undisturbed, tmp_path) -> Project:
    """A finished project to do harm to."""
    shutil.copytree(undisturbed.folder, tmp_path / "project", copy_function=shutil.copy2)
    return Project(tmp_path / "project", undisturbed.config)


@pytest.mark.parametrize(
    ("name", "reader", "said"),
    [
        ("fusion/maps/spm/solo.parquet", "scores", "solo.parquet is not a whole Parquet file"),
        (
            "fusion/train/spm/network.safetensors",
            "maps",
            "no whole weights at results/fusion/train/spm/network",
        ),
    ],
)
def test_what_was_cut_short_is_named(done, name, reader, said):
    file = done.folder / "results" / name
    file.write_bytes(file.read_bytes()[:-100])
    failed = done.snakemake("all", "--forcerun", reader)
    assert failed.returncode != 0
    assert said in failed.stdout + failed.stderr
    assert "Traceback" not in failed.stderr
    assert {"scores", "tables", "figures"} <= set(
        done.stale("all")
    )  # nothing that follows looks current


def at(time_s: float, *files: Path) -> None:
    for file in files:
        os.utime(file, (time_s, time_s))


def test_times_of_the_past_or_the_future_make_nothing_stale(done):
    at(
        time.time() + DAY_S,
        done.folder / "manifest.csv",
        done.folder / "results/corpus/clips/0000.parquet",
    )
    assert not done.stale("all")
    at(1e9, *(path for path in (done.folder / "results").rglob("*") if path.is_file()))  # of 2001
    assert not done.stale("all")


def test_a_change_whose_time_is_in_the_future_is_seen_and_its_clock_named(done):
    boxes = done.folder / "boxes.csv"
    boxes.write_text("\n".join(boxes.read_text().splitlines()[:-1]) + "\n")
    at(time.time() + DAY_S, boxes)
    failed = done.snakemake("all")
    assert failed.returncode != 0
    assert "than input boxes.csv" in failed.stdout + failed.stderr
    assert "clock skew" in failed.stdout + failed.stderr
    followers = {"scores", "tables", "figures", "extremes", "films", "pages", "cards", "costs"}
    assert set(done.stale("all")) == {"annotations", *followers}
    boxes.touch()
    done.run("all")
    assert not done.stale("all")


def test_a_store_that_was_deleted_is_named_and_fetched_again(site, tmp_path):
    write(
        tmp_path / "manifest.csv",
        [(name, f"{site.root}/{name}.mp4", "solo", "violin") for name in "ab"],
    )
    site.answers |= {"/a.mp4": ["media"], "/b.mp4": ["media"]}
    project = Project(
        tmp_path,
        {
            "corpus": {"manifest": "manifest.csv", "shards": 1},
            "fetch": {"sleep_s": 0, "private_hosts": ["127.0.0.1"]},
            "clips": {"size": 32},
        },
    )
    project.run("index")
    shutil.rmtree(tmp_path / "store")
    assert not project.stale("index")  # what was made of the media stands
    project.config["clips"]["size"] = 16
    failed = project.snakemake("index")
    assert failed.returncode != 0
    assert (
        "2 of 2 videos that were fetched are no longer where they were"
        in failed.stdout + failed.stderr
    )
    project.run("--forcerun", "fetch", "--until", "fetch", "--", "index")  # as `make retry` does
    project.run("index")
    assert not project.stale("index")
