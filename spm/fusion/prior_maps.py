"""Heat maps of a run mixed with those of a pretrained network: α · map + (1 − α) · prior.

python -m spm.fusion.prior_maps --config '{}' --alpha 0.4 --maps maps.parquet
    --prior object-prior.parquet --out mixed.parquet [--mean geometric]

The geometric mean is map^α · prior^(1 − α). Both maps are scaled to [0, 1] first. The arithmetic
mean with the object prior and α = 0.4 is the object-guided localization of EZ-VSL (Mo and Morgado,
ECCV 2022). No network is trained for it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from spm.base import schemas, stage, tables
from spm.base.config import Section
from spm.base.errors import UserError
from spm.fusion.localization_network import min_max

MapKey = tuple[str, int, str | None]  # clip_id, frame, category
Priors = Mapping[MapKey, NDArray[np.float32]]
FLOOR = 1e-4  # of both maps in the geometric mean: a 0 does not decide alone


def mix(maps: Tensor, prior: Tensor, alpha: float, mean: str = "arithmetic") -> Tensor:
    """α · maps + (1 − α) · prior, both scaled to [0, 1], on the larger of both grids.

    Parameters
    ----------
    maps : Tensor, shape (B, h, w)
        Maps of a run.
    prior : Tensor, shape (B, h', w')
        Maps of a pretrained network of the same frames.
    alpha : float
        Weight of the run's maps, in [0, 1].
    mean : str
        `arithmetic`, or `geometric`: maps^α · prior^(1 − α).

    Returns
    -------
    Tensor, shape (B, H, W), in [0, 1]
        A flat map counts as 0, so that only the other one is left.

    Examples
    --------
    >>> maps, prior = torch.tensor([[[0.0, 0.2]]]), torch.tensor([[[3.0, 1.0]]])
    >>> mix(maps, prior, 0.4)
    tensor([[[0.6000, 0.4000]]])
    """
    size = max(maps.shape[1:], prior.shape[1:])
    scaled = [min_max(resize(part, size)) for part in (maps, prior)]
    if mean == "geometric":
        own, other = (part.clamp_min(FLOOR) for part in scaled)
        return own**alpha * other ** (1 - alpha)
    return alpha * scaled[0] + (1 - alpha) * scaled[1]


def resize(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """Resize maps (B, h, w) to a grid by bilinear interpolation with half-pixel centers."""
    if maps.shape[1:] == size:
        return maps
    return interpolate(maps[:, None], size, mode="bilinear")[:, 0]


def read_priors(path: Path) -> Priors:
    """The maps (h, w) of each frame, and of each category if the network is class-aware."""
    table = tables.read(path, ["clip_id", "frame", "category", "height", "width", "map"])
    return {_key(row): _map_of(row) for row in table.to_pylist()}


def _key(row: Mapping[str, Any]) -> MapKey:
    return row["clip_id"], row["frame"], row["category"]


def _prior_of(row: Mapping[str, Any], priors: Priors) -> NDArray[np.float32]:
    """The prior of a map: of its category, or else of its frame."""
    clip_id, frame, _ = key = _key(row)
    if key not in priors and (clip_id, frame, None) not in priors:
        raise UserError(
            f"the prior has no map of clip {clip_id!r}, frame {frame}: expected the frames of the"
            " run; run the workflow again"
        )
    return priors[key] if key in priors else priors[clip_id, frame, None]


def _map_of(row: Mapping[str, Any]) -> NDArray[np.float32]:
    return np.asarray(row["map"], np.float32).reshape(row["height"], row["width"])


def mixed(
    rows: list[dict[str, Any]], priors: Priors, alpha: float, mean: str
) -> list[dict[str, Any]]:
    """Rows of a table of maps with their maps mixed.

    Raises
    ------
    UserError
        If the prior has no map of a frame.
    """
    maps = torch.from_numpy(np.stack([_map_of(row) for row in rows]))  # (B, h, w)
    prior = torch.from_numpy(np.stack([_prior_of(row, priors) for row in rows]))
    mixture = mix(maps, prior, alpha, mean)
    height, width = mixture.shape[1:]
    cells = mixture.flatten(1).numpy()
    shape = {"height": height, "width": width}
    return [{**row, **shape, "map": values} for row, values in zip(rows, cells, strict=True)]


def run(
    config: Section,
    *,
    alpha: float,
    mean: str = "arithmetic",
    maps: Path,
    prior: Path,
    out: Path,
) -> None:
    """Mix every map of a run, those of categories included, with the prior of its frame."""
    priors = read_priors(prior)
    with tables.writer(out, schemas.MAPS) as write:
        for batch in tables.batches(maps, schemas.MAPS.names):
            rows = mixed(batch.to_pylist(), priors, alpha, mean)
            write(**pa.Table.from_pylist(rows, schemas.MAPS.schema).to_pydict())


if __name__ == "__main__":
    stage.main(run)
