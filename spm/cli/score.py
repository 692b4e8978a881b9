"""`spm score`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spm.cli.options import Json, Quiet, print_result

if TYPE_CHECKING:
    from rich.table import Table

    from spm.score.evaluation import Predictions
    from spm.score.external_maps import ScoreRow
    from spm.score.protocols import Protocol

EXAMPLES = """\
  spm score maps.npz --boxes dsol-solo --protocol dsol-solo
  spm score localized/concert.parquet --boxes boxes.csv --partial --json
"""


MapsFile = Annotated[
    Path,
    typer.Argument(
        help="Heat maps: .npz, .npy, .pt, .h5 or .parquet, or a folder of .npy or .png files."
    ),
]
Boxes = Annotated[
    str,
    typer.Option(help="Boxes: dsol-solo, dsol-duet, dsol-audioset or vgg-ss, or a file or folder."),
]
Manifest = Annotated[
    Path | None,
    typer.Option(help="CSV of the videos; boxes of videos or categories not in it don't count."),
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
OutFile = Annotated[Path | None, typer.Option(help="CSV to write, with every figure.")]
Resamples = Annotated[int, typer.Option(min=1, help="Number of resamples behind each interval.")]
Seed = Annotated[int, typer.Option(min=0, help="Random seed of the resampling.")]


def score(
    maps: MapsFile,
    boxes: Boxes,
    manifest: Manifest = None,
    protocol: ProtocolName = "spm-paper",
    all_protocols: AllProtocols = False,
    classes: Classes = "",
    partial: Partial = False,
    out: OutFile = None,
    bootstrap: Resamples = 1000,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score heat maps of any system.

    Trivial baselines are scored on the same frames.
    """
    from spm.boxes import benchmarks, status_counts
    from spm.boxes.annotations import Annotations
    from spm.score import external_maps, map_files, protocols

    benchmark, listed = benchmarks.read(boxes), None
    if manifest:
        listed = _listed(manifest)
        class_map = Annotations.model_validate({}).class_map
        benchmark = external_maps.rename_unlisted(benchmark, listed, class_map)
    names = [name.strip() for name in classes.split(",") if name.strip()]
    stored = map_files.read(maps, names)
    matched = external_maps.match_to_truth(stored, benchmark, listed, partial=partial)
    chosen, notes = [protocols.find(protocol)], list(matched.notes)
    if all_protocols:
        chosen, more_notes = _applicable(list(protocols.PROTOCOLS.values()), matched.predictions)
        notes += more_notes
    tables = list(external_maps.scores(matched, chosen, resamples=bootstrap, seed=seed))
    if not quiet:
        for note in notes:
            typer.echo(note, err=True)
        typer.echo(f"boxes: {status_counts.line(matched.boxes)}", err=as_json)
    _report(tables, out, as_json=as_json, quiet=quiet)


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
    from spm.score.external_maps import csv_rows

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
    """The maps with their intervals, then a row per baseline; a column per metric."""
    from rich.box import SIMPLE
    from rich.table import Table

    from spm.score import external_maps

    metrics = list(dict.fromkeys(row.metric for row in rows))
    title = f"protocol {rows[0].protocol}, {rows[0].frames} frames"
    table = Table(
        title=f"{title}\n{external_maps.describe_intervals(rows[0])}",
        title_justify="left",
        box=SIMPLE,
    )
    table.add_column("", justify="left", no_wrap=True)
    for metric in metrics:
        table.add_column(metric, justify="right", no_wrap=True)
    for system in dict.fromkeys(row.system for row in rows):
        by_metric = {row.metric: row for row in rows if row.system == system}
        values = [_value(by_metric.get(metric)) for metric in metrics]
        is_maps = system == external_maps.MAPS
        table.add_row(system, *values, style="bold" if is_maps else "")
        if is_maps and any(row.interval for row in by_metric.values()):
            intervals = [_interval(by_metric[metric]) for metric in metrics]
            table.add_row("95 % interval", *intervals, end_section=True)
    return table


def _value(row: "ScoreRow | None") -> str:
    return f"{row.value:.4f}" if row else "–"


def _interval(row: "ScoreRow") -> str:
    return f"{row.interval[0]:.2f}–{row.interval[1]:.2f}" if row.interval else ""
