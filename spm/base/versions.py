"""Versions of Python and of packages, for the report."""

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "snakemake",
    "torch",
    "torchvision",
    "torchaudio",
    "numpy",
    "pyarrow",
    "scikit-learn",
)


def _package_version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        # With --use-conda, the jobs have environments of their own, and Snakemake's lacks torch.
        return f"{package}: as in envs/"


def version_string(packages: Iterable[str] = PACKAGES) -> str:
    """Python and packages with their versions, in one line.

    >>> version_string(["no-such-package"]).split(", ")[1]
    'no-such-package: as in envs/'
    """
    python = f"Python {platform.python_version()}"
    return ", ".join([python, *(_package_version(package) for package in packages)])
