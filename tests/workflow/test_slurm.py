"""The workflow on a real SLURM with two nodes, with the profile of the project."""

import asyncio
import logging
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import snakemake_executor_plugin_slurm as plugin

from spm.base import tables
from spm.workflow import doctor, preemption
from tests.support import flow, forked_snakemake, preloaded, slurm
from tests.support.project import ROOT, Project
from tests.support.slurm import Cluster, until
from tests.workflow.conftest import results

LOG = logging.getLogger("test")
pytestmark = pytest.mark.slow
IMPATIENT = ["-P", str(ROOT / "tests/support/impatient.py")]
OPTIONS = [
    "--workflow-profile",
    str(ROOT / "workflow/profiles/slurm"),
    "--slurm-status-command",
    "squeue",
    "--slurm-init-seconds-before-status-checks",
    "1",
]
LONG = 10_000  # epochs: longer than any test
EPOCHS = 24  # of a training that is stopped once or twice and ends
END_S = 300  # SLURM looks at the limits of time every half minute; starts of Snakemake follow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    if reason := slurm.unavailable():
        pytest.skip(f"no SLURM for tests: {reason}")
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def test_the_doctor_compares_the_partitions_of_the_profile_and_of_the_cluster(cluster, tmp_path):
    (finding,) = doctor.slurm(ROOT / "workflow/profiles/slurm/profile.yaml")
    assert (finding.state, finding.result) == (
        "ok", "partitions cancel, cpu, gpu, requeue, urgent",
    )  # fmt: skip
    (tmp_path / "profile.yaml").write_text("default-resources:\n  slurm_partition: standard\n")
    (finding,) = doctor.slurm(tmp_path / "profile.yaml")
    assert finding.state == "warn"
    assert finding.result.endswith("urgent; missing: standard")


@pytest.fixture(scope="module")
def python(cluster, tmp_path_factory) -> Iterator[Path]:
    """The program `python` whose Snakemake is a fork."""
    with forked_snakemake.serving(tmp_path_factory.mktemp("forks")) as program:
        yield program


def on_cluster(undisturbed: Project, folder: Path) -> Project:
    """A copy of the finished project, which starts Snakemake and all jobs as users do."""
    shutil.copytree(undisturbed.folder, folder, copy_function=shutil.copy2)
    project = Project(folder, undisturbed.config, as_users=True)
    project.cores, project.program = [], IMPATIENT
    return project


@pytest.fixture
def forking(python, undisturbed, tmp_path) -> Project:
    """A copy of the finished project; Snakemake, that of SLURM's jobs, and their stages fork."""
    project = on_cluster(undisturbed, tmp_path / "project")
    project.program = ["-IS", str(python), "-m", "snakemake"]
    project.environment = {"PATH": preloaded.search_path()}
    return project


@pytest.fixture
def done(cluster, undisturbed, tmp_path) -> Project:
    """A copy of the finished project that submits only its GPU rules."""
    project = on_cluster(undisturbed, tmp_path / "project")
    project.config["cluster"] = {"cpu_rules": "local"}
    return project


def submitted(cluster: Cluster, project: Project) -> dict[int, tuple[str, dict[str, str]]]:
    """For each submitted job of a project, its rule and SLURM's record of it."""
    ours = [job for job in cluster.jobs() if job["WorkDir"] == str(project.folder)]
    return {
        int(job["JobId"]): (re.fullmatch(r"rule_(\w+?)(?:_wildcards_.*)?", job["Comment"])[1], job)
        for job in ours
    }


def training(cluster: Cluster, project: Project, nth: int) -> int:
    """Wait until the nth training has finished an epoch; its job number."""

    def trainings() -> list[tuple[int, str]]:
        jobs = submitted(cluster, project).items()
        return [(number, job["JobState"]) for number, (rule, job) in jobs if rule == "train"]

    def has_started() -> bool:
        return [state for _, state in trainings()][nth - 1 :] == ["RUNNING"] and epochs(project) > 0

    until(has_started, f"start of training {nth}", END_S)
    return trainings()[-1][0]


def epochs(project: Project) -> int:
    """Complete epochs of the newest checkpoint."""
    checkpoints = (project.folder / "state/fusion/train/spm").rglob("*.safetensors")
    return max((int(path.stem.split("-")[0]) for path in checkpoints), default=0)


