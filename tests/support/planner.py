"""Plans of Snakemake in a tenth of the time of its command line.

A server process imports Snakemake and makes one plan; then it forks for every request. The forked
process runs Snakemake's command line in-process and ends, for a plan, with the finished graph of
jobs. It reads every file again; what it takes from the server are the parsed forms of rules,
config files and modules, which depend on nothing but the text of a file.

test_staleness.py compares a sample of these plans with those of the real command line.
Run as a script, this module is the server.
"""

import atexit
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType, SimpleNamespace
from typing import Any, NamedTuple

PACKAGE = "spm"
DIGEST, YAML_FILE = "spm.base.digest", "spm.base.yaml_file"


class Job(NamedTuple):
    """One job of a plan."""

    rule: str
    wildcards: frozenset[tuple[str, str]]

    def __str__(self) -> str:
        return self.rule + "".join(f"[{value}]" for _, value in sorted(self.wildcards))


class Plan(NamedTuple):
    """The graph of jobs, `all` left out."""

    jobs: frozenset[Job]
    stale: frozenset[Job]  # the jobs that would run


class Planner:
    """Client of a server process that has imported the package of one checkout.

    Parameters
    ----------
    checkout : Path
        Folder of the Snakefile.
    environment : mapping of str to str
        Environment variables that differ from those of this process.
    """

    def __init__(
        self, checkout: Path, environment: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.checkout = checkout
        command = [sys.executable, "-P", __file__, str(checkout)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1", **environment},
        )

    def run(
        self,
        arguments: Iterable[str],
        folder: Path,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> subprocess.CompletedProcess[str]:
        """Run Snakemake's command line in a folder; `stdout` has its output and its errors."""
        answer = self._ask(arguments, folder, environment=dict(environment))
        return subprocess.CompletedProcess([], answer["status"], answer["output"], "")

    def plan(
        self,
        arguments: Iterable[str],
        folder: Path,
        environment: Mapping[str, str] = MappingProxyType({}),
        changed: Iterable[Path] = (),
    ) -> Plan:
        """Plan what the arguments of a dry run ask for.

        Parameters
        ----------
        arguments : iterable of str
            Arguments of Snakemake's command line, with --snakefile and --dry-run.
        folder : Path
            The working directory.
        environment : mapping of str to str
            Environment variables that differ from those of the server.
        changed : iterable of Path
            Files of the checkout whose content has changed since the server started.
        """
        request = {"environment": dict(environment), "changed": list(map(str, changed))}
        answer = self._ask(arguments, folder, plan=True, **request)
        assert answer["jobs"] is not None, answer["output"]
        rows = [(Job(rule, frozenset(pairs.items())), run) for rule, pairs, run in answer["jobs"]]
        stages = [(job, run) for job, run in rows if job.rule != "all"]
        return Plan(
            frozenset(job for job, _ in stages), frozenset(job for job, run in stages if run)
        )

    def close(self) -> None:
        """End the server."""
        self._process.communicate()

    def _ask(self, arguments: Iterable[str], folder: Path, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        words = list(map(str, arguments))
        line = json.dumps({"arguments": words, "folder": str(folder), **request})
        print(line, file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@cache
def planner_of(checkout: Path) -> Planner:
    """The planner of a checkout that all tests of a process share."""
    planner = Planner(checkout)
    atexit.register(planner.close)
    return planner


# The server.


def _remember(function: Callable[..., Any], file_of: Callable[..., Path]) -> Callable[..., Any]:
    """A function of a file that is called once for each content of the file."""
    results: dict[tuple[Any, ...], Any] = {}

    def remembered(*arguments: Any) -> Any:
        key = (*arguments, file_of(*arguments).read_bytes())
        if key not in results:
            results[key] = function(*arguments)
        return results[key]

    return remembered


def _remember_rules(parse: Callable[..., Any]) -> Callable[..., Any]:
    """Snakemake's parser, called once for each content of a file of rules."""
    results: dict[tuple[str, str, int], tuple[str, int, dict[int, int]]] = {}

    def remembered(source: Any, workflow: Any, linemap: dict[int, int], rulecount: int = 0) -> Any:
        path = source.get_path_or_uri(secret_free=True)
        key = (path, Path(path).read_text(), rulecount)
        if key not in results:
            lines: dict[int, int] = {}
            results[key] = (*parse(source, workflow, linemap=lines, rulecount=rulecount), lines)
        code, count, lines = results[key]
        linemap |= lines
        return code, count

    return remembered


def _remember_options(make_parser: Callable[..., Any]) -> Callable[..., Any]:
    """The maker of the parser of the command line, called once where there is no profile."""
    plain = make_parser()
    return lambda profiles=None: make_parser(profiles=profiles) if profiles else plain


def _remember_parsing() -> None:
    """Parse each content of a file of rules, a config file and a module once."""
    from snakemake import cli, workflow
    from snakemake.common import configfile

    digest = sys.modules[DIGEST]
    load = _remember(configfile._load_configfile, Path)
    workflow.parse = _remember_rules(workflow.parse)
    workflow.compile = cache(compile)  # found before the builtin function of that name
    cli.get_argument_parser = _remember_options(cli.get_argument_parser)
    configfile._load_configfile = lambda path: deepcopy(load(path))
    # Within one plan, a file does not change.
    digest._source = cache(_remember(digest._source.__wrapped__, digest._source_file))
    digest._source_file = cache(digest._source_file)
    yaml_file = sys.modules[YAML_FILE]
    read = _remember(yaml_file.read, Path)
    yaml_file.read = lambda path: deepcopy(read(path))


def _modules() -> dict[str, ModuleType]:
    return {name: m for name, m in sys.modules.items() if name.split(".")[0] == PACKAGE}


def _forget(changed: Iterable[str], *, everything: bool) -> None:
    """Empty the caches of the package's modules; where one of them has changed, drop them all."""
    modules = _modules()
    for module in modules.values():
        for value in list(vars(module).values()):
            if hasattr(value, "cache_clear"):
                value.cache_clear()
    files = {module.__file__ for module in modules.values()}
    if everything or not files.isdisjoint(changed):
        keep_digest = not everything and modules[DIGEST].__file__ not in changed
        for name in modules:
            if name != DIGEST or not keep_digest:
                del sys.modules[name]


def _stop_after_plan(out: Path) -> None:
    """Write the graph of jobs and end the process, before Snakemake prints and schedules them."""
    from snakemake.workflow import Workflow

    build = Workflow._build_dag

    def build_and_stop(self: Workflow) -> None:
        build(self)
        dag = self.dag
        jobs = [(job.rule.name, dict(job.wildcards_dict), dag.needrun(job)) for job in dag.jobs]
        out.write_text(json.dumps(jobs))
        os._exit(0)

    Workflow._build_dag = build_and_stop


def _shorten_pauses() -> None:
    """With --touch, Snakemake waits 0.1 s after each job, so that the times of files differ."""
    from snakemake.executors import touch

    touch.time = SimpleNamespace(sleep=lambda _: time.sleep(0.005))


def _snakemake(arguments: list[str]) -> int:
    """Exit status of Snakemake's command line."""
    from snakemake.cli import main

    try:
        main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def _redirect(file: Path) -> None:
    """Let this process write what it prints into a file."""
    sys.stdout.flush()
    out = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    for descriptor in (1, 2):
        os.dup2(out, descriptor)


def _fork(request: Mapping[str, Any], checkout: Path, scratch: Path) -> int:
    """Work of a forked process: its output goes to one file, the jobs to another."""
    _redirect(scratch / "output")
    os.chdir(request["folder"])
    os.environ.update(request.get("environment", {}))
    arguments = request["arguments"]
    snakefile = Path(arguments[arguments.index("--snakefile") + 1])
    _forget(request.get("changed", ()), everything=snakefile.resolve().parent != checkout)
    _shorten_pauses()
    if request.get("plan"):
        _stop_after_plan(scratch / "jobs")
    return _snakemake(arguments)


def _answer(request: Mapping[str, Any], checkout: Path, scratch: Path) -> dict[str, Any]:
    jobs = scratch / "jobs"
    jobs.unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = _fork(request, checkout, scratch)
        except BaseException:  # noqa: BLE001 (a forked process must not return)
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    output = (scratch / "output").read_text()
    found = json.loads(jobs.read_text()) if jobs.exists() else None
    return {"status": status, "output": output, "jobs": found}


def _serve(checkout: Path, scratch: Path) -> None:
    """Make one plan, then answer each request in a process of its own."""
    answers = os.fdopen(os.dup(1), "w")
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    sys.path.insert(0, str(checkout))
    for module in (DIGEST, YAML_FILE):
        __import__(module)
    _remember_parsing()
    _redirect(scratch / "output")
    snakefile = str(checkout / "Snakefile")
    _snakemake(["all", "--dry-run", "--snakefile", snakefile, "--directory", str(scratch)])
    gc.collect()
    gc.disable()  # a collection in a forked process copies the memory that it shares
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line), checkout, scratch)), file=answers, flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        _serve(Path(sys.argv[1]).resolve(), Path(folder))
