"""One trained localiser: Algorithm 1, step 3, or the same without promotion.

python -m spm.fusion.train --config '{}' --index clips.parquet --clips clips --spectrograms spectrograms
    --pretrained audio.safetensors --out network.safetensors --history history.parquet --state state/fusion/train/spm
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Adam

from spm.audio.network import AudioNetwork, apply
from spm.base import stage
from spm.base.config import Section, UserError
from spm.base.digest import code_digest
from spm.corpus import reading
from spm.fusion.matching import Negatives, matching_accuracy, matching_loss, one_each, strangers
from spm.fusion.network import FusionNetwork, Shape, all_cosines
from spm.learn import batches, device, pictures, training, weights
from spm.learn.backbones import Start, Visual

VAL_FRAME = 0  # the frame of a clip that validation looks at, so that its figures don't move by chance


class Train(Section):
    """One run; `runs:` lays its rows over this section."""

    promote: bool = True  # the audio network starts from the pseudo-labels (steps 1 and 2); false: from nothing
    freeze: bool = True  # a promoted audio network is left as it is, BatchNorm statistics included
    visual: Visual = "resnet18"
    start: Start = "imagenet"  # of the visual network
    crop: int = Field(224, ge=32)  # px, of the clips' frames
    projection: int = Field(128, ge=0)  # channels compared; 0 compares f_v and f_a themselves
    standardise: bool = False  # the sounds' features have mean 0 and deviation 1 before they are projected
    epsilon: float = 0.65  # Eq. 4
    tau: float = Field(0.03, gt=0)  # Eq. 4
    learn_scale: bool = False  # ε and τ are learnt, starting there
    negatives: Negatives = "one"  # a sound: one picture of another video, or all of the batch
    lr: float = Field(1e-4, gt=0)  # Adam, of both backbones
    projection_lr: float = Field(1e-4, gt=0)  # Adam, of what starts from nothing: projections, and a learnt ε and τ
    weight_decay: float = Field(1e-4, ge=0)
    batch: int = Field(32, ge=2)
    epochs: int = Field(15, ge=1)
    keep: Literal["last", "best"] = "last"  # best: smallest validation loss; wants index.val_solos
    half: bool = True  # half precision on a GPU
    seed: int = 0
    device: str = "auto"

    def shape(self) -> Shape:
        """The part that the weights can't be read without."""
        return Shape(**{field.name: getattr(self, field.name) for field in fields(Shape)})

    @property
    def frozen(self) -> bool:
        """Whether the audio network is left as it is."""
        return self.promote and self.freeze


@dataclass(frozen=True)
class Data:
    """The clips of one split, in memory."""

    jpegs: list[list[bytes]]  # of each clip, its frames
    log_mels: Tensor  # (clips, 201, 64)
    videos: Tensor  # (clips,) a number for each video
    heard: Tensor | None  # (clips, 512) f_a of a frozen audio network: computed once

    def __len__(self) -> int:
        """Clips."""
        return len(self.jpegs)


def load(rows: pa.Table, folder: Path, spectrograms: Path, frozen: AudioNetwork | None) -> Data:
    """Read the rows' frames and sounds; a frozen network's features are computed here and never again."""
    log_mels = batches.log_mels(rows, spectrograms) if rows.num_rows else torch.empty(0, 1, 1)
    videos = np.unique(rows["video_id"].to_pylist(), return_inverse=True)[1]
    heard = None if frozen is None else apply(frozen, log_mels, next(frozen.parameters()).device)
    jpegs = reading.frames(rows, folder) if rows.num_rows else []
    return Data(jpegs, log_mels, torch.from_numpy(videos), heard)


def build(config: Train, pretrained: Path | None) -> FusionNetwork:
    """The network before its first epoch."""
    torch.manual_seed(config.seed)
    network = FusionNetwork(config.shape(), config.start)
    if config.promote:
        if pretrained is None:
            raise UserError("train.promote: true wants the promoted audio network: --pretrained audio.safetensors")
        network.audio.load_state_dict(weights.load(pretrained)[0])
    network.audio.requires_grad_(not config.frozen)
    return network


def optimiser_of(network: FusionNetwork, config: Train) -> Adam:
    """Adam over what may change, with a rate for the backbones and one for what starts from nothing."""
    rates = {"backbones": config.lr, "new": config.projection_lr}
    groups: dict[str, list[Tensor]] = {name: [] for name in rates}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups["backbones" if name.startswith(("visual.", "audio.")) else "new"].append(parameter)
    return Adam([{"params": groups[name], "lr": rates[name]} for name in rates], weight_decay=config.weight_decay)


