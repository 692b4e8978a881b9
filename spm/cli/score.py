"""`spm score`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spm.cli.options import Json, Quiet, print_result

if TYPE_CHECKING:
    from rich.table import Table

    from spm.score.evaluation import Predictions
    from spm.score.external_maps import Matched
    from spm.score.protocols import Protocol
    from spm.score.score_rows import ScoreRow

EXAMPLES = """\
  spm score maps.npz --boxes dsol-solo --protocol dsol-solo
  spm score localized/concert.parquet --boxes boxes.csv --partial --json
  spm score localized/concert.parquet --boxes boxes.csv --partial --videos videos/
"""


MapsFile = Annotated[
    Path,
    typer.Argument(
        help="Heat maps: .npz, .npy, .pt, .h5 or .parquet, or a folder of .npy or .png files."
    ),
]
Boxes = Annotated[
    str,
    typer.Option(
        help="Boxes or masks: a set of docs/protocols.md, as vgg-ss or is3, or a file or folder."
    ),
]
Manifest = Annotated[
    Path | None,
    typer.Option(help="CSV of the videos; boxes of videos or categories not in it don't count."),
]
Videos = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the video files, named by their ids, or their manifest: adds the baselines"
        " object-prior and zero-shot, on the frames of the maps."
    ),
]
ProtocolName = Annotated[
    str, typer.Option(help="Name of the protocol; docs/protocols.md describes each.")
]
AllProtocols = Annotated[
    bool, typer.Option("--all-protocols", help="Score the maps under every protocol.")
]
Classes = Annotated[
    str, typer.Option(help="Names of the maps' second axis, separated by commas, in its order.")
]
Partial = Annotated[
    bool,
    typer.Option(
        "--partial", help="Allow boxed frames without a map; the scores are then not comparable."
    ),
]
Segmentation = Annotated[
    bool,
    typer.Option(
        "--segmentation",
        help="Add mIoU and F, also for boxes.",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        help="Of all maps, for silent frames. Default: a quarter of them have a pixel above it."
    ),
]
OutFile = Annotated[Path | None, typer.Option(help="CSV to write, with every figure.")]
Resamples = Annotated[int, typer.Option(min=1, help="Number of resamples behind each interval.")]
Seed = Annotated[int, typer.Option(min=0, help="Random seed of the resampling.")]


def score(
    maps: MapsFile,
    boxes: Boxes,
    manifest: Manifest = None,
    videos: Videos = None,
    protocol: ProtocolName = "spm-paper",
    all_protocols: AllProtocols = False,
    classes: Classes = "",
    partial: Partial = False,
    segmentation: Segmentation = False,
    threshold: Threshold = None,
    out: OutFile = None,
    bootstrap: Resamples = 1000,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score heat maps of any system.

    Trivial baselines, and with --videos networks, are scored beside them.
    """
    from spm.boxes import benchmarks, status_counts
    from spm.boxes.annotations import Annotations
    from spm.score import external_maps, map_files, protocols, score_rows

    names = [name.strip() for name in classes.split(",") if name.strip()]
    benchmark, listed = benchmarks.read(boxes), _listed(manifest) if manifest else None
    if listed is not None:
        class_map = Annotations.model_validate({}).class_map
        benchmark = external_maps.rename_unlisted(benchmark, listed, class_map)
    stored = map_files.read(maps, names)
    matched = external_maps.match_to_truth(stored, benchmark, listed, partial=partial)
    chosen, left_out = [protocols.find(protocol)], list[str]()
    if all_protocols:
        chosen, left_out = _applicable(list(protocols.PROTOCOLS.values()), matched.predictions)
    networks = _networks(matched, videos) if videos else {}
    tables = list(
        score_rows.scores(matched, chosen, resamples=bootstrap, seed=seed, networks=networks)
    )
    tables += _of_frames(matched, (bootstrap, seed), threshold, segmentation=segmentation)
    if not quiet:
        typer.echo("".join(f"{note}\n" for note in [*matched.notes, *left_out]), err=True, nl=False)
        typer.echo(f"boxes: {status_counts.line(matched.boxes)}", err=as_json)
    _report(tables, out, as_json=as_json, quiet=quiet)


