"""The checked config, the shards, and what every rule's inputs, params and resources are made of."""

import hashlib
import json
import shlex
from pathlib import Path

from snakemake.exceptions import WorkflowError

from spm.base import runs, validation, versions
from spm.base.config import UserError
from spm.base.digest import code_digest as code_of
from spm.corpus import membership


wildcard_constraints:
    shard=r"\d{4}",
    run=r"[\w-]+",
    audio=r"[\w-]+",
    kind="solo|duet|synthetic|validation",
    boxes="given|detector",
    protocol=r"[\w.-]+",
    split="train|test",
    table="table1|table2|ablation|promotion",
    figure=r"fig\d",


shell.prefix(f"export PYTHONPATH={shlex.quote(str(workflow.basedir))}; ")


def beside(path):
    """A path as given, or, where there is none, beside the Snakefile."""
    return path if Path(path).exists() else str(Path(workflow.basedir, path))


def section(name, *without):
    """One section of the config as canonical JSON: what reruns a stage is what configures it."""
    return json.dumps(
        {key: value for key, value in config[name].items() if key not in without}, sort_keys=True
    )


def untracked(name):
    """A section whole, for the command line alone: what is made from a job's threads makes no job stale."""
    return lambda wildcards, threads: section(name)


def of_run(run):
    """A run's settings: `train`, its method's section, its own row."""
    return runs.run_config(config, run)


def audio_section(stage):
    """A function of a rule's wildcards: a stage's section for one of the audio networks, as canonical JSON."""
    return lambda wildcards: json.dumps(
        runs.audio_config(config, wildcards.audio, stage), sort_keys=True
    )


def run_section(wildcards):
    """The same as canonical JSON, for params; which audio network there is to promote matters to no other run."""
    settings = of_run(wildcards.run)
    without = () if settings["promote"] else ("audio",)
    return json.dumps(
        {key: value for key, value in settings.items() if key not in without}, sort_keys=True
    )


def code_of_run(stage):
    """A function of a rule's wildcards: digest of the stage's code and of the run's method, not of other methods."""
    return lambda wildcards: " ".join(
        map(code_of, [stage, f"spm.fusion.methods.{of_run(wildcards.run)['method']}"])
    )


def pretrained(wildcards):
    """The promoted audio network, for the runs that start from one."""
    run = of_run(wildcards.run)
    return f"results/audio/pretrain/{run['audio']}/audio.safetensors" if run["promote"] else []


def mosaics_input(wildcards):
    """The tables of the mosaics to learn from, for the runs that do."""
    return MOSAICS["train"] if of_run(wildcards.run).get("mosaic_epochs") else []


def tested_on(kind, table):
    """Where a test set's table lies: the corpus's, or that of the mosaics."""
    corpus = {
        "index": "results/corpus/index/clips.parquet",
        "annotations": "results/boxes/annotations/{boxes}.parquet",
    }
    mosaics = {"index": "index.parquet", "annotations": "boxes/{boxes}.parquet"}
    return f"results/fusion/mosaics/test/{mosaics[table]}" if kind == "synthetic" else corpus[table]


def test_shards(kind, stage):
    """The shards of a test set's clips or spectrograms."""
    mosaics = [f"results/fusion/mosaics/test/{stage}/0000.parquet"]
    return (
        mosaics
        if kind == "synthetic"
        else expand(f"results/corpus/{stage}/{{shard}}.parquet", shard=SHARDS)
    )


def boxes_input(wildcards):
    """What annotations are made from: the given file, or every shard's detections."""
    detections = expand("results/boxes/detect/{shard}.parquet", shard=SHARDS)
    return [GIVEN] if wildcards.boxes == "given" else detections


def boxes_option(wildcards):
    """The same for the command line, where a folder stands for its shards."""
    return (
        f"--boxes {shlex.quote(GIVEN)}"
        if wildcards.boxes == "given"
        else "--detections results/boxes/detect"
    )


def detector_classes(wildcards):
    """Where a detector's classes are listed; of given boxes there are none."""
    return str(Path(DETECTOR_WEIGHTS).with_suffix(".json")) if wildcards.boxes == "detector" else []


def detector_input(wildcards):
    """What a detector learns from: pictures of Open Images, or frames of the corpus with the boxes given for them."""
    if LEARNS_FROM == "openimages":
        return {"images": rules.openimages.output.images, "boxes": rules.openimages.output.boxes}
    clips = expand("results/corpus/clips/{shard}.parquet", shard=SHARDS)
    return {"index": "results/corpus/index/clips.parquet", "clips": clips, "boxes": GIVEN}


