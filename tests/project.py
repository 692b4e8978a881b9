"""A working directory in which Snakemake runs for real."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import yaml

ROOT = Path(__file__).parents[1]


class Project:
    """A working directory with a config of its own."""

    def __init__(
        self, folder: Path, config: dict, basedir: Path = ROOT, environment: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.folder, self.basedir, self.environment = folder, basedir, environment
        self.config = json.loads(json.dumps(config))

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "mine.yaml").write_text(yaml.safe_dump(self.config))
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(self.basedir / "Snakefile"), "--configfile"]
        files = [str(self.folder / "mine.yaml"), "--directory", str(self.folder), "--cores", "2"]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, **self.environment}
        return subprocess.run(
            [*command, *files, *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder,
            check=False,
            env=environment,
        )

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
