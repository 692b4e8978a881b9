"""Sound promotion: find the pixels of a video that make the sound. `from spm import localize`."""

from importlib import import_module
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    """Import `localize` at its first use: it needs torch, which most parts of the package don't.

    The module is named in a string, so that it is no part of the code digest of every stage.
    """
    if name == "localize":
        return import_module("spm.inference.localize")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
