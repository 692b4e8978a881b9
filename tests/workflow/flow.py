"""What the data flow says: who reads what, and where each change enters.

The staleness tests hold Snakemake's plans against these tables, and docs/staleness.md is made from both. Whoever adds a
stage adds its line to READS; whoever adds a section that is not named as its stage, or a key that acts elsewhere than
in its section's stage, adds a line to ENTERS.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.planner import Job

# A stage, and the stages whose tables it reads. Jobs that share a wildcard read the job of the same value only.
READS = {
    "fetch": [],
    "clips": ["fetch"],
    "spectrograms": ["clips"],
    "index": ["clips"],
    "detector": ["clips", "index"],
    "detect": ["clips", "detector"],
    "annotations": ["clips", "index", "detect"],
    "clusters": ["index", "spectrograms"],
    "pretrain": ["index", "spectrograms", "clusters"],
    "train": ["clips", "index", "spectrograms", "pretrain"],
    "maps": ["clips", "index", "spectrograms", "train"],
    "scores": ["index", "annotations", "maps"],
    "tables": ["scores"],
    "figures": ["clips", "index", "annotations", "train", "maps", "scores"],
}
# … but for these jobs, which do without.
READS_NOT = {
    "annotations[given]": "detect",
    "train[no-promotion]": "pretrain",
}
ENVIRONMENTS = {
    "fetch": ("fetch",),
    "corpus": ("clips", "spectrograms", "index"),
    "boxes": ("detector", "detect", "annotations"),
    "audio": ("clusters", "pretrain"),
    "fusion": ("train", "maps"),
    "score": ("scores", "tables", "figures"),
}
GPU = {"detector", "detect", "clusters", "pretrain", "train", "maps"}

# The corpus and config of the project that is planned: every stage has jobs, and every exception above a case.
VIDEOS = ("a", "b", "d", "g")  # in three shards
CONFIG: dict[str, Any] = {
    "corpus": {"manifest": "manifest.csv", "shards": 3, "boxes": ["given", "detector"]},
    "runs": {"spm": {}, "no-promotion": {"promote": False}, "another-seed": {"seed": 1}},
    "maps": {"kinds": ["solo", "duet"]},
    "scores": {"protocols": ["spm-paper", "dsol-solo"]},
    "detector": {"max_frames": 100, "max_test_frames": 200},
}


class Enters(NamedTuple):
    """Another value of a key, and the jobs that it makes stale by itself."""

    value: Any
    jobs: tuple[str, ...]  # stages, or stage[wildcard]


# Keys that act elsewhere than in the stage of their section's name, or whose other value can't be made up.
ENTERS = {
    "cluster.cpu_rules": Enters("local", ()),
    "corpus.manifest": Enters("again.manifest.csv", ("fetch", "index")),
    "corpus.shards": Enters(4, ("fetch", "index")),
    "corpus.store": Enters("elsewhere", ("fetch",)),
    "corpus.boxes": Enters(["given"], ("tables", "figures")),
    "corpus.given_boxes": Enters("again.boxes.csv", ("detector", "annotations[given]")),
    "detect.weights": Enters("weights.safetensors", ("detect",)),
    "train.promote": Enters(False, ("train[spm]", "train[another-seed]")),
    "train.seed": Enters(5, ("train[spm]", "train[no-promotion]")),
    "maps.kinds": Enters(["solo"], ("tables", "figures")),
    "scores.protocols": Enters(["spm-paper"], ("tables", "figures")),
    "runs (a new one)": Enters({"more": {"tau": 0.1}}, ("train[more]", "tables", "figures")),
    "runs (one less)": Enters({"another-seed": False}, ("tables", "figures")),
    "runs (a changed one)": Enters({"another-seed": {"seed": 2}}, ("train[another-seed]",)),
}
# Keys that change how a result is reached, not the result: nothing reruns.
HOW = {
    "fetch": {"retries", "backoff_s", "timeout_s", "sleep_s", "rate_limit", "workers", "bot_limit"},
}


def enters(job: Job, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns, stage or stage[wildcard], means a job."""
    return not {job.rule, *(f"{job.rule}[{value}]" for _, value in job.wildcards)}.isdisjoint(patterns)


def reads(job: Job, read: Job) -> bool:
    """Whether a job reads another's tables, by the data"""
    without = [stage for pattern, stage in READS_NOT.items() if enters(job, [pattern])]
    mine, its = dict(job.wildcards), dict(read.wildcards)
    agree = all(mine[name] == its[name] for name in mine.keys() & its.keys())
    return agree and read.rule in READS[job.rule] and read.rule not in without


def expected(there: Iterable[Job], patterns: Iterable[str]) -> frozenset[Job]:
    """The jobs that patterns mean, and all that follow them."""
    stale = {job for job in there if enters(job, patterns)}
    for stage in READS:  # in an order in which nothing is read before it is made
        stale |= {job for job in there if job.rule == stage and any(reads(job, other) for other in stale)}
    return frozenset(stale)
