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
from tests.workflow.conftest import new_project, results

pytestmark = pytest.mark.slow
CHANNELS = ["conda-forge", "nodefaults"]
# Imported inside functions where a setting, a missing package, or weights of YAMNet ask for them;
# another test loads these weights.
OPTIONAL = {"detectron2", "imageio_ffmpeg", "onnx", "tflite"}
CARRIERS = [part.source for part in PARTS.values() if isinstance(part.source, Package)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("made") / "conda"
    return folder, conda.install(folder, conda.tested())


@pytest.fixture(scope="module")
def environment_of(installed, tmp_path_factory) -> Callable[[Path], Path]:
    """A function of an environment's file: the folder of the environment, created once."""
    folder = tmp_path_factory.mktemp("environments")

    @cache
    def create(file: Path) -> Path:
        prefix = folder / file.stem
        asyncio.run(conda.create(installed[0], file, prefix))
        conda.furnish(prefix)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in installed[1].items():
                patch.setenv(name, value)
            conda.pip_install(file, prefix)
        return prefix

    return create


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
def test_an_environment_has_all_that_its_stages_import(file, environment_of):
    stages = flow.ENVIRONMENTS[file.stem]
    imported: set[str] = set()
    for name, modules in modules_of().items():
        if name.split("[")[0] in stages:
            imported.update(modules)
    imported |= packages_of(imported)
    code = "\n".join(f"import {module}" for module in sorted(imported))
    done = subprocess.run(
        [environment_of(file) / "bin/python", "-c", code],
        env={"PYTHONPATH": str(conda.ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def stages_run(folder: Path) -> dict[str, set[str]]:
    """For each environment in a folder, the stages that ran with its Python."""
    files = {file.read_text(): file.stem for file in conda.ENVIRONMENTS}
    calls = {
        files[made.read_text()]: made.with_suffix("") / "calls" for made in folder.glob("*.yaml")
    }
    return {
        name: set(re.findall(r"-m spm\.\w+\.(\w+)", noted.read_text())) if noted.exists() else set()
        for name, noted in calls.items()
    }


def test_the_whole_workflow_runs_with_each_rule_in_its_own_environment(
    videos, undisturbed, tmp_path
):
    environment = conda.install(tmp_path / "conda", conda.tested())
    project = new_project(videos, tmp_path / "project", environment=environment, as_users=True)
    project.run("all", "--use-conda")
    ran = stages_run(project.folder / ".snakemake/conda")
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


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("audio", ["yamnet"]),
        ("fusion", ["yamnet", "efficientnet_lite0"]),
        ("boxes", ["efficientnet_lite0"]),
    ],
)
def test_an_environment_has_the_pretrained_parts_of_its_stages(
    name, parts, installed, environment_of, tmp_path
):
    (file,) = [file for file in conda.ENVIRONMENTS if file.stem == name]
    prefix = environment_of(file)
    environment = {**installed[1], "PYTHONPATH": str(conda.ROOT), "SPM_PRETRAINED": str(tmp_path)}
    environment["PATH"] = f"{prefix / 'bin'}{os.pathsep}{environment['PATH']}"
    if (script := file.with_name(f"{name}.post-deploy.sh")).exists():  # Snakemake runs it
        subprocess.run(["sh", script], env=environment, check=True)
    code = "from spm.learn import efficientnet, yamnet\n" + "".join(
        {"yamnet": "yamnet.load()\n", "efficientnet_lite0": "efficientnet.EfficientNetLite0()\n"}[
            part
        ]
        for part in parts
    )
    done = subprocess.run(
        [prefix / "bin/python", "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_recipe_for_a_container_has_every_environment(installed, tmp_path):
    path = f"{installed[1]['PATH']}{os.pathsep}{Path(sys.executable).parent}"
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        conda.ROOT / "Snakefile",
        "--containerize",
    ]
    done = subprocess.run(
        command,
        cwd=conda.ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": path},
    )
    used = [file for file in conda.ENVIRONMENTS if flow.ENVIRONMENTS[file.stem]]
    assert all(f"COPY envs/{file.name} /conda-envs/" in done.stdout for file in used)
    assert done.stdout.count("conda env create --prefix") == len(used)


def test_the_python_of_an_environment_imports_only_the_packages_of_its_file(environment_of):
    file = next(file for file in conda.ENVIRONMENTS if file.stem == "corpus")
    python = environment_of(file) / "bin/python"

    def imports(name: str) -> bool:
        done = subprocess.run([python, "-c", f"import {name}"], capture_output=True)
        return done.returncode == 0

    assert imports("av")
    assert imports("pandas")
    assert not imports("matplotlib")
    assert not imports("snakemake")
