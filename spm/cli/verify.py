"""`spm verify`."""

from pathlib import Path
from typing import Annotated

import typer

from spm.cli.options import Json, Quiet, check_results, print_result

EXAMPLES = """\
  spm verify                       before results are published or moved
  spm verify --quick               sizes only, after a copy
  spm verify --results demo/results
"""


def verify(
    results: Annotated[Path, typer.Option(help="Folder of the workflow's results.")] = Path(
        "results"
    ),
    quick: Annotated[
        bool, typer.Option("--quick", help="Compare sizes; don't read media and weights.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check that media, tables and weights are as they were written.

    Media are compared with the SHA-256 in the ledger, weights with that in their JSON file, and
    tables with their checksums. Prints one line per fault; the exit status is 1 if there is one.
    """
    from spm.base.errors import UserError
    from spm.base.printable import printable
    from spm.workflow import integrity

    check_results(results)
    checked = list(integrity.check_project(results, quick=quick))
    if not checked:
        raise UserError(f"{results}: no file of a workflow in this folder; expected its results")
    faults = [printable(found.fault) for found in checked if found.fault]
    lines = faults or [f"{len(checked)} files: no fault"]
    data = {"files": len(checked), "faults": faults}
    print_result(lines, data, as_json=as_json, quiet=quiet and not faults)
    raise typer.Exit(int(bool(faults)))
