"""Heat maps of one run on one test set: one per frame, or one per frame and category.

python -m spm.fusion.maps --config '{}' --network network.safetensors --index clips.parquet
    --clips clips --spectrograms spectrograms --testset solo --out maps.parquet
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from spm.base import schemas, stage, tables
from spm.base.config import THREADS, UNIQUE, Device, Section, Threads
from spm.base.statuses import PretrainedBaseline
from spm.corpus import clip_reader
from spm.fusion import methods, negative_maps, testsets
from spm.fusion.localization_network import HeatMaps, LocalizationNetwork
from spm.fusion.settings import RunConfig
from spm.fusion.testsets import ClipBatch, ClipFiles
from spm.fusion.untrained import UntrainedNetwork, clips_per_pass
from spm.learn import transforms, weights
from spm.learn.device import pick_device

Categories = dict[str, int]  # name of a category: its cluster
Columns = dict[str, Any]


class Maps(Section):
    """Heat maps of the trained networks on the test sets."""

    testsets: tuple[Literal["solo", "duet", "ensemble", "synthetic", "validation"], ...] = Field(
        ("solo",),
        min_length=1,
        json_schema_extra=UNIQUE,
        description="Test sets: solo, duet, ensemble, synthetic (mosaics), or validation (the solos"
        " of index.val_solos, to choose settings by).",
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
    device: Device = "auto"
    threads: Threads = THREADS


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


def decode(jpegs: Sequence[Sequence[bytes]], crop: int) -> Tensor:
    """The frames of B clips, of f frames each, as images: (B, f, 3, crop, crop)."""
    flat = [jpeg for frames in jpegs for jpeg in frames]
    images = transforms.resize_normalize(transforms.decode(flat), crop)
    return images.view(len(jpegs), -1, *images.shape[1:])


@torch.inference_mode()
def compute(network: LocalizationNetwork, categories: Categories, clips: ClipBatch) -> Columns:
    """Columns of the maps of a batch of clips.

    Also a GPU computes with 32 bits: in half precision a sharp map has many equal cells, so that
    its hottest cell and its area depend on rounding.
    """
    maps = network.heat_maps(clips.images, clips.sounds[0])
    names = sorted(categories) if maps.clusters is not None else []
    return columns(clips.rows, clips.times_s, layers(maps, categories), names)


def run(
    config: Maps,
    *,
    network: Path,
    index: Path,
    clips: Path,
    spectrograms: Path,
    testset: str,
    out: Path,
    mapped: Path | None = None,
    negatives: Path | None = None,
    preset: str | None = None,
    out_negatives: Path | None = None,
) -> None:
    """Compute the maps of a test set, or of the validation solos, shard by shard.

    `negatives` lists other sounds for the same frames. Their maps go to another table.
    """
    model, crop, categories = load(network)
    model.to(pick_device(config.device, config.threads))
    if testset == "synthetic" and config.mosaic_px:
        crop = config.mosaic_px
    chosen = ClipFiles(clip_reader.testset_rows(index, testset), clips, spectrograms, mapped)
    size = config.batch
    if isinstance(model, UntrainedNetwork):  # it computes no more frames at once, and keeps those
        size = clips_per_pass(pick_device(config.device), chosen.frames_per_clip)
    outs, preset = [out_negatives] if out_negatives else [], preset or "dsol"
    negative_tables = negative_maps.open_tables(negatives, index, chosen, preset, [model], outs)
    with tables.writer(out, schemas.MAPS) as write, negative_tables as others:
        others.hear(model, chosen, size)
        title = f"maps {testset}"
        for batch in testsets.batches(chosen, [model], size, crop, title, others.readers):
            write(**compute(model, categories, batch))
            others.write([model], batch)
        others.write_threshold([model], size, crop)


if __name__ == "__main__":
    stage.main(run)
