"""A training for benchmarks: settings, network and clips as the stage `train` makes them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.corpus import Corpus
from spm.fusion import methods, train
from spm.fusion.batches import Batch
from spm.fusion.settings import RunConfig, Train
from spm.fusion.trainer import Trainer


def settings(**keys: Any) -> Train:
    """Settings of a run with random initial weights, whose audio network is trained too."""
    return methods.settings_of(RunConfig(**{"promote": False, "start": "none", **keys}))


def make_trainer(
    corpus: Corpus, config: Train, mapped: Path | None, pretrained: Path | None = None
) -> Trainer:
    """The trainer of a run on the training clips of a corpus, one pass per epoch."""
    paths = (corpus.index, corpus.clips, corpus.spectrograms)
    chosen = train.select_training(config, *paths, mapped)
    network = train.prepare(config, pretrained, chosen.rows.num_rows)
    return Trainer(network, config, chosen.load(network, config, corpus.folder / "state"))


def run(corpus: Corpus, config: Train, out: Path) -> Path:
    """Run the stage `train` on a corpus; `out` is the folder of its files. Returns the history."""
    history = out / "history.parquet"
    train.run(
        RunConfig(**config.model_dump()),
        index=corpus.index,
        clips=corpus.clips,
        spectrograms=corpus.spectrograms,
        mosaics=None,
        pretrained=None,
        out=out / "network.safetensors",
        history=history,
        state=out / "state/run",
        mapped=corpus.folder / "mapped",
    )
    return history


def keep_batches(trainer: Trainer, batches: Sequence[Batch]) -> None:
    """Let each epoch train on these batches, in place of those that are loaded."""
    count = len(batches)
    trainer.steps = lambda epoch, *_: epoch.steps(batches, count)  # type: ignore[method-assign]