def processes(project: Project) -> list[list[str]]:
    """Commands of the processes that work in a project's folder."""
    running = psutil.process_iter(["cmdline", "cwd"])
    return [each.info["cmdline"] for each in running if each.info["cwd"] == str(project.folder)]


def test_videos_end_as_the_same_scores_on_a_cluster_whose_controller_restarts(
    cluster, forking, undisturbed, tmp_path
):
    """All stages from the training to the tables; those of shards are in the test of arrays."""
    project = forking
    for section in ("fusion", "score", "report"):
        shutil.rmtree(project.folder / "results" / section)
    # A job of each later rule would be nine more. A job that starts while the controller is away
    # would wait for a minute.
    cluster.hold_jobs()
    with project.running("all", "--until", "tables", *OPTIONS, log=tmp_path / "log") as running:
        until(lambda: bool(submitted(cluster, project)), "a first job", END_S)
        cluster.stop_one("slurmctld")
        cluster.start_controller()
        assert running.wait(600) == 0, (tmp_path / "log").read_text()
    jobs = dict(submitted(cluster, project).values())
    assert set(jobs) == {"train", "negatives", "maps", "baseline_maps", "scores", "tables"}
    assert {rule for rule, job in jobs.items() if job["Partition"] == "gpu"} == flow.GPU & set(jobs)
    assert {
        rule for rule, job in jobs.items() if job.get("TresPerJob") == "gres:gpu:1"
    } == flow.GPU & set(jobs)
    limits = [jobs["train"][name] for name in ("NumCPUs", "MinMemoryNode", "TimeLimit")]
    assert limits == ["8", "8000M", "3-00:00:00"]
    made = results(project)
    assert made == {name: digest for name, digest in results(undisturbed).items() if name in made}
    assert any("report/tables" in name for name in made)


