import subprocess
import sys
from pathlib import Path

import pytest

STAGE = '''
"""A stage."""
from pathlib import Path
from spm.base import stage
from spm.base.config import Section
from spm.base.errors import UserError

class Small(Section):
    size_px: int = 3

def run(
    config: Small, *, out_file: Path, files: list[Path], maybe: Path | None, count: int
) -> None:
    if count < 0:
        raise UserError(f"count: {count}, expected at least 0")
    print(config.size_px, out_file, len(files), maybe, count)

if __name__ == "__main__":
    stage.main(run)
'''


def call(tmp_path, *arguments):
    (tmp_path / "small.py").write_text(STAGE)
    command = [sys.executable, str(tmp_path / "small.py"), *arguments]
    root = Path(__file__).parents[2]
    return subprocess.run(
        command, capture_output=True, text=True, env={"PYTHONPATH": str(root)}, check=False
    )


@pytest.mark.slow
def test_the_signature_is_the_command_line(tmp_path):
    full = [
        "--config",
        '{"size_px": 5}',
        "--out-file",
        "o",
        "--files",
        "a",
        "b",
        "--maybe",
        "m",
        "--count",
        "2",
    ]
    assert call(tmp_path, *full).stdout == "5 o 2 m 2\n"
    assert (
        call(tmp_path, "--config", "{}", "--out-file", "o", "--maybe", "--count", "0").stdout
        == "3 o 0 None 0\n"
    )


@pytest.mark.slow
def test_an_error_on_a_wrong_key_or_value_is_one_line_that_names_the_key(tmp_path):
    rest = ["--out-file", "o", "--count", "1"]
    wrong = call(tmp_path, "--config", '{"sise_px": 5}', *rest)
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines()[-1].endswith("sise_px: Extra inputs are not permitted")
    assert (
        "size_px: Input should be a valid integer"
        in call(tmp_path, "--config", '{"size_px": "x"}', *rest).stderr
    )


def test_a_user_error_is_one_line_and_status_1(tmp_path):
    failed = call(tmp_path, "--config", "{}", "--out-file", "o", "--count", "-1")
    assert (failed.returncode, failed.stderr) == (
        1,
        "small.py: error: count: -1, expected at least 0\n",
    )
