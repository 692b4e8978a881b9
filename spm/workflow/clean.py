"""Files that no rule makes any more, and all that is stored of a video.

What the rules make is asked of Snakemake itself. Of other files, only those count that a job has
made, by Snakemake's records: files of the user stay.
"""

import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.compute as pc
import pyarrow.parquet as pq

from spm.base import environment, project_files, spreadsheets
from spm.base.errors import UserError
from spm.base.shards import name_of
from spm.base.tables import atomic_write
from spm.base.words import did_you_mean
from spm.corpus import manifest as manifests
from spm.corpus import windows
from spm.corpus.fetching import store
from spm.corpus.manifest import Video
from spm.corpus.manifest_columns import COLUMNS, Columns
from spm.workflow import last_run
from spm.workflow.plan import CACHE, Plan
from spm.workflow.preflight.facts import Severity, record_file
from spm.workflow.project import check_project, load_project

RESULTS, LOGS, STATE = Path("results"), Path("logs"), Path("state")
MADE = ("results", "logs", "state", "store", ".snakemake")  # by a run of the workflow
DAY_S = 86_400
SHOWS_ALL = "shows frames or numbers of it"
MAY_HAVE_FRAMES, MAY_HAVE_LEARNED = "may have its frames", "may have learned from the video"
# What people read: it shows frames and names of videos, and is made again within minutes.
SHOWN = ("overview.html", "results/report", "results/README.md", "results/croissant.json")
NETWORKS = ("results/audio", "results/fusion/train", "results/boxes/detector",
            "state/finished", "state/audio", "state/fusion", "state/boxes")  # fmt: skip


class Deletable(NamedTuple):
    """A file or folder to delete."""

    path: Path
    reason: str

    @property
    def bytes(self) -> int:
        """Size, with all that is in a folder."""
        files = self.path.rglob("*") if self.path.is_dir() else [self.path]
        return sum(file.lstat().st_size for file in files if not file.is_dir())


@dataclass(frozen=True)
class Planned:
    """The files of all jobs, and the form of the names of logs and benchmarks."""

    files: frozenset[str]
    logs: tuple[re.Pattern[str], ...]


def planned(config: Mapping[str, Any]) -> Planned:
    """What Snakemake would make in the current folder, whether it is there or not."""
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import (
        ConfigSettings,
        DAGSettings,
        OutputSettings,
        Quietness,
        ResourceSettings,
    )

    settings = ConfigSettings(config=config)
    with (
        environment.restored(),  # the workflow sets variables for its jobs
        SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api,
        redirect_stdout(StringIO()),
    ):
        # Jobs are counted as on a cluster, so that this machine needs no GPU.
        workflow = api.workflow(
            ResourceSettings(nodes=1),
            config_settings=settings,
            snakefile=project_files.SNAKEFILE,
            workdir=Path(),
        )
        workflow.dag(DAGSettings(targets={"all"})).summary()
        jobs, rules = list(workflow._workflow.dag.jobs), list(workflow._workflow.rules)
    names: set[str] = set()
    for job in jobs:
        names.update(map(str, [*job.output, *job.log, *filter(None, [job.benchmark])]))
    patterns = [file for rule in rules for file in (*rule.log, rule.benchmark) if file]
    return Planned(frozenset(names), tuple(pattern.regex() for pattern in patterns))


