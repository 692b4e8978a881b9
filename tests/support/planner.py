"""Snakemake's plans, many of them quickly: it is imported once, and forked for each call.

A plan is made by Snakemake's own command line, in a process of its own; only its two seconds of imports are shared.
Run as a script, it reads the calls as JSON and writes what each said.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

AT_ONCE = 2


class Call(NamedTuple):
    """One call of Snakemake."""

    basedir: str  # of the Snakefile
    folder: str  # the working directory
    arguments: Sequence[str]


class Job(NamedTuple):
    """One job of a plan."""

    rule: str
    wildcards: frozenset[tuple[str, str]]

    def __str__(self) -> str:
        return self.rule + "".join(f"[{value}]" for _, value in sorted(self.wildcards))


def job(rule: str, wildcards: Mapping[str, str]) -> Job:
    return Job(rule, frozenset(wildcards.items()))


def plans(
    calls: Sequence[Call], environment: Mapping[str, str] = MappingProxyType({})
) -> list[frozenset[Job]]:
    """The jobs that each call would run, `all` left out."""
    [(commonest, _)] = Counter(call.basedir for call in calls).most_common(1)
    groups = {commonest: [call for call in calls if call.basedir == commonest]}
    groups |= {"": [call for call in calls if call.basedir != commonest]}
    said = {}
    for basedir, some in groups.items():
        said |= dict(zip(map(str, some), _served(basedir, some, environment), strict=True))
    return [_jobs(said[str(call)]) for call in calls]


def _served(basedir: str, calls: Sequence[Call], environment: Mapping[str, str]) -> list[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", __file__, basedir],
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        env={**inherited, "PATH": path, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def _jobs(said: str) -> frozenset[Job]:
    assert "Nothing to be done" in said or "This was a dry-run" in said, said
    blocks = re.split(r"^(?:local)?rule (\w+):\n", said, flags=re.M)[1:]
    found = set()
    for rule, block in zip(blocks[::2], blocks[1::2], strict=True):
        listed = re.search(r"^    wildcards: (.*)$", block.split("\n\n")[0], re.M)
        pairs = re.findall(r"(\w+)=([^,]*)", listed[1]) if listed else []
        found.add(job(rule, dict(pairs)))
    return frozenset(each for each in found if each.rule != "all")


def _plan(call: Call) -> int:
    """Snakemake's exit status; its output goes where this process's does."""
    from snakemake.cli import main

    os.chdir(call.folder)
    arguments = [
        "--snakefile",
        f"{call.basedir}/Snakefile",
        "--directory",
        call.folder,
        "--cores",
        "2",
    ]
    try:
        main([*arguments, *call.arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def _begin(call: Call, out: int) -> int:
    """Fork; the child plans, and writes to `out`."""
    pid = os.fork()
    if pid == 0:
        os.dup2(out, 1)
        os.dup2(out, 2)
        status = _plan(call)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return pid


def _serve(calls: Sequence[Call], folder: Path) -> list[str]:
    files = [folder / str(number) for number in range(len(calls))]
    running: set[int] = set()
    for call, file in zip(calls, files, strict=True):
        if len(running) == AT_ONCE:
            running.remove(os.wait()[0])
        with file.open("w") as out:
            running.add(_begin(call, out.fileno()))
    while running:
        running.remove(os.wait()[0])
    return [file.read_text() for file in files]


def _warm(basedir: str) -> None:
    """Import and digest the code that all calls share; without any, what every call needs beside this package."""
    for name in ("jsonschema", "pydantic", "smart_open", "snakemake.cli"):
        import_module(name)
    if basedir:
        sys.path.insert(0, basedir)
        rules = "".join(path.read_text() for path in Path(basedir, "rules").iterdir())
        for stage in re.findall(r'code_of\("([\w.]+)"\)', rules):
            import_module("spm.base.digest").code_digest(stage)
        for name in ("checks", "shards", "config"):
            import_module(f"spm.base.{name}")
        import_module("spm.corpus.manifest")


if __name__ == "__main__":
    _warm(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(_serve([Call(*call) for call in json.load(sys.stdin)], Path(folder))))
