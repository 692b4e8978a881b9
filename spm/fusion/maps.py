"""Heat maps of one run on one test set: the mask of Eq. 4 for every frame of every clip, sounding or not.

python -m spm.fusion.maps --config '{}' --network network.safetensors --index clips.parquet
    --clips clips --spectrograms spectrograms --kind solo --out maps.parquet
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from pydantic import Field
from torch import Tensor

from spm.base import stage, tables
from spm.base.config import Section
from spm.base.progress import progress
from spm.corpus import reading
from spm.fusion.network import FusionNetwork, Shape
from spm.learn import batches, device, pictures, weights


class Maps(Section):
    """Which test sets get maps, and how many clips at once."""

    kinds: tuple[Literal["solo", "duet"], ...] = ("solo",)
    batch: int = Field(64, ge=1)  # clips
    device: str = "auto"


def load(path: Path) -> tuple[FusionNetwork, int]:
    """A trained network in evaluation mode, and the size in pixels of the pictures that it saw."""
    tensors, about = weights.load(path)
    network = FusionNetwork(Shape(**about["shape"]))
    network.load_state_dict(tensors)
    return network.eval(), int(about["config"]["crop"])


@torch.inference_mode()
def locate(network: FusionNetwork, images: Tensor, log_mels: Tensor) -> Tensor:
    """Heat maps in [0, 1] of clips with f frames each: (B, f, 3, H, W) and (B, 201, 64) → (B, f, h, w)."""
    places = network.look(images.flatten(0, 1))  # (B·f, d, h, w)
    places = places.view(*images.shape[:2], *places.shape[1:])
    sounds = network.listen(network.audio(log_mels))
    return network.logits(torch.einsum("bd,bfdhw->bfhw", sounds, places)).sigmoid()


def _columns(rows: list[dict[str, Any]], times: list[list[float]], maps: Tensor) -> dict[str, Any]:
    clip, frame = (
        grid.flatten().tolist() for grid in torch.meshgrid(*map(torch.arange, maps.shape[:2]), indexing="ij")
    )
    height, width = maps.shape[2:]
    return {
        "clip_id": [rows[n]["clip_id"] for n in clip],
        "video_id": [rows[n]["video_id"] for n in clip],
        "frame": frame,
        "time_s": [times[n][f] for n, f in zip(clip, frame, strict=True)],
        "category": [None] * len(clip),
        "height": [height] * len(clip),
        "width": [width] * len(clip),
        "map": list(maps.flatten(0, 1).flatten(1).cpu().numpy()),
    }


def _draw(
    model: FusionNetwork, size: int, rows: pa.Table, clips: Path, spectrograms: Path, config: Maps
) -> Iterator[dict[str, Any]]:
    """Columns of the maps of one shard's rows, a batch of clips at a time."""
    where = next(model.parameters()).device
    jpegs, times = reading.frames(rows, clips), reading.frame_times(rows, clips)
    log_mels, about = batches.log_mels(rows, spectrograms), rows.to_pylist()
    for start in range(0, len(jpegs), config.batch):
        part = slice(start, start + config.batch)
        images = pictures.whole(pictures.decode([jpeg for frames in jpegs[part] for jpeg in frames]), size)
        images = images.view(len(jpegs[part]), -1, *images.shape[1:])
        maps = locate(model, images.to(where), log_mels[part].to(where))
        yield _columns(about[part], times[part], maps)


def run(
    config: Maps,
    *,
    network: Path,
    index: Path,
    clips: Path,
    spectrograms: Path,
    kind: str,
    out: Path,
) -> None:
    """Draw the maps of the test clips of one kind, solo or duet, shard after shard."""
    model, size = load(network)
    model.to(device.pick(config.device))
    rows = reading.select(index, split="test", kind=kind, audible=False)
    with tables.writer(out, tables.MAPS) as write:
        for shard in progress(np.unique(rows["shard"].to_numpy()), f"maps {kind}"):
            some = rows.filter(pc.equal(rows["shard"], pa.scalar(shard)))
            for columns in _draw(model, size, some, clips, spectrograms, config):
                write(**columns)


if __name__ == "__main__":
    stage.main(run)