def detector_option(wildcards, input):
    """The same for the command line."""
    if LEARNS_FROM == "openimages":
        return f"--images {input.images}"
    return f"--index {input.index} --clips results/corpus/clips"


def paper_runs(name):
    """The runs of one of the paper's tables; what the config lacks for it is said when the table is asked for."""
    wanted, paper = config["paper"][name], config["paper"]
    lacking = [
        *(f"runs.{run}" for run in wanted if run not in RUNS),
        *([f"maps.kinds: {paper['kind']}"] if paper["kind"] not in KINDS else []),
        *(
            [f"scores.protocols: {paper['protocol']}"]
            if paper["protocol"] not in config["scores"]["protocols"]
            else []
        ),
        *(["corpus.boxes"] if not BOXES else []),
        *([f"paper.{name}"] if not wanted else []),
    ]
    if lacking:
        raise WorkflowError(
            f"{name} wants {', '.join(lacking)}, which the config does not have:"
            " lay workflow/configs/paper.yaml over it, or list other runs in its section paper"
        )
    return wanted


def paper_files(name, pattern):
    """A file for each run of one of the paper's tables."""
    paper = {"kind": config["paper"]["kind"], "protocol": config["paper"]["protocol"]}
    return [pattern.format(run=run, boxes=BOXES[0], **paper) for run in paper_runs(name)]


def paper_inputs(pattern):
    """A function of a rule's wildcards: a file for each run of the table."""
    return lambda wildcards: paper_files(wildcards.table, pattern)


def figure_inputs(pattern, *figures):
    """The same for those of the paper's figures that read such files."""
    return lambda wildcards: (
        paper_files(DRAWN_OF[wildcards.figure], pattern) if wildcards.figure in figures else []
    )


def paper_whole(name):
    """Whether the config has all that a table wants."""
    try:
        return bool(paper_runs(name))
    except WorkflowError:
        return False


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


config.update(validation.coerce_numbers(config))

try:
    validation.validate(config, Path(workflow.basedir, "workflow/schemas/config.schema.json"))
    MANIFEST = beside(config["corpus"]["manifest"])
    MEMBERS = membership.of_list(Path(MANIFEST), config["corpus"]["shards"], Path(".snakemake/spm"))
except UserError as error:
    raise WorkflowError(str(error)) from None

config["versions"] = versions.version_string()  # for the report's first page; no rule reads it
COUNT = config["corpus"]["shards"]
SHARDS = sorted(MEMBERS)
KINDS = config["maps"]["kinds"]
RUNS = runs.run_names(config)
MOSAIC_TABLES = ["index.parquet", "clips/0000.parquet", "spectrograms/0000.parquet"]
MOSAICS = {
    split: expand(f"results/fusion/mosaics/{split}/{{table}}", table=MOSAIC_TABLES)
    for split in ("train", "test")
}
MOSAIC_SPLITS = [
    *(["train"] if any(of_run(run).get("mosaic_epochs") for run in RUNS) else []),
    *(["test"] if "synthetic" in KINDS else []),
]
PROMOTED = sorted({of_run(run)["audio"] for run in RUNS if of_run(run)["promote"]})
BOXES = config["corpus"]["boxes"]
GIVEN = str(Path(MANIFEST).parent / (config["corpus"]["given_boxes"] or "boxes.csv"))
REVIEWS = Path(MANIFEST).parent / (config["corpus"]["reviews"] or "reviews.csv")
DETECTOR_WEIGHTS = config["detect"]["weights"] or "results/boxes/detector/weights.safetensors"
TRAINS_DETECTOR = "detector" in BOXES and not config["detect"]["weights"]
LEARNS_FROM = config["detector"]["source"]

if ("given" in BOXES or (TRAINS_DETECTOR and LEARNS_FROM == "given")) and not Path(GIVEN).is_file():
    raise WorkflowError(
        f"corpus.boxes: {BOXES} wants boxes at {GIVEN}, and there is no such file: write it"
        " (video_id,time_s,category,x,y,w,h), name another with corpus.given_boxes, name a detector's weights with"
        " detect.weights, let the detector learn from Open Images (detector.source), or train without scores:"
        " corpus.boxes: []"
    )
