"""Kill a workflow at random moments, let it finish, and compare its results with undisturbed ones.

python -m tests.support.faults --moments 50     on the smallest corpus

A server on this machine serves the videos slowly, so that kills also hit downloads.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

import psutil

from tests.support.project import Project
from tests.support.slurm import until
from tests.support.web import serving
from tests.workflow.conftest import new_project, results, write_videos

AFTER_S = (2.0, 14.0)  # after the start of Snakemake; the first two seconds are its own
KILLS = ("everything", "snakemake", "a job")
RERUN = ("all", "--rerun-incomplete")
PAUSE_S = 0.05  # after each KiB that is served: a video takes some seconds


def served_project(videos: Path, root: str, folder: Path) -> Project:
    """The smallest project, with addresses in place of the paths of its videos."""
    project = new_project(videos, folder)
    manifest = folder / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(str(videos), root))
    project.config["fetch"] = {"sleep_s": 0, "backoff_s": 0.1, "private_hosts": ["127.0.0.1"]}
    return project


def compared(project: Project) -> dict[str, str]:
    """Digests of the results, without those that name the places of the videos."""
    places = ("corpus/fetch/", "report/cards/", "report/costs", "README.md")
    return {name: value for name, value in results(project).items() if not name.startswith(places)}


def _descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def _running_stage(processes: list[psutil.Process]) -> str:
    """The stage that runs, by its command line."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if (words := process.cmdline())[1:2] == ["-m"]:
                return words[2].split(".")[-1]
    return "between jobs"


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def strike(
    snakemake: subprocess.Popen[str], target: str, rng: Random
) -> tuple[str, list[psutil.Process]]:
    """Kill one of KILLS with SIGKILL; the stage that ran, and the processes below Snakemake."""
    processes = _descendants(snakemake)
    stage = _running_stage(processes)
    if target == "a job":
        _kill([rng.choice(processes)] if processes else [])
        with suppress(subprocess.TimeoutExpired):
            snakemake.wait(60)  # Snakemake notices the failed job and ends
    snakemake.kill()
    _kill(processes if target == "everything" else [])
    snakemake.wait()
    return stage, processes


def disturb(project: Project, moments: int, rng: Random) -> Counter[tuple[str, str]]:
    """Kill a workflow `moments` times, then let it finish; count the kills by target and stage.

    The first kill comes during a download. A workflow that ends before it is killed starts again
    from nothing.
    """
    hits: Counter[tuple[str, str]] = Counter()
    orphans: list[psutil.Process] = []
    log = project.folder / "log"
    while hits.total() < moments:
        snakemake = project.start(*RERUN, log=log)
        after_s = rng.uniform(*AFTER_S)
        if not hits:
            until(lambda: _running_stage(_descendants(snakemake)) == "fetch", "a download", 120)  # noqa: B023
            after_s = rng.uniform(0, 2)
        with suppress(subprocess.TimeoutExpired):
            snakemake.wait(after_s)
        if snakemake.poll() is None:
            target = rng.choice(KILLS)
            stage, survivors = strike(snakemake, target, rng)
            orphans += survivors  # they run on beside the next run
            hits[target, stage] += 1
        else:
            assert snakemake.returncode == 0, log.read_text()
            _kill(orphans)
            for name in ("results", "state", "store", ".snakemake"):
                shutil.rmtree(project.folder / name)
        project.run("--unlock")
    project.run(*RERUN)
    _kill(orphans)
    return hits


def main() -> None:
    """Run undisturbed, run disturbed, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        videos = write_videos(Path(scratch, "videos"))
        os.environ["no_proxy"] = "*"
        undisturbed = new_project(videos, Path(scratch, "undisturbed"))
        undisturbed.run("all")
        with serving(videos, PAUSE_S) as root:
            disturbed = served_project(videos, root, Path(scratch, "disturbed"))
            hits = disturb(disturbed, options.moments, Random(options.seed))
        for (target, stage), count in sorted(hits.items()):
            print(f"{count:3} × {target} killed during {stage}")
        expected, actual = compared(undisturbed), compared(disturbed)
        different = sorted(name for name in expected if actual.get(name) != expected[name])
        print(f"{hits.total()} kills; {len(expected)} results, {len(different)} of them differ")
        print("\n".join(different))
        sys.exit(bool(different))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that started processes end
    main()
