"""`spm fetch-status`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spm.cli.options import Json, Quiet, say

if TYPE_CHECKING:
    from spm.corpus.fetch_status import Answer

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
    """Say which videos are not here, and why.

    Which of them may come back, and what to do.
    """
    from spm.corpus.fetch_status import answers, read

    found = answers(read(results))
    amiss = [each for each in found if each.status != "ok"]
    whole = [{**each._asdict(), "count": len(each.videos)} for each in found]
    say(list(lines(amiss if quiet else found)), whole, as_json=as_json, quiet=quiet and not amiss)


def lines(found: Sequence["Answer"]) -> Iterator[str]:
    """A line for each status with what to do, and one for each reason with how many and one of them."""
    from spm.corpus.fetch_status import WHAT_NOW

    counts: Counter[str] = Counter()
    for each in found:
        counts[each.status] += len(each.videos)
    yield f"{counts.total()} videos: " + ", ".join(
        f"{count} {status}" for status, count in counts.items()
    )
    for status in counts:
        yield f"\n{status}: {WHAT_NOW[status]}"
        for each in found:
            if each.status == status and each.reason:
                yield f"  {len(each.videos):5}  {each.reason}, as {each.videos[0]}"
