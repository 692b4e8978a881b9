"""The command line beside the workflow: `spm`. Snakemake runs the workflow; this serves what is done by hand."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from spm.base import tables
from spm.base.config import UserError
from spm.base.progress import progress

if TYPE_CHECKING:
    from spm.score.elsewhere import Line

app = typer.Typer(
    help="Which pixels of this video make the sound? The workflow itself is run by snakemake.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def spm() -> None:
    """Which pixels of this video make the sound? The workflow itself is run by snakemake."""


@app.command()
def score(
    maps: Annotated[Path, typer.Argument(help="Heat maps: .npz, a folder of .npy, or .parquet.")],
    boxes: Annotated[
        str, typer.Option(help="Truth: dsol-solo, dsol-duet, dsol-audioset, vgg-ss, or a file or folder.")
    ],
    protocol: Annotated[str, typer.Option(help="See docs/protocols.md.")] = "spm-paper",
    all_protocols: Annotated[bool, typer.Option("--all-protocols", help="Show what each makes of the maps.")] = False,
    classes: Annotated[str, typer.Option(help="Names of the maps' second axis, separated by commas.")] = "",
    partial: Annotated[bool, typer.Option("--partial", help="Allow boxed frames without a map.")] = False,
    out: Annotated[Path | None, typer.Option(help="CSV: protocol,metric,value,frames.")] = None,
    bootstrap: Annotated[int, typer.Option(min=1, help="Resamples of the videos behind each interval.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resampling.")] = 0,
) -> None:
    """Score heat maps that any system made, beside trivial baselines on the same frames.

    spm score maps.npz --boxes dsol-solo --protocol dsol-solo
    """
    from spm.boxes import published  # imported here: `spm --help` answers at once
    from spm.score import elsewhere, protocols

    truth = published.read(boxes)
    stored = elsewhere.read(maps, [name.strip() for name in classes.split(",") if name.strip()])
    drawn, known, notes = elsewhere.matched(stored, truth, partial=partial)
    wanted = list(protocols.PROTOCOLS.values()) if all_protocols else [protocols.named(protocol)]
    if all_protocols and drawn.single is None:
        notes += [f"protocol {one.name} left out: it wants one map a frame" for one in wanted if not one.class_aware]
        wanted = [one for one in wanted if one.class_aware]
    found = list(elsewhere.scores(drawn, known, wanted, resamples=bootstrap, seed=seed))
    for note in notes:
        typer.echo(note, err=True)
    for lines in found:
        Console().print(_table(lines))
    if out:
        with tables.whole(out) as part:
            elsewhere.csv_rows(line for lines in found for line in lines).to_csv(part, index=False)


@app.command()
def localize(
    videos: Annotated[list[str], typer.Argument(help="Video files, or addresses.")],
    weights: Annotated[Path | None, typer.Option(help="network.safetensors of a run; else the newest here.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of what is made.")] = Path("localized"),
    max_s: Annotated[int | None, typer.Option(min=1, help="Only the first seconds of each video.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Show where in a video is what is heard: an overlay video, a sheet of pictures, and maps as Parquet and JSON.

    spm localize concert.mp4
    """
    from spm import overlay  # imported here: `spm --help` answers at once
    from spm.localize import Localiser, found_weights, local_copy

    model = Localiser(weights or found_weights(Path()), device)
    out.mkdir(parents=True, exist_ok=True)
    faults = []
    for video in progress(videos, "videos"):
        try:
            path = local_copy(video, out)
            seen = model.locate(path, max_s)
            seen.write(out / f"{path.stem}.parquet")
            overlay.sheet(seen, out / f"{path.stem}.png")
            overlay.film(seen, out / f"{path.stem}.mp4", max_s)
        except UserError as error:  # the others are not held up
            faults.append(str(error))
    for fault in faults:
        typer.echo(f"spm: error: {fault}", err=True)
    made = len(videos) - len(faults)
    typer.echo(f"{made} of {len(videos)} videos in {out}: .mp4 to play, .png to look at, .parquet and .json")
    if faults:
        raise typer.Exit(1)


@app.command()
def review(
    reviews: Annotated[Path, typer.Argument(help="CSV that decisions are appended to: beside the manifest.")],
    results: Annotated[Path, typer.Option(help="Folder of the workflow's results.")] = Path("results"),
    boxes: Annotated[str, typer.Option(help="Whose boxes: detector or given.")] = "detector",
    reviewer: Annotated[str | None, typer.Option(help="Who decides; else whoever is logged in.")] = None,
    port: Annotated[int, typer.Option(min=0, help="0: any free one.")] = 0,
    sample: Annotated[int | None, typer.Option(min=1, help="Only so many boxes, the same for everybody.")] = None,
    browse: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
) -> None:
    """Accept, reject or mend boxes by key, on a page that only this machine can open.

    spm review videos/reviews.csv
    """
    from spm.boxes.review import serve

    serve(
        results / f"boxes/annotations/{boxes}.parquet",
        results / "corpus/index/clips.parquet",
        results / "corpus/clips",
        reviews,
        reviewer or getpass.getuser(),
        port,
        sample,
        browse,
    )


def _table(lines: "list[Line]") -> Table:
    """A row for the maps with its intervals, and one for each baseline; a column a metric."""
    metrics = list(dict.fromkeys(line.metric for line in lines))
    table = Table(title=f"protocol {lines[0].protocol}, {lines[0].frames} frames", title_justify="left", box=SIMPLE)
    for name in ("", *metrics):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for system in dict.fromkeys(line.system for line in lines):
        of = {line.metric: line for line in lines if line.system == system}
        mine = system == "maps"
        table.add_row(system, *(_value(of.get(name)) for name in metrics), style="bold" if mine else "")
        if mine and any(line.interval for line in of.values()):
            table.add_row("95 % over videos", *(_interval(of[name]) for name in metrics), end_section=True)
    return table


def _value(line: "Line | None") -> str:
    return f"{line.value:.4f}" if line else "–"


def _interval(line: "Line") -> str:
    return f"{line.interval[0]:.2f}–{line.interval[1]:.2f}" if line.interval else ""


def main() -> None:
    """Run a command; what the user can mend is one line, and status 1."""
    try:
        app()
    except UserError as error:
        typer.echo(f"spm: error: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
