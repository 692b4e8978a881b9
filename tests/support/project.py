"""A working directory in which Snakemake runs for real."""

import json
import os
import re
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

ROOT = Path(__file__).parents[2]
CODE = [
    "Snakefile",
    "config.yaml",
    "rules",
    "envs",
    "spm",
    "workflow",
]  # what a checkout needs to plan


def checkout(to: Path) -> Path:
    """A copy of the code."""
    to.mkdir()
    for name in CODE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, to / name)
    return to


class Project:
    """A working directory with a config of its own."""

    def __init__(
        self,
        folder: Path,
        config: dict,
        basedir: Path = ROOT,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.folder, self.basedir, self.environment = folder, basedir, environment
        self.config = json.loads(json.dumps(config))
        self.cores = ["--cores", "2"]

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command, environment = self._command(arguments)
        return subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, check=False, env=environment
        )

    @contextmanager
    def begun(self, *arguments: str, said: Path) -> Iterator["subprocess.Popen[str]"]:
        """Snakemake under way; what is left of it in the end is killed."""
        process = self.begin(*arguments, said=said)
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def begin(self, *arguments: str, said: Path) -> "subprocess.Popen[str]":
        """Start Snakemake in a process group of its own, which hears Ctrl-C as in a terminal."""
        command, environment = self._command(arguments)
        with said.open("w") as out:
            return subprocess.Popen(
                ["env", "--default-signal=INT", *command], stdout=out, stderr=out, text=True, cwd=self.folder,
                env=environment, start_new_session=True,
            )  # fmt: skip

    def _command(self, arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        (self.folder / "mine.yaml").write_text(yaml.safe_dump(self.config))
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            str(self.basedir / "Snakefile"),
            "--configfile",
        ]
        files = [str(self.folder / "mine.yaml"), "--directory", str(self.folder), *self.cores]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return [*command, *files, *arguments], {**os.environ, "PATH": path, **self.environment}

    def run(self, *arguments: str) -> str:
        done = self.snakemake(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def stale(self, *arguments: str) -> Counter[str]:
        """The jobs that a run would have, by rule."""
        said = self.run("--dry-run", *arguments)
        jobs = (
            re.findall(r"^(\w+) +(\d+)$", said.split("Job stats:")[1].split("\n\n")[0], re.M)
            if "Job stats:" in said
            else []
        )
        return Counter({rule: int(count) for rule, count in jobs if rule not in ("all", "total")})
