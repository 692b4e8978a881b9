"""Files of environments: pinned, solvable, and sufficient for their stages.

The `conda` is that of tests/support/conda.py.
"""

import ast
import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest
import rattler
from rattler.exceptions import SolverError

from spm.base import digest
from spm.learn.pretrained import PARTS, Package
from tests.support import conda, flow
from tests.support.changes import modules_of
from tests.support.planner import planner_of
from tests.support.project import Project
from tests.workflow.conftest import new_project, results

pytestmark = pytest.mark.slow
CHANNELS = ["conda-forge", "nodefaults"]
# Imported inside functions where a setting, a missing package, or weights of YAMNet ask for them;
# LOADED loads these weights.
OPTIONAL = {"detectron2", "imageio_ffmpeg", "onnx", "tflite"}
# The pretrained parts that the stages of an environment load.
YAMNET, EFFICIENTNET = "yamnet.load()", "efficientnet.EfficientNetLite0()"
LOADED = {"audio": [YAMNET], "fusion": [YAMNET, EFFICIENTNET], "boxes": [EFFICIENTNET]}
CARRIERS = [part.source for part in PARTS.values() if isinstance(part.source, Package)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("made") / "conda"
    return folder, conda.install(folder, conda.tested())


@pytest.fixture(scope="module")
def project(installed, videos, tmp_path_factory) -> Project:
    """The smallest project, for which Snakemake has created the environments."""
    folder = tmp_path_factory.mktemp("project")
    forking = new_project(videos, folder, environment=installed[1])
    forking.run("all", "--use-conda", "--conda-create-envs-only")
    return Project(folder, forking.config, installed[1], as_users=True)


def environments(project: Project) -> dict[str, Path]:
    """Environments that Snakemake has created for a project, by the names of their files."""
    names = {file.read_text(): file.stem for file in conda.ENVIRONMENTS}
    made = (project.folder / ".snakemake/conda").glob("*.yaml")
    return {names[file.read_text()]: file.with_suffix("") for file in made}


@pytest.fixture(scope="module")
def environment_of(installed, project, tmp_path_factory) -> Callable[[Path], Path]:
    """A function of an environment's file: the folder of the environment, created once."""
    made = environments(project)

    @cache
    def find(file: Path) -> Path:
        if file.stem in made:
            return made[file.stem]
        prefix = tmp_path_factory.mktemp("environments") / file.stem
        asyncio.run(conda.create(installed[0], file, prefix))
        conda.furnish(prefix)
        return prefix

    return find


@pytest.mark.parametrize("file", conda.ENVIRONMENTS, ids=lambda file: file.stem)
def test_an_environment_is_pinned_and_solves_to_the_tested_versions(file, environment_of):
    channels, specs, pip = conda.specs_of(file)
    assert channels == CHANNELS
    assert {spec.replace(" ", "") for spec in pip} <= {source.requirement for source in CARRIERS}
    assert not [spec for spec in specs if not rattler.MatchSpec(spec).version], (
        "every package has its version"
    )
    records = (environment_of(file) / "conda-meta").glob("*.json")
    installed = {path.name.rsplit("-", 2)[0] for path in records}
    assert installed == {rattler.MatchSpec(spec).name.normalized for spec in specs}


def test_gpu_stages_ask_for_a_gpu_build_that_a_login_node_resolves_too():
    gpu = {name for name, stages in flow.ENVIRONMENTS.items() if flow.GPU & set(stages)}
    torches = {
        file.stem: re.findall(r"pytorch-\w+", file.read_text()) for file in conda.ENVIRONMENTS
    }
    assert {name for name, found in torches.items() if "pytorch-gpu" in found} == gpu
    assert not any("pytorch-cpu" in torches[name] for name in gpu)


def test_a_version_that_does_not_exist_is_named_in_the_error(installed, tmp_path):
    (tmp_path / "env.yaml").write_text(
        "channels: [conda-forge, nodefaults]\ndependencies: [numpy =99]\n"
    )
    with pytest.raises(SolverError, match="numpy 99"):
        asyncio.run(conda.create(installed[0], tmp_path / "env.yaml", tmp_path / "env"))


def packages_of(modules: Iterable[str]) -> set[str]:
    """Packages of others that modules import, also inside functions."""
    names: set[str] = set()
    for module in set().union(*map(digest.imported_by, modules)):
        tree = ast.parse(digest._source_file(module).read_text(encoding="utf-8"))
        names |= {name.split(".")[0] for name in digest._imported_names(tree)}
    return names - sys.stdlib_module_names - OPTIONAL - {digest.PACKAGE}


@pytest.mark.parametrize("file", conda.ENVIRONMENTS, ids=lambda file: file.stem)
def test_an_environment_has_all_that_its_stages_import_and_their_pretrained_parts(
    file, installed, environment_of, tmp_path
):
    stages = flow.ENVIRONMENTS[file.stem]
    imported: set[str] = set()
    for name, modules in modules_of().items():
        if name.split("[")[0] in stages:
            imported.update(modules)
    imported |= packages_of(imported)
    lines = [f"import {module}" for module in sorted(imported)]
    if file.stem in LOADED:
        lines += ["from spm.learn import efficientnet, yamnet", *LOADED[file.stem]]
    environment = {**installed[1], "PYTHONPATH": str(conda.ROOT), "SPM_PRETRAINED": str(tmp_path)}
    done = subprocess.run(
        [environment_of(file) / "bin/python", "-c", "\n".join(lines)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def stages_run(project: Project) -> dict[str, set[str]]:
    """For each environment of a project, the stages that ran with its Python."""
    calls = {name: folder / "calls" for name, folder in environments(project).items()}
    return {
        name: set(re.findall(r"-m spm\.\w+\.(\w+)", noted.read_text())) if noted.exists() else set()
        for name, noted in calls.items()
    }


def test_the_whole_workflow_runs_with_each_rule_in_its_own_environment(project, undisturbed):
    project.run("all", "--use-conda")
    ran = stages_run(project)
    helpers = {"media", "fetching"}  # modules that a stage starts in its own environment
    planned = set(flow.READS) - {
        "openimages",
        "detector",
        "detect",
        "quality",
        "paper",
        "paper_figures",
        "prior_maps",
        *flow.MOSAICS,
    }
    assert {name: stages - helpers for name, stages in ran.items()} == {
        name: set(stages) & planned
        for name, stages in flow.ENVIRONMENTS.items()
        if set(stages) & planned
    }
    assert results(project) == results(undisturbed)
    assert not project.stale("all", "--use-conda")


def test_a_recipe_for_a_container_has_every_environment(installed):
    path = f"{installed[1]['PATH']}{os.pathsep}{Path(sys.executable).parent}"
    words = ["--snakefile", str(conda.ROOT / "Snakefile"), "--containerize"]
    done = planner_of(conda.ROOT).run(words, conda.ROOT, {"PATH": path})
    assert done.returncode == 0, done.stdout
    used = [file for file in conda.ENVIRONMENTS if flow.ENVIRONMENTS[file.stem]]
    assert all(f"COPY envs/{file.name} /conda-envs/" in done.stdout for file in used)
    assert done.stdout.count("conda env create --prefix") == len(used)


def test_the_python_of_an_environment_imports_only_the_packages_of_its_file(environment_of):
    file = next(file for file in conda.ENVIRONMENTS if file.stem == "corpus")
    names = ("av", "pandas", "matplotlib", "snakemake")
    code = "from importlib.util import find_spec\nimport av, pandas\n" + "".join(
        f"print({name!r}, bool(find_spec({name!r})))\n" for name in names
    )
    done = subprocess.run(
        [environment_of(file) / "bin/python", "-c", code], capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [
        "av True", "pandas True", "matplotlib False", "snakemake False",
    ]  # fmt: skip
