"""Heat maps of one run on one test set, for every frame of every clip; a class-aware run has one a category too.

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
from spm.corpus import clip_reader
from spm.fusion import methods
from spm.fusion.localization_network import Heat, LocalizationNetwork
from spm.fusion.settings import Row
from spm.learn import dataloading, device, transforms, weights

Categories = dict[str, int]  # the cluster that stands for each


class Maps(Section):
    """Which test sets get maps, and how many clips at once."""

    kinds: tuple[Literal["solo", "duet", "synthetic", "validation"], ...] = ("solo",)
    batch: int = Field(64, ge=1)  # clips
    device: str = "auto"


def load(path: Path) -> tuple[LocalizationNetwork, int, Categories]:
    """A trained network in evaluation mode, the size in pixels of the pictures that it saw, and its categories."""
    tensors, about = weights.load(path)
    settings = methods.settings_of(Row(**about["config"] | {"start": "none"}))
    network = methods.build(settings)
    network.load_state_dict(tensors)
    return network.eval(), settings.crop, about.get("categories", {})


def layers(heat: Heat, categories: Categories) -> Tensor:
    """The maps of each frame, that of everything first, then each category's by name: (B, f, 1 + c, h, w)."""
    found = [heat.sounding]
    if heat.clusters is not None:
        found += [heat.clusters[:, :, categories[name]] for name in sorted(categories)]
    return torch.stack(found, 2)


def _columns(
    rows: list[dict[str, Any]], times: list[list[float]], maps: Tensor, names: list[str]
) -> dict[str, Any]:
    clip, frame, layer = (
        grid.flatten().tolist()
        for grid in torch.meshgrid(*map(torch.arange, maps.shape[:3]), indexing="ij")
    )
    height, width = maps.shape[3:]
    return {
        "clip_id": [rows[n]["clip_id"] for n in clip],
        "video_id": [rows[n]["video_id"] for n in clip],
        "frame": frame,
        "time_s": [times[n][f] for n, f in zip(clip, frame, strict=True)],
        "category": [[None, *names][n] for n in layer],
        "height": [height] * len(clip),
        "width": [width] * len(clip),
        "map": list(maps.flatten(0, 2).flatten(1).cpu().numpy()),
    }


@torch.inference_mode()
def _draw(
    model: LocalizationNetwork,
    size: int,
    categories: Categories,
    rows: pa.Table,
    clips: Path,
    mels: Path,
    config: Maps,
) -> Iterator[dict[str, Any]]:
    """Columns of the maps of one shard's rows, a batch of clips at a time."""
    where = next(model.parameters()).device
    jpegs, times = clip_reader.frames(rows, clips), clip_reader.frame_times(rows, clips)
    log_mels, about = dataloading.log_mels(rows, mels), rows.to_pylist()
    for start in range(0, len(jpegs), config.batch):
        part = slice(start, start + config.batch)
        images = transforms.resize_normalize(
            transforms.decode([jpeg for frames in jpegs[part] for jpeg in frames]), size
        )
        images = images.view(len(jpegs[part]), -1, *images.shape[1:])
        heat = model.heat(images.to(where), log_mels[part].to(where))
        names = sorted(categories) if heat.clusters is not None else []
        yield _columns(about[part], times[part], layers(heat, categories), names)


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
    """Draw the maps of the test clips of one kind, or of the solos for validation, shard after shard."""
    model, size, categories = load(network)
    model.to(device.pick(config.device))
    split, of = ("val", "solo") if kind == "validation" else ("test", kind)
    rows = clip_reader.select(index, split=split, kind=of, audible=False)
    with tables.writer(out, tables.MAPS) as write:
        for shard in progress(np.unique(rows["shard"].to_numpy()), f"maps {kind}"):
            some = rows.filter(pc.equal(rows["shard"], pa.scalar(shard)))
            for columns in _draw(model, size, categories, some, clips, spectrograms, config):
                write(**columns)


if __name__ == "__main__":
    stage.main(run)
