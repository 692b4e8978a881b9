"""A working directory in which Snakemake runs for real."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import yaml

from tests.support import preloaded
from tests.support.planner import planner_of

ROOT = Path(__file__).parents[2]
# What a checkout needs to plan.
CODE = ["Snakefile", "config.yaml", "rules", "envs", "spm", "workflow"]
WITHOUT_JOBS = {"--dry-run", "--lint"}


def checkout(folder: Path) -> Path:
    """Copy the code into a new folder."""
    folder.mkdir()
    for name in CODE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    return folder


class Project:
    """A working directory with a config of its own.

    Snakemake and its jobs are forks of processes that have imported Snakemake (planner.py) and
    torch (preloaded.py), which takes a tenth of the time.

    Parameters
    ----------
    folder : Path
        The working directory.
    config : mapping
        What differs from the defaults.
    environment : mapping of str to str
        Environment variables that differ from those of this process.
    as_users : bool
        Start Snakemake and its jobs as users do. `start` and `running` always do.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, object],
        environment: Mapping[str, str] = MappingProxyType({}),
        *,
        as_users: bool = False,
    ) -> None:
        self.folder, self.environment, self.as_users = folder, environment, as_users
        self.config = json.loads(json.dumps(config))
        self.cores = ["--cores", "2"]
        self.program = ["-m", "snakemake"]

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake; `stdout` has its output and its errors."""
        words = self._arguments(arguments)
        if WITHOUT_JOBS.intersection(arguments):
            return planner_of(ROOT).run(words, self.folder, self.environment)
        if not self.as_users:
            environment = {"PATH": preloaded.search_path(), **self.environment}
            return planner_of(ROOT).run(words, self.folder, environment)
        return subprocess.run(
            [sys.executable, *self.program, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            check=False,
            env=self._environment(),
        )

    def run(self, *arguments: str) -> str:
        """Run Snakemake, which must succeed; its output."""
        done = self.snakemake(*arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def fail(self, *arguments: str) -> str:
        """Run Snakemake, which must fail; its output."""
        done = self.snakemake(*arguments)
        assert done.returncode != 0, done.stdout
        return done.stdout

    def stale(self, *arguments: str) -> Counter[str]:
        """How many jobs of each rule would run."""
        words = self._arguments(["--dry-run", *arguments])
        plan = planner_of(ROOT).plan(words, self.folder, self.environment)
        return Counter(job.rule for job in plan.stale)

    @contextmanager
    def running(self, *arguments: str, log: Path) -> Iterator["subprocess.Popen[str]"]:
        """Snakemake while it runs; what still runs in the end is killed."""
        process = self.start(*arguments, log=log)
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def start(self, *arguments: str, log: Path) -> "subprocess.Popen[str]":
        """Start Snakemake in its own process group, in which Ctrl-C works as in a terminal."""
        command = [sys.executable, *self.program, *self._arguments(arguments)]
        with log.open("w") as out:
            return subprocess.Popen(
                ["env", "--default-signal=INT", *command],
                stdout=out,
                stderr=out,
                text=True,
                cwd=self.folder,
                env=self._environment(),
                start_new_session=True,
            )

    def _arguments(self, arguments: Sequence[str]) -> list[str]:
        """Write the config; the arguments of Snakemake."""
        config = self.folder / "mine.yaml"
        config.write_text(yaml.safe_dump(self.config))
        files = {"--configfile": config, "--snakefile": ROOT / "Snakefile"}
        words = [word for name, path in files.items() for word in (name, str(path))]
        return [*words, "--directory", str(self.folder), *self.cores, *arguments]

    def _environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, **self.environment}
