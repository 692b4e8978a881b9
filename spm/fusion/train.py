"""One trained localiser: Algorithm 1, step 3, or the same without promotion.

python -m spm.fusion.train --config '{}' --index clips.parquet --clips clips --spectrograms spectrograms
    --pretrained audio.safetensors --out network.safetensors --history history.parquet --state state/fusion/train/spm
"""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch.optim import Adam

from spm.audio.network import apply
from spm.base import stage
from spm.base.config import UserError
from spm.base.digest import code_digest
from spm.corpus import reading
from spm.fusion import methods
from spm.fusion.data import Data, load, most_similar
from spm.fusion.localiser import Localiser
from spm.fusion.settings import Row, Train
from spm.fusion.teaching import Lesson
from spm.learn import device, training, weights


def build(config: Train, pretrained: Path | None) -> Localiser:
    """The method's network before its first epoch."""
    torch.manual_seed(config.seed)
    network = methods.build(config)
    if config.promote:
        if pretrained is None:
            raise UserError("train.promote: true wants the promoted audio network: --pretrained audio.safetensors")
        network.audio.load_state_dict(weights.load(pretrained)[0])
    network.audio.requires_grad_(not config.frozen)
    return network


def of_kinds(rows: pa.Table, config: Train) -> pa.Table:
    """The rows of the kinds of clips that the run learns from."""
    return rows.filter(pc.is_in(rows["kind"], pa.array(config.kinds)))


def with_similar(data: Data, network: Localiser, config: Train) -> Data:
    """The clips, each with the one most similar by Eq. 6, where the run's augmentation replaces sounds."""
    if config.augment not in ("B", "C"):
        return data
    if not config.promote:
        raise UserError(f"train.augment: {config.augment} compares sounds by the promoted network: train.promote: true")
    features = apply(network.audio, data.log_mels, next(network.parameters()).device)
    return replace(data, similar=most_similar(features, data.videos, config.augment_outside))


def run(
    config: Row,
    *,
    index: Path,
    clips: Path,
    spectrograms: Path,
    pretrained: Path | None,
    out: Path,
    history: Path,
    state: Path,
) -> None:
    """Train on the audible training clips; resume where a killed run stopped."""
    settings = methods.settings_of(config)
    network = build(settings, pretrained).to(device.pick(settings.device))
    hear = network.hear_all if settings.frozen else None
    rows = of_kinds(reading.select(index, split="train"), settings)
    rows = reading.require(rows, f"audible training ({', '.join(settings.kinds)})")
    learn = with_similar(load(rows, clips, spectrograms, hear), network, settings)
    check = load(reading.select(index, split="val"), clips, spectrograms, hear)
    if settings.keep == "best" and not len(check):
        raise UserError("train.keep: best wants validation clips: set index.val_solos, or train.keep: last")
    where = next(network.parameters()).device
    optimiser = Adam(network.groups(settings), weight_decay=settings.weight_decay)
    scaler = torch.amp.GradScaler(where.type, enabled=settings.half and where.type == "cuda")
    lesson = Lesson(network, optimiser, scaler, settings, learn)

    def epoch(number: int) -> training.Figures:
        return {**network.epoch(lesson, number), **lesson.validate(check)}

    files = [
        index,
        *reading.files(rows, clips),
        *reading.files(rows, spectrograms),
        *([pretrained] if pretrained else []),
    ]
    code = [code_digest("spm.fusion.train"), code_digest(f"spm.fusion.methods.{settings.method}")]
    depends = training.fingerprint(files, settings.model_dump_json(), *code)
    best_by = ("val", "loss") if settings.keep == "best" else None
    figures = training.train(
        network, optimiser, epoch, settings.lasts, state=state / depends, what=state.name, best_by=best_by
    )
    weights.save(out, network.state_dict(), {"config": settings.model_dump()})
    training.finish(figures, history, state)


if __name__ == "__main__":
    stage.main(run)
