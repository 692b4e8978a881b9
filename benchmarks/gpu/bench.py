"""What the measurements of a GPU share: a meter of the speed, and the corpus with its weights."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from benchmarks import trainings
from benchmarks.corpus import GROUP_ROWS, Corpus
from spm.audio.network import AudioNetwork
from spm.audio.pretrain import Pretrain
from spm.base import tables
from spm.base.shards import table_of
from spm.base.statuses import Split
from spm.boxes.network import build as build_detector
from spm.corpus import clip_reader
from spm.fusion import methods
from spm.learn import clip_files, weights

CATEGORIES = [f"class-{number}" for number in range(15)]
WARM_STEPS = 10


class TimeOver(Exception):
    """The time of a measurement is over."""


class Meter:
    """Counts items per second, after some steps that do not count, until its time is over."""

    def __init__(self, seconds: float, device: torch.device) -> None:
        self.device, self.seconds = device, seconds
        self.begin_s = self.start_s = 0.0
        self.steps, self.items = 0, 0

    def count(self, items: int) -> None:
        """Note that a step is done.

        Raises
        ------
        TimeOver
            If the time is over, and at least one step counted.
        """
        now_s = time.perf_counter()
        if not self.steps:
            self.begin_s = now_s
        self.steps += 1
        if self.start_s:
            self.items += items
            if now_s > self.begin_s + self.seconds:
                raise TimeOver
        elif self.steps >= WARM_STEPS or now_s > self.begin_s + self.seconds / 3:
            self.synchronize()
            self.start_s = time.perf_counter()

    @contextmanager
    def count_steps(self, items: int) -> Iterator[None]:
        """Count `items` after each step of any optimizer."""
        handle = register_optimizer_step_post_hook(lambda *_: self.count(items))
        try:
            yield
        finally:
            handle.remove()

    def synchronize(self) -> None:
        """Wait until the GPU is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def rate(self, run: Callable[[], object]) -> float:
        """Items per second of a function that counts its steps; it is repeated."""
        with suppress(TimeOver):
            while True:
                run()
        self.synchronize()
        return self.items / (time.perf_counter() - self.start_s)


@dataclass
class Bench:
    """The corpus, weights of each kind, and the sizes that all systems share."""

    corpus: Corpus
    device: torch.device
    batch: int
    crop: int
    workers: int
    detector: str  # model
    detector_px: int  # width and height of the detector's images
    detector_clips: int  # clips of one run of the stage
    numbers: Iterator[int] = field(default_factory=count)  # of epochs and folders: each once

    @property
    def mapped(self) -> Path:
        """The folder of the mapped files."""
        return self.corpus.folder / "mapped"

    def new_folder(self) -> Path:
        """A folder that no other system writes to."""
        folder = self.corpus.folder / f"out-{next(self.numbers)}"
        folder.mkdir()
        return folder

    @cached_property
    def jpegs(self) -> list[bytes]:
        """All frames of the training clips."""
        rows = clip_reader.select(self.corpus.index, split=Split.TRAIN)
        return self.frames_of(rows)

    def frames_of(self, rows: pa.Table) -> list[bytes]:
        """All frames of the clips in these rows of the index."""
        column = clip_files.open_column(rows, self.corpus.clips, "frames", self.mapped)
        return list(chain.from_iterable(column[number] for number in range(len(column))))

    @cached_property
    def log_mels(self) -> clip_files.ClipColumn:
        """The log-mels of the training clips."""
        rows = clip_reader.select(self.corpus.index, split=Split.TRAIN)
        return clip_files.open_column(rows, self.corpus.spectrograms, "log_mel", self.mapped)

    @cached_property
    def audio_weights(self) -> Path:
        """An audio network with random weights, as the stage `pretrain` writes it."""
        path = self.corpus.folder / "audio.safetensors"
        weights.save(path, AudioNetwork().state_dict(), {"config": Pretrain().model_dump()})
        return path

    @cached_property
    def network_weights(self) -> Path:
        """A network of the method spm with random weights, as the stage `train` writes it."""
        path = self.corpus.folder / "network.safetensors"
        settings = trainings.settings(crop=self.crop)
        about = {"config": settings.model_dump(), "categories": {}}
        weights.save(path, methods.build(settings).state_dict(), about)
        return path

    @cached_property
    def detector_weights(self) -> Path:
        """A detector with random weights, as the stage `detector` writes it."""
        path, size = self.corpus.folder / "detector.safetensors", self.detector_px
        network = build_detector("torchvision", self.detector, CATEGORIES, size)
        about = {"model": self.detector, "size": size, "categories": CATEGORIES}
        weights.save(path, network.state_dict(), about)
        return path

    @cached_property
    def detect_clips(self) -> Path:
        """A table of few clips: `detect` runs on it again and again."""
        path = self.corpus.folder / "detect/clips.parquet"
        first = tables.read(table_of(self.corpus.clips, 0))[: self.detector_clips]
        with tables.atomic_write(path) as part:
            pq.write_table(first, part, row_group_size=GROUP_ROWS)
        return path


System = Callable[[Bench, Meter], Callable[[], object]]