def _of_frames(
    matched: "Matched", draws: tuple[int, int], threshold: float | None, *, segmentation: bool
) -> "list[list[ScoreRow]]":
    """Figures of masks, and of silent frames; there are none of class maps alone."""
    from spm.score import score_rows

    tables: list[list[ScoreRow]] = []
    resamples, seed = draws
    if matched.predictions.frame_maps is None:
        return tables
    if segmentation or matched.truth.masks:
        tables += score_rows.of_masks(matched, resamples=resamples, seed=seed)
    if matched.silent:
        tables += score_rows.of_silent_frames(matched, threshold, resamples=resamples, seed=seed)
    return tables


def _networks(matched: "Matched", videos: Path) -> "dict[str, Predictions]":
    """Maps of the pretrained networks on the frames of the maps."""
    from spm.base.errors import UserError
    from spm.inference import baseline_predictions
    from spm.inference.baseline_predictions import FramePlace

    keys = list(matched.predictions.keys)
    if unplaced := [key for key in keys if key not in matched.times]:
        raise UserError(
            f"--videos: neither the boxes nor the maps name video and time of {unplaced[0]};"
            " expected video_id and time_s in the boxes"
        )
    categories: set[str] = set()
    for boxes in matched.truth.boxes.values():
        categories.update(box.category for box in boxes)
    files = baseline_predictions.find_videos(videos)
    places = {key: FramePlace(*matched.times[key]) for key in keys}
    return baseline_predictions.predict(files, places, sorted(categories))


def _listed(manifest: Path) -> dict[str, tuple[str, ...]]:
    """The categories of each video of a manifest."""
    from spm.corpus import manifest as manifests

    return {video.video_id: video.categories for video in manifests.read(manifest)}


def _applicable(
    protocols: Sequence["Protocol"], predictions: "Predictions"
) -> tuple[list["Protocol"], list[str]]:
    """The protocols that can score the maps, and a note about each of the others."""
    if predictions.frame_maps is not None:
        return list(protocols), []
    chosen = [protocol for protocol in protocols if protocol.class_aware]
    notes = [
        f"protocol {protocol.name} left out: it needs one map per frame"
        for protocol in protocols
        if not protocol.class_aware
    ]
    return chosen, notes


def _report(
    tables: Sequence[list["ScoreRow"]], out: Path | None, *, as_json: bool, quiet: bool
) -> None:
    """Write the CSV, and print JSON or a table per protocol."""
    from rich.console import Console

    from spm.base.tables import atomic_write
    from spm.score.score_rows import csv_rows

    rows = [row for table in tables for row in table]
    if out:
        with atomic_write(out) as part:
            csv_rows(rows).to_csv(part, index=False)
    if as_json:
        print_result([], [row._asdict() for row in rows], as_json=True, quiet=quiet)
    elif not quiet:
        for table in tables:
            Console().print(_table(table))


def _table(rows: Sequence["ScoreRow"]) -> "Table":
    """The maps with their intervals, a row per baseline, and differences; a column per metric."""
    from rich.box import SIMPLE
    from rich.table import Table

    from spm.score import score_rows

    metrics = list(dict.fromkeys(row.metric for row in rows))
    title = f"protocol {rows[0].protocol}, {rows[0].frames} frames"
    table = Table(
        title=f"{title}\n{score_rows.describe_intervals(rows[0])}",
        title_justify="left",
        box=SIMPLE,
        collapse_padding=True,
    )
    table.add_column("", justify="left", no_wrap=True)
    for metric in metrics:
        # A long name may take two lines, a number may not: 80 columns are enough for both.
        table.add_column(metric.replace("_", " "), justify="right", min_width=9, max_width=9)
    for system in dict.fromkeys(row.system for row in rows):
        by_metric = {row.metric: row for row in rows if row.system == system}
        is_maps, is_difference = system == score_rows.MAPS, score_rows.MINUS in system
        sign = "+" if is_difference else ""
        values = [_value(by_metric.get(metric), sign) for metric in metrics]
        table.add_row(system, *values, style="bold" if is_maps else "")
        has_interval = any(row.interval for row in by_metric.values())
        if has_interval and (is_maps or is_difference):
            intervals = [_interval(by_metric.get(metric), sign) for metric in metrics]
            table.add_row("95 % interval", *intervals, end_section=is_maps)
    return table


def _value(row: "ScoreRow | None", sign: str) -> str:
    return f"{row.value:{sign}.4f}" if row else "–"


def _interval(row: "ScoreRow | None", sign: str) -> str:
    """The ends of an interval; of a difference, with signs and `to` between them."""
    if row is None or row.interval is None:
        return ""
    low, high = (f"{end:{sign}.2f}" for end in row.interval)
    return f"{low} to {high}" if sign else f"{low}–{high}"
