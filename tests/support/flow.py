"""What the data flow says: who reads what, and where each change enters.

The staleness tests hold Snakemake's plans against these tables, and docs/staleness.md is made from both. Whoever adds a
stage adds its line to READS; whoever adds a section that is not named as its stage, or a key that acts elsewhere than
in its section's stage, adds a line to ENTERS.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.support.planner import Job

# A stage, and the stages whose tables it reads. Jobs that share a wildcard read the job of the same value only.
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
    "maps": ["clips", "index", "spectrograms", "mosaics", "mosaic_spectrograms", "train"],
    "scores": ["index", "annotations", "mosaics", "mosaic_boxes", "maps"],
    "tables": ["scores"],
    "paper": ["train", "scores"],
    "paper_figures": ["clips", "index", "annotations", "maps"],
    "figures": ["clips", "index", "annotations", "clusters", "pretrain", "train", "maps", "scores"],
    "samples": ["clips", "index", "spectrograms"],
    "cluster_plot": ["index", "spectrograms", "clusters"],
    "best_worst": ["clips", "index", "annotations", "maps", "scores"],
    "overlay_videos": ["clips", "index", "annotations", "maps"],
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
}
OTHERS = ("annotations[detector]", "scores[detector]")  # than the first boxes
MOSAICS = ("mosaics", "mosaic_spectrograms", "mosaic_boxes")
# … but for these jobs, stage[wildcard], which do without.
READS_NOT = {
    "annotations[given]": ("detector", "detect"),
    "mosaic_boxes": ("mosaics[train]",),
    "train[spm]": ("pretrain[many]", *MOSAICS),
    "train[another-seed]": ("pretrain[main]", *MOSAICS),
    "train[no-promotion]": ("pretrain", *MOSAICS),
    "train[dsol]": ("pretrain", "mosaics[test]", "mosaic_spectrograms[test]"),
    "maps[solo]": MOSAICS,
    "maps[duet]": MOSAICS,
    "maps[synthetic]": (
        "clips",
        "index",
        "spectrograms",
        "mosaics[train]",
        "mosaic_spectrograms[train]",
    ),
    "scores[solo]": MOSAICS,
    "scores[duet]": MOSAICS,
    "scores[synthetic]": ("index", "annotations", "mosaics[train]"),
    "best_worst": ("maps[duet]", "maps[synthetic]", "scores[duet]", "scores[synthetic]", *OTHERS),
    "overlay_videos": ("maps[duet]", "maps[synthetic]", *OTHERS),
    "paper_figures[fig6]": ("clips", "annotations", "maps"),
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
    ),
}
ENVIRONMENTS = {
    "fetch": ("fetch", "openimages"),
    "corpus": ("clips", "spectrograms", "index", "mosaic_spectrograms"),
    "boxes": ("detector", "detect", "annotations", "quality"),
    "detectron2": (),  # in place of boxes for detector and detect, where detector.backend says so
    "audio": ("clusters", "pretrain"),
    "fusion": ("mosaics", "mosaic_boxes", "train", "maps"),
    "score": (
        "scores",
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
    ),
}
GPU = {"detector", "detect", "clusters", "pretrain", "train", "maps"}

# The corpus and config of the project that is planned: every stage has jobs, and every exception above a case.
VIDEOS = ("a", "b", "d", "g")  # in three shards
RUNS = {
    "spm": {},
    "no-promotion": {"promote": False},
    "another-seed": {"seed": 1, "audio": "many"},
    "dsol": {"method": "dsol"},
}
CONFIG: dict[str, Any] = {
    "corpus": {"manifest": "manifest.csv", "shards": 3, "boxes": ["given", "detector"]},
    "audio": {"many": {"clusters": {"k": 5}}},
    "runs": RUNS,
    "maps": {"kinds": ["solo", "duet", "synthetic"]},
    "scores": {"protocols": ["spm-paper", "dsol-solo"]},
    "detector": {"max_frames": 100, "max_test_frames": 200},
    "paper": {"kind": "solo", "protocol": "spm-paper", "table1": ["spm", "dsol"],
              "table2": [], "ablation": [], "promotion": []},
}  # fmt: skip


class Enters(NamedTuple):
    """Another value of a key, and the jobs that it makes stale by itself."""

    value: Any
    jobs: tuple[str, ...]  # stages, or stage[wildcard]


EVERY_RUN = ("tables", "figures", "best_worst", "overlay_videos")  # they show the runs beside one another
# Keys that act elsewhere than in the stage of their section's name, or whose other value can't be made up.
ENTERS = {
    "cluster.cpu_rules": Enters("local", ()),
    "cluster.gpus": Enters(2, ()),
    "corpus.manifest": Enters("again.manifest.csv", ("fetch", "index")),
    "corpus.shards": Enters(4, ("fetch", "index")),
    "corpus.store": Enters("elsewhere", ("fetch", "openimages")),
    "corpus.boxes": Enters(["given"], ("tables", "figures")),
    "corpus.given_boxes": Enters("again.boxes.csv", ("annotations[given]",)),
    "corpus.reviews": Enters("again.reviews.csv", ("annotations",)),
    "fetch.private_hosts": Enters(["media.example.org"], ("fetch",)),
    "detector.source": Enters("given", ("detector",)),
    "detect.weights": Enters(
        "weights.safetensors", ("detect", "cards")
    ),  # no table of Open Images to list
    "spectrograms.preset": Enters("clean", ("spectrograms", "mosaic_spectrograms")),
    "spectrograms.dtype": Enters("float32", ("spectrograms", "mosaic_spectrograms")),
    "openimages.subsets": Enters(["train"], ("openimages",)),
    "mosaics.size": Enters(112, ("mosaics",)),
    "mosaics.train": Enters(10, ("mosaics[train]",)),
    "mosaics.test": Enters(10, ("mosaics[test]",)),
    "train.method": Enters("dsol", ("train[spm]", "train[no-promotion]", "train[another-seed]")),
    "train.kinds": Enters(["solo"], ("train[spm]", "train[no-promotion]", "train[another-seed]")),
    "train.promote": Enters(False, ("train[spm]", "train[another-seed]")),
    "train.seed": Enters(5, ("train[spm]", "train[no-promotion]", "train[dsol]")),
    "clusters.k": Enters(9, ("clusters[main]",)),  # the other audio network says its own
    "train.audio": Enters("many", ("train[spm]",)),
    "audio (a new one, that no run starts from)": Enters({"more": {"clusters": {"k": 7}}}, ()),
    "audio (one's clusters)": Enters({"many": {"clusters": {"k": 6}}}, ("clusters[many]",)),
    "audio (one's training)": Enters({"many": {"pretrain": {"epochs": 3}}}, ("pretrain[many]",)),
    "maps.kinds": Enters(["solo"], ("tables", "figures")),
    "scores.protocols": Enters(["spm-paper"], ("scores",)),
    "paper.kind": Enters("duet", ("paper", "paper_figures")),
    "paper.protocol": Enters("dsol-solo", ("paper", "paper_figures")),
    "paper.table1": Enters(["spm"], ("paper", "paper_figures")),
    "paper.table2": Enters(["spm"], ("paper", "paper_figures")),
    "paper.ablation": Enters(["spm"], ("paper", "paper_figures")),
    "paper.promotion": Enters(["no-promotion", "spm"], ("paper", "paper_figures")),
    "runs (a new one)": Enters({"more": {"tau": 0.1}}, ("train[more]", *EVERY_RUN)),
    "runs (one less)": Enters({"another-seed": False}, EVERY_RUN),
    "runs (a changed one)": Enters({"another-seed": {"seed": 2}}, ("train[another-seed]",)),
}
# Modules that a stage imports only where its config wants them: Python loads them late, and their code counts.
LATE = {"spm/boxes/detectron.py": ("detector", "detect")}
# Keys that change how a result is reached, not the result: nothing reruns.
HOW = {
    "fetch": {
        "retries",
        "backoff_s",
        "timeout_s",
        "sleep_s",
        "rate_limit",
        "workers",
        "bot_limit",
        "give_up_s",
    },
}


def enters(job: Job, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns, stage or stage[wildcard], means a job."""
    return not {job.rule, *(f"{job.rule}[{value}]" for _, value in job.wildcards)}.isdisjoint(
        patterns
    )


def reads(job: Job, read: Job) -> bool:
    """Whether a job reads another's tables, by the data"""
    without = [
        other for pattern, others in READS_NOT.items() if enters(job, [pattern]) for other in others
    ]
    mine, its = dict(job.wildcards), dict(read.wildcards)
    agree = all(mine[name] == its[name] for name in mine.keys() & its.keys())
    return agree and read.rule in READS[job.rule] and not enters(read, without)


def expected(there: Iterable[Job], patterns: Iterable[str]) -> frozenset[Job]:
    """The jobs that patterns mean, and all that follow them."""
    stale = {job for job in there if enters(job, patterns)}
    for stage in READS:  # in an order in which nothing is read before it is made
        stale |= {
            job for job in there if job.rule == stage and any(reads(job, other) for other in stale)
        }
    return frozenset(stale)
