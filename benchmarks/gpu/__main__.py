"""Speed of all trainings and of localization on a GPU, in a given time.

python -m benchmarks.gpu [--minutes 10] [--seconds 120] [--device cuda] [--batch 32] [--clips 8192]
    [--crop 224] [--workers N] [--out gpu.jsonl]

First the tests of the GPU run (`pytest -m gpu tests/gpu`), if pytest is installed. Then, for
`train`, `pretrain`, `detect` and `maps` (what `spm localize` computes), the pictures or sounds per
second of three systems: the stage, with its loader; (a) the same network on batches that are on the
card already; (b) a plain torchvision loop over the same JPEGs or log-mels (benchmarks/plain.py).
The decoders of JPEGs and `torch.compile` follow. At the end: the hours that the training of the
paper on MUSIC needs at these speeds (goal: 24 h on one card; the paper: three weeks).

Each result is printed and written to --out when it is known, so that a run that is stopped leaves
what it measured; the last lines are a table for docs/scale.md. The corpus is drawn here. Needed:
torch, torchvision, torchaudio, NumPy, SciPy, pyarrow, safetensors, pydantic, simplejpeg and tqdm.
`--device cpu --minutes 1` tests the program.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from benchmarks import corpus
from benchmarks.gpu import inference, training
from benchmarks.gpu.bench import Bench, Meter, System
from spm.audio.pretrain import Pretrain
from spm.base import environment
from spm.fusion.settings import Train

TESTS_SHARE = 0.3  # of the time, at most
MEASURED_SHARE = 0.6  # of the time of a system; the rest prepares it
MUSIC_CLIPS, FRAMES_PER_CLIP = 76_000, 4  # docs/scale.md
GOAL_H = 24.0
DETECTOR_PX = 512  # detector.size
HELD_OUT = 6  # of so many videos, one is for validation and one for the test
STAGE, RESIDENT, PLAIN = "the stage", "(a) on data on the card", "(b) plain torchvision loop"
SYSTEMS: dict[tuple[str, str], System] = {
    ("train", STAGE): training.train_stage,
    ("pretrain", STAGE): training.pretrain_stage,
    ("detect", STAGE): inference.detect_stage,
    ("localize", STAGE): inference.maps_stage,
    ("train", RESIDENT): training.train_resident,
    ("pretrain", RESIDENT): training.pretrain_resident,
    ("detect", RESIDENT): inference.detect_resident,
    ("localize", RESIDENT): inference.maps_resident,
    ("train", PLAIN): training.train_plain,
    ("pretrain", PLAIN): training.pretrain_plain,
    ("detect", PLAIN): inference.detect_plain,
    ("localize", PLAIN): inference.maps_plain,
    ("train", "its loader alone"): training.train_loader,
    ("decode", "one thread of the CPU"): inference.decode_loader,
    ("decode", "the card (nvJPEG)"): inference.decode_card,
    ("train", "the stage, compiled"): training.train_compiled,
}
ONLY_CUDA = {("decode", "the card (nvJPEG)"), ("train", "the stage, compiled")}
UNITS = {"pretrain": "sounds/s"}


@dataclass
class Result:
    """A line of the table."""

    stage: str
    system: str
    value: float
    unit: str
    memory_gb: float | None = None

    def line(self) -> str:
        """The result as a row of a table in Markdown."""
        memory = "" if self.memory_gb is None else f"{self.memory_gb:.2f} GB"
        return f"| {self.stage} | {self.system} | {self.value:,.1f} {self.unit} | {memory} |"


class Log:
    """Results as they come: printed, and appended to a file."""

    def __init__(self, out: Path | None) -> None:
        self.out, self.results = out, list[Result]()
        if out is not None:
            out.write_text("")

    def add(self, result: Result) -> None:
        """Print a result, and append it to the file."""
        self.results.append(result)
        print(result.line(), flush=True)
        if self.out is not None:
            with self.out.open("a") as file:
                file.write(json.dumps(asdict(result)) + "\n")

    def rates(self) -> dict[str, float]:
        """Items per second of the stages that were measured."""
        return {result.stage: result.value for result in self.results if result.system == STAGE}


def run_tests(seconds: float) -> str:
    """Run the tests that need a GPU; the last line of pytest's output."""
    if find_spec("pytest") is None:
        return "not run: pytest is not installed"
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "tests/gpu", "--noconftest", "-q"]
    command += ["-p", "no:cacheprovider", "-rs", "--override-ini", "addopts=--strict-markers"]
    root = Path(__file__).parents[1]
    try:
        done = subprocess.run(
            command, cwd=root, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return f"stopped after {seconds:.0f} s"
    if done.returncode:
        print(done.stdout[-8_000:], done.stderr[-2_000:], flush=True)
    return (done.stdout.strip().splitlines() or ["no output"])[-1].strip("= ")


def predicted_hours(rates: Mapping[str, float]) -> float | None:
    """Hours of the paper's training on MUSIC, at the settings of config.yaml.

    Detection on all frames, pretraining, the fusion network, and one map of each frame. None if one
    of the rates is missing.
    """
    frames = MUSIC_CLIPS * FRAMES_PER_CLIP
    items = {
        "detect": frames,
        "pretrain": MUSIC_CLIPS * Pretrain().epochs,
        "train": MUSIC_CLIPS * Train().epochs,
        "localize": frames,
    }
    if not set(items) <= set(rates):
        return None
    return sum(number / rates[stage] for stage, number in items.items()) / 3600


def ratios(results: Sequence[Result]) -> Iterator[str]:
    """How fast each stage is, compared with the other systems of the same stage."""
    values = {(result.stage, result.system): result.value for result in results}
    for (stage, system), value in values.items():
        if system != STAGE and (stage, STAGE) in values:
            yield f"{stage}: the stage is {values[stage, STAGE] / value:.2f} × {system}"


def measure(bench: Bench, log: Log, deadline_s: float, most_s: float) -> None:
    """Time each system in turn, until the time is over; a failure of one does not stop the rest.

    `most_s` limits the time of each.
    """
    cuda = bench.device.type == "cuda"
    systems = {key: make for key, make in SYSTEMS.items() if cuda or key not in ONLY_CUDA}
    for number, ((stage, name), make) in enumerate(systems.items()):
        left_s = deadline_s - time.perf_counter()
        if left_s < 1:
            print(f"no time left for: {stage}, {name}", flush=True)
            continue
        share_s = left_s / (len(systems) - number) * MEASURED_SHARE
        meter = Meter(min(share_s, most_s), bench.device)
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        try:
            value = meter.rate(make(bench, meter))
        except Exception:  # noqa: BLE001  the other systems are still measured
            print(f"{stage}, {name}: failed\n{traceback.format_exc()}", flush=True)
            continue
        memory_gb = torch.cuda.max_memory_allocated() / 2**30 if cuda else None
        log.add(Result(stage, name, value, UNITS.get(stage, "pictures/s"), memory_gb))


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seconds", type=float, default=120, help="of one measurement, at most")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--clips", type=int, help="default: 8192, and 64 on a CPU")
    parser.add_argument("--crop", type=int, help="default: 224 px, and 64 px on a CPU")
    parser.add_argument("--workers", type=int, help="default: the cores of the machine less one")
    parser.add_argument("--out", type=Path, help="file of the results, JSON lines")
    given = parser.parse_args()
    cuda = given.device.startswith("cuda")
    given.clips = given.clips or (8_192 if cuda else 64)
    given.crop = given.crop or (224 if cuda else 64)
    given.workers = (os.cpu_count() or 1) - 1 if given.workers is None else given.workers
    return given