def scores(network: FusionNetwork, images: Tensor, data: Data, at: Tensor, where: torch.device) -> Tensor:
    """The largest logit of each sound with each picture of a batch: (B, B)."""
    heard = network.audio(data.log_mels[at].to(where)) if data.heard is None else data.heard[at].to(where)
    cosine = all_cosines(network.listen(heard), network.look(images.to(where)))  # (B, B, h, w)
    return network.logits(cosine.float()).amax((2, 3))


def _teach(network: FusionNetwork, config: Train) -> None:
    """Training mode, but for a frozen audio network: its BatchNorm statistics stand still too."""
    network.train()
    network.audio.train(not config.frozen)


def train_epoch(
    network: FusionNetwork, optimiser: Adam, scaler: torch.amp.GradScaler, data: Data, config: Train, number: int
) -> training.Figures:
    """One pass over the clips, a random frame of each, with figures while learning."""
    _teach(network, config)
    where, random = next(network.parameters()).device, batches.seeded(config.seed, number)
    losses, hits = [], []
    for at in batches.shuffled(len(data), config.batch, random):
        images = random_frames(data, at, config.crop, random)
        negative = strangers(data.videos[at])
        negative = (one_each(negative, random) if config.negatives == "one" else negative).to(where)
        with torch.autocast(where.type, torch.float16, enabled=scaler.is_enabled()):
            score = scores(network, images, data, at, where)
        loss = matching_loss(score, negative)
        optimiser.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimiser)
        scaler.update()
        losses.append(loss.item())
        hits.append(matching_accuracy(score, negative))
    return {("train", "loss"): float(np.mean(losses)), ("train", "accuracy"): float(np.mean(hits))}


def random_frames(data: Data, at: Tensor, crop: int, random: torch.Generator) -> Tensor:
    """One random frame of each clip, augmented: (B, 3, crop, crop)."""
    draws = torch.rand(len(at), generator=random).tolist()
    several = [data.jpegs[clip] for clip in at.tolist()]
    images = pictures.decode([frames[int(draw * len(frames))] for frames, draw in zip(several, draws, strict=True)])
    return pictures.augment(images, crop, pictures.draw(len(at), images.shape[-1] - crop, random))


@torch.inference_mode()
def validate(network: FusionNetwork, data: Data, config: Train) -> training.Figures:
    """Loss and accuracy on the validation clips, all pairs of fixed random batches."""
    network.eval()
    where = next(network.parameters()).device
    losses, hits = [], []
    for at in batches.shuffled(len(data), config.batch, batches.seeded(config.seed)):
        images = pictures.whole(pictures.decode([data.jpegs[clip][VAL_FRAME] for clip in at.tolist()]), config.crop)
        score, negative = scores(network, images, data, at, where), strangers(data.videos[at]).to(where)
        losses.append(float(matching_loss(score, negative)))
        hits.append(matching_accuracy(score, negative))
    return {("val", "loss"): float(np.mean(losses)), ("val", "accuracy"): float(np.mean(hits))} if losses else {}


def run(
    config: Train,
    *,
    index: Path,
    clips: Path,
    spectrograms: Path,
    pretrained: Path | None,
    out: Path,
    history: Path,
    state: Path,
) -> None:
    """Train on the audible training clips, solos and duets alike; resume where a killed run stopped."""
    where = device.pick(config.device)
    network = build(config, pretrained).to(where)
    frozen = network.audio if config.frozen else None
    rows = reading.require(reading.select(index, split="train"), "audible training")
    learn = load(rows, clips, spectrograms, frozen)
    check = load(reading.select(index, split="val"), clips, spectrograms, frozen)
    if config.keep == "best" and not len(check):
        raise UserError("train.keep: best wants validation clips: set index.val_solos, or train.keep: last")
    optimiser = optimiser_of(network, config)
    scaler = torch.amp.GradScaler(where.type, enabled=config.half and where.type == "cuda")

    def epoch(number: int) -> training.Figures:
        return {**train_epoch(network, optimiser, scaler, learn, config, number), **validate(network, check, config)}

    files = [
        index,
        *reading.files(rows, clips),
        *reading.files(rows, spectrograms),
        *([pretrained] if pretrained else []),
    ]
    depends = training.fingerprint(files, config.model_dump_json(), code_digest("spm.fusion.train"))
    best_by = ("val", "loss") if config.keep == "best" else None
    figures = training.train(
        network, optimiser, epoch, config.epochs, state=state / depends, what=state.name, best_by=best_by
    )
    about = {"shape": config.shape().dict(), "config": config.model_dump()}
    weights.save(out, network.state_dict(), about)
    training.finish(figures, history, state)


if __name__ == "__main__":
    stage.main(run)
