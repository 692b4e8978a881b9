"""`spm benchmark`."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spm.cli.options import Json, Quiet, print_result
from spm.cli.score import AllProtocols, Resamples, Seed, Threshold

if TYPE_CHECKING:
    from spm.score.evaluation import Predictions
    from spm.score.external_maps import Matched
    from spm.score.suite_table import Line

EXAMPLES = """\
  spm benchmark maps/ --suite vgg-ss,vgg-ss-plus-silent,is3
  spm benchmark maps/ --suite avsbench-s4-masks=AVSBench/ --out tables/
"""

MapsFolder = Annotated[
    Path,
    typer.Argument(
        help="Folder with the maps of each set, as vgg-ss.npz or vgg-ss/; or maps that serve every"
        " set. The forms are those of `spm score`."
    ),
]
Suite = Annotated[
    str,
    typer.Option(
        help="Names of sets, separated by commas; NAME=FOLDER for sets that need a local copy."
        " docs/protocols.md lists them. Default: the sets that have maps."
    ),
]
Pictures = Annotated[
    str,
    typer.Option(
        help="NAME=FOLDER or NAME=OWNER/DATASET of a hub, separated by commas: adds the baseline"
        " object-prior on the pictures of these sets."
    ),
]
OutFolder = Annotated[
    Path, typer.Option(help="Folder for scores.csv, table.md, table.tex and manifest.json.")
]


def benchmark(
    maps: MapsFolder,
    suite: Suite = "",
    pictures: Pictures = "",
    out: OutFolder = Path("benchmark"),
    all_protocols: AllProtocols = False,
    threshold: Threshold = None,
    bootstrap: Resamples = 1000,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score heat maps of any system on named benchmark sets.

    Each set is scored under the protocols of its papers, with intervals and trivial baselines; sets
    with masks also with mIoU and F, sets with silent frames also with their figures.
    """
    from spm.base.errors import UserError
    from spm.base.tables import atomic_write
    from spm.score import protocols, suite_table
    from spm.score import suite as suites

    names = [name.strip() for name in suite.split(",") if name.strip()]
    names = names or suites.default_names(maps)
    if not names:
        raise UserError(f"{maps}: no maps of a set; expected files named by sets, as vgg-ss.npz")
    extra = list(protocols.PROTOCOLS.values()) if all_protocols else []
    networks = _networks(pictures)
    settings = suites.SuiteSettings(extra, threshold, bootstrap, seed, networks)
    results = list(suites.score(maps, names, settings))
    content = json.dumps(suites.manifest(results, names, settings), indent=1, sort_keys=True)
    texts = {
        "scores.csv": suite_table.table(results).to_csv(index=False),
        "table.md": suite_table.markdown(results),
        "table.tex": suite_table.latex(results),
        "manifest.json": content + "\n",
    }
    for name, text in texts.items():
        with atomic_write(out / name) as part:
            part.write_text(text, encoding="utf-8")
    lines = suite_table.lines(results)
    if as_json:
        print_result([], [line._asdict() for line in lines], as_json=True, quiet=quiet)
    elif not quiet:
        _print(lines, suite_table.notes(results), out)


def _networks(pictures: str) -> "Callable[[str, Matched], Mapping[str, Predictions]]":
    """A function that computes the maps of the baseline network on the pictures of a set."""
    from spm.base.errors import UserError
    from spm.base.words import one_of
    from spm.boxes.benchmark_sets import SETS

    sources = dict(text.strip().partition("=")[::2] for text in pictures.split(",") if text.strip())
    for name, source in sources.items():
        if name not in SETS:
            raise UserError(f"--pictures {name}: no such set; {one_of(name, SETS)}")
        if not source:
            raise UserError(f"--pictures {name}: expected {name}=FOLDER")

    def predict(name: str, matched: "Matched") -> "Mapping[str, Predictions]":
        if name not in sources:
            return {}
        from spm.inference import benchmark_pictures

        folder = benchmark_pictures.find(sources[name])
        return {"object-prior": benchmark_pictures.object_prior(matched.predictions, folder)}

    return predict


def _print(lines: "Sequence[Line]", notes: Sequence[str], out: Path) -> None:
    """The table and its notes on the terminal."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    from spm.score.suite_table import HEAD

    table = Table(box=SIMPLE, collapse_padding=True)
    for name in HEAD:
        table.add_column(name, justify="right" if name in ("frames", "no map", "maps") else "left")
    previous = None
    for line in lines:
        repeated = previous is not None and previous.set == line.set
        table.add_row(*(("", "", "", *line[3:]) if repeated else line))
        previous = line
    Console().print(table)
    for note in notes:
        typer.echo(note, err=True)
    typer.echo(f"written: {out}/scores.csv, table.md, table.tex, manifest.json")
