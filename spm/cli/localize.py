"""`spm localize`."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spm.cli.options import Json, Quiet, print_result

if TYPE_CHECKING:
    from tqdm import tqdm

    from spm.inference.jobs import VideoJob
    from spm.inference.localize import Localizer

BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f} of {total:.0f} s of video [{elapsed}<{remaining}]"
EXAMPLES = """\
  spm localize concert.mp4
  spm localize videos/*.mp4 --weights results/fusion/train/spm
  spm localize concert.mp4 --weights someone/localizer
  spm localize https://example.org/concert.mp4 --max-s 30 --json
"""

Videos = Annotated[list[str], typer.Argument(help="Video files, or addresses of videos.")]
Weights = Annotated[
    str | None,
    typer.Option(
        help="network.safetensors of a run, the folder of a run, or OWNER/NAME of a hub; default:"
        " the zero-shot network, which needs no training."
    ),
]
OutFolder = Annotated[Path, typer.Option(help="Folder for the results.")]
MaxSeconds = Annotated[int, typer.Option(min=1, help="Use only the first seconds of each video.")]
MapsPerSecond = Annotated[
    int, typer.Option(min=1, max=60, help="Maps per second; the video interpolates between them.")
]
Threshold = Annotated[
    float,
    typer.Option(min=0, max=1, help="Score from which a frame has a box; heat has the same scale."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, or mps (GPU of a Mac).")]
Memory = Annotated[
    int,
    typer.Option(
        "--memory-mb", min=500, help="Most memory of a program that reads a video, in MB."
    ),
]
Time = Annotated[
    int,
    typer.Option(
        "--time-s",
        min=1,
        help="Longest time to decode a video, in s; docs/localize.md says what its film may take.",
    ),
]
PrivateHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--private-host",
        metavar="HOST",
        help="A host of this network that may be asked for videos; may be repeated.",
    ),
]


def localize(
    videos: Videos,
    weights: Weights = None,
    out: OutFolder = Path("localized"),
    max_s: MaxSeconds = 3600,
    maps_per_s: MapsPerSecond = 2,
    threshold: Threshold = 0.25,
    device: Device = "auto",
    memory_mb: Memory = 3000,
    time_s: Time = 1800,
    private_host: PrivateHosts = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the source of the sound in videos.

    Writes the video with a heat map over it, a sheet of frames, and the maps as Parquet and JSON,
    under the name of the video. All of them name the network. Files that spm localize has not
    written are never replaced.
    """
    from spm.base.printable import printable
    from spm.inference import jobs, writing
    from spm.inference.localize import Localizer

    planned = jobs.plan(videos, out)
    localizer = Localizer(weights, device, maps_per_s, threshold, memory_mb, time_s)
    lengths_s = [job.prepare(private_host or (), memory_mb) for job in planned]
    results = list(_localize_all(localizer, planned, lengths_s, max_s, quiet=quiet))
    errors = [result["reason"] for result in results if result["reason"]]
    for error in errors:
        typer.echo(f"spm: error: {printable(error)}", err=True)
    done = f"{len(results) - len(errors)} of {len(results)} videos localized"
    lines = [
        f"network: {localizer.info}",
        *(writing.summary(result["localization"]) for result in results if not result["reason"]),
        *_cut_videos(planned, lengths_s, max_s),
        f"{done}; in {out}: videos (.mp4), sheets of frames (.png), maps (.parquet, .json)",
    ]
    print_result(list(map(printable, lines)), results, as_json=as_json, quiet=quiet)
    if errors:
        raise typer.Exit(1)


def _localize_all(
    localizer: "Localizer",
    jobs: "Sequence[VideoJob]",
    lengths_s: Sequence[float],
    max_s: int,
    *,
    quiet: bool,
) -> Iterator[dict[str, Any]]:
    """The result of each video.

    The progress bar counts seconds of video: half for the maps, half for the overlay video.
    """
    from spm.base.progress import progress

    total_s = sum(min(length_s, max_s) for length_s in lengths_s)
    bar: tqdm[Any] = progress(
        [], "localize", math.ceil(total_s), bar_format=BAR, quiet=quiet or not total_s
    )

    def on_progress(seconds: float) -> None:
        bar.update(seconds / 2)

    with bar:
        for job in jobs:
            yield _localize(localizer, job, max_s, on_progress)


def _cut_videos(
    jobs: "Sequence[VideoJob]", lengths_s: Sequence[float], max_s: int
) -> Iterator[str]:
    """A line for each video that is longer than the part that was used."""
    for job, length_s in zip(jobs, lengths_s, strict=True):
        if length_s >= max_s + 1 and not job.reason:
            yield f"{job.video}: only the first {max_s} of {length_s:.0f} s were used (--max-s)"


def _result(
    job: "VideoJob",
    *,
    reason: str = "",
    files: dict[str, Path] | None = None,
    localization: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The JSON of one video; `reason` says why it has no files."""
    paths = {suffix: str(path) for suffix, path in (files or {}).items()}
    return {"video": job.video, "reason": reason, "files": paths, "localization": localization}


def _localize(
    localizer: "Localizer", job: "VideoJob", max_s: int, on_progress: Callable[[float], object]
) -> dict[str, Any]:
    """Write all files of one video; if that fails, the result has the reason."""
    from spm.base.errors import UserError
    from spm.inference import overlay, sheet, writing

    if job.reason:
        return _result(job, reason=job.reason)
    try:
        localization = localizer.localize(job.path, max_s, on_progress, job.outputs.name)
        with job.outputs.written(job.source) as parts:
            writing.write(localization, parts["parquet"])
            sheet.write(localization, parts["png"])
            overlay.write(localization, parts["mp4"], max_s, on_progress)
    except UserError as error:
        return _result(job, reason=str(error))
    document = json.loads(job.outputs.files["json"].read_text(encoding="utf-8"))
    return _result(job, files=job.outputs.files, localization=document)
