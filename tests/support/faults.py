"""Kill a workflow at random moments, again and again, and run it to its end: what is lost is the job that was killed.

python -m tests.support.faults --moments 50    on the smallest corpus; says whether the results are those of an undisturbed run
"""

import argparse
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
from tests.workflow.conftest import begun, filmed, results

AFTER_S = (2.0, 14.0)  # from Snakemake's start: the first two seconds are its own
KILLS = ("everything", "snakemake", "a job")
AGAIN = ("all", "--rerun-incomplete")


def _family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def _rule(family: list[psutil.Process]) -> str:
    """The stage that is running, by its command line."""
    for each in family:
        with suppress(psutil.NoSuchProcess):
            if (words := each.cmdline())[1:2] == ["-m"]:
                return words[2].split(".")[-1]
    return "between jobs"


def _kill(several: list[psutil.Process]) -> None:
    for each in several:
        with suppress(psutil.NoSuchProcess):
            each.kill()


def strike(
    running: subprocess.Popen[str], what: str, random: Random
) -> tuple[str, list[psutil.Process]]:
    """Kill with SIGKILL: everything, Snakemake alone, or one process below it; what was hit, and who was there."""
    family = _family(running)
    rule = _rule(family)
    if what == "a job":
        _kill([random.choice(family)] if family else [])
        with suppress(subprocess.TimeoutExpired):
            running.wait(60)  # Snakemake notices, and ends by itself
    running.kill()
    _kill(family if what == "everything" else [])
    running.wait()
    return rule, family


def disturb(project: Project, moments: int, random: Random) -> Counter[tuple[str, str]]:
    """Kill so many times, beginning anew whenever the workflow gets to its end, and let it end; what was hit."""
    hits: Counter[tuple[str, str]] = Counter()
    orphans: list[psutil.Process] = []
    while hits.total() < moments:
        running = project.begin(*AGAIN, said=project.folder / "said")
        with suppress(subprocess.TimeoutExpired):
            running.wait(random.uniform(*AFTER_S))
        if running.poll() is None:
            what = random.choice(KILLS)
            rule, left = strike(running, what, random)
            orphans += left  # they go on beside the next run
            hits[what, rule] += 1
        else:
            assert running.returncode == 0, (project.folder / "said").read_text()
            _kill(orphans)
            for name in ("results", "state", ".snakemake"):
                shutil.rmtree(project.folder / name)
        project.run("--unlock")
    project.run(*AGAIN)
    _kill(orphans)
    return hits


def main() -> None:
    """Run undisturbed, run disturbed, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        films = filmed(Path(scratch, "films"))
        calm, wild = (begun(films, Path(scratch, name)) for name in ("calm", "wild"))
        calm.run("all")
        hits = disturb(wild, given.moments, Random(given.seed))
        for (what, rule), count in sorted(hits.items()):
            print(f"{count:3} × {what} killed, while it was at {rule}")
        differ = {
            name for name, digest in results(calm).items() if results(wild).get(name) != digest
        }
        print(
            f"{hits.total()} kills; {len(results(calm))} results, {len(differ)} of them differ: {sorted(differ)}"
        )
        sys.exit(bool(differ))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends
    main()
