"""Files of a new method, from spm/fusion/template: a method that trains as it is, to be changed.

On the command line: spm new-method NAME
"""

import os
import re
import subprocess
import sys
from keyword import iskeyword
from pathlib import Path

from spm.base import tables
from spm.base.digest import ROOT
from spm.base.errors import UserError
from spm.fusion import methods

GENERATED = ("workflow/schemas/config.schema.json", "docs/config.md")
TEMPLATE = Path(__file__).with_name("template")


def text(name: str, part: str) -> str:
    """A file of the template (method, test or config) with the method's name."""
    return (TEMPLATE / f"{part}.txt").read_text(encoding="utf-8").replace("NAME", name)


def with_section(config: str, section: str) -> str:
    """Text of config.yaml with one more section at the end of `methods:`."""
    before, after = re.split(r"\n(?=runs:)", config, maxsplit=1)
    return f"{before}{section}\n{after}"


def check(name: str, root: Path) -> None:
    """Check the name of a method, and that `root` is a checkout.

    Raises
    ------
    UserError
        If no method can have this name, a method has it already, or `root` is no checkout.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or iskeyword(name):
        raise UserError(
            f"{name!r} is not a name for a method: expected a Python name in lower case, such as"
            " object_that_sound"
        )
    if name in methods.METHODS:
        raise UserError(
            f"{name!r}: this method exists already, in spm/fusion/methods/{name}.py: choose"
            " another name"
        )
    if not (root / "config.yaml").is_file():
        raise UserError(
            f"{root} has no config.yaml: run this in a checkout of spm (git clone, make setup)"
        )


def write(name: str, root: Path = ROOT) -> list[Path]:
    """Write the method, its test, its section of config.yaml, and update the generated files.

    Returns
    -------
    list of Path
        The files written or changed.

    Raises
    ------
    UserError
        If no method can have this name.
    """
    check(name, root)
    config = root / "config.yaml"
    parts = {
        root / f"spm/fusion/methods/{name}.py": text(name, "method"),
        root / f"tests/fusion/test_{name}.py": text(name, "test"),
        config: with_section(config.read_text(encoding="utf-8"), text(name, "config")),
    }
    for path, content in parts.items():
        with tables.atomic_write(path) as part:
            part.write_text(content, encoding="utf-8")
    # Another process, because this one has imported the methods without the new one.
    subprocess.run(
        [sys.executable, "-m", "spm.workflow.generate"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
    )
    return [*parts, *(root / file for file in GENERATED)]
