"""Sound promotion: find the pixels of a video that make the sound. `from spm import localize`."""

import os
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]


def __getattr__(name: str) -> ModuleType | str:
    """Import `localize` at its first use: it needs torch, which most parts of the package don't.

    Modules are named in strings, so that they are no part of the code digest of every stage.
    """
    if name == "__version__":
        return str(import_module("spm.base.version").VERSION)
    if name == "localize":
        return import_module("spm.inference.localize")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _leave_out_current_folder() -> None:
    """Import no module from the current folder, in this process and in those that it starts.

    Python searches the current folder first for `python -m`, and for an empty entry of PYTHONPATH.
    A file beside a video, such as queue.py, would be executed.
    """
    folder = Path.cwd().resolve()
    os.environ["PYTHONSAFEPATH"] = "1"
    if folder != ROOT:
        sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != folder]
    entries = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    own = [str(ROOT)] if folder == ROOT else []  # from where other processes find this package
    if own or "PYTHONPATH" in os.environ:
        os.environ["PYTHONPATH"] = os.pathsep.join([*own, *entries])


# Only in the programs of this package: `python -m spm.…`, whose name is not known yet, and `spm`.
if sys.argv[0] == "-m" or Path(sys.argv[0]).name == "spm":
    _leave_out_current_folder()
