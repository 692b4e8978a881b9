"""The config of the last run of a workflow, for commands that show or delete its results."""

from collections.abc import Mapping
from contextlib import chdir, suppress
from pathlib import Path
from typing import Any, NamedTuple

from spm.base import json_file, project_files
from spm.base.errors import UserError
from spm.corpus import membership
from spm.workflow.plan import CACHE, Plan

FILE = CACHE / "last_run.json"


class TabledVideos(NamedTuple):
    """What the workflow makes tables of."""

    shards: list[str]
    videos: set[str]  # ids


def save(config: Mapping[str, Any]) -> None:
    """Keep the checked config of a run that starts in the current folder."""
    json_file.write(FILE, config)


def config(folder: Path) -> dict[str, Any] | None:
    """The config of the last run in a folder; None if there was none."""
    with suppress(UserError):
        return json_file.read(folder / FILE)
    return None


def listed(folder: Path) -> TabledVideos | None:
    """Shards and videos of the manifest, by the config of the last run; None if there was none."""
    last = config(folder)
    if last is None:
        return None
    with chdir(folder), suppress(UserError, KeyError):
        plan = Plan.from_config(last, project_files.FOLDER)
        videos = membership.videos(Path(plan.manifest), CACHE)
        return TabledVideos(plan.shards, {video.video_id for video in videos})
    return None
