"""Training of one localizer: Algorithm 1, step 3, or the same without promotion.

python -m spm.fusion.train --config '{}' --index clips.parquet --clips clips
    --spectrograms spectrograms --pretrained audio.safetensors --out network.safetensors
    --history history.parquet --state state/fusion/train/spm

On several GPUs: torchrun --standalone --nproc-per-node 4 -m spm.fusion.train, with the same
options.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from spm.audio.assignment import match_clusters
from spm.audio.network import predict_all
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
from spm.learn.device import pick_device


@dataclass(frozen=True)
class ClipTables:
    """Selected rows of an index, and the folders with the clips' frames and sounds."""

    index: Path
    clips: Path
    spectrograms: Path
    rows: pa.Table

    def files(self) -> list[Path]:
        """The index, and the files that contain the rows' clips."""
        frames = clip_reader.files(self.rows, self.clips)
        return [self.index, *frames, *clip_reader.files(self.rows, self.spectrograms)]

    def load(self, network: LocalizationNetwork, config: Train) -> ClipDataset:
        """Read the clips; frozen networks compute their features here, once."""
        return load(self.rows, self.clips, self.spectrograms, network, config)


def select_kinds(rows: pa.Table, kinds: Sequence[Kind]) -> pa.Table:
    """Rows of clips of these kinds."""
    return rows.filter(pc.is_in(rows["kind"], pa.array(kinds)))


def with_audio_network(config: Train, pretrained: Path | None) -> Train:
    """The settings with the audio network that a promoted run starts from."""
    if not config.promote or pretrained is None:
        return config
    settings = weights.load(pretrained)[1].get("config", {})
    return config.model_copy(update={"audio_network": settings.get("network", "resnet18")})


def pretrained_audio(config: Train, pretrained: Path | None) -> dict[str, str]:
    """What a promoted run knows from labels of others, for the JSON beside its weights."""
    about = weights.load(pretrained)[1] if config.promote and pretrained else {}
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


def prepare(config: Train, pretrained: Path | None) -> LocalizationNetwork:
    """The network on its device, distributed and compiled as the settings ask."""
    network = build(config, pretrained).to(pick_device(config.device))
    network.distribute()
    if config.compile:
        network.compile_trunks()
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
        extra["mosaics"] = ClipTables(index, mosaics / "clips", mosaics / "spectrograms", rows)
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
    features = predict_all(network.audio, data.log_mels, next(network.parameters()).device)
    return replace(data, nearest=nearest_clips(features, data.videos, config.augment_outside))


def match_categories(
    network: LocalizationNetwork, rows: pa.Table, log_mels: Tensor
) -> dict[str, int]:
    """Cluster of each category, by the training solos; empty if the method is not class-aware."""
    solo = [kind == Kind.SOLO for kind in rows["kind"].to_pylist()]
    labels = network.predict_clusters_all(log_mels[torch.tensor(solo)])
    if labels is None:
        return {}
    categories = [
        names[0]
        for names, is_solo in zip(rows["categories"].to_pylist(), solo, strict=True)
        if is_solo
    ]
    return match_clusters(labels.tolist(), categories, network.cluster_count)


def fingerprint(config: Train, parts: Sequence[ClipTables], pretrained: Path | None) -> str:
    """Digest of everything that the training depends on."""
    files = [file for part in parts for file in part.files()]
    if pretrained is not None:
        files.append(pretrained)
    modules = ("spm.fusion.train", f"spm.fusion.methods.{config.method}")
    digests = [code_digest(module) for module in modules]
    return checkpoints.fingerprint(files, config.model_dump_json(), *digests)


def select_training(config: Train, index: Path, clips: Path, spectrograms: Path) -> ClipTables:
    """The audible training clips of the run's kinds; an error if there are none."""
    rows = select_kinds(clip_reader.select(index, split=Split.TRAIN), config.kinds)
    rows = clip_reader.require_rows(rows, f"audible training ({', '.join(config.kinds)})")
    return ClipTables(index, clips, spectrograms, rows)


def load_validation(config: Train, corpus: ClipTables, network: LocalizationNetwork) -> ClipDataset:
    """The validation clips; an error if there are none and `keep` needs them."""
    rows = clip_reader.select(corpus.index, split=Split.VAL)
    data = replace(corpus, rows=rows).load(network, config)
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


def write_untrained(settings: Train, index: Path, out: Path, history: Path, state: Path) -> None:
    """Write the pretrained weights of a method without training, and an empty history."""
    if distributed.is_main_process():
        network = methods.build(settings)
        assert isinstance(network, UntrainedNetwork)
        names = {name for row in tables.read(index)["categories"].to_pylist() for name in row}
        categories = network.match_categories(names)
        weights.save(out, network.state_dict(), describe(settings, categories, None))
        training.finish([], history, state)


def train_epochs(
    trainer: Trainer, validation: ClipDataset, state: Path, title: str
) -> list[checkpoints.HistoryRow]:
    """Train all epochs, with checkpoints in `state`; the network has the weights to keep."""
    settings = trainer.config

    def train_epoch(epoch: int) -> training.EpochValues:
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
) -> None:
    """Train on the audible training clips; a killed run resumes after its last epoch."""
    settings = with_audio_network(methods.settings_of(config), pretrained)
    if not settings.total_epochs:
        write_untrained(settings, index, out, history, state)
        return
    network = prepare(settings, pretrained)
    corpus = select_training(settings, index, clips, spectrograms)
    data = with_nearest(corpus.load(network, settings), network, settings)
    validation = load_validation(settings, corpus, network)
    extra = extra_tables(settings, corpus, mosaics)
    extra_data = {name: part.load(network, settings) for name, part in extra.items()}
    trainer = methods.trainer_class(settings)(network, settings, data, extra_data)
    depends_on = fingerprint(settings, [corpus, *extra.values()], pretrained)
    rows_of_history = train_epochs(trainer, validation, state / depends_on, state.name)
    categories = match_categories(network, corpus.rows, data.log_mels)
    if distributed.is_main_process():
        weights.save(out, network.state_dict(), describe(settings, categories, pretrained))
        training.finish(rows_of_history, history, state)


if __name__ == "__main__":
    with distributed.process_group():
        stage.main(run)
