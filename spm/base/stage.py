"""A stage's run() is its command line: the section of the config first, then one option a file."""

import argparse
import errno
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from spm.base.config import UserError

OF_THE_MACHINE = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EFBIG,
    errno.EIO,
}


def _option(name: str, kind: Any) -> dict[str, Any]:
    """How argparse reads one keyword of run(): a value, a list of them, or one that may be left out."""
    if get_origin(kind) is list:
        return {"type": get_args(kind)[0], "nargs": "*", "default": []}
    if type(None) in get_args(kind):
        return {
            "type": get_args(kind)[0],
            "nargs": "?",
            "default": None,
        }  # `--file` alone leaves it out too
    return {"type": kind, "required": True}


def of_the_machine(error: OSError) -> str:
    """What is wrong with the machine, in one line; empty where the error is not the machine's."""
    if error.errno not in OF_THE_MACHINE:
        return ""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{os.strerror(error.errno)}: expected a disk with room, and the right to write there"


def main(run: Callable[..., None]) -> None:
    """Call `run` with what the command line names: --config JSON, then its keyword-only arguments.

    Raises
    ------
    SystemExit
        With status 2 when the command line or the section is wrong, 1 after a `UserError` or where the machine's disk
        is full, broken, or not to be written; one line on stderr each.
    """
    config, *files = inspect.signature(run, eval_str=True).parameters.values()
    module = inspect.getmodule(run)
    parser = argparse.ArgumentParser(description=inspect.getdoc(module))
    parser.add_argument("--config", required=True, metavar="JSON")
    for file in files:
        parser.add_argument(
            f"--{file.name.replace('_', '-')}", **_option(file.name, file.annotation)
        )
    given = vars(parser.parse_args())
    try:
        section = config.annotation.model_validate_json(given.pop("config"))
        run(section, **given)
    except ValidationError as error:
        parser.error(
            "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        )
    except UserError as error:
        sys.exit(f"{parser.prog}: error: {error}")
    except OSError as error:
        if not (said := of_the_machine(error)):
            raise
        sys.exit(f"{parser.prog}: error: {said}")
