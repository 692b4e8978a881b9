"""A real SLURM with two nodes: munged, slurmctld and slurmd from Debian's packages.

The tests start and stop it. It runs on the loopback interface, without systemd and accounting. Both
nodes are this machine, each with a slurmd of its own. Their CPUs are only configured, and
their two GPUs are /dev/null.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

# The plugin removes SLURM_CONF before its inner srun, so the config must be in this folder.
CONFIG = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")
NODE_STATES = ("sinfo", "--noheader", "--Node", "--partition=requeue", "--format=%T")
SECOND = "second"  # name of the second node
CPUS = 16  # of each node: a training needs 8
START_S = 20.0
SETTINGS = """\
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,sched_min_interval=10000
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=7200
KillWait=2
JobRequeue=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
OverTimeLimit=0
DefMemPerCPU=100
GresTypes=gpu
"""


def unavailable() -> str:
    """The reason why SLURM cannot be started on this machine; empty where it can."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    if missing := [name for name in PROGRAMS if not shutil.which(name, path=path)]:
        return f"no {', '.join(missing)}: apt-get install slurmctld slurmd slurm-client munge"
    if os.geteuid() != 0:
        return "slurmd and slurmctld run jobs as root only"
    for file in (CONFIG / name for name in FILES):
        if file.exists() or file.is_symlink():
            return f"{file} exists: from a SLURM of this machine, or left by a killed test"
    return ""


def _port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def until(is_done: Callable[[], bool], event: str, within_s: float = START_S) -> None:
    """Wait for an event; an AssertionError names it if it does not happen in time."""
    end_s = time.monotonic() + within_s
    while not is_done():
        assert time.monotonic() < end_s, f"{event}: not within {within_s} s"
        time.sleep(0.3)


class Cluster:
    """A node with the partitions `cpu` and `gpu`, and three to preempt jobs.

    A job in `urgent` preempts jobs in `cancel` and `requeue`, which SLURM then cancels or requeues.
    `requeue` has a second node too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = socket.gethostname().split(".")[0]
        self.ports = _port(), _port(), _port()
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def _configure(self) -> None:
        for name in ("state", f"spool-{self.host}", f"spool-{SECOND}", "log"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        for name in ("gpu0", "gpu1"):
            (self.folder / name).symlink_to("/dev/null")
        (self.folder / "gres.conf").write_text(f"Name=gpu File={self.folder}/gpu[0-1]\n")
        (self.folder / "slurm.conf").write_text(self._slurm_conf())
        CONFIG.mkdir(exist_ok=True)
        for name in FILES:
            (CONFIG / name).symlink_to(self.folder / name)

    def _slurm_conf(self) -> str:
        folder, (controller, *nodes) = self.folder, self.ports
        return f"""
ClusterName=tests
SlurmctldHost={self.host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job starts after cred_expire. If the processes of its first start have not ended by
# then, slurmd refuses it as a duplicate and drains the node: on a busy machine they take 6 s.
AuthInfo=socket={folder}/munge.socket,cred_expire=12
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
{SETTINGS}NodeName=DEFAULT CPUs={CPUS} RealMemory=256000 Gres=gpu:2 Feature=fast
NodeName={self.host} NodeHostname={self.host} NodeAddr=127.0.0.1 Port={nodes[0]}
NodeName={SECOND} NodeHostname={self.host} NodeAddr=127.0.0.1 Port={nodes[1]}
PartitionName=DEFAULT Nodes={self.host} MaxTime=INFINITE PriorityTier=1 PreemptMode=OFF State=UP
PartitionName=cpu Default=YES
PartitionName=gpu
PartitionName=cancel PreemptMode=CANCEL
PartitionName=requeue PreemptMode=REQUEUE Nodes={self.host},{SECOND}
PartitionName=urgent PriorityTier=10
"""

    def _start(self, *command: str, name: str = "") -> None:
        name = name or command[0]
        path = os.pathsep.join(["/usr/sbin", "/sbin", os.environ["PATH"]])
        with (self.folder / "log" / f"{name}.out").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env={**os.environ, "PATH": path},
                start_new_session=True,
            )

    def start(self) -> None:
        """Start the daemons, and wait for both nodes."""
        self._configure()
        files = {
            "--key-file": "key",
            "--socket": "socket",
            "--pid-file": "pid",
            "--log-file": "log",
            "--seed-file": "seed",
        }
        options = []
        for option, suffix in files.items():
            options += [option, str(self.folder / f"munge.{suffix}")]
        self._start("munged", "--foreground", "--force", *options)
        until((self.folder / "munge.socket").exists, "munged")
        self.start_controller()
        for node in (self.host, SECOND):
            self._start("slurmd", "-D", "-N", node, name=f"slurmd-{node}")
        until(lambda: self.ask(*NODE_STATES).split() == ["idle", "idle"], "slurmd")

    def start_controller(self) -> None:
        """Start slurmctld; after a stop, it reads its saved state."""
        self._start("slurmctld", "-D")
        until(lambda: "UP" in self.ask("scontrol", "ping"), "slurmctld")

    def hold_jobs(self) -> None:
        """Let no job of `cpu` and `gpu` start until slurmctld reads its file again."""
        for partition in ("cpu", "gpu"):
            command = ["scontrol", "update", f"PartitionName={partition}", "State=DOWN"]
            subprocess.run(command, check=True)

    def stop_one(self, name: str) -> None:
        """Stop one daemon."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop(self) -> None:
        """Cancel all jobs, then stop the daemons in reverse order."""
        with suppress(OSError):
            subprocess.run(["scancel", "--me"], check=False, capture_output=True, timeout=20)
            until(lambda: not self.ask("squeue", "--noheader"), "end of all jobs")
        for name in reversed([*self.running]):
            self.stop_one(name)
        for name in FILES:
            if (CONFIG / name).is_symlink() and (CONFIG / name).readlink() == self.folder / name:
                (CONFIG / name).unlink()

    def ask(self, *command: str) -> str:
        """Output of one of SLURM's commands."""
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=30
        ).stdout

    def jobs(self) -> list[dict[str, str]]:
        """The controller's record of every job, as `scontrol show job` prints it."""
        jobs = []
        for line in self.ask("scontrol", "--oneliner", "show", "job").splitlines():
            job = dict(part.split("=", 1) for part in line.split() if "=" in part)
            if "JobId" in job:
                jobs.append(job)
        return jobs
