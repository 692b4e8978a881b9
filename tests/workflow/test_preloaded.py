"""A command that is forked (tests/support/preloaded.py) does what a new Python does."""

import os
import signal
import subprocess
import sys

import pytest

from tests.support import preloaded

pytestmark = pytest.mark.slow  # the server imports torch
MODULE = """\
import atexit, json, os, sys
from threading import Timer
known = sorted(item for item in os.environ.items() if item[0] not in ("PATH", "SHLVL", "_"))
print(known, os.getcwd(), sys.argv, sys.path[:2], __name__, __spec__.name, sys.stdin.read())
"""
ENDS = {
    "threads": "import torch; print(torch.get_num_threads())",
    "a status": "sys.exit(3)",
    "a message": "sys.exit('no file')",
    "an error": "1 / 0",
    "a signal": "sys.stdout.flush(); os.kill(os.getpid(), 9)",
    "work at the end": "atexit.register(print, 'exit'); Timer(0.1, print, ['later']).start()",
}
ENDLESS = """\
import signal, sys
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: (print(int(number)), sys.exit(7)))
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.mark.parametrize(("end", "safe_path"), [*((end, "") for end in ENDS), ("a status", "1")])
def test_a_forked_command_has_the_output_and_status_of_a_new_python(tmp_path, end, safe_path):
    package = tmp_path / "code/spm"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "module.py").write_text(MODULE + ENDS[end])
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "OMP_NUM_THREADS": "2"}
    environment["PYTHONSAFEPATH"] = safe_path
    options = {"cwd": tmp_path, "env": environment, "input": "text"}
    expected, actual = (
        # In bash, as Snakemake starts a job: a signal becomes a status.
        subprocess.run(
            ["bash", "-c", f"{python} -m spm.module --option 'a b'; exit $?"],
            capture_output=True,
            text=True,
            check=False,
            **options,
        )
        for python in (sys.executable, preloaded.folder() / "python")
    )
    assert "text" in expected.stdout
    assert (actual.returncode, actual.stdout) == (expected.returncode, expected.stdout)
    assert end == "a signal" or actual.stderr.splitlines()[-1:] == expected.stderr.splitlines()[-1:]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_reaches_the_forked_process(tmp_path, number):
    package = tmp_path / "spm"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "module.py").write_text(ENDLESS)
    forked = preloaded.folder() / "python"
    with subprocess.Popen(
        [forked, "-m", "spm.module"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        rest = process.stdout.read()  # ends when the forked process has ended
    if number == signal.SIGKILL:
        assert (process.returncode, rest) == (-signal.SIGKILL, "")
    else:
        assert (process.returncode, rest) == (7, f"{number:d}\n")


def test_other_commands_of_python_are_not_forked():
    done = preloaded.run(["-c", "import sys; print(sys.argv, 'torch' in sys.modules)", "a"])
    assert done.stdout == "['-c', 'a'] False\n"
