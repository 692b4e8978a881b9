"""Command line of a stage: the signature of its run().

The first parameter is the stage's section of the config (--config JSON). Each keyword-only
parameter is an option of the same name.
"""

import argparse
import errno
import gc
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from spm.base.errors import UserError
from spm.base.printable import printable

# Errors of the machine, such as a full disk; others are bugs and keep their traceback.
MACHINE_ERRORS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EFBIG,
    errno.EIO,
}

PATH_ERRORS = {
    errno.ENOENT,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}


def _option(annotation: Any) -> dict[str, Any]:
    """Settings of argparse for a parameter: a value, a list, or `… | None` (optional)."""
    if get_origin(annotation) is list:
        return {"type": get_args(annotation)[0], "nargs": "*", "default": []}
    if type(None) in get_args(annotation):
        # nargs "?": a rule may write `--file` without a value
        return {"type": get_args(annotation)[0], "nargs": "?", "default": None}
    return {"type": annotation, "required": True}


def machine_error_message(error: OSError) -> str:
    """One line on an error of the machine; empty if the error is of another kind."""
    if error.errno not in MACHINE_ERRORS:
        return ""
    place = f"{error.filename}: " if error.filename else ""
    reason = os.strerror(error.errno)
    return f"{place}{reason}: expected a disk with free space and permission to write"


def wrong_path_message(error: OSError) -> str:
    """One line on a path of a command line that can't be used; empty if the error is another."""
    path = error.filename2 or error.filename  # of a rename: the file that was to be written
    if error.errno not in PATH_ERRORS or not path:
        return ""
    return f"{path}: {error.strerror}: correct the path"


def _setting_errors(error: ValidationError) -> str:
    """One line on all wrong settings."""
    lines = []
    for detail in error.errors():
        key = ".".join(map(str, detail["loc"]))
        lines.append(f"{key}: {detail['msg']}" if key else detail["msg"])
    return "; ".join(lines)


def main(run: Callable[..., None]) -> None:
    """Call `run` with the arguments of the command line.

    Raises
    ------
    SystemExit
        Status 2 if the command line or the section is wrong; status 1 after a `UserError` or an
        error of the machine (disk full, broken or not writable). One line on stderr each.
    """
    section, *parameters = inspect.signature(run, eval_str=True).parameters.values()
    parser = argparse.ArgumentParser(description=inspect.getdoc(inspect.getmodule(run)))
    parser.add_argument("--config", required=True, metavar="JSON")
    for parameter in parameters:
        name = parameter.name.replace("_", "-")
        parser.add_argument(f"--{name}", **_option(parameter.annotation))
    arguments = vars(parser.parse_args())
    try:
        config = section.annotation.model_validate_json(arguments.pop("config"))
        run(config, **arguments)
        gc.freeze()  # else Python would search all of torch for garbage before it ends: 0.4 s
    except ValidationError as error:
        parser.error(_setting_errors(error))
    except UserError as error:
        sys.exit(f"{parser.prog}: error: {printable(str(error))}")
    except OSError as error:
        message = machine_error_message(error)
        if not message:
            raise
        sys.exit(f"{parser.prog}: error: {printable(message)}")