@dataclass(frozen=True)
class Cleaner:
    """Finds what can be deleted in the current folder.

    Parameters
    ----------
    config : mapping
        The whole config, checked.
    videos : sequence of Video
        The rows of the manifest.
    """

    config: Mapping[str, Any]
    videos: Sequence[Video]

    @cached_property
    def plan(self) -> Plan:
        """What the workflow makes of the manifest."""
        return Plan.from_config(self.config, project_files.FOLDER)

    @property
    def manifest(self) -> Path:
        """The list of videos."""
        return Path(self.plan.manifest)

    @property
    def store(self) -> Path:
        """The folder of the media."""
        return Path(self.config["corpus"]["store"])

    def leftovers(self, days: float) -> Iterator[Deletable]:
        """What no rule makes now, and finished networks that were not used for so many days."""
        planned_now = planned(self.config)
        yield from _results(planned_now)
        yield from _logs(planned_now)
        yield from self._state(days)
        yield from self._media()

    def _state(self, days: float) -> Iterator[Deletable]:
        """Checkpoints, mapped files and finished networks that nothing needs."""
        used = {
            STATE / "fusion/train": self.plan.runs,
            STATE / "audio/pretrain": self.plan.promoted,
            STATE / "boxes": ["detector"] * self.plan.trains_detector,
        }
        for folder, names in used.items():
            for path in _children(folder):
                if path.name not in names:
                    yield Deletable(path, "checkpoints of a network that is no more trained")
        yield from self._mapped()
        for path in sorted(STATE.glob("finished/*/*/*")):
            if time.time() - path.stat().st_mtime > days * DAY_S:
                yield Deletable(path, f"finished network, not used for {days:g} days")

    def _mapped(self) -> Iterator[Deletable]:
        shards = {name_of(0)} if self.plan.mosaic_splits else set()
        for path in sorted(STATE.glob("mapped/*/*")):
            folder, shard = path.parent.name, path.name.split(".")[0]
            known = self.plan.shards if folder.startswith("corpus-") else shards
            if shard not in known:
                yield Deletable(path, "mapped file of a shard without videos")

    def _media(self) -> Iterator[Deletable]:
        """Media of videos that the manifest does not list; none in a store of several projects."""
        if Path.cwd() not in self.store.absolute().parents:
            return
        names = {video.video_id for video in self.videos}
        places = {windows.source_of(video.url) for video in self.videos}
        for record, files in _records(self.store):
            if record.video_id not in names and windows.source_of(record.address) not in places:
                yield from (
                    Deletable(file, "video that the manifest does not list") for file in files
                )

    def of_video(self, wanted: str, *, networks: bool) -> Iterator[Deletable]:
        """All that is stored of a video: its media, and results with its rows, frames or sound.

        Parameters
        ----------
        wanted : str
            Its id, or its address.
        networks : bool
            Also all networks, which may have learned from it.
        """
        source = windows.source_of(wanted)
        ids = {wanted} | {
            video.video_id for video in self.videos if windows.source_of(video.url) == source
        }
        sources = {source} | {
            windows.source_of(video.url) for video in self.videos if video.video_id in ids
        }
        for record, files in _records(self.store):
            if record.video_id in ids or windows.source_of(record.address) in sources:
                yield from (Deletable(file, "media of the video") for file in files)
        yield from _tables_with(ids)
        yield from (Deletable(path, SHOWS_ALL) for path in _existing(SHOWN))
        yield from (Deletable(path, MAY_HAVE_FRAMES) for path in _existing(["state/mapped"]))
        yield from (Deletable(path, "names the video") for path in _texts_with(ids))
        if networks:
            yield from (Deletable(path, MAY_HAVE_LEARNED) for path in _existing(NETWORKS))

    def without_rows(self, wanted: Sequence[str]) -> bytes | None:
        """The manifest without the rows of some videos; None if it has none of them."""
        sheet = spreadsheets.read(self.manifest, COLUMNS)
        columns = Columns.of(sheet)
        sources = set(map(windows.source_of, wanted))
        removed: dict[int, Sequence[str] | None] = {}
        for line, cells in sheet.rows():
            row = columns.values(cells)
            if row["video_id"] in wanted or windows.source_of(row["url"]) in sources:
                removed[line] = None
        return sheet.edit(removed, []) if removed else None


@dataclass(frozen=True)
class Found:
    """What can be deleted in a folder, and the manifest without the rows of the videos."""

    folder: Path
    leftovers: Sequence[Deletable]
    manifest: Path
    content: bytes | None  # of the manifest; None: it is not changed
    of_videos: bool

    def sizes(self) -> list[tuple[Path, str, int]]:
        """Path, reason and size of each file or folder."""
        with chdir(self.folder):
            return [(*leftover, leftover.bytes) for leftover in self.leftovers]

    def notes(self, *, deleted: bool) -> Iterator[str]:
        """Sentences on the manifest, and on what is left."""
        if self.content is not None:
            verb = "removed from" if deleted else "would be removed from"
            yield (
                f"The rows of the video {verb} {self.manifest}. The splits of later videos of its"
                " category may change, unless the column split names them."
            )
        if self.of_videos:
            yield "boxes.csv, reviews.csv and your own media files are not changed."
            yield "Run the workflow to make its results again, without the video."

    def delete(self) -> None:
        """Delete them, and write the manifest."""
        with chdir(self.folder):
            if self.content is not None:
                with atomic_write(self.manifest) as part:
                    part.write_bytes(self.content)
            delete(self.leftovers)