def cut_in_half(path: Path) -> None:
    """Damage a file and keep its time: Snakemake does not notice; its reader fails."""
    before = path.stat()
    path.write_bytes(path.read_bytes()[: before.st_size // 2])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_failing_job_is_retried_with_twice_the_memory_and_stays_stale(cluster, forking):
    done = forking
    done.config["cluster"] = {"cpu_rules": "local"}
    cut_in_half(done.folder / "results/audio/pretrain/main/audio.safetensors")
    done.config["train"] |= {"seed": 1}
    output = done.fail("all", *OPTIONS)
    assert "no complete weights at results/audio/pretrain/main/audio.safetensors" in output
    jobs = submitted(cluster, done).values()
    assert [(rule, job["JobState"], job["MinMemoryNode"]) for rule, job in jobs] == [
        ("train", "FAILED", "8000M"), ("train", "FAILED", "16000M"),
    ]  # fmt: skip
    assert list((done.folder / "logs/slurm/rule_train/spm").glob("*.log"))
    followers = {
        "maps",
        "scores",
        "tables",
        "figures",
        "best_worst",
        "overlay_videos",
        "pages",
        "cards",
        "costs",
        "overview",
    }
    assert {"train", *followers} == set(done.stale("all"))


def pause(project: Project) -> None:
    """Stop the processes of a training for a while: they leave the CPUs to other tests.

    SLURM continues them before it ends them.
    """
    for each in psutil.process_iter(["cmdline", "cwd"]):
        is_training = "spm.fusion.train" in (each.info["cmdline"] or [])
        if is_training and each.info["cwd"] == str(project.folder):
            each.suspend()


def wait_for_an_answer(running: subprocess.Popen[str]) -> None:
    """Wait until SLURM has told Snakemake the states of its jobs.

    The plugin (2.8.0) cancels no job if Ctrl-C comes while it asks. It asks once per second.
    """
    has_asked, asks = False, True
    while asks or not has_asked:
        time.sleep(0.02)
        assert running.poll() is None
        children = psutil.Process(running.pid).children()
        with suppress(psutil.NoSuchProcess):
            asks = any(child.name() == "squeue" for child in children)
            has_asked |= asks
    time.sleep(0.1)


def test_training_continues_after_a_cancellation_a_timeout_and_ctrl_c(
    cluster, done, undisturbed, tmp_path
):
    epochs_wanted = done.config["train"]["epochs"]
    done.config["train"] |= {"epochs": LONG}
    with done.running("all", *OPTIONS, "--retries", "2", log=tmp_path / "log") as running:
        subprocess.run(["scancel", str(training(cluster, done, nth=1))], check=True)
        second, before = training(cluster, done, nth=2), epochs(done)
        until(lambda: epochs(done) > before, "another epoch", END_S)
        subprocess.run(["scontrol", "update", f"JobId={second}", "EndTime=now+3"], check=True)
        pause(done)
        third = training(cluster, done, nth=3)
        assert epochs(done) > before
        wait_for_an_answer(running)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does
        assert running.wait(END_S) != 0
    until(lambda: submitted(cluster, done)[third][1]["JobState"] == "CANCELLED", "the job's end")
    states = [job["JobState"] for _, job in submitted(cluster, done).values()]
    assert states == ["CANCELLED", "TIMEOUT", "CANCELLED"]
    assert not cluster.ask("squeue", "--noheader")
    assert not list((done.folder / ".snakemake/locks").glob("*"))
    assert not processes(done)
    done.config["train"] |= {"epochs": epochs_wanted}
    done.config["cluster"] = {}  # jobs of both partitions that end, all as users start them
    shutil.rmtree(done.folder / "results/fusion/negatives")
    done.run("all", "--until", "train", "negatives", *OPTIONS)
    ended = dict(list(submitted(cluster, done).values())[3:])
    assert {rule: job["Partition"] for rule, job in ended.items()} == {
        "train": "gpu", "negatives": "cpu",
    }  # fmt: skip
    assert results(done) == results(undisturbed)


def preempt(cluster: Cluster) -> None:
    """Submit a job of higher priority that needs the CPUs of all others."""
    cpus = f"--cpus-per-task={slurm.CPUS}"
    options = ["--partition=urgent", cpus, "--output=/dev/null", "--wrap=true"]
    subprocess.run(["sbatch", *options], check=True)


def fail_node(cluster: Cluster) -> None:
    """Declare the first node dead; it is back as soon as slurmd answers."""
    subprocess.run(
        ["scontrol", "update", f"NodeName={cluster.host}", "State=DOWN", "Reason=test"], check=True
    )


def places(project: Project) -> dict[str, str]:
    """Node of each process that trains, by its rank, as torchrun gave it."""
    running = [each.info for each in psutil.process_iter(["cwd", "environ"])]
    ours = [info["environ"] for info in running if info["cwd"] == str(project.folder)]
    return {each["RANK"]: each["SLURMD_NODENAME"] for each in ours if each and "RANK" in each}


def stop(
    cluster: Cluster, project: Project, disturb: Callable[[Cluster], None], nodes: list[str]
) -> int:
    """Disturb the training, which has a process on each node; complete epochs of its checkpoint."""
    number, start = training(cluster, project, nth=1), epochs(project)
    until(lambda: sorted(places(project).values()) == nodes, "a process on each node", END_S)
    until(lambda: epochs(project) > start, "another epoch", END_S)
    disturb(cluster)
    stopped = {"PREEMPTED", "PENDING"}
    until(
        lambda: submitted(cluster, project)[number][1]["JobState"] in stopped, "the job's stop", 60
    )
    return epochs(project)


# A training in the second case has a process on each of two nodes.
@pytest.mark.parametrize(
    ("partition", "nodes", "disturbances"),
    [("cancel", 1, [preempt, fail_node]), ("requeue", 2, [preempt])],
    ids=["PreemptMode=CANCEL, then node failure", "PreemptMode=REQUEUE, two nodes"],
)
def test_a_preempted_training_is_queued_again_and_continues_at_its_epoch(
    cluster,
    done,
    tmp_path,
    partition: str,
    nodes: int,
    disturbances: list[Callable[[Cluster], None]],
):
    done.config["train"] |= {"epochs": EPOCHS}
    done.config["cluster"] |= {"nodes": nodes}
    computing = sorted([cluster.host, slurm.SECOND]) if nodes == 2 else []
    resources = ["--set-resources", f"train:slurm_partition={partition}", "train:constraint=fast"]
    history = "results/fusion/train/spm/history.parquet"
    arguments = [*OPTIONS, "--retries", "0", *resources, "--", history]
    with done.running(*arguments, log=tmp_path / "log") as running:
        for disturb in disturbances:
            last = stop(cluster, done, disturb, computing)
        assert running.wait(END_S) == 0, (tmp_path / "log").read_text()
    ((rule, job),) = submitted(cluster, done).values()
    restarts = str(len(disturbances))
    wanted = {"JobState": "COMPLETED", "Restarts": restarts, "Features": "fast", "Requeue": "1"}
    wanted |= {"NumNodes": str(nodes), "NumTasks": str(nodes), "CPUs/Task": "8"}
    assert (rule, {name: job[name] for name in wanted}) == ("train", wanted)
    assert job["MinMemoryNode"] == "8000M"
    log = (done.folder / "logs/fusion/train/spm.log").read_text()
    # The processes may finish another epoch before SLURM has ended them.
    assert int(re.search(rf"spm: continues at epoch (\d+) of {EPOCHS}", log)[1]) > last
    losses = tables.read(done.folder / history).to_pandas().query("name == 'loss'")
    assert losses["epoch"].tolist() == [*range(EPOCHS)]
    assert not processes(done)


def state(cluster: Cluster, number: str) -> str:
    return cluster.ask(
        "squeue", "--states=all", "--noheader", "--format=%T", "--jobs", number
    ).strip()


@pytest.fixture
def query(monkeypatch) -> Callable[[str], tuple[dict[str, str], float]]:
    """The plugin's question for the states of jobs, as the workflow changes it."""
    monkeypatch.setattr(plugin, "query_job_status", plugin.query_job_status)
    preemption.requeue_lost_jobs()
    return lambda command: asyncio.run(plugin.query_job_status(command, LOG))


def test_a_lost_job_is_queued_again_only_if_slurm_has_not_done_so_and_permits_it(
    cluster, query, caplog
):
    options = ["--parsable", "--partition=cancel", "--output=/dev/null", "--wrap=sleep 100"]
    number = cluster.ask("sbatch", "--no-requeue", *options).strip()
    until(lambda: state(cluster, number) == "RUNNING", "the job's start")
    assert preemption.requeue(number, "PREEMPTED", LOG) == "RUNNING"
    preempt(cluster)
    until(lambda: state(cluster, number) == "PREEMPTED", "the preemption")
    cluster.stop_one("slurmctld")
    assert preemption.requeue(number, "PREEMPTED", LOG) == "PREEMPTED"
    assert query("squeue") == ({}, 0.0)  # None would make the plugin forget its jobs
    cluster.start_controller()
    assert not caplog.messages
    assert preemption.requeue(number, "PREEMPTED", LOG) == "CANCELLED"
    assert preemption.requeue("987654", "NODE_FAIL", LOG) == "CANCELLED"
    assert re.fullmatch(
        f"SLURM job {number}: PREEMPTED; it cannot be queued again: .*disabled for job.*",
        caplog.messages[0],
    )


def test_shards_are_submitted_as_arrays_and_a_failed_shard_is_named(cluster, forking, undisturbed):
    project = forking
    for stage in ("clips", "videos", "spectrograms"):
        shutil.rmtree(project.folder / "results/corpus" / stage)
    targets = [f"results/corpus/spectrograms/{shard:04d}.parquet" for shard in range(2)]
    ledger = project.folder / "results/corpus/fetch/0000.parquet"
    whole = ledger.read_bytes()
    cut_in_half(ledger)
    arrays = [*OPTIONS, "--slurm-array-jobs", "clips,spectrograms", "--keep-going"]
    # A task of an array ends with an error if the first task has made no file; it waits for it.
    output = project.fail(*targets, *arrays, "--retries", "0", "--latency-wait", "3")
    assert "fetch/0000.parquet is not a complete Parquet file" in output
    assert list((project.folder / "logs/slurm").rglob("*.log"))
    clips = [job for rule, job in submitted(cluster, project).values() if rule == "clips"]
    assert {job.get("ArrayTaskId") for job in clips} == {"1", "2"}
    ledger.write_bytes(whole)
    project.run(*targets, *arrays)
    assert not project.stale("--cores", "1", "--", *targets)
    made = results(project)
    assert {made[name] for name in made if "/spectrograms/" in name} == {
        digest for name, digest in results(undisturbed).items() if "/spectrograms/" in name
    }
