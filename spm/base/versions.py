"""The versions that a report names."""

import platform
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "spm",
    "snakemake",
    "torch",
    "torchvision",
    "torchaudio",
    "numpy",
    "pyarrow",
    "scikit-learn",
)


def _found(packages: Iterable[str]) -> Iterator[str]:
    for package in packages:
        try:
            yield f"{package} {version(package)}"
        except (
            PackageNotFoundError
        ):  # under --use-conda Snakemake's environment needs no torch: the jobs' have it
            yield f"{package}: as in envs/" if package != "spm" else "spm from its folder"


def version_string(packages: Iterable[str] = PACKAGES) -> str:
    """Python and packages with their versions, in one line.

    >>> said(["no-such-package"]).split(", ")[1]
    'no-such-package: as in envs/'
    """
    return ", ".join([f"Python {platform.python_version()}", *_found(packages)])
