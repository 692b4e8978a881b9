"""The outcome of fetch for all videos: the ledgers of all shards, grouped by status and reason."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from spm.base import tables
from spm.base.errors import UserError
from spm.base.statuses import FetchStatus

# What each status means for the user, in the order of the report.
ADVICE: dict[str, str] = {
    FetchStatus.OK: "downloaded, or a local file",
    FetchStatus.RETRY: "the error may be temporary: `make retry` requests only these videos again",
    FetchStatus.BLOCKED: "not available to everybody: a login (fetch.cookies, a cookie file of your"
    " browser) or another country may help",
    FetchStatus.BAD: "no video at this address: correct it in the manifest",
    FetchStatus.GONE: "will not return; with index.missing: replace, the next video of its category"
    " is tested instead",
}


class VideoGroup(NamedTuple):
    """Videos with the same status and reason."""

    status: FetchStatus
    reason: str
    videos: tuple[str, ...]  # their ids


def read(results: Path) -> list[dict[str, Any]]:
    """The rows of the ledgers of all shards.

    Raises
    ------
    UserError
        When there is no ledger.
    """
    folder = results / "corpus/fetch"
    files = sorted(folder.glob("*.parquet"))
    if not files:
        command = "snakemake all --cores 2 --until fetch"
        raise UserError(
            f"{folder}: no ledger in this folder: expected those of fetch. Name the folder of the"
            f" results with --results, or run {command}"
        )
    return tables.read(files).to_pylist()  # type: ignore[no-any-return]


def generalize(row: Mapping[str, Any]) -> str:
    """The reason of a row without the parts that are specific to its video: file path and id.

    >>> generalize({"video_id": "a", "reason": "/videos/a.mp4: no such file"})
    'no such file'
    """
    reason = re.sub(r"^/.*: (?=[^/]+$)", "", str(row["reason"]))
    return re.sub(rf"\b{re.escape(str(row['video_id']))}\b", "…", reason)


def group_videos(rows: Iterable[Mapping[str, Any]]) -> list[VideoGroup]:
    """Videos by status, in the order of ADVICE, and by reason, the most frequent first."""
    videos: dict[tuple[FetchStatus, str], list[str]] = defaultdict(list)
    for row in rows:
        videos[FetchStatus(row["status"]), generalize(row)].append(row["video_id"])
    groups = [VideoGroup(*key, tuple(sorted(video_ids))) for key, video_ids in videos.items()]
    order = list(ADVICE)
    return sorted(
        groups, key=lambda group: (order.index(group.status), -len(group.videos), group.reason)
    )
