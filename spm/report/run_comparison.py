"""Two runs, or two projects, side by side: settings, code, corpus and scores.

On the command line: spm compare A B
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.compute as pc

from spm.base import json_file, tables
from spm.base.errors import UserError
from spm.base.words import did_you_mean, one_of, shown
from spm.report import differences, records, summaries
from spm.report.records import Record
from spm.report.summaries import SummaryKey, summary_key

RESULTS = "results"
INDEX = Path(RESULTS, "corpus/index/clips.parquet")
SUMMARIES = "results/score/scores/*/*/*/*.json"
TRAINED = Path(RESULTS, "fusion/train")
SHOWN_VIDEOS = 5  # of those that only one side has
# Settings and code of these stages change how results are shown, not what they are.
SHOWN_ONLY = {
    "tables", "figures", "samples", "cluster_plot", "best_worst", "overlay_videos", "paper",
    "paper_figures", "pages", "cards", "costs",
}  # fmt: skip


class Side(NamedTuple):
    """A project, and one of its runs; without one, all runs are compared by their names."""

    project: Path
    run: str | None

    @classmethod
    def of(cls, name: str) -> "Side":
        """The side that a word of the command line names.

        Parameters
        ----------
        name : str
            A project, its results, the folder of a run, or the name of a run of this folder.

        Raises
        ------
        UserError
            If there is nothing of this name, or there are no results in it.
        """
        path = Path(name)
        if not path.exists() and (TRAINED / name).is_dir():
            return cls(Path(), name)
        path = path.parent if path.is_file() else path
        parents = path.absolute().parents
        if path.is_dir() and path.absolute().parent.parts[-3:] == TRAINED.parts:
            return cls(parents[3], path.name)
        if path.absolute().name == RESULTS:
            return cls(path.absolute().parent, None)
        if (path / RESULTS).is_dir():
            return cls(path, None)
        runs = sorted(folder.name for folder in TRAINED.glob("*/"))
        raise UserError(
            f"{name}: expected a project (a folder with {RESULTS}/), the folder of a run"
            f" ({TRAINED}/RUN), or the name of a run in this folder{did_you_mean(path.name, runs)}"
        )


class Difference(NamedTuple):
    """A value that differs: of a setting, or of the code of a stage."""

    stage: str
    key: str
    first: Any
    second: Any


@dataclass(frozen=True)
class ProjectDifferences:
    """What differs between two sides."""

    settings: list[Difference] = field(default_factory=list)
    code: list[str] = field(default_factory=list)  # stages
    unknown: list[str] = field(default_factory=list)  # sides without records
    corpus: dict[str, Any] = field(default_factory=dict)
    scores: list[dict[str, Any]] = field(default_factory=list)


def compare(first: Side, second: Side) -> ProjectDifferences:
    """Compare two sides.

    Returns
    -------
    ProjectDifferences
        Scores are compared where both sides have them for the same test set, boxes and protocol;
        differences are paired, on the frames that both have, with 95 % intervals over videos.
    """
    jobs = [_jobs(side) for side in (first, second)]
    projects = [side.project for side in (first, second)]
    unknown = [str(project) for project in projects if not records.read(project)]
    common = sorted(jobs[0].keys() & jobs[1].keys())
    changes = (_changes(name, jobs[0][name], jobs[1][name]) for name in common)
    return ProjectDifferences(
        settings=list(chain.from_iterable(changes)),
        code=sorted({name for name in common if jobs[0][name].code != jobs[1][name].code}),
        unknown=unknown,
        corpus=_corpora(first.project, second.project),
        scores=list(_scores(first, second)),
    )


def _jobs(side: Side) -> dict[str, Record]:
    """The records of the stages that decide the results: of each stage, network and run."""
    found = {}
    for output, record in (records.read(side.project) or _networks(side.project)).items():
        if record.rule in SHOWN_ONLY or (side.run and not _concerns(output, record, side.run)):
            continue
        name = record.rule
        if record.rule in ("clusters", "pretrain") or (record.rule == "train" and not side.run):
            name += f" {Path(output).parent.name}"
        found[name] = record
    return found


def _networks(project: Path) -> dict[str, Record]:
    """The settings of trained networks, which lie beside them."""
    found = {}
    for path in sorted((project / TRAINED).glob("*/network.json")):
        about = json_file.read(path, signed=False)
        found[str(path.relative_to(project))] = Record("train", about["config"], "", "")
    return found


def _concerns(output: str, record: Record, run: str) -> bool:
    """Whether an output is of this run, or of no run."""
    per_run = record.rule in ("train", "maps", "scores", "prior_maps")
    return not per_run or run in Path(output).parts


def _changes(stage: str, first: Record, second: Record) -> Iterator[Difference]:
    """Settings with different values; of a setting that one side lacks, the value is None."""
    keys = sorted(first.settings.keys() | second.settings.keys())
    for key in keys:
        values = first.settings.get(key), second.settings.get(key)
        if values[0] != values[1]:
            yield Difference(stage, key, *values)
    if first.environment != second.environment:
        yield Difference(stage, "conda environment", "one", "another")


def _corpora(first: Path, second: Path) -> dict[str, Any]:
    """Videos that one project has and the other lacks, and the numbers of clips per split."""
    paths = [project / INDEX for project in (first, second)]
    if not all(path.is_file() for path in paths):
        return {}
    indices = [tables.read(path) for path in paths]
    videos = [set(index["video_id"].to_pylist()) for index in indices]
    splits = [_clips_per_split(index) for index in indices]
    return {
        "videos": [len(found) for found in videos],
        "only_first": sorted(videos[0] - videos[1]),
        "only_second": sorted(videos[1] - videos[0]),
        "clips": splits,
        "same_clips": indices[0].equals(indices[1]),
    }


def _clips_per_split(index: Any) -> dict[str, int]:
    counted = pc.value_counts(index["split"]).to_pylist()
    return {row["values"]: row["counts"] for row in counted}


def _summaries(side: Side) -> dict[SummaryKey, Path]:
    """Summaries of a side; where the side is one run, the name of the run is left out."""
    found = {}
    for path in sorted(side.project.glob(SUMMARIES)):
        key = summary_key(path)
        if side.run is None:
            found[key] = path
        elif key.run == side.run:
            found[key._replace(run="")] = path
    return found


def _scores(first: Side, second: Side) -> Iterator[dict[str, Any]]:
    """A row per run, test set, boxes, protocol and figure."""
    sides = [_summaries(side) for side in (first, second)]
    for key in sorted(sides[0].keys() & sides[1].keys()):
        paths = [side[key] for side in sides]
        scores = [summaries.read(path)["run"] for path in paths]
        for gain in differences.between(*reversed(paths)):
            metric = gain["metric"]
            yield {
                **gain,
                **key._asdict(),
                "first": scores[0][metric],
                "first_interval": scores[0]["interval_95"][metric],
                "second": scores[1][metric],
                "second_interval": scores[1]["interval_95"][metric],
            }


def lines(
    names: Sequence[str], found: ProjectDifferences, metrics: Sequence[str] = ()
) -> Iterator[str]:
    """A comparison as lines of text; of the scores, the AUC or the named figures.

    Raises
    ------
    UserError
        If no score has the name of one of the figures.
    """
    known = sorted({row["metric"] for row in found.scores})
    for metric in metrics:
        if known and metric not in known:
            raise UserError(f"--metric {metric}: {one_of(metric, known)}")
    yield f"A: {names[0]}"
    yield f"B: {names[1]}"
    yield ""
    for folder in found.unknown:
        yield f"{folder}: Snakemake's records are missing: only the settings of networks are known"
    yield "Settings" if found.settings else "Settings: no difference"
    for stage, key, first, second in found.settings:
        yield f"  {stage}: {key}: {_text(first)} | {_text(second)}"
    yield f"Code: {'not known' if found.unknown else ', '.join(found.code) or 'no difference'}"
    yield from _corpus_lines(found.corpus)
    yield from _score_lines(found.scores, metrics or ["auc"])


def _text(value: Any) -> str:
    return "not set" if value is None else str(value)


def _corpus_lines(corpus: Mapping[str, Any]) -> Iterator[str]:
    if not corpus:
        yield "Corpus: not known for both"
        return
    if corpus["same_clips"]:
        yield f"Corpus: the same clips, of {corpus['videos'][0]} videos"
        return
    yield f"Corpus: {corpus['videos'][0]} | {corpus['videos'][1]} videos"
    for name, key in (("A", "only_first"), ("B", "only_second")):
        if corpus[key]:
            yield f"  only in {name}: {shown(corpus[key], SHOWN_VIDEOS)}"
    first, second = corpus["clips"]
    for split in sorted(first.keys() | second.keys()):
        yield f"  clips, {split}: {first.get(split, 0)} | {second.get(split, 0)}"


def _score_lines(scores: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Iterator[str]:
    rows = [row for row in scores if row["metric"] in metrics]
    if not rows:
        yield "Scores: none of the same test set, boxes and protocol"
        return
    yield "Scores, with 95 % intervals over videos; B − A on the frames of both"
    for row in rows:
        about = [row["metric"], row["testset"], f"{row['box_source']} boxes", row["protocol"]]
        first = _figure(row["first"], row["first_interval"])
        second = _figure(row["second"], row["second_interval"])
        bounds = None if row["low"] is None else (row["low"], row["high"])
        gain = _figure(row["difference"], bounds, sign="+")
        counts = f"{row['frames']} frames, {row['videos']} videos"
        name = ", ".join(filter(None, [row["run"], *about]))
        yield f"  {name}: {first} | {second}; B − A {gain}; {counts}"


def _figure(value: float, interval: Sequence[float] | None, sign: str = "") -> str:
    """A score with its interval."""
    text = f"{value:{sign}.3f}"
    return f"{text} [{interval[0]:{sign}.3f}, {interval[1]:{sign}.3f}]" if interval else text
