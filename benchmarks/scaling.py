"""How loading grows with the number of processes, and trainings with the size of the corpus.

python -m benchmarks.scaling [--ranks 2] [--rank-clips 2048] [--clips 2000 20000 200000]
    [--steps 20] [--batch 32] [--tables results/corpus] [--folder FOLDER] [--plot FILE.svg]

Processes: torchrun starts one process, then --ranks processes, which load the same epoch as a
training does (gloo, one worker per process, one core per process). Printed: the number of decoded
pictures of an epoch, which must be the number of clips, and the rate per process. Target: with
several processes 0.9 times the rate per process of one.

Sizes: a corpus of each size of --clips is written, with real clips of --tables or drawn ones under
new names, and `spm.fusion.train` runs for --steps steps, twice: the first time it writes its mapped
files. Printed: size of the tables and of the mapped files, time from the start of Python to the
first batch, and the peak memory of the training and its workers. Pages of mapped files are counted
apart, because the system takes them back when it needs memory. The stage `index` runs on as many
clips. Targets for the largest corpus: memory below 2.5 GB, first batch within 20 s. 200,000 clips
need about 30 GB in --folder, which are deleted at the end.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from benchmarks import corpus, memory, scale
from benchmarks.corpus import Corpus
from benchmarks.timing import print_ratio

RATE_TARGET, MEMORY_TARGET_MB, START_TARGET_S = 0.9, 2_500, 20
RESULT, STARTED_S = "result.json", "SPM_BENCHMARK_STARTED_S"
CROP, BATCH = 224, 32  # of the pictures that processes load


class Size(NamedTuple):
    """What a training of a corpus needed."""

    clips: int
    tables_gb: float
    mapped_gb: float
    index_s: float  # CPU time of the stage index
    first_start_s: float  # to the first batch, with the time to write the mapped files
    start_s: float  # to the first batch, later
    private_mb: float
    files_mb: float


# --------------------------------------------------------------------------------------------------
# Processes
# --------------------------------------------------------------------------------------------------


def load_epochs(folder: Path) -> None:
    """Load two epochs as one of the processes of torchrun; count and time the second."""
    import simplejpeg
    import torch
    import torch.distributed as dist

    from benchmarks import trainings
    from spm.learn import distributed

    rank = int(os.environ["RANK"])
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[rank % len(cores)]})  # the workers inherit it
    torch.set_num_threads(1)
    counter, decode_jpeg = multiprocessing.Value("q"), simplejpeg.decode_jpeg

    def counted(*arguments: object, **keys: object) -> object:
        with counter:
            counter.value += 1
        return decode_jpeg(*arguments, **keys)

    simplejpeg.decode_jpeg = counted  # in the workers too, which are forks
    config = trainings.settings(visual="mobilenet_v2", crop=CROP, batch=BATCH, device="cpu")
    with distributed.process_group():
        trainer = trainings.make_trainer(Corpus(folder), config, folder / "mapped")
        for epoch in range(2):
            counter.value, pictures = 0, 0
            if dist.is_initialized():
                dist.barrier()
            start_s = time.perf_counter()
            for batch in trainer.batches(trainer.clips, trainer.generator(epoch)):
                pictures += len(batch.images)
            wall_s = time.perf_counter() - start_s
    result = {"decoded": counter.value, "pictures": pictures, "wall_s": wall_s}
    (folder / f"{rank}.json").write_text(json.dumps(result))


def start_ranks(folder: Path, ranks: int) -> list[dict[str, float]]:
    """Let torchrun start processes that load the same epoch; the results of each."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(ranks), "-m", "benchmarks.scaling"]
    # a process that computes and one worker each
    memory.run([*command, "--load", str(folder)], OMP_NUM_THREADS=str(2 * ranks))
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(ranks)]


def compare_ranks(folder: Path, clips: pa.Table, count: int, ranks: int) -> None:
    """Print what several processes decode, and their rate."""
    corpus.write(folder, clips, count, pcm=False)
    rates = {}
    for number in (1, ranks):
        results = start_ranks(folder, number)
        slowest_s = max(result["wall_s"] for result in results)
        decoded = [int(result["decoded"]) for result in results]
        loaded = [int(result["pictures"]) for result in results]
        rates[number] = count / slowest_s / number
        print(f"{number} process(es): {rates[number]:.0f} pictures/s per process;", end=" ")
        print(f"decoded {decoded} in an epoch of {count} clips, loaded {loaded}", flush=True)
        if sum(decoded) != count:
            raise SystemExit("the processes did not decode each picture once")
    print_ratio("rate per process", rates[ranks] / rates[1], RATE_TARGET)


# --------------------------------------------------------------------------------------------------
# Sizes
# --------------------------------------------------------------------------------------------------


