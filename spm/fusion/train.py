"""Training of one localizer: Algorithm 1, step 3, or the same without promotion.

python -m spm.fusion.train --config '{}' --index clips.parquet --clips clips
    --spectrograms spectrograms --pretrained audio.safetensors --out network.safetensors
    --history history.parquet --state state/fusion/train/spm --mapped state/mapped

On several GPUs: torchrun --standalone --nproc-per-node 4 -m spm.fusion.train, with the same
options.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch

from spm.audio.assignment import match_clusters
from spm.audio.network import BATCH
from spm.base import stage, tables
from spm.base.digest import code_digest
from spm.base.errors import UserError
from spm.base.statuses import Kind, Split
from spm.corpus import clip_reader
from spm.fusion import methods
from spm.fusion.dataset import ClipDataset, load, nearest_clips
from spm.fusion.localization_network import LocalizationNetwork
from spm.fusion.settings import Keep, RunConfig, Train
from spm.fusion.trainer import Trainer
from spm.fusion.untrained import UntrainedNetwork
from spm.learn import checkpoints, distributed, training, weights
from spm.learn.clip_files import Sounds
from spm.learn.device import channels_last, compiles, pick_device
from spm.learn.epoch import step_count
from spm.learn.finished import Finished, work_digest
from spm.learn.loader import sound_batches


@dataclass(frozen=True)
class ClipTables:
    """Selected rows of an index, and the folders with the clips' frames and sounds."""

    index: Path
    clips: Path
    spectrograms: Path
    rows: pa.Table
    mapped: Path | None = None  # folder of mapped files; None: the tables are read into memory

    def files(self) -> list[Path]:
        """The index, and the files that contain the rows' clips."""
        frames = clip_reader.files(self.rows, self.clips)
        return [self.index, *frames, *clip_reader.files(self.rows, self.spectrograms)]

    def load(self, network: LocalizationNetwork, config: Train, state: Path) -> ClipDataset:
        """Open the clips; frozen networks compute their features here, once, into `state`."""
        folders = (self.clips, self.spectrograms)
        return load(self.rows, *folders, network, config, mapped=self.mapped, state=state)


def select_kinds(rows: pa.Table, kinds: Sequence[Kind]) -> pa.Table:
    """Rows of clips of these kinds."""
    return rows.filter(pc.is_in(rows["kind"], pa.array(kinds)))


def categories_of(rows: pa.Table) -> list[str]:
    """Names of all categories of the clips, sorted."""
    return sorted({name for listed in rows["categories"].to_pylist() for name in listed})


def with_audio_network(config: Train, pretrained: Path | None) -> Train:
    """The settings with the audio network that a promoted run starts from."""
    if not config.promote or pretrained is None:
        return config
    settings = weights.load_about(pretrained).get("config", {})
    return config.model_copy(update={"audio_network": settings.get("network", "resnet18")})


def pretrained_audio(config: Train, pretrained: Path | None) -> dict[str, str]:
    """What a promoted run knows from labels of others, for the JSON beside its weights."""
    about = weights.load_about(pretrained) if config.promote and pretrained else {}
    return {"pretrained_audio": about["pretrained"]} if "pretrained" in about else {}


def build(config: Train, pretrained: Path | None) -> LocalizationNetwork:
    """The method's network before its first epoch."""
    torch.manual_seed(config.seed)
    network = methods.build(config)
    if config.promote:
        if pretrained is None:
            raise UserError(
                "train.promote: true, but --pretrained is missing: pass the pretrained audio"
                " network, --pretrained audio.safetensors"
            )
        network.audio.load_state_dict(weights.load(pretrained)[0])
    network.audio.requires_grad_(not config.frozen)
    if config.freeze_visual:
        network.visual.requires_grad_(False)
    return network


def prepare(config: Train, pretrained: Path | None, clips: int = 0) -> LocalizationNetwork:
    """The network on its device, distributed and compiled as the settings ask.

    `clips` is the number of training clips: `compile: auto` depends on the number of steps.
    """
    network = build(config, pretrained).to(pick_device(config.device, config.threads))
    device = next(network.parameters()).device
    channels_last(network.visual)
    steps = config.total_epochs * step_count(clips, config.batch)
    if compiles(config.compile, device, steps):
        network.compile_trunks()
    network.distribute()
    return network


def extra_tables(config: Train, corpus: ClipTables, mosaics: Path | None) -> dict[str, ClipTables]:
    """The data that a method needs besides its training clips, by name.

    `corpus` has the index and the folders of the training clips.
    """
    extra = {}
    if "mosaics" in config.extra_data:
        if mosaics is None:
            raise UserError(
                f"{config.method}: mosaic_epochs is not 0, but --mosaics is missing: pass the"
                " folder of the training mosaics"
            )
        index = mosaics / "index.parquet"
        rows = clip_reader.select(index, split=Split.TRAIN)
        folders = (mosaics / "clips", mosaics / "spectrograms")
        extra["mosaics"] = ClipTables(index, *folders, rows, corpus.mapped)
    if "duets" in config.extra_data:
        rows = clip_reader.select(corpus.index, split=Split.TRAIN)
        extra["duets"] = replace(corpus, rows=select_kinds(rows, [Kind.DUET]))
    return extra


def with_nearest(data: ClipDataset, network: LocalizationNetwork, config: Train) -> ClipDataset:
    """The dataset, with the most similar clip of each clip (Eq. 6) if augment needs it."""
    if not config.augment.changes_sounds:
        return data
    if not config.promote:
        raise UserError(
            f"train.augment: {config.augment} compares sounds by the promoted audio network: set"
            " train.promote to true, or train.augment to none or A"
        )
    batches = sound_batches(data.sounds, BATCH, device=next(network.parameters()).device)
    features = torch.cat(list(network.apply_all(network.audio, batches)))
    return replace(data, nearest=nearest_clips(features, data.videos, config.augment_outside))


