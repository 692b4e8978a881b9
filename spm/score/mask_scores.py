"""Score maps against masks, frame by frame: `spm.score.segmentation` has the figures.

A frame that has boxes only has the union of its boxes as its mask. Masks are resized to 224 x 224
pixels by the nearest pixel, maps as everywhere by bilinear interpolation.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from spm.base.errors import UserError
from spm.score import baselines, masks, segmentation
from spm.score.evaluation import FrameKey, Predictions, Truth
from spm.score.masks import Maps
from spm.score.metrics import Mask
from spm.score.segmentation import Agreement

PX = segmentation.PX
AS_THEY_ARE, MINMAX = "avsbench", "avsbench-minmax"  # the names of the protocols
SOURCES = {
    AS_THEY_ARE: "AVSBench (Zhou et al., ECCV 2022): the values of a map are probabilities",
    MINMAX: "the same, after each map is scaled to [0, 1]",
}
MAPS, ORACLE = "maps", "oracle"


def nearest(mask: Mask, px: int = PX) -> Mask:
    """Resize a mask (h, w) to (px, px): each pixel has the value at its centre."""
    rows, columns = (((np.arange(px) + 0.5) * size / px).astype(int) for size in mask.shape)
    return mask[np.ix_(rows, columns)]


def truth_mask(truth: Truth, key: FrameKey) -> Mask:
    """The mask of a frame, or the union of its boxes, (224, 224)."""
    if key in truth.masks:
        return nearest(truth.masks[key].read())
    sides = [box.sides for box in truth.boxes.get(key, ())]
    return masks.raster(np.array(sides, np.float64).reshape(-1, 4), PX, truth.form)


def minmax(maps: Maps) -> Maps:
    """Each map (n, h, w) scaled to [0, 1]; a constant map stays as it is, clipped to [0, 1]."""
    low, high = (bound(maps, axis=(1, 2), keepdims=True) for bound in (np.min, np.max))
    spread = np.where(high > low, high - low, 1)
    return np.where(high > low, (maps - low) / spread, np.clip(maps, 0, 1)).astype(np.float32)


def _systems(maps: Maps, truth: Mask) -> Iterator[tuple[str, Maps]]:
    """The resized maps, and the baselines on the same frames, all in [0, 1]."""
    yield MAPS, masks.resize(maps, PX)
    for name, region in baselines.regions(np.empty((0, 4)), PX).items():
        yield name, np.broadcast_to(region.astype(np.float32), truth.shape)
    covered = baselines.coverage(truth, *maps.shape[1:])
    yield ORACLE, masks.resize(covered.astype(np.float32), PX)


def score(predictions: Predictions, truth: Truth) -> dict[str, dict[str, Agreement]]:
    """Compare the maps and the baselines with the masks: by protocol, then by system.

    Returns
    -------
    dict
        `avsbench` is left out if a value lies outside of [0, 1]. Baselines are the same under both
        protocols, so they are in the first one only.

    Raises
    ------
    UserError
        If there are maps of classes only, or a mask can't be read.
    """
    if predictions.frame_maps is None:
        raise UserError("masks need one map per frame, but there are only maps of classes")
    parts: dict[str, dict[str, list[Agreement]]] = {AS_THEY_ARE: {}, MINMAX: {}}
    in_range = True
    for _, loaded in predictions.parts():
        for start in range(0, len(loaded.keys), masks.BATCH):
            keys = loaded.keys[start : start + masks.BATCH]
            maps = np.asarray(loaded.frame_maps)[start : start + masks.BATCH]
            drawn = np.stack([truth_mask(truth, key) for key in keys])
            in_range &= bool((maps >= 0).all() and (maps <= 1).all())
            for name, values in _systems(maps, drawn):
                if name != MAPS or in_range:
                    found = segmentation.agreement(values, drawn)
                    parts[AS_THEY_ARE].setdefault(name, []).append(found)
                if name == MAPS:
                    found = segmentation.agreement(minmax(values), drawn)
                    parts[MINMAX].setdefault(name, []).append(found)
    if not in_range:
        parts[MINMAX] |= {name: found for name, found in parts[AS_THEY_ARE].items() if name != MAPS}
        del parts[AS_THEY_ARE]
    return {protocol: _joined(systems) for protocol, systems in parts.items()}


def _joined(systems: Mapping[str, list[Agreement]]) -> dict[str, Agreement]:
    return {name: Agreement.join(found) for name, found in systems.items()}


def sizes(truth: Truth, keys: list[FrameKey]) -> NDArray[np.int64]:
    """Number of pixels of the truth of each frame, of 224 x 224, shape (n,)."""
    return np.array([np.count_nonzero(truth_mask(truth, key)) for key in keys], np.int64)
