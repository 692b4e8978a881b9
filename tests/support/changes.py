"""What somebody may do to a project that is up to date: to each key, module and file, and the jobs that this enters."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml
from jsonschema import Draft202012Validator

from tests.support import flow
from tests.support.project import ROOT

SCHEMA = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text())["properties"]
DEFAULTS = yaml.safe_load((ROOT / "config.yaml").read_text())
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "spm").rglob("*.py"))
RULES = [
    "Snakefile",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "rules").iterdir()),
]
DECLARE = "tests/workflow/flow.py"
HEADER = "video_id,url,kind,categories\n"
ROW = "{0},{0}.mp4,solo,flute\n"
BOXES = "video_id,time_s,category,x,y,w,h\na,0,flute,0,0,1,1\n"

REVIEWS = "clip_id,frame,box,verdict,reviewer\n"

Edits = Mapping[str, Callable[[str], str]]  # a file: its new text, from its old one


class Change(NamedTuple):
    """What somebody does to a project that is up to date, and the jobs that this makes stale by itself."""

    name: str
    jobs: tuple[str, ...]  # stages, or stage[wildcard]
    config: Mapping[str, Any] = MappingProxyType({})  # laid over the project's
    files: Edits = MappingProxyType({})  # of the working directory
    code: Edits = MappingProxyType({})  # of the checkout
    older: bool = False  # the files are put there from a backup, with the times of long ago


def laid_over(below: Any, above: Any) -> Any:
    """One config over another, as Snakemake lays them."""
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return above
    return {**below, **{key: laid_over(below.get(key), value) for key, value in above.items()}}


def other(value: Any, schema: Mapping[str, Any]) -> Any:
    """A legal value of a key that is not its present one; LookupError where none comes to mind."""
    numbers = [value + 1, value - 1, value * 0.9] if type(value) in (int, float) else []
    words = [f"{value}-more"] if isinstance(value, str) else []
    maps = [{**value, "more": "more"}] if isinstance(value, Mapping) else []
    choices = [one for part in (schema, *schema.get("anyOf", ())) for one in part.get("enum", ())]
    legal = Draft202012Validator(schema).is_valid
    for each in [*choices, *numbers, *words, *maps, value is not True, 1, 0.5, "more"]:
        if each != value and legal(each):
            return each
    raise LookupError


def of_key(section: str, key: str, value: Any) -> Change:
    """Another value of one key."""
    name = f"{section}.{key}"
    if name in flow.ENTERS:
        return Change(name, flow.ENTERS[name].jobs, {section: {key: flow.ENTERS[name].value}})
    if section == "methods":  # a method's keys are those of its runs
        jobs = tuple(
            f"train[{run}]" for run, row in flow.RUNS.items() if row.get("method", "spm") == key
        )
        return Change(name, jobs, {section: {key: {"weight_decay": 0.5}}})
    if section not in flow.READS:
        raise LookupError(
            f"config.yaml has {name}, which is named as no stage: say in ENTERS of {DECLARE} what reruns"
        )
    try:
        changed = other(value, SCHEMA[section]["properties"][key])
    except LookupError:
        raise LookupError(
            f"{name}: {value!r}: add a legal other value to ENTERS of {DECLARE}"
        ) from None
    jobs = () if key in flow.HOW.get(section, ()) else (section,)
    return Change(name, jobs, {section: {key: changed}})


def of_config() -> Iterator[Change]:
    """Every key of config.yaml, and the rows of `audio` and `runs`."""
    for section, keys in DEFAULTS.items():
        if section not in ("audio", "runs"):
            yield from (
                of_key(section, key, flow.CONFIG.get(section, {}).get(key, v))
                for key, v in keys.items()
            )
    for name, (value, jobs) in flow.ENTERS.items():
        if name.startswith(("audio ", "runs ")):
            yield Change(name, jobs, {name.split()[0]: value})


def modules_of() -> dict[str, list[str]]:
    """Of each stage, or stage[run] where the run's method has code of its own, the modules that its command starts."""
    rules = re.split(r"^rule ", "".join((ROOT / path).read_text() for path in RULES), flags=re.M)[
        1:
    ]
    found = {rule.split(":")[0]: re.findall(r"-m (spm\.[\w.]+)", rule) for rule in rules}
    stages = {stage: modules for stage, modules in found.items() if modules}
    for stage in ("train", "maps"):
        of_stage = stages.pop(stage)
        for run, row in flow.RUNS.items():
            stages[f"{stage}[{run}]"] = [
                *of_stage,
                f"spm.fusion.methods.{row.get('method', 'spm')}",
            ]
    return stages


