"""Trainings: our stages, the same steps on data that is on the card, and plain loops."""

from collections.abc import Callable
from itertools import chain, cycle, islice, repeat
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from benchmarks import plain, trainings
from benchmarks.corpus import CLUSTERS
from benchmarks.gpu.bench import Bench, Meter
from spm.audio import classifier, pretrain
from spm.audio.pretrain import Pretrain
from spm.fusion import train
from spm.fusion.settings import RunConfig, Train
from spm.fusion.trainer import Trainer
from spm.learn import device as devices
from spm.learn.epoch import Epoch

ENDLESS = 10_000  # epochs
KEPT_BATCHES, REPEATS = 4, 64  # batches on the card, and how often an epoch repeats them


def _settings(bench: Bench, **keys: Any) -> Train:
    """The settings of the paper's run: promoted, with a frozen audio network."""
    sizes = {"crop": bench.crop, "batch": bench.batch, "device": bench.device.type}
    return trainings.settings(
        **{"promote": True, "compile": False, "epochs": ENDLESS} | sizes | keys
    )


def _trainer(bench: Bench) -> Trainer:
    return trainings.make_trainer(bench.corpus, _settings(bench), bench.mapped, bench.audio_weights)


def train_stage(bench: Bench, meter: Meter, **keys: Any) -> Callable[[], object]:
    """The stage, with a new state: it loads its batches, trains, and writes checkpoints."""
    config, out = RunConfig(**_settings(bench, **keys).model_dump()), bench.new_folder()

    def run() -> None:
        with meter.count_steps(bench.batch):
            train.run(
                config,
                index=bench.corpus.index,
                clips=bench.corpus.clips,
                spectrograms=bench.corpus.spectrograms,
                mosaics=None,
                pretrained=bench.audio_weights,
                out=out / "network.safetensors",
                history=out / "history.parquet",
                state=out / "state",
                mapped=bench.mapped,
            )

    return run


def train_compiled(bench: Bench, meter: Meter) -> Callable[[], object]:
    """The same with `train.compile`; the first steps, which compile, do not count."""
    return train_stage(bench, meter, compile=True)


def train_resident(bench: Bench, meter: Meter) -> Callable[[], object]:
    """Epochs of `Trainer` on batches that are on the card."""
    trainer = _trainer(bench)
    loaded = list(islice(trainer.batches(trainer.clips, trainer.generator(0)), KEPT_BATCHES))
    trainings.keep_batches(trainer, list(chain.from_iterable(repeat(loaded, REPEATS))))

    def epoch() -> None:
        with meter.count_steps(bench.batch):
            trainer.train_epoch(Epoch())

    return epoch


def train_loader(bench: Bench, meter: Meter) -> Callable[[], object]:
    """The batches of the stage, without a step."""
    trainer = _trainer(bench)

    def epoch() -> None:
        for batch in trainer.batches(trainer.clips, trainer.generator(next(bench.numbers))):
            meter.count(len(batch.indices))

    return epoch


def _plain_epoch(training: plain.Classifying, meter: Meter) -> Callable[[], object]:
    def epoch() -> None:
        for items in training.epoch():
            meter.count(items)

    return epoch


def train_plain(bench: Bench, meter: Meter) -> Callable[[], object]:
    """ResNet-18 of torchvision learns classes of the same JPEGs."""
    data = plain.Pictures(bench.jpegs, bench.crop)
    sizes = (bench.batch, bench.workers, bench.device)
    return _plain_epoch(plain.Classifying(data, 3, *sizes), meter)


def pretrain_stage(bench: Bench, meter: Meter) -> Callable[[], object]:
    """The stage, with a new state."""
    config = Pretrain(epochs=ENDLESS, batch=bench.batch, device=bench.device.type)
    out = bench.new_folder()

    def run() -> None:
        with meter.count_steps(bench.batch):
            pretrain.run(
                config,
                index=bench.corpus.index,
                clusters=bench.corpus.clusters,
                spectrograms=bench.corpus.spectrograms,
                out=out / "audio.safetensors",
                history=out / "history.parquet",
                state=out / "state",
                mapped=bench.mapped,
            )

    return run


def pretrain_resident(bench: Bench, meter: Meter) -> Callable[[], object]:
    """Steps of the classifier on log-mels that are on the card."""
    config = classifier.ClassifierConfig(epochs=1, batch=bench.batch)
    network = classifier.init_classifier(bench.log_mels, CLUSTERS, config).to(bench.device)
    kept = bench.log_mels.sounds(range(KEPT_BATCHES * bench.batch)).to(bench.device)
    labels = (torch.arange(bench.batch) % CLUSTERS).to(bench.device)
    optimizer = classifier.ClassifierTrainer(network, bench.log_mels, labels, config).optimizer

    def epoch() -> None:
        network.train()
        for log_mels in cycle(kept.split(bench.batch)):
            with devices.autocast(bench.device):
                loss = cross_entropy(network(log_mels), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            meter.count(bench.batch)

    return epoch


def pretrain_plain(bench: Bench, meter: Meter) -> Callable[[], object]:
    """ResNet-18 of torchvision learns classes of the same log-mels, which are in memory."""
    data = plain.sound_classes(bench.log_mels.sounds(range(len(bench.log_mels))))
    sizes = (bench.batch, bench.workers, bench.device)
    return _plain_epoch(plain.Classifying(data, 1, *sizes), meter)
