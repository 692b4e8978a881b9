"""Pictures of a benchmark set, and the object prior's maps of them as a baseline.

The pictures lie in a folder, in any subfolder, or in a data set of a hub, OWNER/NAME or
OWNER/NAME@REVISION. A picture is found by the key of its frame: `visual_frames/KEY.jpg` or the
like. Two frames of one picture, as those of IS3, may share the file of the picture.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from spm.base.errors import UserError
from spm.base.progress import progress
from spm.base.statuses import PretrainedBaseline
from spm.boxes.formats.masks import SUFFIXES
from spm.fusion.baseline_maps import build
from spm.fusion.maps import layers
from spm.fusion.untrained import CROP
from spm.inference import hub
from spm.learn.device import pick_device
from spm.learn.transforms import resize_normalize
from spm.score.evaluation import Predictions

BATCH = 8  # pictures
MASKS = ("mask", "segmentation", "gt_")  # folders with these words in their names hold no pictures


def find(source: str) -> Path:
    """The folder of pictures, downloaded from a hub if `source` is the name of a data set there.

    Raises
    ------
    UserError
        If there is no such folder and no such data set.
    """
    if hub.is_id(source):
        repository, _, revision = source.partition("@")
        with hub.one_line_errors(source, "expected a folder, or a data set of the hub"):
            from huggingface_hub import snapshot_download

            return Path(
                snapshot_download(repository, repo_type="dataset", revision=revision or None)
            )
    if not Path(source).is_dir():
        raise UserError(f"{source}: no such folder of pictures")
    return Path(source)


def pictures_of(keys: Sequence[str], videos: Sequence[str], folder: Path) -> dict[str, Path]:
    """The file of each frame's picture, by key.

    Parameters
    ----------
    keys : sequence of str
        Keys of frames; what follows `@` names a sound.
    videos : sequence of str
        The picture's name, where several keys share a picture.
    folder : Path

    Raises
    ------
    UserError
        If a picture is missing, or two files can be it.
    """
    by_name: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        parents = path.relative_to(folder).parent.parts
        if path.suffix.lower() in SUFFIXES and not any(map(_is_of_masks, parents)):
            by_name.setdefault(path.stem, []).append(path)
    return {
        key: _pick(key, by_name, [key.partition("@")[0].rpartition("/")[2], video], folder)
        for key, video in zip(keys, videos, strict=True)
    }


def _is_of_masks(name: str) -> bool:
    return any(word in name.lower() for word in MASKS)


def _pick(key: str, by_name: Mapping[str, list[Path]], stems: Sequence[str], folder: Path) -> Path:
    for stem in stems:
        found = by_name.get(stem, [])
        if len(found) > 1:
            raise UserError(f"{found[0]} and {found[1]} can both be the picture of {key}; keep one")
        if found:
            return found[0]
    raise UserError(f"{folder}: no picture of {key}; expected an image named {' or '.join(stems)}")


def _read(path: Path) -> Tensor:
    """One picture, resized: (3, CROP, CROP)."""
    try:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: can't be read as a picture ({error})") from error
    return resize_normalize(torch.from_numpy(pixels).permute(2, 0, 1)[None], CROP)[0]


@torch.inference_mode()
def object_prior(predictions: Predictions, folder: Path, device_name: str = "auto") -> Predictions:
    """The object prior's map of each frame's picture, in the order of the predictions."""
    videos = [names[0] for names in predictions.videos]
    files = list(pictures_of(list(predictions.keys), videos, folder).values())
    device = pick_device(device_name)
    network = build((PretrainedBaseline.OBJECT_PRIOR,))[PretrainedBaseline.OBJECT_PRIOR].to(device)
    parts = []
    for start in progress(range(0, len(files), BATCH), "object prior"):
        images = torch.stack([_read(path) for path in files[start : start + BATCH]])
        maps = network.heat_maps(images[:, None].to(device), torch.empty(len(images), 0))
        parts.append(layers(maps, {})[:, 0, 0].cpu().numpy())  # (B, h, w)
    return Predictions(predictions.keys, predictions.videos, np.concatenate(parts))
