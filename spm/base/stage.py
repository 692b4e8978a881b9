"""A stage's run() is its command line: the section of the config first, then one option a file."""

import argparse
import inspect
import sys
from collections.abc import Callable
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from spm.base.config import UserError


def _option(name: str, kind: Any) -> dict[str, Any]:
    """How argparse reads one keyword of run(): a value, a list of them, or one that may be left out."""
    if get_origin(kind) is list:
        return {"type": get_args(kind)[0], "nargs": "*", "default": []}
    if type(None) in get_args(kind):
        return {"type": get_args(kind)[0], "nargs": "?", "default": None}  # `--file` alone leaves it out too
    return {"type": kind, "required": True}


def main(run: Callable[..., None]) -> None:
    """Call `run` with what the command line names: --config JSON, then its keyword-only arguments.

    Raises
    ------
    SystemExit
        With status 2 when the command line or the section is wrong, 1 after a `UserError`; one line on stderr each.
    """
    config, *files = inspect.signature(run, eval_str=True).parameters.values()
    module = inspect.getmodule(run)
    parser = argparse.ArgumentParser(description=inspect.getdoc(module))
    parser.add_argument("--config", required=True, metavar="JSON")
    for file in files:
        parser.add_argument(f"--{file.name.replace('_', '-')}", **_option(file.name, file.annotation))
    given = vars(parser.parse_args())
    try:
        section = config.annotation.model_validate_json(given.pop("config"))
        run(section, **given)
    except ValidationError as error:
        parser.error("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()))
    except UserError as error:
        sys.exit(f"{parser.prog}: error: {error}")