def train_steps(folder: Path, count: int, batch_size: int) -> None:
    """Run the stage `train` until a number of steps, and note when the first batch came."""
    from benchmarks import trainings
    from spm.fusion.batches import Batch
    from spm.fusion.trainer import Trainer

    class Finished(Exception):
        """All steps are done."""

    steps = Trainer.steps

    def counted_steps(trainer: Trainer, *arguments: Any) -> Iterator[Batch]:
        for number, batch in enumerate(steps(trainer, *arguments)):
            if number == 0:
                start_s = time.time() - float(os.environ[STARTED_S])
                (folder / RESULT).write_text(json.dumps(start_s))
            if number == count:
                raise Finished
            yield batch

    Trainer.steps = counted_steps  # type: ignore[method-assign, assignment]
    clips, out = Corpus(folder), folder / "out"
    config = trainings.settings(visual="mobilenet_v2", crop=96, batch=batch_size, device="cpu")
    with suppress(Finished):
        trainings.run(clips, config, out)


def start_training(folder: Path, steps: int, batch: int) -> tuple[float, memory.Memory]:
    """Seconds from the start of a training to its first batch, and its peak memory."""
    command = [sys.executable, "-m", "benchmarks.scaling", "--train", str(folder)]
    started = {STARTED_S: str(time.time()), "OMP_NUM_THREADS": "2"}
    sizes = ["--steps", str(steps), "--batch", str(batch)]
    usage = memory.run([*command, *sizes], **started)
    return json.loads((folder / RESULT).read_text()), usage.peak


def index_time_s(count: int) -> float:
    """CPU time of the stage `index` for as many clips."""
    videos = max(count // scale.CLIPS, 1)
    with tempfile.TemporaryDirectory() as scratch:
        folder, shards = Path(scratch), -(-videos // scale.SHARD_VIDEOS)
        scale.write_shards(folder, scale.write_manifest(folder / "manifest.csv", videos), shards)
        return scale.measure("index", videos, *scale.index_command(folder, shards)).cpu_s


def measure_size(folder: Path, clips: pa.Table, count: int, steps: int, batch: int) -> Size:
    """Write a corpus, train on it twice, and delete it."""
    written = corpus.write(folder, clips, count, pcm=False)
    tables_gb = written.bytes() / 1e9
    first_start_s, _ = start_training(folder, 1, batch)
    start_s, peak = start_training(folder, steps, batch)
    mapped = [path.stat().st_size for path in (folder / "mapped").rglob("*.arrow")]
    shutil.rmtree(folder)
    times_s = (index_time_s(count), first_start_s, start_s)
    size = Size(count, tables_gb, sum(mapped) / 1e9, *times_s, *peak)
    print(f"{count:>9,} clips: tables {size.tables_gb:.1f} GB, mapped {size.mapped_gb:.1f} GB;")
    print(f"  first batch after {start_s:.1f} s, {first_start_s:.1f} s the first time;", end=" ")
    print(f"memory {peak.private_mb:.0f} MB, and {peak.files_mb:.0f} MB of files", flush=True)
    return size


def print_targets(largest: Size) -> None:
    """Compare the largest corpus with the targets."""
    print(
        f"memory with {largest.clips:,} clips: {largest.private_mb + largest.files_mb:.0f} MB",
        end=" ",
    )
    print(f"with the pages of files (target: at most {MEMORY_TARGET_MB} MB)")
    print(f"first batch: {largest.start_s:.1f} s (target: at most {START_TARGET_S} s)")


def plot(sizes: Sequence[Size], out: Path) -> None:
    """Draw time and memory against the number of clips."""
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "scaling"
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    clips = [size.clips for size in sizes]
    lines = {
        "start_s": (0, "start to first batch"),
        "first_start_s": (0, "the same, first training"),
        "index_s": (0, "stage index, CPU time"),
        "private_mb": (1, "training and workers"),
        "files_mb": (1, "pages of files"),
    }
    for field, (panel, label) in lines.items():
        axes[panel].plot(clips, [getattr(size, field) for size in sizes], "o-", label=label)
    for axis, label in zip(axes, ("s", "peak memory in MB"), strict=True):
        axis.set(xscale="log", yscale="log", xlabel="clips", ylabel=label)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, frameon=False)
    figure.savefig(out, metadata={"Date": None})


def compare(given: argparse.Namespace, folder: Path) -> None:
    """Measure the processes, then the sizes."""
    clips = corpus.sources(given.tables, max(given.rank_clips, *given.clips))
    compare_ranks(folder / "ranks", clips, given.rank_clips, given.ranks)
    sizes = []
    for count in given.clips:
        sizes.append(measure_size(folder / str(count), clips, count, given.steps, given.batch))
    print_targets(sizes[-1])
    if given.plot:
        plot(sizes, given.plot)


def main() -> None:
    """Run the comparison, or one of its processes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rank-clips", type=int, default=2_048)
    parser.add_argument("--clips", type=int, nargs="+", default=[2_000, 20_000, 200_000])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--tables", type=Path)
    parser.add_argument("--folder", type=Path, help="where the corpora are written for a while")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        load_epochs(given.load)
    elif given.train:
        train_steps(given.train, given.steps, given.batch)
    else:
        with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
            compare(given, Path(scratch))


if __name__ == "__main__":
    main()
