"""On SLURM, queue a job again that was preempted, or whose node failed.

For such a job snakemake-executor-plugin-slurm (2.8.0) waits until SLURM runs it again. SLURM does
so with PreemptMode=REQUEUE, but not with PreemptMode=CANCEL: the plugin would wait forever.

It would also wait forever after five questions in a row that SLURM's controller has not answered,
for example while it restarts: the plugin then forgets all jobs. Here, the jobs stay as they were.
"""

import re
import subprocess
import sys
from logging import Logger
from typing import Any

PLUGIN = "snakemake_executor_plugin_slurm"
LOST = ("PREEMPTED", "NODE_FAIL")  # states of jobs for which the plugin waits
FAILED = "CANCELLED"  # a state for which Snakemake submits a new job, or stops (`retries`)
NO_ANSWER = re.compile("contact|timed out", re.IGNORECASE)  # in messages about the controller
TIMEOUT_S, TIMEOUT_CODE = "60", 124


def _call(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["timeout", TIMEOUT_S, *command], capture_output=True, text=True, check=False
    )


def _is_unanswered(done: "subprocess.CompletedProcess[str]") -> bool:
    code = done.returncode
    return code == TIMEOUT_CODE or (code != 0 and bool(NO_ANSWER.search(done.stderr)))


def requeue(job: str, state: str, logger: Logger) -> str:
    """Queue a lost job again, unless SLURM has done so; its new state.

    A requeued job keeps its number and its memory, and is not one of Snakemake's retries. The state
    stays the same if SLURM's controller does not answer.
    """
    asked = _call("squeue", "--noheader", "--states=all", "--format=%T", "--jobs", job)
    if _is_unanswered(asked):
        return state
    live = asked.stdout.strip()
    if live and live not in LOST:
        return live
    requeued = _call("scontrol", "requeue", job)
    if _is_unanswered(requeued):
        return state
    if requeued.returncode != 0:
        reason = requeued.stderr.strip()
        logger.warning(f"SLURM job {job}: {state}; it cannot be queued again: {reason}")
        return FAILED
    logger.warning(f"SLURM job {job}: {state}; it is queued again")
    return "PENDING"


def requeue_lost_jobs() -> None:
    """Requeue lost jobs at each status query of the plugin; without it, nothing changes."""
    plugin: Any = sys.modules.get(PLUGIN)  # Snakemake imports all plugins that are installed
    if plugin is None:
        return
    query = plugin.query_job_status
    given_up = set()

    async def query_and_requeue(command: str, logger: Logger) -> tuple[Any, Any]:
        states, seconds = await query(command, logger)
        if states is None:
            return {}, 0.0
        for job, text in states.items():
            state = text.split(" ")[0]  # sacct writes, for example, CANCELLED by 1000
            if state in LOST:
                state = FAILED if job in given_up else requeue(job, state, logger)
            if state == FAILED:
                given_up.add(job)
            states[job] = state
        return states, seconds

    plugin.query_job_status = query_and_requeue
