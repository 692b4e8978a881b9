"""Each environment's file is strict, pinned and solvable, by a conda whose packages are empty: see tests/conda.py."""

import asyncio
import re
from pathlib import Path

import pytest
import rattler
from rattler.exceptions import SolverError

from tests import conda
from tests.workflow import flow

CHANNELS = ["conda-forge", "nodefaults"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("conda")
    return folder, conda.install(folder, conda.tested())


@pytest.mark.parametrize("file", conda.ENVIRONMENTS, ids=lambda file: file.stem)
def test_an_environments_file_is_strict_pinned_and_solves_to_what_was_tested(file, installed, tmp_path):
    channels, specs = conda.specs_of(file)
    assert channels == CHANNELS
    assert not [spec for spec in specs if not rattler.MatchSpec(spec).version], "every package has its version"
    asyncio.run(conda.create(installed[0], file, tmp_path / "env"))
    made = {path.name.rsplit("-", 2)[0] for path in (tmp_path / "env/conda-meta").glob("*.json")}
    assert made == {rattler.MatchSpec(spec).name.normalized for spec in specs}


def test_gpu_stages_ask_for_a_gpu_build_that_a_login_node_resolves_too():
    gpu = {name for name, stages in flow.ENVIRONMENTS.items() if flow.GPU & set(stages)}
    torches = {file.stem: re.findall(r"pytorch-\w+", file.read_text()) for file in conda.ENVIRONMENTS}
    assert {name for name, found in torches.items() if "pytorch-gpu" in found} == gpu
    assert not any("pytorch-cpu" in torches[name] for name in gpu)


def test_a_version_that_nobody_has_ends_in_one_clear_error(installed, tmp_path):
    (tmp_path / "env.yaml").write_text("channels: [conda-forge, nodefaults]\ndependencies: [numpy =99]\n")
    with pytest.raises(SolverError, match="numpy 99"):
        asyncio.run(conda.create(installed[0], tmp_path / "env.yaml", tmp_path / "env"))
