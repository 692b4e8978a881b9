"""What the checks of the preflight look at, and the form of what they find."""

import json
import math
from base64 import urlsafe_b64encode
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from spm.base import csv_file
from spm.base.errors import UserError
from spm.base.json_cache import cached
from spm.base.statuses import Kind, Split
from spm.boxes.category_map import name_in_video
from spm.boxes.formats import csv as boxes_csv
from spm.corpus import index, membership
from spm.corpus.index import COUNTS, Index
from spm.corpus.manifest import Video
from spm.workflow.plan import CACHE, Plan

COVERAGE = Path("results/corpus/index/coverage.csv")
METADATA = Path(".snakemake/metadata")
NAME_CHARS = 254  # of a part of the name of a record
BoxCounts = Mapping[tuple[str, str], int]  # of each video and category


class Severity(StrEnum):
    """What a problem means for the run."""

    ERROR = "error"  # a job would fail, or nothing would come out: nothing is planned
    WARNING = "warning"  # the run ends, but its results are worth little
    NOTE = "note"  # worth knowing


class Problem(NamedTuple):
    """One line: the thing, its value, what was expected, and the remedy."""

    severity: Severity
    line: str


def error(line: str) -> Problem:
    """A problem that stops the plan."""
    return Problem(Severity.ERROR, line)


def warning(line: str) -> Problem:
    """A problem that does not stop the plan."""
    return Problem(Severity.WARNING, line)


class Machine(NamedTuple):
    """Where the jobs run."""

    local: bool = True  # on this machine, not on a cluster
    conda: bool = False  # in environments of their own


