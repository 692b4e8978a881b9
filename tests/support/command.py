"""The command `spm` in this process: a new one would take seconds to import NumPy and numba."""

import contextlib
import io
import subprocess
from unittest import mock

import pytest

from spm.cli import main


def run_command(*words: object) -> subprocess.CompletedProcess[str]:
    """Run `spm` with these words."""
    out, err = io.StringIO(), io.StringIO()
    command = ["spm", *map(str, words)]
    with (
        mock.patch("sys.argv", command),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        main()
    return subprocess.CompletedProcess(command, end.value.code, out.getvalue(), err.getvalue())
