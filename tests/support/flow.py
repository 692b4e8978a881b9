"""The data flow: which stage reads which stages, and which jobs each change affects directly.

test_staleness.py compares Snakemake's plans with these tables and writes docs/staleness.md. They
are written by hand, not derived from the rules. A new stage needs a line in READS. A new section of
the config that is not named like its stage, or a key that affects other stages than that of its
section, needs a line in ENTERS.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tests.support.planner import Job

# A stage, and the stages whose tables it reads. Of jobs with a common wildcard, a job reads only
# the one with the same value.
READS = {
    "fetch": [],
    "clips": ["fetch"],
    "spectrograms": ["clips"],
    "index": ["clips"],
    "openimages": [],
    "detector": ["openimages"],
    "detect": ["clips", "detector"],
    "annotations": ["clips", "index", "detector", "detect"],
    "quality": ["index", "annotations"],
    "clusters": ["index", "spectrograms"],
    "pretrain": ["index", "spectrograms", "clusters"],
    "mosaics": ["clips", "index"],
    "mosaic_spectrograms": ["mosaics"],
    "mosaic_boxes": ["annotations", "mosaics"],
    "train": ["clips", "index", "spectrograms", "pretrain", "mosaics", "mosaic_spectrograms"],
    "negatives": ["index", "mosaics"],
    "maps": [
        "clips",
        "index",
        "spectrograms",
        "mosaics",
        "mosaic_spectrograms",
        "negatives",
        "train",
    ],
    "baseline_maps": ["clips", "index", "mosaics", "negatives"],
    "prior_maps": ["maps", "baseline_maps"],
    "scores": [
        "index",
        "annotations",
        "mosaics",
        "mosaic_boxes",
        "maps",
        "baseline_maps",
        "prior_maps",
    ],
    "tables": ["scores"],
    "paper": ["train", "scores"],
    "paper_figures": ["clips", "index", "annotations", "maps"],
    "figures": [
        "clips",
        "index",
        "annotations",
        "clusters",
        "pretrain",
        "train",
        "maps",
        "baseline_maps",
        "scores",
    ],
    "samples": ["clips", "index", "spectrograms"],
    "cluster_plot": ["index", "spectrograms", "clusters"],
    "best_worst": ["clips", "index", "annotations", "maps", "scores"],
    "overlay_videos": ["clips", "index", "annotations", "maps", "baseline_maps"],
    "pages": ["tables", "paper"],
    "cards": ["fetch", "clips", "index", "train", "tables"],
    "costs": [
        "index",
        "quality",
        "paper_figures",
        "figures",
        "samples",
        "cluster_plot",
        "best_worst",
        "overlay_videos",
        "pages",
        "cards",
    ],
    "overview": [
        "detector",
        "annotations",
        "quality",
        "tables",
        "paper",
        "paper_figures",
        "figures",
        "samples",
        "cluster_plot",
        "best_worst",
        "overlay_videos",
        "costs",
    ],
}
STAGES = list(READS)  # a stage comes after the stages that it reads
RUNS = {
    "spm": {},
    "no-promotion": {"promote": False},
    "another-seed": {"seed": 1, "audio": "many"},
    "dsol": {"method": "dsol"},
}
OTHERS = ("annotations[detector]", "scores[detector]")  # not of the first box source
MOSAICS = ("mosaics", "mosaic_spectrograms", "mosaic_boxes")
MAPS = ("maps", "baseline_maps")
# Exceptions: what these jobs, stage[wildcard], do not read.
READS_NOT = {
    "annotations[given]": ("detector", "detect"),
    "mosaic_boxes": ("mosaics[train]",),
    "train[spm]": ("pretrain[many]", *MOSAICS),
    "train[another-seed]": ("pretrain[main]", *MOSAICS),
    "train[no-promotion]": ("pretrain", *MOSAICS),
    "train[dsol]": ("pretrain", "mosaics[test]", "mosaic_spectrograms[test]"),
    "negatives[solo]": MOSAICS,
    "negatives[duet]": MOSAICS,
    "negatives[synthetic]": ("index", "mosaics[train]"),
    "maps[solo]": MOSAICS,
    "maps[duet]": MOSAICS,
    "maps[synthetic]": (
        "clips",
        "index",
        "spectrograms",
        "mosaics[train]",
        "mosaic_spectrograms[train]",
    ),
    "baseline_maps[solo]": MOSAICS,
    "baseline_maps[duet]": MOSAICS,
    "baseline_maps[synthetic]": ("clips", "index", "mosaics[train]"),
    "scores[solo]": MOSAICS,
    "scores[duet]": MOSAICS,
    "scores[synthetic]": ("index", "annotations", "mosaics[train]"),
    "best_worst": (
        "maps[duet]",
        "maps[synthetic]",
        "scores[duet]",
        "scores[synthetic]",
        *(f"scores[{run}+prior]" for run in RUNS),
        *OTHERS,
    ),
    "overlay_videos": (
        *(f"{stage}[{kind}]" for stage in MAPS for kind in ("duet", "synthetic")),
        *OTHERS,
    ),
    "paper_figures[fig4]": (
        *(
            f"maps[{value}]"
            for value in ("no-promotion", "another-seed", "more", "duet", "synthetic")
        ),
        *OTHERS,
    ),
    "paper": (
        *(
            f"{stage}[{run}]"
            for stage in ("train", "scores")
            for run in ("no-promotion", "another-seed", "more")
        ),
        *(f"scores[{value}]" for value in ("duet", "synthetic", "detector")),
        *(f"scores[{run}+prior]" for run in RUNS),
    ),
}
ENVIRONMENTS = {
    "fetch": ("fetch", "openimages"),
    "corpus": ("clips", "spectrograms", "index", "mosaic_spectrograms"),
    "boxes": ("detector", "detect", "annotations", "quality"),
    "detectron2": (),  # replaces boxes for detector and detect where detector.backend selects it
    "audio": ("clusters", "pretrain"),
    "fusion": (
        "mosaics",
        "mosaic_boxes",
        "train",
        "negatives",
        "maps",
        "baseline_maps",
        "prior_maps",
    ),
    "score": ("scores",),
    "report": (
        "tables",
        "paper",
        "paper_figures",
        "figures",
        "samples",
        "cluster_plot",
        "best_worst",
        "overlay_videos",
        "pages",
        "cards",
        "costs",
        "overview",
    ),
}
GPU = {"detector", "detect", "clusters", "pretrain", "train", "maps", "baseline_maps"}

# Corpus and config of the planned project: every stage has jobs, and every exception above a case.
# Kind and categories of each video; they lie in three shards.
VIDEOS = {
    **dict.fromkeys("adgj", ("solo", "flute")),
    **dict.fromkeys("bckl", ("solo", "cello")),
    **dict.fromkeys("fhmn", ("solo", "trumpet")),
    **dict.fromkeys("iopq", ("solo", "violin")),
    **dict.fromkeys("rstu", ("duet", "flute cello")),
}
CONFIG: dict[str, Any] = {
    "corpus": {"manifest": "manifest.csv", "shards": 3, "boxes": ["given", "detector"]},
    "index": {"test_solos": 1, "test_duets": 1, "val_solos": 1},
    "audio": {"many": {"clusters": {"k": 5}}},
    "mosaics": {"size": 256},
    "runs": RUNS,
    "maps": {"testsets": ["solo", "duet", "synthetic"]},
    "scores": {"protocols": ["spm-paper", "dsol-solo"]},
    "detector": {"max_frames": 100, "max_test_frames": 200},
    "paper": {"testset": "solo", "protocol": "spm-paper", "table1": ["spm", "dsol"],
              "table2": [], "ablation": [], "promotion": []},
}  # fmt: skip

OWN_WEIGHTS = {"detect": {"weights": "weights.safetensors"}}  # of the project with a named detector


class Enters(NamedTuple):
    """Another value of a key, and the jobs that it makes stale directly."""

    value: Any
    jobs: tuple[str, ...]  # stages, or stage[wildcard]
    also: Mapping[str, Any] = MappingProxyType({})  # keys of the section that change with it


EVERY_RUN = ("tables", "figures", "best_worst", "overlay_videos")  # they show all runs
# Keys that affect other stages than that of their section, or that need a special other value.
ENTERS = {
    "cluster.cpu_rules": Enters("local", ()),
    "cluster.nodes": Enters(2, ()),
    "cluster.gpus": Enters(2, ()),
    "state.finished": Enters(1, ()),
    "corpus.manifest": Enters("again.manifest.csv", ("fetch", "index")),
    "corpus.shards": Enters(4, ("fetch", "index")),
    "corpus.store": Enters("elsewhere", ("fetch", "openimages")),
    "corpus.boxes": Enters(["given"], ("tables", "figures")),
    "corpus.given_boxes": Enters("again.boxes.csv", ("annotations[given]",)),
    "corpus.reviews": Enters("again.reviews.csv", ("annotations",)),
    "fetch.cookies": Enters("cookies.txt", ("fetch",)),
    "fetch.private_hosts": Enters(["media.example.org"], ("fetch",)),
    "fetch.plugins": Enters(["plugins"], ("fetch",)),
    "detector.backend": Enters(
        "detectron2", ("detector", "detect"), {"model": "resnet50_fpn", "start": "none"}
    ),
    "detector.model": Enters("mobilenet_v2", ("detector",), {"start": "imagenet"}),
    "detector.source": Enters("given", ("detector",)),
    # Without a detector to train, the cards list no table of Open Images.
    "detect.weights": Enters("weights.safetensors", ("detect", "cards")),
    "spectrograms.preset": Enters("clean", ("spectrograms", "mosaic_spectrograms")),
    "spectrograms.dtype": Enters("float32", ("spectrograms", "mosaic_spectrograms")),
    "openimages.mirror": Enters("https://mirror.example.org/", ("openimages",)),
    "openimages.sha256": Enters({"test-annotations-bbox.csv": "0" * 64}, ("openimages",)),
    "openimages.subsets": Enters(["train"], ("openimages",)),
    "mosaics.size": Enters(300, ("mosaics",)),
    "mosaics.train": Enters(10, ("mosaics[train]",)),
    "mosaics.test": Enters(10, ("mosaics[test]",)),
    "train.method": Enters("dsol", ("train[spm]", "train[no-promotion]", "train[another-seed]")),
    "train.kinds": Enters(["solo"], ("train[spm]", "train[no-promotion]", "train[another-seed]")),
    "train.promote": Enters(False, ("train[spm]", "train[another-seed]")),
    "train.start": Enters("none", ("train",)),
    "train.seed": Enters(5, ("train[spm]", "train[no-promotion]", "train[dsol]")),
    "clusters.k": Enters(9, ("clusters[main]",)),  # the other audio network has its own k
    "train.audio": Enters("many", ("train[spm]",)),
    "audio (a new network that no run starts from)": Enters({"more": {"clusters": {"k": 7}}}, ()),
    "audio (clusters of one network)": Enters(
        {"many": {"clusters": {"k": 6}}}, ("clusters[many]",)
    ),
    "audio (training of one network)": Enters(
        {"many": {"pretrain": {"epochs": 3}}}, ("pretrain[many]",)
    ),
    "negatives.sounds": Enters(["silence"], ("negatives",)),
    "maps.testsets": Enters(["solo"], ("tables", "figures")),
    "maps.mosaic_px": Enters(300, ("maps",)),
    "maps.prior": Enters("zero-shot", ("prior_maps",)),
    "maps.prior_mean": Enters("geometric", ("prior_maps",)),
    "maps.prior_alpha": Enters(0.4, ("prior_maps",)),
    "scores.protocols": Enters(["spm-paper"], ("scores",)),
    "scores.pretrained_baselines": Enters(["object-prior"], ("scores", "overlay_videos")),
    "paper.testset": Enters("duet", ("paper", "paper_figures")),
    "paper.protocol": Enters("dsol-solo", ("paper", "paper_figures")),
    "paper.table1": Enters(["spm"], ("paper", "paper_figures")),
    "paper.table2": Enters(["spm"], ("paper", "paper_figures")),
    "paper.ablation": Enters(["spm"], ("paper", "paper_figures")),
    "paper.promotion": Enters(["no-promotion", "spm"], ("paper", "paper_figures")),
    "runs (a new run)": Enters({"more": {"tau": 0.1}}, ("train[more]", *EVERY_RUN)),
    "runs (a run less)": Enters({"another-seed": False}, EVERY_RUN),
    "runs (a changed run)": Enters({"another-seed": {"seed": 2}}, ("train[another-seed]",)),
}
# Modules that a stage imports only where its config needs them; their code counts, too.
LATE = {"spm/boxes/detectron.py": ("detector", "detect")}
# Keys that do not change results: nothing reruns.
WITHOUT_EFFECT = {
    "fetch": {
        "retries",
        "backoff_s",
        "timeout_s",
        "sleep_s",
        "rate_limit",
        "workers",
        "bot_limit",
        "give_up_s",
        "windows_only",
    },
}


def enters(job: Job, patterns: Iterable[str]) -> bool:
    """Whether a job matches one of the patterns: stage or stage[wildcard]."""
    names = {job.rule, *(f"{job.rule}[{value}]" for _, value in job.wildcards)}
    return not names.isdisjoint(patterns)


def reads(job: Job, read: Job) -> bool:
    """Whether a job reads the tables of another job."""
    if read.rule not in READS[job.rule]:
        return False
    excluded = []
    for pattern, patterns in READS_NOT.items():
        if enters(job, [pattern]):
            excluded += patterns
    own, other = dict(job.wildcards), dict(read.wildcards)
    if job.rule == "prior_maps":  # of the run spm+prior: reads the maps of spm
        own["run"] = own["run"].removesuffix("+prior")
    agree = all(own[name] == other[name] for name in own.keys() & other.keys())
    return agree and not enters(read, excluded)


def expected(jobs: Iterable[Job], patterns: Iterable[str]) -> frozenset[Job]:
    """The jobs that match the patterns, and all jobs that depend on them."""
    stale = {job for job in jobs if enters(job, patterns)}
    for job in sorted(jobs, key=lambda job: STAGES.index(job.rule)):
        if any(reads(job, other) for other in stale):
            stale.add(job)
    return frozenset(stale)
