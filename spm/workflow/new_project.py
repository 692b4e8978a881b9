"""A new project folder, which runs the workflow of the installed package.

On the command line: spm init FOLDER
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from spm.base import tables
from spm.base.errors import UserError
from spm.base.project_files import CONFIGS, FOLDER, PROFILE
from spm.base.words import one_of

MANIFEST = "videos/manifest.csv"
SNAKEFILE = '''\
"""This project runs the workflow of the installed package spm.

config.yaml has the settings that differ from the defaults.
"""

from spm.base import project_files


include: str(project_files.SNAKEFILE)
'''
HEADER = """\
# Settings of this project. All settings and their meaning: cat "$(spm path config.yaml)"
"""
IGNORED = ("/results/", "/logs/", "/store/", "/state/", "/.snakemake/", "/localized/")
# The comment at the top of an example says how to run it in a checkout.
COMMENT = re.compile(r"\A(#.*\n)+\n*")


def config_text(like: str) -> str:
    """The settings of an example; those of a corpus of one's own read the project's manifest.

    Raises
    ------
    UserError
        If there is no such example.
    """
    example = CONFIGS / f"{like}.yaml"
    if not example.is_file():
        names = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
        raise UserError(f"--like {like}: {one_of(like, names)}")
    text = COMMENT.sub("", example.read_text(encoding="utf-8"))
    if like == "local":
        text = text.replace("corpus:\n", f"corpus:\n  manifest: {MANIFEST}\n", 1)
    return f"{HEADER}\n{text}"


def write(folder: Path, like: str = "local") -> list[Path]:
    """Write the files of a project.

    Parameters
    ----------
    folder : Path
        Made if it is missing.
    like : str
        Name of an example of workflow/configs/, whose settings the project gets.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    UserError
        If one of the files exists, or there is no such example.
    """
    texts = {
        "Snakefile": SNAKEFILE,
        "config.yaml": config_text(like),
        str(PROFILE.relative_to(FOLDER)): PROFILE.read_text(encoding="utf-8"),
        ".gitignore": "\n".join(IGNORED) + "\n",
    }
    present = [name for name in texts if (folder / name).exists()]
    if present:
        raise UserError(f"{folder / present[0]} exists: choose another folder, or remove this file")
    for name, text in texts.items():
        with tables.atomic_write(folder / name) as part:
            part.write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def next_steps(folder: Path, like: str) -> Iterator[str]:
    """The commands that follow."""
    yield f"cd {shlex.quote(str(folder))}"
    if like == "local":
        yield "spm manifest videos      # after you have put them into videos/<what sounds>/"
    yield "snakemake all --cores 2 --dry-run"
    yield "snakemake all --cores 2"
