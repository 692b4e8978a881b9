"""`spm fetch-status`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spm.cli.options import Json, Quiet, print_result

if TYPE_CHECKING:
    from spm.corpus.fetch_status import VideoGroup

EXAMPLES = """\
  spm fetch-status
  spm fetch-status --results demo/results
  spm fetch-status --json | jq '.[] | select(.status == "retry") | .videos[]'
"""


def fetch_status(
    results: Annotated[Path, typer.Option(help="Folder of the workflow's results.")] = Path(
        "results"
    ),
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show which videos could not be downloaded, and why.

    With advice for each status, for example whether a later attempt may succeed.
    """
    from spm.base.statuses import FetchStatus
    from spm.corpus.fetch_status import group_videos, read

    groups = group_videos(read(results))
    failed = [group for group in groups if group.status != FetchStatus.OK]
    data = [{**group._asdict(), "count": len(group.videos)} for group in groups]
    shown = failed if quiet else groups
    print_result(list(lines(shown)), data, as_json=as_json, quiet=quiet and not failed)


def lines(groups: Sequence["VideoGroup"]) -> Iterator[str]:
    """Lines of text: per status the advice, then per reason the count and one of the videos."""
    from spm.corpus.fetch_status import ADVICE

    counts: Counter[str] = Counter()
    for group in groups:
        counts[group.status] += len(group.videos)
    totals = ", ".join(f"{count} {status}" for status, count in counts.items())
    yield f"{counts.total()} videos: {totals}"
    for status in counts:
        yield f"\n{status}: {ADVICE[status]}"
        for group in groups:
            if group.status == status and group.reason:
                yield f"  {len(group.videos):5}  {group.reason}, for example {group.videos[0]}"
