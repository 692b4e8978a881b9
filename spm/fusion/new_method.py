"""A new method's files, from spm/fusion/template: one that learns as it stands, to change.

On the command line: spm new-method NAME
"""

import os
import re
import subprocess
import sys
from keyword import iskeyword
from pathlib import Path

from spm.base import tables
from spm.base.config import UserError
from spm.base.digest import ROOT
from spm.fusion import methods

TEMPLATE = Path(__file__).with_name("template")


def text(name: str, part: str) -> str:
    """One of the template's files, method, test or config, under the method's name."""
    return (TEMPLATE / f"{part}.txt").read_text(encoding="utf-8").replace("NAME", name)


def with_section(config: str, section: str) -> str:
    """config.yaml with one more section at the end of `methods:`, before its `runs:`."""
    before, after = re.split(r"\n(?=runs:)", config, maxsplit=1)
    return f"{before}{section}\n{after}"


def check(name: str, root: Path) -> None:
    """Raise a `UserError` where a method can't have this name, or has it, or there is no checkout to write to."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or iskeyword(name):
        raise UserError(f"{name!r}: expected a name of Python in lower case, as object_that_sound")
    if name in methods.METHODS:
        raise UserError(f"{name!r}: there is a method of that name: spm/fusion/methods/{name}.py")
    if not (root / "config.yaml").is_file():
        raise UserError(
            f"{root}: no config.yaml there: expected spm in its checkout (git clone, make setup)"
        )


def write(name: str, root: Path = ROOT) -> list[Path]:
    """Write the method, its test, its section of config.yaml, and the schema anew; what was written.

    Raises
    ------
    UserError
        When a method can't have this name.
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
    schema = root / "spm/workflow/schema.py"
    subprocess.run(
        [sys.executable, str(schema)], env={**os.environ, "PYTHONPATH": str(root)}, check=True
    )
    return [*parts, schema.with_name("config.schema.json")]
