"""`spm score`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spm.cli.options import Json, Quiet, say

if TYPE_CHECKING:
    from rich.table import Table

    from spm.score.external_maps import ScoreRow

EXAMPLES = """\
  spm score maps.npz --boxes dsol-solo --protocol dsol-solo
  spm score localized/concert.parquet --boxes boxes.csv --partial --json
"""


def score(
    maps: Annotated[Path, typer.Argument(help="Heat maps: .npz, a folder of .npy, or .parquet.")],
    boxes: Annotated[
        str, typer.Option(help="dsol-solo, dsol-duet, dsol-audioset, vgg-ss, or a file or folder.")
    ],
    protocol: Annotated[str, typer.Option(help="See docs/protocols.md.")] = "spm-paper",
    all_protocols: Annotated[
        bool, typer.Option("--all-protocols", help="Show what each makes of the maps.")
    ] = False,
    classes: Annotated[
        str, typer.Option(help="Names of the maps' second axis, separated by commas.")
    ] = "",
    partial: Annotated[
        bool, typer.Option("--partial", help="Allow boxed frames without a map.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="CSV: protocol,metric,value,frames.")] = None,
    bootstrap: Annotated[
        int, typer.Option(min=1, help="Resamples of the videos behind each interval.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resampling.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score heat maps that any system made.

    Trivial baselines stand beside them, on the same frames.
    """
    from rich.console import Console

    from spm.base import tables
    from spm.boxes import benchmarks
    from spm.score import external_maps, protocols

    truth = benchmarks.read(boxes)
    stored = external_maps.read(maps, [name.strip() for name in classes.split(",") if name.strip()])
    drawn, known, notes = external_maps.match_to_truth(stored, truth, partial=partial)
    wanted = list(protocols.PROTOCOLS.values()) if all_protocols else [protocols.named(protocol)]
    if all_protocols and drawn.single is None:
        notes += [
            f"protocol {one.name} left out: it wants one map a frame"
            for one in wanted
            if not one.class_aware
        ]
        wanted = [one for one in wanted if one.class_aware]
    found = list(external_maps.scores(drawn, known, wanted, resamples=bootstrap, seed=seed))
    rows = [line for lines in found for line in lines]
    if out:
        with tables.atomic_write(out) as part:
            external_maps.csv_rows(rows).to_csv(part, index=False)
    for note in [] if quiet else notes:
        typer.echo(note, err=True)
    if as_json:
        say([], [line._asdict() for line in rows], as_json=True, quiet=quiet)
    for lines in [] if quiet or as_json else found:
        Console().print(_table(lines))


def _table(lines: "list[ScoreRow]") -> "Table":
    """A row for the maps with its intervals, and one for each baseline; a column a metric."""
    from rich.box import SIMPLE
    from rich.table import Table

    metrics = list(dict.fromkeys(line.metric for line in lines))
    table = Table(
        title=f"protocol {lines[0].protocol}, {lines[0].frames} frames",
        title_justify="left",
        box=SIMPLE,
    )
    for name in ("", *metrics):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for system in dict.fromkeys(line.system for line in lines):
        of = {line.metric: line for line in lines if line.system == system}
        mine = system == "maps"
        table.add_row(
            system, *(_value(of.get(name)) for name in metrics), style="bold" if mine else ""
        )
        if mine and any(line.interval for line in of.values()):
            table.add_row(
                "95 % over videos", *(_interval(of[name]) for name in metrics), end_section=True
            )
    return table


def _value(line: "ScoreRow | None") -> str:
    return f"{line.value:.4f}" if line else "–"


def _interval(line: "ScoreRow") -> str:
    return f"{line.interval[0]:.2f}–{line.interval[1]:.2f}" if line.interval else ""