def match_categories(
    network: LocalizationNetwork, rows: pa.Table, sounds: Sounds
) -> dict[str, int]:
    """Cluster of each category, by the training solos; empty if the method is not class-aware."""
    if not network.cluster_count:
        return {}
    solos = torch.from_numpy(clip_reader.solos(rows, "maps of categories")).nonzero()[:, 0]
    device = next(network.parameters()).device
    batches = sound_batches(sounds, BATCH, device=device, indices=solos)
    labels = [batch.tolist() for batch in network.apply_all(network.predict_clusters, batches)]
    names = rows["categories"].take(solos.numpy()).to_pylist()
    categories = [listed[0] for listed in names]
    return match_clusters(list(chain.from_iterable(labels)), categories, network.cluster_count)


def fingerprint(config: Train, parts: Sequence[ClipTables], pretrained: Path | None) -> str:
    """Digest of everything that the training depends on."""
    files = [file for part in parts for file in part.files()]
    if pretrained is not None:
        files.append(pretrained)
    modules = ("spm.fusion.train", f"spm.fusion.methods.{config.method}")
    digests = [code_digest(module) for module in modules]
    settings = config.model_dump_json(exclude={"checkpoint_minutes"})
    return work_digest(files, settings, *digests)


def select_training(
    config: Train, index: Path, clips: Path, spectrograms: Path, mapped: Path | None
) -> ClipTables:
    """The audible training clips of the run's kinds; an error if there are none."""
    rows = select_kinds(clip_reader.select(index, split=Split.TRAIN), config.kinds)
    rows = clip_reader.require_rows(rows, f"audible training ({', '.join(config.kinds)})")
    return ClipTables(index, clips, spectrograms, rows, mapped)


def load_validation(
    config: Train, clips: ClipTables, network: LocalizationNetwork, state: Path
) -> ClipDataset:
    """The validation clips; an error if there are none and `keep` needs them."""
    data = clips.load(network, config, state)
    if config.keep is Keep.BEST and not len(data):
        raise UserError(
            "train.keep: best, but there are no validation clips: set index.val_solos, or"
            " train.keep to last"
        )
    return data


def describe(
    settings: Train, categories: dict[str, int], pretrained: Path | None
) -> dict[str, Any]:
    """What the JSON beside the weights says."""
    about = {"config": settings.model_dump(), "categories": categories}
    return about | pretrained_audio(settings, pretrained)


def write_untrained(settings: Train, index: Path, out: Path, history: Path) -> None:
    """Write the pretrained weights of a method without training, and an empty history."""
    if distributed.is_main_process():
        network = methods.build(settings)
        assert isinstance(network, UntrainedNetwork)
        categories = network.match_categories({*categories_of(tables.read(index))})
        weights.save(out, network.state_dict(), describe(settings, categories, None))
        training.write_history([], history)


def train_epochs(
    trainer: Trainer, validation: ClipDataset, state: Path, title: str, log: Path | None
) -> list[checkpoints.HistoryRow]:
    """Train all epochs, with checkpoints in `state`; the network has the weights to keep."""
    settings = trainer.config

    def train_epoch(epoch: training.Epoch) -> training.EpochValues:
        return {**trainer.train_epoch(epoch), **trainer.validate(validation)}

    return training.train(
        trainer.network,
        trainer.optimizer,
        train_epoch,
        settings.total_epochs,
        state=state,
        title=title,
        best_by=("val", "loss") if settings.keep is Keep.BEST else None,
        scaler=trainer.scaler,
        checkpoint_minutes=settings.checkpoint_minutes,
        log=log,
    )


def run(
    config: RunConfig,
    *,
    index: Path,
    clips: Path,
    spectrograms: Path,
    mosaics: Path | None,
    pretrained: Path | None,
    out: Path,
    history: Path,
    state: Path,
    mapped: Path | None = None,
    tensorboard: Path | None = None,
    finished: Path | None = None,
    finished_number: int | None = None,
) -> None:
    """Train on the audible training clips; a killed run resumes at its last checkpoint.

    If the folder `finished` has a network that was trained on the same data with the same settings,
    that network is the result.
    """
    settings = with_audio_network(methods.settings_of(config), pretrained)
    if not settings.total_epochs:
        return write_untrained(settings, index, out, history)
    corpus = select_training(settings, index, clips, spectrograms, mapped)
    settings = settings.with_categories(categories_of(corpus.rows))
    validation_clips = replace(corpus, rows=clip_reader.select(index, split=Split.VAL))
    extra = extra_tables(settings, corpus, mosaics)
    depends_on = fingerprint(settings, [corpus, validation_clips, *extra.values()], pretrained)
    outputs = (out, out.with_suffix(".json"), history)
    earlier = Finished(finished, finished_number or 0, depends_on, outputs)
    if earlier.restore():
        return
    network = prepare(settings, pretrained, corpus.rows.num_rows)
    data = with_nearest(corpus.load(network, settings, state), network, settings)
    validation = load_validation(settings, validation_clips, network, state)
    extra_data = {name: part.load(network, settings, state) for name, part in extra.items()}
    trainer = methods.trainer_class(settings)(network, settings, data, extra_data)
    folder = state / depends_on
    rows_of_history = train_epochs(trainer, validation, folder, state.name, tensorboard)
    categories = match_categories(network, corpus.rows, data.sounds)
    if distributed.is_main_process():
        weights.save(out, network.state_dict(), describe(settings, categories, pretrained))
        training.finish(rows_of_history, history, folder)
        earlier.keep()


if __name__ == "__main__":
    with distributed.process_group():
        stage.main(run)
