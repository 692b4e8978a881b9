"""Changes of a project that is up to date: of each key, module and file, and the affected jobs."""

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

from spm.base import digest
from spm.base.shards import name_of, shard_of
from tests.support import flow
from tests.support.project import ROOT

SCHEMA = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text())["properties"]
DEFAULTS = yaml.safe_load((ROOT / "config.yaml").read_text())
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "spm").rglob("*.py"))
RULES = [
    "Snakefile",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "rules").iterdir()),
]
DECLARE = "tests/support/flow.py"
HEADER = "video_id,url,kind,categories\n"
BOXES = "video_id,time_s,category,x,y,w,h\na,0,flute,0,0,1,1\nj,0,flute,0,0,1,1\n"

REVIEWS = "clip_id,frame,box,verdict,category,x,y,w,h,reviewer\n"
DECISION = "a@0,0,flute 0.0 0.0 1.0 1.0,accept,flute,0,0,1,1,ada\n"

Edits = Mapping[str, Callable[[str], str]]  # for a file, a function from its old text to the new


class Change(NamedTuple):
    """A change of a project that is up to date, and the jobs that it makes stale directly."""

    name: str
    jobs: tuple[str, ...]  # stages, or stage[wildcard]
    config: Mapping[str, Any] = MappingProxyType({})  # laid over the project's
    files: Edits = MappingProxyType({})  # of the working directory
    code: Edits = MappingProxyType({})  # of the checkout
    older: bool = False  # the files come from a backup, with old times
    same_time: bool = False  # the files keep their times, as with `cp -p` and `touch -r`
    moved: bool = False  # the checkout lies in another folder


def laid_over(below: Any, above: Any) -> Any:
    """One config updated with another, as Snakemake does it."""
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return above
    return {**below, **{key: laid_over(below.get(key), value) for key, value in above.items()}}


def other(value: Any, schema: Mapping[str, Any]) -> Any:
    """A valid value of a key that differs from the present one; LookupError where none is found."""
    numbers = [value + 1, value - 1, value * 0.9] if type(value) in (int, float) else []
    words = [f"{value}-more"] if isinstance(value, str) else []
    maps = [{**value, "more": "more"}] if isinstance(value, Mapping) else []
    choices = []
    for part in (schema, *schema.get("anyOf", ())):
        choices += part.get("enum", ())
    is_valid = Draft202012Validator(schema).is_valid
    for candidate in [*choices, *numbers, *words, *maps, value is not True, 1, 0.5, "more"]:
        if candidate != value and is_valid(candidate):
            return candidate
    raise LookupError


def of_key(section: str, key: str, value: Any) -> Change:
    """Another value of one key."""
    name = f"{section}.{key}"
    if name in flow.ENTERS:
        entry = flow.ENTERS[name]
        return Change(name, entry.jobs, {section: {key: entry.value, **entry.also}})
    if section == "methods":  # all runs with that method
        jobs = tuple(
            f"train[{run}]" for run, row in flow.RUNS.items() if row.get("method", "spm") == key
        )
        return Change(name, jobs, {section: {key: {"weight_decay": 0.5}}})
    if section not in flow.READS:
        raise LookupError(
            f"config.yaml has {name}, but no stage has that name:"
            f" add it to ENTERS of {DECLARE}, with the jobs that rerun"
        )
    try:
        changed = other(value, SCHEMA[section]["properties"][key])
    except LookupError:
        raise LookupError(
            f"{name}: {value!r}: add another valid value to ENTERS of {DECLARE}"
        ) from None
    jobs = () if key in flow.WITHOUT_EFFECT.get(section, ()) else (section,)
    return Change(name, jobs, {section: {key: changed}})


def of_config() -> Iterator[Change]:
    """Every key of config.yaml, and the rows of `audio` and `runs`."""
    for section, keys in DEFAULTS.items():
        if section not in ("audio", "runs"):
            yield from (
                of_key(section, key, flow.CONFIG.get(section, {}).get(key, v))
                for key, v in keys.items()
            )
    for name, (value, jobs, _) in flow.ENTERS.items():
        if name.startswith(("audio ", "runs ")):
            yield Change(name, jobs, {name.split()[0]: value})


def modules_of() -> dict[str, list[str]]:
    """Modules that the command of each stage starts; for train and maps, of each stage[run]."""
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
    """For each module, the stages for which Python loads it."""
    script = """if True:
        import importlib, json, sys
        loaded = {}
        for stage, names in json.loads(sys.argv[1]).items():
            for old in [name for name in sys.modules if name.split(".")[0] == "spm"]:
                del sys.modules[old]
            for name in names:
                importlib.import_module(name)
            loaded[stage] = [m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "spm"]
        print(json.dumps(loaded))
    """
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(modules_of())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, set[str]] = {module: set() for module in MODULES}
    for stage, files in json.loads(done.stdout).items():
        for file in files:
            found[Path(file).relative_to(ROOT).as_posix()].add(stage)
    for module, stages in flow.LATE.items():
        found[module].update(stages)
    return found


@cache
def digested() -> dict[str, set[str]]:
    """For each module, the modules that commands start whose digest of code contains it."""
    found: dict[str, set[str]] = {module: set() for module in MODULES}
    for start in {start for modules in modules_of().values() for start in modules}:
        for name in digest.imported_by(start):
            path = name.replace(".", "/")
            found[f"{path}.py" if f"{path}.py" in found else f"{path}/__init__.py"].add(start)
    return found


