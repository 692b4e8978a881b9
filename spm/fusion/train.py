"""One trained localizer: Algorithm 1, step 3, or the same without promotion.

python -m spm.fusion.train --config '{}' --index clips.parquet --clips clips --spectrograms spectrograms
    --pretrained audio.safetensors --out network.safetensors --history history.parquet --state state/fusion/train/spm

On several GPUs: torchrun --standalone --nproc-per-node 4 -m spm.fusion.train, and the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor
from torch.optim import Adam

from spm.audio.assignment import assign
from spm.audio.network import apply
from spm.base import stage
from spm.base.config import UserError
from spm.base.digest import code_digest
from spm.corpus import clip_reader
from spm.fusion import methods
from spm.fusion.dataset import ClipDataset, load, most_similar
from spm.fusion.localization_network import LocalizationNetwork
from spm.fusion.settings import Row, Train
from spm.fusion.trainer import Trainer
from spm.learn import device, distributed, training, weights


def build(config: Train, pretrained: Path | None) -> LocalizationNetwork:
    """The method's network before its first epoch."""
    torch.manual_seed(config.seed)
    network = methods.build(config)
    if config.promote:
        if pretrained is None:
            raise UserError(
                "train.promote: true wants the promoted audio network: --pretrained audio.safetensors"
            )
        network.audio.load_state_dict(weights.load(pretrained)[0])
    network.audio.requires_grad_(not config.frozen)
    return network


@dataclass(frozen=True)
class Folders:
    """The tables of some clips."""

    index: Path
    clips: Path
    spectrograms: Path

    def files(self, rows: pa.Table) -> list[Path]:
        """The files that hold the rows."""
        return [
            self.index,
            *clip_reader.files(rows, self.clips),
            *clip_reader.files(rows, self.spectrograms),
        ]


def of_kinds(rows: pa.Table, kinds: Sequence[str]) -> pa.Table:
    """The rows of some kinds of clips."""
    return rows.filter(pc.is_in(rows["kind"], pa.array(kinds)))


def scenes(
    config: Train, corpus: Folders, mosaics: Path | None
) -> dict[str, tuple[pa.Table, Folders]]:
    """Rows and tables of what a run learns from beside its clips."""
    found = {}
    if "mosaics" in config.wants:
        if mosaics is None:
            raise UserError(
                f"{config.method}: mosaic_epochs wants the mosaics for training: --mosaics folder"
            )
        made = Folders(mosaics / "index.parquet", mosaics / "clips", mosaics / "spectrograms")
        found["mosaics"] = (clip_reader.select(made.index, split="train"), made)
    if "duets" in config.wants:
        found["duets"] = (
            of_kinds(clip_reader.select(corpus.index, split="train"), ["duet"]),
            corpus,
        )
    return found


def optimizers(network: LocalizationNetwork, config: Train) -> tuple[Adam, torch.amp.GradScaler]:
    """Adam, and the scaler of half precision where there is a GPU."""
    where = next(network.parameters()).device.type
    adam = Adam(network.groups(config), weight_decay=config.weight_decay)
    return adam, torch.amp.GradScaler(where, enabled=config.half and where == "cuda")


def with_similar(data: ClipDataset, network: LocalizationNetwork, config: Train) -> ClipDataset:
    """The clips, each with the one most similar by Eq. 6, where the run's augmentation replaces sounds."""
    if config.augment not in ("B", "C"):
        return data
    if not config.promote:
        raise UserError(
            f"train.augment: {config.augment} compares sounds by the promoted network: train.promote: true"
        )
    features = apply(network.audio, data.log_mels, next(network.parameters()).device)
    return replace(data, similar=most_similar(features, data.videos, config.augment_outside))


def categories_of(network: LocalizationNetwork, rows: pa.Table, log_mels: Tensor) -> dict[str, int]:
    """The cluster that a class-aware network takes each category for, by the training solos alone."""
    solo = torch.tensor([kind == "solo" for kind in rows["kind"].to_pylist()])
    heard = network.labels_all(log_mels[solo])
    truth = [
        names[0]
        for names, alone in zip(rows["categories"].to_pylist(), solo.tolist(), strict=True)
        if alone
    ]
    return {} if heard is None else assign(heard.tolist(), truth, network.class_count)


def run(
    config: Row,
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
    """Train on the audible training clips; resume where a killed run stopped."""
    settings = methods.settings_of(config)
    network = build(settings, pretrained).to(device.pick(settings.device))
    network.spread()
    if settings.compile:
        network.compile_trunks()
    folders = Folders(index, clips, spectrograms)
    rows = of_kinds(clip_reader.select(index, split="train"), settings.kinds)
    rows = clip_reader.require_rows(rows, f"audible training ({', '.join(settings.kinds)})")
    hear = network.hear_all if settings.frozen else None
    learn = with_similar(load(rows, clips, spectrograms, hear), network, settings)
    check = load(clip_reader.select(index, split="val"), clips, spectrograms, hear)
    if settings.keep == "best" and not len(check):
        raise UserError(
            "train.keep: best wants validation clips: set index.val_solos, or train.keep: last"
        )
    beside = scenes(settings, folders, mosaics)
    others = {
        name: load(some, where.clips, where.spectrograms, hear)
        for name, (some, where) in beside.items()
    }
    lesson = Trainer(network, *optimizers(network, settings), settings, learn, others)

    def epoch(number: int) -> training.Figures:
        return {**network.epoch(lesson, number), **lesson.validate(check)}

    read = [(rows, folders), *beside.values()]
    files = [file for some, where in read for file in where.files(some)]
    code = [code_digest("spm.fusion.train"), code_digest(f"spm.fusion.methods.{settings.method}")]
    depends = training.fingerprint(
        [*files, *filter(None, [pretrained])], settings.model_dump_json(), *code
    )
    best_by = ("val", "loss") if settings.keep == "best" else None
    figures = training.train(
        network,
        lesson.optimizer,
        epoch,
        settings.lasts,
        state=state / depends,
        what=state.name,
        best_by=best_by,
    )
    about = {
        "config": settings.model_dump(),
        "categories": categories_of(network, rows, learn.log_mels),
    }
    if distributed.is_main_process():
        weights.save(out, network.state_dict(), about)
        training.finish(figures, history, state)


if __name__ == "__main__":
    with distributed.process_group():
        stage.main(run)