@dataclass(frozen=True)
class Facts:
    """The config, the videos, and the machine."""

    plan: Plan  # its shards are not used
    videos: Sequence[Video]
    machine: Machine

    @property
    def config(self) -> Mapping[str, Any]:
        """The whole config."""
        return self.plan.config

    @cached_property
    def split(self) -> dict[str, Split]:
        """The split of each video, by its id, as if all videos were available."""
        listed = {video.video_id for video in self.videos}
        return index.splits(self.videos, listed, Index(**self.config["index"]))

    @cached_property
    def by_split(self) -> dict[Split, list[Video]]:
        """The videos of each split that can be fetched."""
        found: dict[Split, list[Video]] = {split: [] for split in Split}
        for video in self.videos:
            if not video.flaw:
                found[self.split[video.video_id]].append(video)
        return found

    def members(self, split: Split, kinds: Iterable[str] = tuple(Kind)) -> list[Video]:
        """The videos of a split and of some kinds."""
        wanted = set(kinds)
        return [video for video in self.by_split[split] if video.kind in wanted]

    def tested(self, testset: str) -> list[Video]:
        """The videos of a test set; of mosaics, those of their tiles."""
        if testset == "validation":
            return self.members(Split.VAL, [Kind.SOLO])
        return self.members(Split.TEST, [Kind.SOLO if testset == "synthetic" else testset])

    @property
    def needs_given_boxes(self) -> bool:
        """Whether the run reads the file of given boxes."""
        return "given" in self.plan.box_sources or self.plan.trains_on_given_boxes

    @cached_property
    def given_boxes(self) -> BoxCounts:
        """The number of given boxes of each video and category.

        Raises
        ------
        UserError
            If the file has a fault.
        """
        path = Path(self.plan.given_boxes)

        def compute() -> list[tuple[str, str, int]]:
            counts = Counter((box["video_id"], box["category"]) for box in boxes_csv.read(path))
            return [(*key, number) for key, number in counts.items()]

        rows = cached(path, "boxes", boxes_csv.__name__, CACHE, compute)
        return {(video, category): number for video, category, number in rows}

    @cached_property
    def categories(self) -> dict[str, tuple[str, ...]]:
        """The categories of each video, by its id."""
        return {video.video_id: video.categories for video in self.videos}

    @cached_property
    def readable_boxes(self) -> BoxCounts:
        """The given boxes; none if nothing reads them, or if their file has a fault."""
        if self.needs_given_boxes:
            with suppress(UserError):  # the check of the file says what is wrong
                return self.given_boxes
        return {}

    @cached_property
    def named_boxes(self) -> BoxCounts:
        """The same with the manifest's names of their categories, as in `annotations`."""
        class_map = self.config["annotations"]["class_map"]
        named = Counter[tuple[str, str]]()
        for (video, category), number in self.readable_boxes.items():
            listed = self.categories.get(video, ())
            named[video, name_in_video(category, listed, class_map)] += number
        return named

    @cached_property
    def fitting_boxes(self) -> BoxCounts:
        """The boxes that count of videos and categories that the manifest lists."""
        return self._fitting(self.named_boxes)

    @cached_property
    def learned_boxes(self) -> BoxCounts:
        """The boxes that a detector learns from: those with the manifest's own names."""
        return self._fitting(self.readable_boxes)

    def _fitting(self, boxes: BoxCounts) -> BoxCounts:
        return {k: n for k, n in boxes.items() if k[1] in self.categories.get(k[0], ())}

    @cached_property
    def coverage(self) -> list[dict[str, str]]:
        """The rows of the coverage table of a finished index, if there is one."""
        if not csv_file.has_digest(COVERAGE):
            return []
        return csv_file.read_rows(COVERAGE, ["kind", "categories", "split", *COUNTS])

    @cached_property
    def clip_tables(self) -> list[Path]:
        """The finished tables of clips of the shards that have videos."""
        manifest, shards = Path(self.plan.manifest), self.config["corpus"]["shards"]
        names = sorted(membership.shard_digests(manifest, shards, CACHE))
        tables = [Path(f"results/corpus/clips/{name}.parquet") for name in names]
        return [table for table in tables if table.is_file()]

    @cached_property
    def known_clips(self) -> dict[tuple[str, str], float]:
        """Most clips per kind and categories, by a finished index of as many videos.

        Only if they were cut with the present settings.
        """
        table = next(iter(self.clip_tables), None)
        if not self.coverage or table is None:
            return {}
        if not any(self.plan.section("clips") in param for param in record_of(table)["params"]):
            return {}
        listed, most = Counter[tuple[str, str]](), defaultdict[tuple[str, str], float](float)
        for row in self.coverage:
            group = (row["kind"], row["categories"])
            missing = int(row["listed"]) - int(row["available"])  # they may still come
            listed[group] += int(row["listed"])
            most[group] += int(row["clips"]) + (missing and missing * self.longest_s)
        present = Counter(map(group_of, self.videos))
        return {group: most[group] for group in most if listed[group] == present[group]}

    @property
    def longest_s(self) -> float:
        """The most seconds, and so clips, that are used of a video."""
        return float(self.config["clips"]["max_s"] or math.inf)

    def training_time(self) -> str:
        """The time of the audible training clips, as " (42 s)"; empty if it isn't known yet."""
        if not self.coverage:
            return ""
        listed, audible_s = Counter[tuple[str, ...]](), 0
        for row in self.coverage:
            listed[row["kind"], row["categories"], row["split"]] += int(row["listed"])
            audible_s += int(row["audible"]) if row["split"] == Split.TRAIN else 0
        present = Counter(
            (*group_of(video), str(self.split[video.video_id])) for video in self.videos
        )
        return f" ({audible_s} s)" if listed == present else ""

    def most_clips(self, videos: Iterable[Video]) -> float:
        """An upper bound of the number of clips of training videos.

        The finished index, if there is one for as many videos, else one clip per second.
        """
        lengths_s: dict[tuple[str, str], float] = defaultdict(float)
        for video in videos:
            window = video.window
            window_s = window.end_s - window.start_s if window else self.longest_s
            lengths_s[group_of(video)] += min(window_s, self.longest_s)
        known = self.known_clips
        return sum(known.get(group, length_s) for group, length_s in lengths_s.items())


def group_of(video: Video) -> tuple[str, str]:
    """Kind and categories of a video, as in the coverage table."""
    return str(video.kind), " ".join(video.categories)


def categories_of(videos: Iterable[Video]) -> list[str]:
    """The categories of videos, sorted."""
    found: set[str] = set()
    for video in videos:
        found.update(video.categories)
    return sorted(found)


def record_file(path: Path) -> Path:
    """Snakemake's file of the record of a result; the name is cut into folders if it is long."""
    name = urlsafe_b64encode(str(path).encode()).decode()
    parts = [name[start : start + NAME_CHARS] for start in range(0, len(name), NAME_CHARS)]
    return METADATA.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])


def record_of(path: Path) -> dict[str, Any]:
    """Snakemake's record of the job that made a result; without one, it has no params."""
    try:
        record: dict[str, Any] = json.loads(record_file(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = {}
    return {**record, "params": record.get("params") or []}
