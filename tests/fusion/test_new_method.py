"""`spm new-method`: what it writes is a method like the others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from spm.base.config import UserError
from spm.fusion import new_method
from tests.support.project import ROOT, checkout


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """A checkout in which the command has run."""
    root = checkout(tmp_path_factory.mktemp("new") / "checkout with spaces")
    (root / "tests/fusion").mkdir(parents=True)
    for name in ("tests/conftest.py", "tests/corpora.py", "tests/web.py", "tests/fusion/test_methods.py",
                 "tests/base/test_config.py", "tests/project.py", "pyproject.toml"):  # fmt: skip
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes((ROOT / name).read_bytes())
    done = within(root, "-m", "spm.cli", "new-method", "margin_of_mine")
    assert done.returncode == 0, done.stderr
    assert "Next: python -m pytest tests/fusion/test_margin_of_mine.py, " in done.stdout
    return root


def within(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run(
        [sys.executable, *words],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def test_the_method_is_under_60_lines_and_passes_its_test_those_of_every_method_and_the_configs(
    written,
):
    assert len((written / "spm/fusion/methods/margin_of_mine.py").read_text().splitlines()) < 60
    tests = [
        "tests/fusion/test_margin_of_mine.py",
        "tests/fusion/test_methods.py",
        "tests/base/test_config.py",
    ]
    done = within(
        written, "-m", "pytest", "-vrA", *tests, "-k", "margin_of_mine or schema or names_every_key"
    )
    assert done.returncode == 0, done.stdout
    for name in (
        "strangers_lack_of_the_margin",
        "for_every_frame[margin_of_mine]",
        "schema_is_what_the_models_make",
    ):
        assert f"{name} PASSED" in done.stdout


def test_config_yaml_keeps_its_comments_and_lists_the_methods_keys(written):
    text = (written / "config.yaml").read_text()
    assert yaml.safe_load(text)["methods"]["margin_of_mine"] == {
        "promote": False,
        "negatives": "all",
        "margin": 0.2,
    }
    section = new_method.text("margin_of_mine", "config")
    assert text.replace(section, "") == (ROOT / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("name", "said"),
    [("Mine", "in lower case"), ("lvs", "there is a method"), ("import", "of Python")],
)
def test_a_name_that_can_not_be_is_said(name, said, written):
    with pytest.raises(UserError, match=said):
        new_method.write(name, written)
