"""`spm fetch-status`."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spm.cli.options import Json, Quiet, check_results, print_result

if TYPE_CHECKING:
    from spm.corpus.fetch_status import VideoGroup

EXAMPLES = """\
  spm fetch-status
  spm fetch-status --results demo/results
  spm fetch-status --videos | grep partial
  spm fetch-status --json | jq '.[] | select(.status == "retry") | .videos[]'
"""


def fetch_status(
    results: Annotated[Path, typer.Option(help="Folder of the workflow's results.")] = Path(
        "results"
    ),
    videos: Annotated[
        bool, typer.Option("--videos", help="List each video, with the tracks that are used.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show which videos could not be downloaded or decoded, and why.

    With advice for each status, for example whether a later attempt may succeed.
    """
    from spm.corpus import fetch_status as statuses
    from spm.workflow import last_run

    check_results(results)
    listed = last_run.listed(results.resolve().parent)
    shards = listed and listed.shards
    fetched, decoded = statuses.read(results, shards), statuses.read_decoded(results, shards)
    if listed:
        fetched = [row for row in fetched if row["video_id"] in listed.videos]
        decoded = [row for row in decoded if row["video_id"] in listed.videos]
    if videos:
        rows = statuses.list_videos(fetched, decoded)
        print_result(list(map(line_of, rows)), rows, as_json=as_json, quiet=quiet)
        return
    groups = statuses.group_videos(fetched)
    of_clips = statuses.group_decoded(decoded)
    data = [{**group._asdict(), "count": len(group.videos)} for group in [*groups, *of_clips]]
    failed = [group for group in groups if group.status != "ok"]
    incomplete = [group for group in of_clips if group.status != "ok"]
    shown = (failed, incomplete) if quiet else (groups, of_clips)
    text = [line for part in map(lines, shown) for line in part]
    print_result(text, data, as_json=as_json, quiet=quiet and not (failed or incomplete))


def line_of(video: Mapping[str, Any]) -> str:
    """What is known of one video, as a line of text."""
    parts = [video["video_id"], video["fetch"], video["clips"] or "-"]
    if video["number_of_clips"] is not None:
        parts.append(f"{video['number_of_clips']} clips")
    return "  ".join([*parts, *filter(None, (video["tracks"], video["reason"]))])


def lines(groups: Sequence["VideoGroup"]) -> Iterator[str]:
    """Lines of text: per status the advice, then per reason the count and one of the videos."""
    from spm.corpus.fetch_status import ADVICE

    if not groups:
        return
    counts: Counter[str] = Counter()
    for group in groups:
        counts[group.status] += len(group.videos)
    totals = ", ".join(f"{count} {status}" for status, count in counts.items())
    is_clips = groups[0].stage == "clips"
    yield f"\ndecoded: {totals}" if is_clips else f"{counts.total()} videos: {totals}"
    for status in counts:
        if not is_clips:
            yield f"\n{status}: {ADVICE[status]}"
        for group in groups:
            if group.status == status and group.reason:
                reason = f"{status}: {group.reason}" if is_clips else group.reason
                yield f"  {len(group.videos):5}  {reason}, for example {group.videos[0]}"