@cache
def importers() -> dict[str, set[str]]:
    """Of each module, the stages for which Python really loads it."""
    script = """if True:
        import importlib, json, sys
        loaded = {}
        for stage, names in json.loads(sys.argv[1]).items():
            for old in [each for each in sys.modules if each.split(".")[0] == "spm"]:
                del sys.modules[old]
            for name in names:
                importlib.import_module(name)
            loaded[stage] = [m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "spm"]
        print(json.dumps(loaded))
    """
    said = subprocess.run(
        [sys.executable, "-c", script, json.dumps(modules_of())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, set[str]] = {module: set() for module in MODULES}
    for stage, files in json.loads(said.stdout).items():
        for file in files:
            found[Path(file).relative_to(ROOT).as_posix()].add(stage)
    for module, stages in flow.LATE.items():
        found[module].update(stages)
    return found


def of_modules() -> Iterator[Change]:
    """Every module of the package; `importers` says which jobs that enters. The demo's overlay_videos enter by the manifest."""
    overlay_videos = {module for module in MODULES if module.startswith("spm/demo/")}
    yield Change("spm/demo/*.py", (), code=dict.fromkeys(overlay_videos, changed))
    for module in MODULES:
        if module not in overlay_videos:
            yield Change(module, (), code={module: changed})


def changed(text: str) -> str:
    return text + "\nCHANGED = True\n"


def entered(change: Change) -> tuple[str, ...]:
    """The jobs that a change makes stale by itself."""
    return tuple(importers().get(change.name, change.jobs))


def of_environments() -> Iterator[Change]:
    """Every file of packages; planned under --use-conda."""
    for path in sorted((ROOT / "envs").glob("*.yaml")):
        file = f"envs/{path.name}"
        if path.stem not in flow.ENVIRONMENTS:
            raise LookupError(f"{file}: say in ENVIRONMENTS of {DECLARE} which stages run in it")
        yield Change(
            file, flow.ENVIRONMENTS[path.stem], code={file: lambda text: text + "  - more\n"}
        )


def documented(text: str) -> str:
    """The same code with a comment, a blank line, and another docstring at its top."""
    parts = re.fullmatch(r'(""".*?"""\n)?(.*)', text, re.S)
    return f'"""Said otherwise."""\n\n# Why.\n{parts[2]}'


def of_files() -> Iterator[Change]:
    """The manifest and the boxes; and what changes no result."""
    manifest, boxes = "manifest.csv", "boxes.csv"
    first = ("fetch[0000]", "index")
    yield Change(
        "manifest: a new video", first, files={manifest: lambda text: text + ROW.format("e")}
    )
    yield Change(
        "manifest: one less",
        first,
        files={manifest: lambda text: text.replace(ROW.format("d"), "")},
    )
    yield Change(
        "manifest: another address",
        first,
        files={manifest: lambda text: text.replace("d.mp4", "d.mkv")},
    )
    yield Change("manifest: another order", ("index",), files={manifest: reordered})
    yield Change(
        "manifest: an older one, in another order",
        ("index",),
        files={manifest: reordered},
        older=True,
    )
    yield Change("manifest: touched", (), files={manifest: unchanged})
    fewer = {boxes: lambda text: text.replace("1,1", "1,0.5")}
    decided = {"reviews.csv": lambda text: text + text}
    yield Change("boxes.csv", ("annotations[given]",), files=fewer)
    yield Change("boxes.csv: an older one", ("annotations[given]",), files=fewer, older=True)
    yield Change("reviews.csv: a decision", ("annotations",), files=decided)
    yield Change("reviews.csv: an older one", ("annotations",), files=decided, older=True)
    yield Change("boxes.csv: touched", (), files={boxes: unchanged})
    yield Change(
        "code: comments, docstrings, blank lines", (), code=dict.fromkeys(MODULES, documented)
    )
    yield Change(
        "rules: comments", (), code=dict.fromkeys(RULES, lambda text: text + "\n\n# Why.\n")
    )
    yield Change("code: a moved checkout", (), code={"README.md": lambda text: "elsewhere"})
    yield Change("config: keys in another order, comments", (), files={"mine.yaml": backwards})
    swapped = {"detector": {"max_frames": 200, "max_test_frames": 100}}
    yield Change("config: two values of a section swapped", ("detector",), swapped)


def changes() -> list[Change]:
    return [*of_config(), *of_modules(), *of_environments(), *of_files()]


def unchanged(text: str) -> str:
    return text


def reordered(text: str) -> str:
    """A manifest with its rows from last to first."""
    header, *rows = text.splitlines(keepends=True)
    return header + "".join(reversed(rows))


def backwards(text: str) -> str:
    """The same config, its keys from last to first, with a comment."""
    turned = {
        name: dict(reversed(keys.items())) for name, keys in reversed(yaml.safe_load(text).items())
    }
    return "# Why.\n" + yaml.safe_dump(turned, sort_keys=False)