def of_modules() -> Iterator[Change]:
    """Every module of the package; `importers` has the affected jobs. The demo affects none."""
    demo = {module for module in MODULES if module.startswith("spm/demo/")}
    yield Change("spm/demo/*.py", (), code=dict.fromkeys(demo, altered))
    for module in MODULES:
        if module not in demo:
            yield Change(module, (), code={module: altered})


def altered(text: str) -> str:
    return text + "\nCHANGED = True\n"


def entered(change: Change) -> tuple[str, ...]:
    """The jobs that a change makes stale directly."""
    return tuple(importers().get(change.name, change.jobs))


def of_environments() -> Iterator[Change]:
    """Every file of an environment; planned with --use-conda."""
    for path in sorted((ROOT / "envs").glob("*.yaml")):
        file = f"envs/{path.name}"
        if path.stem not in flow.ENVIRONMENTS:
            raise LookupError(f"{file}: add it to ENVIRONMENTS of {DECLARE}, with its stages")
        yield Change(
            file, flow.ENVIRONMENTS[path.stem], code={file: lambda text: text + "  - more\n"}
        )


def documented(text: str) -> str:
    """The same code with a comment, a blank line, and another docstring at its top."""
    parts = re.fullmatch(r'(""".*?"""\n)?(.*)', text, re.S)
    return f'"""Another text."""\n\n# A comment.\n{parts[2]}'


def row_of(video: str) -> str:
    """A video's row of the manifest."""
    return f"{video},{video}.mp4,{','.join(flow.VIDEOS.get(video, ('solo', 'flute')))}\n"


def of_manifest() -> Iterator[Change]:
    """Changes of the manifest."""
    file, row = "manifest.csv", row_of("d")
    jobs = ("fetch[0000]", "index")
    edits = {
        "a new video": lambda text: text + row_of("e"),
        "a video less": lambda text: text.replace(row, ""),
        "another address": lambda text: text.replace("d.mp4", "d.mkv"),
    }
    for name, edit in edits.items():
        yield Change(f"manifest: {name}", jobs, files={file: edit})
    order = {file: reordered}
    yield Change("manifest: another order", ("index",), files=order)
    yield Change("manifest: an older file, in another order", ("index",), files=order, older=True)
    yield Change("manifest: touched", (), files={file: unchanged})
    resaved = {file: lambda text: f"\ufeff{text}\n,,,\n".replace(",", ";")}
    yield Change("manifest: the same rows, saved by a spreadsheet", (), files=resaved)


def of_boxes() -> Iterator[Change]:
    """Changes of the given boxes and of the decisions on boxes."""
    smaller = {"boxes.csv": lambda text: text.replace("1,1", "1,0.5")}
    decided = {"reviews.csv": lambda text: text + DECISION}
    yield Change("boxes.csv", ("annotations[given]",), files=smaller)
    yield Change("boxes.csv: an older file", ("annotations[given]",), files=smaller, older=True)
    yield Change("reviews.csv: a decision", ("annotations",), files=decided)
    yield Change("reviews.csv: an older file", ("annotations",), files=decided, older=True)
    other = {"boxes.csv": lambda text: text.replace("a,0,", "a,1,")}
    yield Change("boxes.csv: other content, same size and time", ("annotations[given]",),
                 files=other, same_time=True)  # fmt: skip
    yield Change("boxes.csv: touched", (), files={"boxes.csv": unchanged})


def of_media() -> Iterator[Change]:
    """Changes of local videos, and of the weights and classes of a detector."""
    other = {"a.mp4": lambda text: text[::-1]}
    fetch = (f"fetch[{name_of(shard_of('a', flow.CONFIG['corpus']['shards']))}]",)
    yield Change("a local video: other content, same size and time", fetch, files=other,
                 same_time=True)  # fmt: skip
    yield Change("a local video: an older file", fetch, files=other, older=True)
    yield Change("a local video: touched", (), files={"a.mp4": unchanged})
    arrived = (f"fetch[{name_of(shard_of('b', flow.CONFIG['corpus']['shards']))}]",)
    yield Change("a local video: one that was missing", arrived, files={"b.mp4": lambda _: "film"})
    weights = {"weights.safetensors": lambda _: "other"}
    classes = {"weights.json": lambda text: text.replace("cello", "viola")}
    detect = ("detect",)
    yield Change("detect.weights: another file", detect, files=weights, same_time=True)
    yield Change("detect.weights: an older file", detect, files=weights, older=True)
    both = ("detect", "annotations[detector]")
    yield Change("detect.weights: other classes, same size and time", both, files=classes,
                 same_time=True)  # fmt: skip


def of_texts() -> Iterator[Change]:
    """Changes of code, rules and config that change no result, and one that does."""
    comments = dict.fromkeys(RULES, lambda text: text + "\n\n# A comment.\n")
    docstrings = dict.fromkeys(MODULES, documented)
    yield Change("code: comments, docstrings, blank lines", (), code=docstrings)
    yield Change("rules: comments", (), code=comments)
    yield Change("code: a moved checkout", (), moved=True)
    yield Change("config: keys in another order, comments", (), files={"mine.yaml": backwards})
    swapped = {"detector": {"max_frames": 200, "max_test_frames": 100}}
    yield Change("config: two values of a section swapped", ("detector",), swapped)


def changes() -> list[Change]:
    """All changes, each with a name of its own."""
    parts = (of_config, of_modules, of_environments, of_manifest, of_boxes, of_media, of_texts)
    return [change for part in parts for change in part()]


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
    return "# A comment.\n" + yaml.safe_dump(turned, sort_keys=False)
