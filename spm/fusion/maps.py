"""Heat maps of one run on one test set: one per frame, or one per frame and category.

python -m spm.fusion.maps --config '{}' --network network.safetensors --index clips.parquet
    --clips clips --spectrograms spectrograms --testset solo --out maps.parquet
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from pydantic import Field
from torch import Tensor

from spm.base import schemas, stage, tables
from spm.base.config import UNIQUE, Device, Section
from spm.base.progress import progress
from spm.base.statuses import Kind, PretrainedBaseline, Split
from spm.corpus import clip_reader
from spm.fusion import methods
from spm.fusion.localization_network import HeatMaps, LocalizationNetwork
from spm.fusion.settings import RunConfig
from spm.learn import dataloading, transforms, weights
from spm.learn.device import pick_device

Categories = dict[str, int]  # name of a category: its cluster
Columns = dict[str, Any]


class Maps(Section):
    """Heat maps of the trained networks on the test sets."""

    testsets: tuple[Literal["solo", "duet", "synthetic", "validation"], ...] = Field(
        ("solo",),
        min_length=1,
        json_schema_extra=UNIQUE,
        description="Test sets: solo, duet, synthetic (mosaics), or validation (the solos of"
        " index.val_solos, to choose settings by).",
    )
    prior_alpha: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Score every run a second time as RUN+prior, with maps mixed with the object"
        " prior: this fraction of the run's map, and the rest of the prior, both scaled to [0, 1]"
        " (EZ-VSL: 0.4). No run is trained for it. null: don't.",
    )
    prior: PretrainedBaseline = Field(
        PretrainedBaseline.OBJECT_PRIOR,
        description="Maps that prior_alpha mixes in: object-prior, or zero-shot.",
    )
    prior_mean: Literal["arithmetic", "geometric"] = Field(
        "arithmetic",
        description="How prior_alpha mixes: by the weighted mean of both maps, as EZ-VSL does, or"
        " by their weighted geometric mean, which is low where one of them is.",
    )
    mosaic_px: int | None = Field(
        None,
        ge=32,
        le=2_048,
        description="Width and height of a mosaic when its maps are computed, in px; null: crop,"
        " the size of the frames in training. With twice the crop, a tile is as large as they are.",
    )
    batch: int = Field(64, ge=1, le=10_000, description="Clips per batch.")
    device: Device = Field("auto", description="Device: auto (GPU if there is one), cpu or cuda.")


def load(path: Path) -> tuple[LocalizationNetwork, int, Categories]:
    """A trained network in evaluation mode, the size of its frames in px, and its categories."""
    tensors, about = weights.load(path)
    # The stored weights replace all initial ones, so that none are downloaded.
    settings = methods.settings_of(RunConfig(**about["config"] | {"start": "none"}))
    network = methods.build(settings)
    network.load_state_dict(tensors)
    return network.eval(), settings.crop, about.get("categories", {})


def layers(maps: HeatMaps, categories: Categories) -> Tensor:
    """Maps of each frame: of the sound, then of each category by name: (B, f, 1 + c, h, w)."""
    parts = [maps.sounding]
    if maps.clusters is not None:
        parts += [maps.clusters[:, :, categories[name]] for name in sorted(categories)]
    return torch.stack(parts, 2)


def columns(
    rows: list[dict[str, Any]], times: list[list[float]], maps: Tensor, names: list[str]
) -> Columns:
    """Columns of the table, with one row per clip, frame and layer."""
    grids = torch.meshgrid(*map(torch.arange, maps.shape[:3]), indexing="ij")
    clip, frame, layer = (grid.flatten().tolist() for grid in grids)
    height, width = maps.shape[3:]
    categories = [None, *names]
    return {
        "clip_id": [rows[n]["clip_id"] for n in clip],
        "video_id": [rows[n]["video_id"] for n in clip],
        "frame": frame,
        "time_s": [times[n][f] for n, f in zip(clip, frame, strict=True)],
        "category": [categories[n] for n in layer],
        "height": [height] * len(clip),
        "width": [width] * len(clip),
        "map": list(maps.flatten(0, 2).flatten(1).cpu().numpy()),
    }


def read_sounds(
    network: LocalizationNetwork, rows: pa.Table, clips: Path, spectrograms: Path
) -> Tensor:
    """Sounds of the rows' clips as `heat_maps` takes them: (clips, …)."""
    if network.reads == "log_mel":
        return dataloading.log_mels(rows, spectrograms)
    sounds = dataloading.prepared_sounds(rows, clips, network.prepare_sound).float()
    # The tiles of two mosaics differ, so each mosaic is a video of its own.
    is_mosaic = pc.equal(rows["kind"], "synthetic")
    videos = pc.if_else(is_mosaic, rows["clip_id"], rows["video_id"]).to_pylist()
    return network.smooth_sounds(sounds, videos, rows["start_s"].to_pylist())


def decode(jpegs: Sequence[Sequence[bytes]], crop: int) -> Tensor:
    """The frames of B clips, of f frames each, as images: (B, f, 3, crop, crop)."""
    flat = [jpeg for frames in jpegs for jpeg in frames]
    images = transforms.resize_normalize(transforms.decode(flat), crop)
    return images.view(len(jpegs), -1, *images.shape[1:])


def testset_rows(index: Path, testset: str) -> pa.Table:
    """The rows of the index whose clips are a test set, silent ones included."""
    if testset == "validation":
        return clip_reader.select(index, split=Split.VAL, kind=Kind.SOLO, audible=False)
    return clip_reader.select(index, split=Split.TEST, kind=testset, audible=False)


@torch.inference_mode()
def _compute(
    network: LocalizationNetwork,
    crop: int,
    categories: Categories,
    rows: pa.Table,
    clips: Path,
    spectrograms: Path,
    batch: int,
) -> Iterator[Columns]:
    """Columns of the maps of one shard's rows, one batch of clips at a time."""
    device = next(network.parameters()).device
    jpegs, times = clip_reader.frames(rows, clips), clip_reader.frame_times(rows, clips)
    sounds, clip_rows = read_sounds(network, rows, clips, spectrograms), rows.to_pylist()
    for start in range(0, len(jpegs), batch):
        part = slice(start, start + batch)
        images = decode(jpegs[part], crop)
        maps = network.heat_maps(images.to(device), sounds[part].to(device))
        names = sorted(categories) if maps.clusters is not None else []
        yield columns(clip_rows[part], times[part], layers(maps, categories), names)


def run(
    config: Maps,
    *,
    network: Path,
    index: Path,
    clips: Path,
    spectrograms: Path,
    testset: str,
    out: Path,
) -> None:
    """Compute the maps of a test set, or of the validation solos, shard by shard."""
    model, crop, categories = load(network)
    model.to(pick_device(config.device))
    if testset == "synthetic" and config.mosaic_px:
        crop = config.mosaic_px
    rows = testset_rows(index, testset)
    with tables.writer(out, schemas.MAPS) as write:
        for shard in progress(np.unique(rows["shard"].to_numpy()), f"maps {testset}"):
            part = rows.filter(pc.equal(rows["shard"], pa.scalar(shard)))
            batches = _compute(model, crop, categories, part, clips, spectrograms, config.batch)
            for found in batches:
                write(**found)


if __name__ == "__main__":
    stage.main(run)
