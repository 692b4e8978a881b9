"""What came of asking for every video: the shards' ledgers, counted by status and reason."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from spm.base import tables
from spm.base.config import UserError

WHAT_NOW = {
    "ok": "here",
    "retry": "may come back: `make retry` asks for these again, and for nothing else",
    "blocked": "for some only: a login (fetch.cookies, a cookie file of your browser) or another country may help",
    "bad": "no media at that address: mend it in the manifest",
    "gone": "will not come back; index.missing: replace lets the next one of its category test in its place",
}


class Answer(NamedTuple):
    """Videos that ended alike."""

    status: str
    reason: str
    videos: tuple[str, ...]  # their ids


def read(results: Path) -> list[dict[str, Any]]:
    """The rows of all shards' ledgers.

    Raises
    ------
    UserError
        When fetch has left none.
    """
    files = sorted((results / "corpus/fetch").glob("*.parquet"))
    if not files:
        command = "snakemake all --cores 2 --until fetch"
        folder = results / "corpus/fetch"
        raise UserError(
            f"{folder}: no ledger there: name the results with --results, or run {command}"
        )
    return tables.read(files).to_pylist()  # type: ignore[no-any-return]


def general(row: Mapping[str, Any]) -> str:
    """A reason without what is its video's alone: the path of a file, the id.

    >>> general({"video_id": "a", "reason": "/videos/a.mp4: no such file"})
    'no such file'
    """
    said = re.sub(r"^/.*: (?=[^/]+$)", "", str(row["reason"]))
    return re.sub(rf"\b{re.escape(str(row['video_id']))}\b", "…", said)


def answers(rows: Iterable[Mapping[str, Any]]) -> list[Answer]:
    """Videos by status, in the order of WHAT_NOW, and by reason, the commonest first."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        found[row["status"], general(row)].append(row["video_id"])
    alike = [Answer(*key, tuple(sorted(videos))) for key, videos in found.items()]
    place = {status: number for number, status in enumerate(WHAT_NOW)}
    return sorted(alike, key=lambda each: (place[each.status], -len(each.videos), each.reason))
