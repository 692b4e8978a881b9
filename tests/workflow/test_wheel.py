"""The installed package, outside the checkout: `spm`, the workflow, and its use as a module."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
import yaml

from spm.base.version import VERSION
from tests.support import preloaded
from tests.support.project import CODE, ROOT, checkout
from tests.support.sharing import make_once
from tests.workflow.conftest import TINY, results

pytestmark = pytest.mark.slow
PACKAGING = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
MODULE = """
configfile: "config.yaml"

module localization:
    snakefile: "{snakefile}"
    config: config

use rule * from localization as localization_*
"""


def install(folder: Path) -> None:
    """Build the wheel of a copy of the checkout, and install it into a new environment.

    The environment finds the other packages in the one of the tests, in which an editable
    installation of spm is not seen from there.
    """
    source = checkout(folder / "source")
    for name in PACKAGING:
        shutil.copy2(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=False)
    packages = sysconfig.get_path("purelib")
    site = sysconfig.get_path("purelib", vars={"base": str(folder / "env")})
    Path(site, "others.pth").write_text(f"{packages}\n")
    target = ["--python", str(folder / "env/bin/python"), "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, *target, str(wheel)], check=True)
    shutil.rmtree(source)


class Installed:
    """An environment with the installed package."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "env" / "bin"
        (self.wheel,) = folder.glob("*.whl")

    def run(self, folder: Path, *command: str, jobs: str = "") -> str:
        """Run a program of the environment in a folder; its output.

        `jobs` is a folder with the program `python` for jobs; the default is the environment's.
        """
        python = str(self.bin / "python")
        path = [str(self.bin), os.environ["PATH"]]
        programs = {"snakemake": [python, "-m", "snakemake"], "spm": [str(self.bin / "spm")]}
        done = subprocess.run(
            [*programs.get(command[0], [python]), *command[1:]],
            cwd=folder,
            env={**os.environ, "PATH": os.pathsep.join([jobs or str(self.bin), *path])},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Installed:
    return Installed(make_once(tmp_path_factory, "installed", install))


@pytest.fixture
def project(installed, undisturbed, tmp_path) -> Path:
    """A project of `spm init` with the settings and the results of the undisturbed run."""
    folder = tmp_path / "a project"
    installed.run(tmp_path, "spm", "init", str(folder))
    (folder / "config.yaml").write_text(yaml.safe_dump(TINY))
    for name in ("manifest.csv", "boxes.csv", "overview.html"):
        shutil.copy2(undisturbed.folder / name, folder)
    for name in ("results", "logs", "store", ".snakemake"):
        shutil.copytree(undisturbed.folder / name, folder / name, copy_function=shutil.copy2)
    return folder


def test_the_wheel_has_the_workflow_and_names_its_version(installed, tmp_path):
    assert installed.run(tmp_path, "spm", "--version").strip() == VERSION
    assert installed.wheel.name.startswith(f"sound_promotion-{VERSION}-")
    snakefile = Path(installed.run(tmp_path, "spm", "path").strip())
    assert snakefile.parent.parent.name == "spm"
    assert snakefile.is_relative_to(installed.bin.parent)
    names = [name for name in CODE if name != "spm"]
    for name in names:
        files = [ROOT / name] if (ROOT / name).is_file() else (ROOT / name).rglob("*.*")
        for file in files:
            copy = snakefile.parent / file.relative_to(ROOT)
            assert copy.read_bytes() == file.read_bytes()


def test_a_new_project_plans_like_a_checkout_and_makes_the_same_report(
    installed, undisturbed, project
):
    dry = installed.run(project, "snakemake", "all", "--cores", "2", "--dry-run")
    assert "Nothing to be done" in dry
    before = results(undisturbed)
    shutil.rmtree(project / "results" / "report")
    shutil.rmtree(project / "results" / "corpus" / "index")
    # Forks, with the installed modules: the next test starts a job as users do.
    installed.run(project, "snakemake", "all", "--cores", "2", jobs=str(preloaded.folder()))
    folder = project / "results"
    for name in ("corpus/index/clips.parquet", "report/tables/scores.csv"):
        assert (folder / name).read_bytes() == (undisturbed.folder / "results" / name).read_bytes()
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")} == set(before)


def test_another_workflow_uses_the_rules_as_a_module(installed, project):
    snakefile = installed.run(project, "spm", "path").strip()
    (project / "Snakefile").write_text(MODULE.format(snakefile=snakefile))
    (project / "results" / "corpus" / "index" / "clips.parquet").unlink()
    words = ["localization_all", "--until", "localization_index", "--cores", "2"]
    assert "rule localization_index:" in installed.run(project, "snakemake", *words)
    assert (project / "results" / "corpus" / "index" / "clips.parquet").is_file()


def test_commands_say_what_needs_a_checkout(installed, tmp_path):
    with pytest.raises(AssertionError, match="run this in a checkout of spm"):
        installed.run(tmp_path, "spm", "new-method", "mine")
    (tmp_path / "videos" / "cello").mkdir(parents=True)
    (tmp_path / "videos" / "cello" / "a.mp4").write_bytes(b"no video")
    printed = installed.run(tmp_path, "spm", "manifest", "videos")
    files = re.search(
        r"--configfile (\S+) --snakefile|--snakefile (\S+) --configfile (\S+)", printed
    )
    assert files
    assert all(Path(name).is_file() for name in files.groups() if name)


def test_no_file_of_a_project_is_replaced(installed, project):
    before = (project / "config.yaml").read_bytes()
    with pytest.raises(AssertionError, match="exists: choose another folder"):
        installed.run(project.parent, "spm", "init", str(project))
    assert (project / "config.yaml").read_bytes() == before
    with pytest.raises(
        AssertionError, match=r"--like paperr: expected one of .*untrained; did you mean paper"
    ):
        installed.run(project.parent, "spm", "init", "new", "--like", "paperr")
