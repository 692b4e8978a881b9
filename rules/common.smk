"""The checked config, the shards, and what every rule's inputs, params and resources are made of."""

import hashlib
import json
import shlex
from pathlib import Path

from snakemake.exceptions import WorkflowError

from spm.base import checks, shards
from spm.base.config import UserError
from spm.base.digest import code_digest as code_of
from spm.corpus import manifest


wildcard_constraints:
    shard=r"\d{4}",
    run=r"[\w-]+",
    kind="solo|duet",
    boxes="given|detector",
    protocol=r"[\w.-]+",


shell.prefix(f"export PYTHONPATH={shlex.quote(str(workflow.basedir))}; ")


def beside(path):
    """A path as given, or, where there is none, beside the Snakefile."""
    return path if Path(path).exists() else str(Path(workflow.basedir, path))


def section(name, *without):
    """One section of the config as canonical JSON: what reruns a stage is what configures it."""
    return json.dumps({key: value for key, value in config[name].items() if key not in without}, sort_keys=True)


def untracked(name):
    """A section whole, for the command line alone: what is made from a job's threads makes no job stale."""
    return lambda wildcards, threads: section(name)


def of_run(run):
    """A run's row laid over the train section."""
    return {**config["train"], **(config["runs"][run] or {})}


def run_section(wildcards):
    """The same as canonical JSON, for params."""
    return json.dumps(of_run(wildcards.run), sort_keys=True)


def pretrained(wildcards):
    """The promoted audio network, for the runs that start from it."""
    return "results/audio/pretrain/audio.safetensors" if of_run(wildcards.run)["promote"] else []


def boxes_input(wildcards):
    """What annotations are made from: the given file, or every shard's detections."""
    detections = expand("results/boxes/detect/{shard}.parquet", shard=SHARDS)
    return [GIVEN] if wildcards.boxes == "given" else detections


def boxes_option(wildcards):
    """The same for the command line, where a folder stands for its shards."""
    return f"--boxes {shlex.quote(GIVEN)}" if wildcards.boxes == "given" else "--detections results/boxes/detect"


def members(wildcards):
    """Digest of a shard's rows of the manifest: a new video makes its own shard stale and no other."""
    return MEMBERS[wildcards.shard]


def content(path):
    """Digest of a small file of the user's: one put in its place counts, even where it is the older."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def boxes_content(wildcards):
    """The same of what annotations are made from, where that is a file given."""
    return content(GIVEN) if wildcards.boxes == "given" else ""


def memory(mb):
    """So much memory, and twice as much when a cluster resubmits a job that ran out of it."""
    return lambda wildcards, attempt: mb * 2 ** (attempt - 1)


config.update(checks.typed(config))

try:
    checks.check(config, Path(workflow.basedir, "workflow/schemas/config.schema.json"))
    MANIFEST = beside(config["corpus"]["manifest"])
    VIDEOS = manifest.read(Path(MANIFEST))
except UserError as error:
    raise WorkflowError(str(error)) from None

COUNT = config["corpus"]["shards"]
MEMBERS = shards.members([{**vars(video), "position": None} for video in VIDEOS], COUNT)
SHARDS = sorted(MEMBERS)
KINDS = config["maps"]["kinds"]
RUNS = sorted(run for run, row in config["runs"].items() if row is not False)
PROMOTES = any(of_run(run)["promote"] for run in RUNS)
BOXES = config["corpus"]["boxes"]
GIVEN = str(Path(MANIFEST).parent / (config["corpus"]["given_boxes"] or "boxes.csv"))
DETECTOR_WEIGHTS = config["detect"]["weights"] or "results/boxes/detector/weights.safetensors"
TRAINS_DETECTOR = "detector" in BOXES and not config["detect"]["weights"]

if ("given" in BOXES or TRAINS_DETECTOR) and not Path(GIVEN).is_file():
    raise WorkflowError(
        f"corpus.boxes: {BOXES} wants boxes at {GIVEN}, and there is no such file: write it"
        " (video_id,time_s,category,x,y,w,h), name another with corpus.given_boxes, name a detector's weights with"
        " detect.weights, or train without scores: corpus.boxes: []"
    )