def main() -> None:
    """Run the tests, then all measurements."""
    given = parse_arguments()
    threads = str(given.workers + 1)  # what the number of the loader's workers follows
    with environment.restored(OMP_NUM_THREADS=threads):
        run(given)


def run(given: argparse.Namespace) -> None:
    """Run the tests, then measure until the time is over; print the results."""
    begin_s = time.perf_counter()
    device, log = torch.device(given.device), Log(given.out)
    cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if cuda else "CPU"
    print(f"{name}, torch {torch.__version__}, {given.workers} workers, batch {given.batch}")
    tests = run_tests(TESTS_SHARE * 60 * given.minutes) if cuda else "not run, they need a GPU"
    print(f"tests: {tests}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        sources = corpus.drawn_clips(min(given.clips, 256))
        clips = corpus.write(Path(scratch), sources, given.clips, held_out=HELD_OUT)
        detector = ("resnet50_fpn_v2", DETECTOR_PX, 256) if cuda else ("mobilenet_v2", 64, 2)
        bench = Bench(clips, device, given.batch, given.crop, given.workers, *detector)
        measure(bench, log, begin_s + 60 * given.minutes, given.seconds)
    hours = predicted_hours(log.rates())
    if hours is not None:
        log.add(Result("MUSIC", "predicted", hours, f"h (goal: {GOAL_H:.0f} h)"))
    print("\n| stage | system | speed | memory |\n|---|---|---:|---:|")
    print("\n".join(result.line() for result in log.results))
    print("", *ratios(log.results), sep="\n")


if __name__ == "__main__":
    main()
