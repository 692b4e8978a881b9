"""`spm new-method` writes a method that works like the others."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from spm.base.errors import UserError
from spm.fusion import new_method
from tests.support import preloaded
from tests.support.project import ROOT, checkout

pytestmark = pytest.mark.slow

NAME = "margin_of_mine"


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> str:
    """PATH with programs that fork."""
    return preloaded.programs(tmp_path_factory.mktemp("programs"))


def run(root: Path, path: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/usr/bin/env", *words],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(root)},
    )


@pytest.fixture(scope="module")
def root(path, tmp_path_factory) -> Path:
    """A checkout in which the command was run."""
    folder = checkout(tmp_path_factory.mktemp("new") / "checkout with spaces")
    for name in ("tests", "docs"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "data")
        )
    shutil.copy(ROOT / "pyproject.toml", folder)
    process = run(folder, path, "spm", "new-method", NAME)
    assert process.returncode == 0, process.stderr
    assert f"Test it: python -m pytest tests/fusion/test_{NAME}.py\n" in process.stdout
    return folder


def test_the_method_has_fewer_than_60_lines(root):
    assert len((root / f"spm/fusion/methods/{NAME}.py").read_text().splitlines()) < 60


def test_the_method_passes_its_test_those_of_all_methods_and_those_of_the_config(root, path):
    files = [f"tests/fusion/test_{NAME}.py", "tests/fusion/test_methods.py"]
    files.append("tests/base/test_config.py")
    selected = f"{NAME} or what_the_models_make or names_every_key"
    process = run(root, path, "python", "-m", "pytest", "-vrA", *files, "-k", selected)
    assert process.returncode == 0, process.stdout
    for name in (
        "mean_violation_of_the_margin",
        f"for_every_frame[{NAME}]",
        "the_schema_is_what_the_models_make",
        "the_comments_of_config_yaml_are_what_the_models_make",
    ):
        assert f"{name} PASSED" in process.stdout


def test_config_yaml_has_the_methods_keys_and_is_otherwise_unchanged(root):
    before, after = (
        yaml.safe_load((folder / "config.yaml").read_text()) for folder in (ROOT, root)
    )
    section = after["methods"].pop(NAME)
    assert section == {"promote": False, "negatives": "all", "margin": 0.2}
    assert after == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Mine", "a Python name in lower case"),
        ("lvs", "this method exists already"),
        ("import", "a Python name in lower case"),
    ],
)
def test_an_impossible_name_is_an_error(name, message, root):
    with pytest.raises(UserError, match=message):
        new_method.write(name, root)
