"""A stage as a fork of the tests' own process, for tests that kill it while it runs.

The fork has what the tests have imported, which takes a new Python seconds. `preloaded` is for all
other stages: it forks from a process that has imported nothing of spm.
"""

import multiprocessing
import os
import sys
from importlib import import_module
from pathlib import Path

import torch

from spm.base import stage
from spm.learn import loader

FORK = multiprocessing.get_context("fork")


class Stage(FORK.Process):
    """A stage that runs.

    Parameters
    ----------
    module : str
        Its module.
    words : list of str
        Arguments of its command line.
    log : Path
        The file of its standard error.
    threads : int
        Threads of torch, as with this OMP_NUM_THREADS.
    """

    def __init__(self, module: str, words: list[str], log: Path, threads: int) -> None:
        super().__init__()
        self.module, self.words, self.log, self.threads = module, words, log, threads
        self.start()

    def run(self) -> None:
        """Run the stage in the fork. It ends without what the tests do at the end of Python."""
        with self.log.open("w") as log:
            os.dup2(log.fileno(), sys.__stderr__.fileno())
        sys.stderr = os.fdopen(sys.__stderr__.fileno(), "w", buffering=1, closefd=False)
        os.environ["OMP_NUM_THREADS"] = str(self.threads)
        torch.set_num_threads(self.threads)
        sys.argv = [self.module, *self.words]
        try:
            stage.main(import_module(self.module).run)
        finally:
            loader._end_workers()  # as at the end of Python

    def finish(self) -> tuple[int | None, str]:
        """Wait for its end: its status, negative for a signal, and its standard error."""
        self.join()
        return self.exitcode, self.log.read_text()
