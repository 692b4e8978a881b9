"""Heat maps of pretrained networks on one test set: baselines that no run has trained.

python -m spm.fusion.baseline_maps --config '{}' --index clips.parquet --clips clips --testset solo
    --out object-prior.parquet zero-shot.parquet

The name of each table is that of its network, a PretrainedBaseline.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import torch
from pydantic import Field
from torch import nn

from spm.base import schemas, stage, tables
from spm.base.config import THREADS, Device, Section, Threads
from spm.base.errors import UserError
from spm.base.statuses import PretrainedBaseline
from spm.corpus import clip_reader
from spm.fusion import negative_maps, testsets
from spm.fusion.cached_features import cached
from spm.fusion.maps import Categories, Columns, columns, layers
from spm.fusion.methods import object_prior, zero_shot
from spm.fusion.testsets import ClipBatch, ClipFiles
from spm.fusion.untrained import CROP, UntrainedNetwork, clips_per_pass
from spm.learn.device import pick_device

Networks = Mapping[str, UntrainedNetwork]  # by the name of the baseline


class BaselineMaps(Section):
    """Heat maps of the pretrained networks of scores.pretrained_baselines on the test sets."""

    image_px: int = Field(
        CROP,
        ge=32,
        le=2_048,
        description="Width and height of a frame for these networks, in px; their maps have a cell"
        " per 32 px. Fewer px take less time and give coarser maps.",
    )
    device: Device = "auto"
    threads: Threads = THREADS


def build(names: Sequence[str]) -> Networks:
    """The named networks in evaluation mode; they share one image trunk.

    Raises
    ------
    UserError
        If a name is not that of a baseline, or weights can't be had.
    """
    found: dict[str, UntrainedNetwork] = {}
    for name in names:
        if name == PretrainedBaseline.OBJECT_PRIOR:
            settings = object_prior.Settings.model_validate({"method": "object_prior"})
            found[name] = object_prior.Network(settings)
        elif name == PretrainedBaseline.ZERO_SHOT:
            found[name] = zero_shot.pretrained_network()
        else:
            raise UserError(
                f"--out {name}: no such baseline; expected tables named"
                f" {' or '.join(PretrainedBaseline)}"
            )
    share_trunk(found)
    return {name: network.eval() for name, network in found.items()}


def share_trunk(networks: Networks) -> None:
    """Give all networks the trunk of the first one: their pretrained trunks are equal."""
    trunk: nn.Sequential | None = None
    for network in networks.values():
        trunk = trunk or cached(network.visual)
        network.visual = trunk


def categories_of(rows: pa.Table) -> list[str]:
    """All categories of the clips, sorted."""
    names: set[str] = set()
    for categories in rows["categories"].to_pylist():
        names.update(categories or ())
    return sorted(names)


@torch.inference_mode()
def compute(
    networks: Networks, maps_of: Mapping[str, Categories], batch: ClipBatch
) -> dict[str, Columns]:
    """Columns of the maps of each network for a batch of clips."""
    found = {}
    for (name, network), sounds in zip(networks.items(), batch.sounds, strict=True):
        maps = network.heat_maps(batch.images, sounds)
        categories = maps_of[name] if maps.clusters is not None else {}
        stacked = layers(maps, categories)  # (B, f, 1 + c, h, w)
        found[name] = columns(batch.rows, batch.times_s, stacked, sorted(categories))
    return found


def run(
    config: BaselineMaps,
    *,
    index: Path,
    clips: Path,
    testset: str,
    out: list[Path],
    mapped: Path | None = None,
    negatives: Path | None = None,
    out_negatives: list[Path],
) -> None:
    """Compute the maps of each network, of every frame and of every category, shard by shard.

    `negatives` lists other sounds for the same frames. Their maps go to other tables.
    """
    networks, device = (
        build([path.stem for path in out]),
        pick_device(config.device, config.threads),
    )
    chosen = ClipFiles(clip_reader.testset_rows(index, testset), clips, None, mapped)
    names = categories_of(chosen.rows)
    maps_of = {name: network.match_categories(names) for name, network in networks.items()}
    size = clips_per_pass(device, chosen.frames_per_clip)
    every = [*networks.values()]
    for network in every:
        network.to(device)
    negative_tables = negative_maps.open_tables(
        negatives, index, chosen, "dsol", every, out_negatives
    )
    with ExitStack() as stack:
        writers = {
            path.stem: stack.enter_context(tables.writer(path, schemas.MAPS)) for path in out
        }
        others = stack.enter_context(negative_tables)
        for network in every:
            others.hear(network, chosen, size)
        title = f"baselines {testset}"
        for batch in testsets.batches(chosen, every, size, config.image_px, title, others.readers):
            for name, found in compute(networks, maps_of, batch).items():
                writers[name](**found)
            others.write(every, batch)
        others.write_threshold(every, size, config.image_px)


if __name__ == "__main__":
    stage.main(run)
