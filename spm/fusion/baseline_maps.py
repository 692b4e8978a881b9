"""Heat maps of pretrained networks on one test set: baselines that no run has trained.

python -m spm.fusion.baseline_maps --config '{}' --index clips.parquet --clips clips --testset solo
    --out object-prior.parquet zero-shot.parquet

The name of each table is that of its network, a PretrainedBaseline.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from pydantic import Field
from torch import Tensor, nn

from spm.base import schemas, stage, tables
from spm.base.config import Device, Section
from spm.base.errors import UserError
from spm.base.progress import progress
from spm.base.statuses import PretrainedBaseline
from spm.corpus import clip_reader
from spm.fusion.maps import Categories, Columns, columns, decode, layers, read_sounds, testset_rows
from spm.fusion.methods import object_prior, zero_shot
from spm.fusion.untrained import CROP, FRAMES, UntrainedNetwork
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
    device: Device = Field("auto", description="Device: auto (GPU if there is one), cpu or cuda.")


class CachedTrunk(nn.Module):
    """An image trunk that keeps the features of the last frames of each size."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.cache: dict[torch.Size, tuple[Tensor, Tensor]] = {}  # frames, features

    def forward(self, frames: Tensor) -> Tensor:
        """Features of frames: (N, 3, H, W) → (N, c, h, w)."""
        last, features = self.cache.get(frames.shape, (None, None))
        if features is None or last is None or not torch.equal(frames, last):
            features = self.trunk(frames)
            self.cache[frames.shape] = (frames, features)
        return features


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
        trunk = trunk or nn.Sequential(CachedTrunk(network.visual))
        network.visual = trunk


def categories_of(rows: pa.Table) -> list[str]:
    """All categories of the clips, sorted."""
    names: set[str] = set()
    for categories in rows["categories"].to_pylist():
        names.update(categories or ())
    return sorted(names)


@torch.inference_mode()
def compute(
    networks: Networks,
    maps_of: Mapping[str, Categories],
    rows: pa.Table,
    clips: Path,
    image_px: int,
) -> Iterator[dict[str, Columns]]:
    """Columns of the maps of each network for one shard's rows, a few clips at a time."""
    jpegs, times = clip_reader.frames(rows, clips), clip_reader.frame_times(rows, clips)
    sounds = {name: sounds_for(network, rows, clips) for name, network in networks.items()}
    clip_rows = rows.to_pylist()
    batch = max(1, FRAMES // len(jpegs[0]))  # the networks take no more frames at once
    for start in range(0, len(jpegs), batch):
        part = slice(start, start + batch)
        images, found = decode(jpegs[part], image_px), {}
        for name, network in networks.items():
            device = next(network.parameters()).device
            maps = network.heat_maps(images.to(device), sounds[name][part].to(device))
            categories = maps_of[name] if maps.clusters is not None else {}
            stacked = layers(maps, categories)  # (B, f, 1 + c, h, w)
            found[name] = columns(clip_rows[part], times[part], stacked, sorted(categories))
        yield found


def sounds_for(network: UntrainedNetwork, rows: pa.Table, clips: Path) -> Tensor:
    """Sounds of the rows' clips as a network takes them: (clips, …); empty if it hears nothing."""
    if network.reads == "pcm":
        return read_sounds(network, rows, clips, clips)
    return torch.empty(rows.num_rows, 0)


def run(config: BaselineMaps, *, index: Path, clips: Path, testset: str, out: list[Path]) -> None:
    """Compute the maps of each network, of every frame and of every category, shard by shard."""
    networks = build([path.stem for path in out])
    device = pick_device(config.device)
    rows = testset_rows(index, testset)
    names = categories_of(rows)
    maps_of = {name: network.match_categories(names) for name, network in networks.items()}
    with ExitStack() as stack:
        writers = {
            path.stem: stack.enter_context(tables.writer(path, schemas.MAPS)) for path in out
        }
        for network in networks.values():
            network.to(device)
        for shard in progress(np.unique(rows["shard"].to_numpy()), f"baselines {testset}"):
            part = rows.filter(pc.equal(rows["shard"], pa.scalar(shard)))
            for found in compute(networks, maps_of, part, clips, config.image_px):
                for name, write in writers.items():
                    write(**found[name])


if __name__ == "__main__":
    stage.main(run)
