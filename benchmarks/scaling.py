"""How loading grows with the number of processes, and trainings with the size of the corpus.

python -m benchmarks.scaling [--ranks 2] [--rank-clips 4096] [--rounds 12] [--seconds 0.7]
    [--clips 2000 20000 200000] [--steps 20] [--batch 32] [--tables results/corpus]
    [--folder FOLDER] [--plot FILE.svg]

Processes: torchrun starts --ranks processes, which load the same epochs as a training does (gloo,
one worker and one core per process; without colors, as in `benchmarks.loader`). Printed: the number
of decoded pictures of an epoch, which must be the number of clips, and pictures per second. In each
round, one process loads whole batches alone, and then all load their parts of the batches; the same
with a bare loop of simplejpeg, which shows what the machine allows. Target: with several processes
0.9 times the rate per process of one.

Sizes: a corpus of each size of --clips is written, with real clips of --tables or drawn ones under
new names, and `spm.fusion.train` runs for --steps steps, twice: the first time it writes its mapped
files. Printed: size of the tables and of the mapped files, time from the start of Python to the
first batch, and the peak memory of the training and its workers. Pages of mapped files are counted
apart, because the system takes them back when it needs memory. The stage `index` runs on as many
clips. Targets for the largest corpus: memory below 2.5 GB, first batch within 20 s. 200,000 clips
need about 30 GB in --folder, which are deleted at the end. `--clips` alone leaves this part out.
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
from itertools import chain, product
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

import pyarrow as pa
import simplejpeg

from benchmarks import corpus, memory, scale
from benchmarks.corpus import Corpus
from benchmarks.timing import print_ratio, spread

if TYPE_CHECKING:
    from spm.fusion.trainer import Trainer

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


def load_rounds(folder: Path, rounds: int, seconds: float) -> None:
    """Load as one of the processes of torchrun; write what was decoded, and the rates."""
    import torch
    import torch.distributed as dist

    from benchmarks import trainings
    from benchmarks.loader import DECODERS, decoding, endless_without_colors, load_crops, loading
    from spm.learn import distributed

    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[rank % len(cores)]})  # the workers inherit it
    torch.set_num_threads(1)
    config = trainings.settings(visual="mobilenet_v2", crop=CROP, batch=BATCH, device="cpu")
    with distributed.process_group():
        trainer = trainings.make_trainer(Corpus(folder), config, folder / "mapped")
        jpegs = [trainer.clips.jpegs.frame(clip, 0) for clip in range(len(trainer.clips))]
        result = _count_decoded(trainer)
        bare = decoding(DECODERS["simplejpeg"], jpegs, seconds)
        part = loading(load_crops(trainer, 1), BATCH, 1, seconds)
        whole = torch.no_grad()(loading(load_crops(trainer, 1), BATCH, 1, seconds))  # of each batch
        systems = (("loader", whole, part), ("bare", bare, bare))
        with endless_without_colors():
            for number, (name, alone, shared) in product(range(rounds), systems):
                dist.barrier()
                alone_rate = alone() if number % ranks == rank else 0
                dist.barrier()
                result.setdefault(name, []).append((shared(), alone_rate))
    (folder / f"{rank}.json").write_text(json.dumps(result))


def _count_decoded(trainer: "Trainer") -> dict[str, Any]:
    """Pictures that this process decodes, and those that it gets, in an epoch."""
    counter, decode_jpeg = multiprocessing.Value("q"), simplejpeg.decode_jpeg

    def counted(*arguments: object, **keys: object) -> object:
        image = decode_jpeg(*arguments, **keys)
        with counter:
            counter.value += 1
        return image

    with patch.object(simplejpeg, "decode_jpeg", counted):  # in the worker too, which is a fork
        batches = trainer.batches(trainer.clips, trainer.generator(0))
        loaded = sum(len(batch.images) for batch in batches)
    return {"decoded": counter.value, "loaded": loaded}


def start_ranks(folder: Path, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Let torchrun start processes that load the same epochs; the results of each."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(given.ranks), "-m", "benchmarks.scaling"]
    sizes = ["--rounds", str(given.rounds), "--seconds", str(given.seconds)]
    # a process that computes and one worker each
    threads = str(2 * given.ranks)
    memory.run([*command, *sizes, "--load", str(folder)], OMP_NUM_THREADS=threads)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(given.ranks)]


def compare_ranks(folder: Path, clips: pa.Table, given: argparse.Namespace) -> None:
    """Print what several processes decode, and their rates."""
    corpus.write(folder, clips, given.rank_clips, pcm=False)
    results = start_ranks(folder, given)
    decoded = [result["decoded"] for result in results]
    loaded = [result["loaded"] for result in results]
    print(f"decoded {decoded} in an epoch of {given.rank_clips} clips, loaded {loaded}")
    if sum(decoded) != given.rank_clips:
        raise SystemExit("the processes did not decode each picture once")
    ratios = {}
    for name in ("bare", "loader"):
        rounds = chain(*(result[name] for result in results))
        pairs = [(shared, alone) for shared, alone in rounds if alone]
        shared, alone = (median(rates) for rates in zip(*pairs, strict=True))
        print(f"{name}: {alone:.0f} pictures/s of one process, {shared:.0f} of each", end=" ")
        print(f"of {given.ranks} at once")
        ratios[name] = [shared / alone for shared, alone in pairs]
    print_ratio("loader, rate per process", ratios["loader"], RATE_TARGET)
    print(f"bare loop, rate per process: {spread(ratios['bare'])} ×;", end=" ")
    print(f"the loader reaches {median(ratios['loader']) / median(ratios['bare']):.2f} of it")


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
    clips = corpus.sources(given.tables, max([given.rank_clips, *given.clips]))
    compare_ranks(folder / "ranks", clips, given)
    sizes = []
    for count in given.clips:
        sizes.append(measure_size(folder / str(count), clips, count, given.steps, given.batch))
    if sizes:
        print_targets(sizes[-1])
    if given.plot:
        plot(sizes, given.plot)


def main() -> None:
    """Run the comparison, or one of its processes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rank-clips", type=int, default=4_096)
    parser.add_argument("--clips", type=int, nargs="*", default=[2_000, 20_000, 200_000])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=0.7, help="of a round")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--tables", type=Path)
    parser.add_argument("--folder", type=Path, help="where the corpora are written for a while")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        load_rounds(given.load, given.rounds, given.seconds)
    elif given.train:
        train_steps(given.train, given.steps, given.batch)
    else:
        with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
            compare(given, Path(scratch))


if __name__ == "__main__":
    main()
