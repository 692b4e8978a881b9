"""Verdicts: whether a run is better than the baselines that were not trained, in one sentence."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from spm.base.statuses import PretrainedBaseline
from spm.base.words import count
from spm.report import summaries
from spm.report.markdown import signed
from spm.report.summaries import ORACLE, SummaryKey, summary_key

FIGURE, TITLE = "auc", "AUC"
NAMES = {
    PretrainedBaseline.OBJECT_PRIOR: "the object prior",
    PretrainedBaseline.ZERO_SHOT: "zero-shot",
}


class Judgment(StrEnum):
    """How a run compares with a baseline; the value is the words of a verdict."""

    BETTER = "better than"  # the interval of the difference lies above 0
    WORSE = "worse than"  # it lies below 0
    UNCLEAR = "not distinguishable from"  # it includes 0, or there is none
    SAME = "the same as"  # every frame has the same score


def judge(value: float, low: float | None, high: float | None) -> Judgment:
    """Judge a difference run − baseline by its 95 % interval.

    Parameters
    ----------
    value : float
        The difference.
    low, high : float or None
        Ends of its interval; None with a single test video.

    Examples
    --------
    >>> judge(0.03, 0.01, 0.05).value, judge(0.03, None, None).value
    ('better than', 'not distinguishable from')
    """
    if low is None or high is None:
        return Judgment.UNCLEAR
    if value == low == high == 0:
        return Judgment.SAME
    if low > 0:
        return Judgment.BETTER
    return Judgment.WORSE if high < 0 else Judgment.UNCLEAR


def compared(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names of the baselines in a verdict, each with its words.

    These are the pretrained networks, and the best of the trivial baselines if the run is not
    better than this one, or if there are no networks.
    """
    differences = summary["differences"]
    networks = [name for name in NAMES if name in differences]
    yield from ((name, NAMES[name]) for name in networks)
    trivial = [name for name in differences if name not in NAMES and name != ORACLE]
    if not trivial:
        return
    best = max(trivial, key=lambda name: summary["baselines"][name][FIGURE])
    if not networks or judge(**differences[best][FIGURE]) is not Judgment.BETTER:
        yield best, f"the best trivial baseline, {best}"


def sentence(key: SummaryKey, summary: Mapping[str, Any], digits: int = 3) -> str:
    """The verdict on one run: its AUC against that of the baselines, on one test set.

    Parameters
    ----------
    key : SummaryKey
        The run, and what it was scored on.
    summary : mapping
        The summary of this run, as the stage `scores` writes it.
    digits : int
        Digits after the decimal point.
    """
    place = f"{key.testset}, {key.box_source} boxes, {key.protocol}"
    if not summary["frames"]:
        return f"{place}: `{key.run}` has no score, as no frame of this test set has a kept box."
    clauses = []
    for name, words in compared(summary):
        difference = summary["differences"][name][FIGURE]
        if name == key.run and judge(**difference) is Judgment.SAME:
            continue  # the run is this network
        delta = signed(difference["value"], difference["low"], difference["high"], digits)
        clauses.append(f"{judge(**difference)} {words} (Δ {TITLE} {delta})")
    videos = count(summary["videos"], "video")
    counts = f"{count(summary['frames'], 'frame')} of {videos}"
    few = "" if summary["videos"] > 1 else ", too few for an interval"
    judged = f" is {listed(clauses)}" if clauses else " is a baseline itself"
    return f"{place}: `{key.run}`{judged}; {counts}{few}."


def listed(clauses: Sequence[str]) -> str:
    """Clauses with commas and `and` between them."""
    return " and ".join(filter(None, [", ".join(clauses[:-1]), *clauses[-1:]]))


def first_of_each(paths: Iterable[Path], *, box_sources: bool = False) -> list[Path]:
    """The first summary of each run and test set: of the first protocol and box source.

    With `box_sources`, the first of each run, test set and box source.
    """
    firsts: dict[tuple[str, ...], Path] = {}
    for path in paths:
        firsts.setdefault(summary_key(path)[: 3 if box_sources else 2], path)
    return list(firsts.values())


def sentences(paths: Iterable[Path], digits: int = 3) -> list[str]:
    """The verdict on each run and test set, under the first protocol and box source."""
    return [
        sentence(summary_key(path), summaries.read(path), digits) for path in first_of_each(paths)
    ]


def markdown(found: Sequence[str]) -> str:
    """The verdicts as a section of a Markdown page; empty without verdicts."""
    if not found:
        return ""
    lines = "\n".join(f"- {text}" for text in found)
    return f"## Verdict\n\n{lines}\n"
