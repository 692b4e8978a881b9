"""`spm localize`."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spm.cli.options import Json, Quiet, print_result

if TYPE_CHECKING:
    from tqdm import tqdm

    from spm.inference.localize import Localizer

BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f} of {total:.0f} s of video [{elapsed}<{remaining}]"
SUFFIXES = ("mp4", "png", "parquet", "json")
EXAMPLES = """\
  spm localize concert.mp4
  spm localize concert.mp4 --threshold 0.5 --maps-per-s 4
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
MaxSeconds = Annotated[
    int | None, typer.Option(min=1, help="Use only the first seconds of each video.")
]
MapsPerSecond = Annotated[
    int, typer.Option(min=1, max=60, help="Maps per second; the video interpolates between them.")
]
Threshold = Annotated[
    float,
    typer.Option(min=0, max=1, help="Score from which a frame has a box; heat has the same scale."),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


def localize(
    videos: Videos,
    weights: Weights = None,
    out: OutFolder = Path("localized"),
    max_s: MaxSeconds = None,
    maps_per_s: MapsPerSecond = 2,
    threshold: Threshold = 0.25,
    device: Device = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the source of the sound in videos.

    Writes the video with a heat map over it, a sheet of frames, and the maps as Parquet and JSON,
    under the name of the video. All of them name the network.
    """
    from spm.inference.localize import Localizer

    localizer = Localizer(weights, device, maps_per_s, threshold)
    out.mkdir(parents=True, exist_ok=True)
    results = list(_localize_all(localizer, videos, out, max_s, quiet=quiet))
    errors = [result["reason"] for result in results if result["reason"]]
    for error in errors:
        typer.echo(f"spm: error: {error}", err=True)
    done = f"{len(results) - len(errors)} of {len(results)} videos localized"
    lines = [
        f"network: {localizer.info}",
        *(summary(result["localization"]) for result in results if not result["reason"]),
        f"{done}; in {out}: videos (.mp4), sheets of frames (.png), maps (.parquet, .json)",
    ]
    print_result(lines, results, as_json=as_json, quiet=quiet)
    if errors:
        raise typer.Exit(1)


def _localize_all(
    localizer: "Localizer", videos: list[str], out: Path, max_s: int | None, *, quiet: bool
) -> Iterator[dict[str, Any]]:
    """The result of each video.

    The progress bar counts seconds of video: half for the maps, half for the overlay video.
    """
    from spm.base.progress import progress
    from spm.inference.sources import duration_s

    copies = _local_copies(videos, out)
    files = [copy for copy in copies.values() if isinstance(copy, Path)]
    names = dict(zip(files, output_names(files), strict=True))
    total_s = sum(min(duration_s(file), max_s or math.inf) for file in files)
    bar: tqdm[Any] = progress([], "localize", math.ceil(total_s), bar_format=BAR, quiet=quiet)

    def on_progress(seconds: float) -> None:
        bar.update(seconds / 2)

    with bar:
        for video, copy in copies.items():
            if isinstance(copy, Path):
                yield _localize(localizer, video, copy, out / names[copy], max_s, on_progress)
            else:
                yield _result(video, reason=copy)


def _local_copies(videos: list[str], out: Path) -> dict[str, Path | str]:
    """For each video the path of a local file, or the reason why there is none."""
    from spm.base.errors import UserError
    from spm.inference.sources import local_copy

    copies: dict[str, Path | str] = {}
    for video in videos:
        try:
            copies[video] = local_copy(video, out)
        except UserError as error:  # the other videos are localized
            copies[video] = str(error)
    return copies


def output_names(files: Sequence[Path]) -> list[str]:
    """A name for the results of each file: its own, with the folder's name where two are equal.

    Unlike `spm.corpus.ids.unique_ids`, this keeps every character of a file's name, spaces too:
    names of results don't have to be legal ids.

    >>> output_names([Path("a/x.mp4"), Path("b/x.mp4"), Path("y.mkv")])
    ['a-x', 'b-x', 'y']
    """
    counts = Counter(file.stem for file in files)
    names = []
    for file in files:
        unique = counts[file.stem] == 1
        names.append(file.stem if unique else f"{file.absolute().parent.name}-{file.stem}")
    counts = Counter(names)
    return [name if counts[name] == 1 else f"{n}-{name}" for n, name in enumerate(names)]


def summary(document: dict[str, Any]) -> str:
    """What was heard in a video, in how many seconds, and the place of the highest score."""
    from spm.inference.drawing import class_text

    rows = document["seconds"]
    parts = [class_text(document["heard"])] if "heard" in rows[0] else []
    counts = Counter(row.get("category", "a source") for row in rows if row["x"] is not None)
    counts.pop(None, None)
    parts += [f"{name} in {count} of {len(rows)} s" for name, count in counts.most_common()]
    best = max(rows, key=lambda row: row["score"])
    if best["x"] is not None:
        right, bottom = best["x"] + best["w"], best["y"] + best["h"]
        place = f"x {best['x']:.2f}–{right:.2f}, y {best['y']:.2f}–{bottom:.2f}"
        parts.append(f"highest score {best['score']:.2f} at {best['time_s']:g} s: {place}")
    else:
        parts.append(f"no score reaches {document['threshold']:g}")
    return f"{document['video']['file']}: {'; '.join(parts)}"


def _result(
    video: str,
    *,
    reason: str = "",
    files: dict[str, Path] | None = None,
    localization: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The JSON of one video; `reason` says why it has no files."""
    paths = {suffix: str(path) for suffix, path in (files or {}).items()}
    return {"video": video, "reason": reason, "files": paths, "localization": localization}


def _localize(
    localizer: "Localizer",
    video: str,
    path: Path,
    stem: Path,
    max_s: int | None,
    on_progress: Callable[[float], object],
) -> dict[str, Any]:
    """Write all files of one video; if that fails, the result has the reason."""
    from spm.base.errors import UserError
    from spm.inference import overlay, sheet, writing

    files = {suffix: stem.with_name(f"{stem.name}.{suffix}") for suffix in SUFFIXES}
    try:
        if files["mp4"].absolute() == path.absolute():
            raise UserError(
                f"{path}: the overlay video would replace this file: name another folder with --out"
            )
        localization = localizer.localize(path, max_s, on_progress)
        document = writing.write(localization, files["parquet"])
        sheet.write(localization, files["png"])
        overlay.write(localization, files["mp4"], max_s, on_progress)
    except UserError as error:
        return _result(video, reason=str(error))
    return _result(video, files=files, localization=document)
