"""`spm compare-maps`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spm.base.words import one_of
from spm.cli.options import Json, Quiet, print_result
from spm.cli.score import Boxes, Classes, MapsFile, Partial, ProtocolName, Resamples, Seed

if TYPE_CHECKING:
    from spm.score.comparison import MapDifference

EXAMPLES = """\
  spm compare-maps ours.npz theirs.npz --boxes vgg-ss --protocol ez-vsl
  spm compare-maps ours/ theirs/ --boxes is3 --protocol adaptive --out differences.csv --plot d.svg
"""

DifferencesFile = Annotated[
    Path | None, typer.Option(help="CSV to write, with every figure of every class and size.")
]
Plot = Annotated[
    Path | None,
    typer.Option(help="Figure to write as .svg and .png: the differences with their intervals."),
]
FigureName = Annotated[str, typer.Option("--figure", help="Figure that is drawn and printed.")]


def compare_maps(
    first: MapsFile,
    second: MapsFile,
    boxes: Boxes,
    protocol: ProtocolName = "spm-paper",
    figure: FigureName = "auc",
    classes: Classes = "",
    partial: Partial = False,
    out: DifferencesFile = None,
    plot: Plot = None,
    bootstrap: Resamples = 1000,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare the heat maps of two systems on the same frames.

    Differences have paired intervals and permutation tests over videos; they are given for all
    frames, per class, and per size of the truth.
    """
    from spm.base.errors import UserError
    from spm.boxes import benchmarks
    from spm.score import comparison, external_maps, map_files, protocols

    chosen, benchmark = protocols.find(protocol), benchmarks.read(boxes)
    names = [name.strip() for name in classes.split(",") if name.strip()]
    matched = [
        external_maps.match_to_truth(map_files.read(path, names), benchmark, partial=partial)
        for path in (first, second)
    ]
    sides = comparison.on_common_frames(*matched)
    found = list(comparison.compare(*sides, [chosen], resamples=bootstrap, seed=seed))
    known = list(dict.fromkeys(each.figure for each in found))
    if figure not in known:
        raise UserError(f"--figure {figure}: {one_of(figure, known)}")
    if out:
        _write(found, out)
    if plot:
        _plot(found, plot, (first.stem, second.stem), figure)
    for path, side in zip((first, second), matched, strict=True):
        for note in () if quiet else side.notes:
            typer.echo(f"{path.stem}: {note}", err=True)
    head = f"{first.stem} − {second.stem}, protocol {protocol}, {found[0].frames} frames"
    lines = [head, *(_line(each) for each in found if _is_printed(each, figure))]
    print_result(lines, [each._asdict() for each in found], as_json=as_json, quiet=quiet)


def _is_printed(difference: "MapDifference", figure: str) -> bool:
    """Whether it is of all frames, or of the figure that is printed for classes and sizes."""
    return not difference.part.startswith(("class ", "size ")) or difference.figure == figure


def _line(each: "MapDifference") -> str:
    """One difference as text."""
    bounds = "" if each.low is None else f" [{each.low:+.4f}, {each.high:+.4f}]"
    p_value = "" if each.p_value is None else f" p {each.p_value:.4f}"
    values = f"{each.first:.4f} − {each.second:.4f} = {each.difference:+.4f}"
    return f"{each.part:<24} {each.figure:<14} {values}{bounds}{p_value} ({each.frames} frames)"


def _write(differences: "Sequence[MapDifference]", path: Path) -> None:
    import pandas as pd

    from spm.base.tables import atomic_write

    with atomic_write(path) as part:
        pd.DataFrame(differences).to_csv(part, index=False)


def _plot(
    differences: "Sequence[MapDifference]", path: Path, names: tuple[str, str], figure: str
) -> None:
    from spm.report import map_comparison, plotting

    protocol = differences[0].protocol
    parts = map_comparison.chosen_parts(differences, protocol, figure)
    plotting.save(map_comparison.draw(parts, names), path)
