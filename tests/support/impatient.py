"""Snakemake's command line, which asks SLURM for the state of its jobs once per second.

The plugin waits 10 s longer after each answer without a finished job, up to 3 minutes. The tests
would mostly wait. Nothing else differs. Run as a script.
"""

import sys

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

INTERVAL_S = 1


def ask_often() -> None:
    """Replace the interval of the plugin."""
    RemoteExecutor.next_seconds_between_status_checks = property(
        lambda _: INTERVAL_S, lambda _, value: None
    )


if __name__ == "__main__":
    ask_often()
    sys.argv[0] = "snakemake"
    main()