def find(
    folder: Path,
    config_files: Sequence[Path],
    overrides: Sequence[str],
    *,
    videos: Sequence[str] = (),
    networks: bool = False,
    days: float = 90,
) -> Found:
    """What can be deleted in the working directory of a workflow.

    Parameters
    ----------
    folder, config_files, overrides
        The project, as `project.load_project` takes it. Without files and overrides, the config is
        that of the last run in the folder.
    videos : sequence of str
        Ids or addresses. With them, all that is stored of these videos; else all that no rule makes
        now.
    networks : bool
        With `videos`: also all networks.
    days : float
        Finished networks in state/ that were not used for so long count too.

    Raises
    ------
    UserError
        If the config or the manifest has a fault, or nothing is known of a video.
    """
    if not _existing(str(folder / name) for name in MADE):
        raise UserError(
            f"{folder.absolute()}: no workflow has run in this folder: run spm clean in the folder"
            " of a project, or name it with --directory"
        )
    last = None if config_files or overrides else last_run.config(folder)
    project = check_project(folder, last) if last else load_project(folder, config_files, overrides)
    with chdir(folder):
        plan = Plan.from_config(project.config, project_files.FOLDER)
        cleaner = Cleaner(project.config, manifests.read(Path(plan.manifest)))
        if not videos:
            errors = [fault.line for fault in project.problems if fault.severity is Severity.ERROR]
            if errors:
                raise UserError("\n".join(errors))
            return Found(folder, list(cleaner.leftovers(days)), cleaner.manifest, None, False)
        found: dict[Path, Deletable] = {}
        for video in videos:
            leftovers = list(cleaner.of_video(video, networks=networks))
            if cleaner.without_rows([video]) is None and not any(map(_names_video, leftovers)):
                known = [listed.video_id for listed in cleaner.videos]
                raise UserError(
                    f"--video {video}: nothing is stored of it, and {cleaner.manifest} does not"
                    f" list it{did_you_mean(video, known)}"
                )
            found.update((leftover.path, leftover) for leftover in leftovers)
        content = cleaner.without_rows(videos)
        return Found(folder, list(found.values()), cleaner.manifest, content, True)


def _names_video(leftover: Deletable) -> bool:
    """Whether a file is certainly of the video, and not one that shows all videos."""
    return leftover.reason not in (SHOWS_ALL, MAY_HAVE_FRAMES, MAY_HAVE_LEARNED)


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _existing(names: Iterable[str]) -> list[Path]:
    return [path for path in map(Path, names) if path.exists()]


def _results(wanted: Planned) -> Iterator[Deletable]:
    """Files that a job has made and that no job makes now."""
    for folder in (RESULTS, LOGS):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and str(path) not in wanted.files and record_file(path).is_file():
                yield Deletable(path, "result that no rule makes now")


def _logs(wanted: Planned) -> Iterator[Deletable]:
    """Logs, benchmarks and TensorBoard logs of jobs that there are no more."""
    for path in sorted(LOGS.rglob("*")):
        log = path.with_suffix(".log") if path.suffix == ".tensorboard" else path
        is_log = any(pattern.match(str(log)) for pattern in wanted.logs)
        if is_log and str(log) not in wanted.files:
            yield Deletable(path, "log of a job that there is no more")


def _records(folder: Path) -> Iterator[tuple[store.MediaRecord, list[Path]]]:
    """The records of a store, each with all files of its video."""
    for path in sorted(folder.glob("??/*.json")):
        name = path.name.removesuffix(".json").split("_", 1)[1]
        record = store.load(folder, name)
        if record is not None:
            prefix = path.name.removesuffix("json")
            yield record, [file for file in _children(path.parent) if file.name.startswith(prefix)]


def _tables_with(ids: set[str]) -> Iterator[Deletable]:
    """Tables that have rows of a video; of mosaics with its frames, all tables."""
    folders = set()
    for path in sorted(RESULTS.rglob("*.parquet")):
        if _has_rows(path, ids):
            if path.parts[1:3] == ("fusion", "mosaics"):
                folders.add(Path(*path.parts[:4]))
            else:
                yield Deletable(path, "table with rows of the video")
    yield from (Deletable(folder, "mosaics with the video") for folder in sorted(folders))


def _has_rows(path: Path, ids: set[str]) -> bool:
    try:
        file = pq.ParquetFile(path)
        column = next((n for n in ("video_id", "clip_id") if n in file.schema_arrow.names), None)
        if column is None:
            return False
        names = file.read([column])[column]
    except (OSError, ValueError):
        return True  # a damaged table may have anything
    names_of_ids = "|".join(map(re.escape, sorted(ids)))
    end = "" if column == "video_id" else r"_\d+"
    pattern = f"(^|/)({names_of_ids}){end}(/|$)"
    return bool(pc.any(pc.match_substring_regex(names, pattern)).as_py())


def _texts_with(ids: set[str]) -> Iterator[Path]:
    """Logs and cached lists that name a video."""
    names = "|".join(map(re.escape, sorted(ids)))
    pattern = re.compile(rf"(?<![\w+.-])({names})(?![\w+-])".encode())
    for folder in (LOGS, CACHE, Path(".snakemake/log")):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and pattern.search(path.read_bytes()):
                yield path


def delete(leftovers: Iterable[Deletable]) -> None:
    """Delete files and folders, and the folders of results that become empty."""
    for path, _ in leftovers:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        for parent in path.parents[:-1]:
            if not parent.is_dir() or any(parent.iterdir()):
                break
            parent.rmdir()
