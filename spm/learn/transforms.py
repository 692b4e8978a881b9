"""From JPEG bytes to a normalized batch: decoded, cropped, mirrored and recolored in one pass each."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

MEAN = torch.tensor([0.485, 0.456, 0.406])  # ImageNet's, in [0, 1]
STD = torch.tensor([0.229, 0.224, 0.225])
LUMA = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601: what Pillow calls gray
JITTER = 0.3  # brightness and color factors are uniform in 1 ± JITTER (DSOL)


class Augmentation(NamedTuple):
    """One draw for each picture of a batch."""

    top: Tensor  # (B,) first row of the crop
    left: Tensor  # (B,) first column
    mirror: Tensor  # (B,) bool
    brightness: Tensor  # (B,) factor
    color: Tensor  # (B,) factor: 0 is gray, 1 leaves colors as they are


def sample_params(batch: int, margin: int, generator: torch.Generator) -> Augmentation:
    """Random crops with `margin` pixels to spare, mirrored half of the time (DSOL's training transform)."""
    uniform = torch.rand(4, batch, generator=generator)
    place = torch.randint(0, margin + 1, (2, batch), generator=generator)
    factor = 1 + JITTER * (2 * uniform[:2] - 1)
    return Augmentation(place[0], place[1], uniform[2] < 0.5, factor[0], factor[1])


def decode(jpegs: Sequence[bytes]) -> Tensor:
    """Decode pictures of one size: (B, 3, size, size), uint8."""
    arrays = [np.asarray(Image.open(io.BytesIO(jpeg))) for jpeg in jpegs]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


def _recolor(brightness: Tensor, color: Tensor) -> tuple[Tensor, Tensor]:
    """Brightness, color and normalization of 8-bit pixels are linear: a (B, 3, 3) matrix and a (3, 1) offset.

    Values beyond white are kept, where Pillow would clip them.
    """
    gray = torch.ones(3, 1) * LUMA  # each channel becomes the gray value
    mix = color[:, None, None] * torch.eye(3) + (1 - color)[:, None, None] * gray
    matrix = brightness[:, None, None] * mix / (255 * STD[:, None])
    return matrix, -(MEAN / STD)[:, None]


def normalize(pictures: Tensor) -> Tensor:
    """(B, 3, H, W) uint8 → float32 with ImageNet's mean and deviation."""
    one = torch.ones(len(pictures))
    return _apply(pictures, *_recolor(one, one))


def augment(pictures: Tensor, crop: int, how: Augmentation) -> Tensor:
    """(B, 3, size, size) uint8 → (B, 3, crop, crop) float32: cropped, mirrored, recolored and normalized."""
    out = torch.empty(len(pictures), 3, crop, crop, dtype=torch.uint8)
    places = zip(pictures, how.top.tolist(), how.left.tolist(), how.mirror.tolist(), strict=True)
    for n, (picture, top, left, mirror) in enumerate(places):
        cut = picture[:, top : top + crop, left : left + crop]
        out[n] = cut.flip(2) if mirror else cut
    return _apply(out, *_recolor(how.brightness, how.color))


def _apply(pictures: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    return torch.baddbmm(offset, matrix, pictures.flatten(2).float()).view(pictures.shape)


def resize_normalize(pictures: Tensor, size: int) -> Tensor:
    """(B, 3, H, W) uint8 → (B, 3, size, size) float32: the whole picture, resized and normalized, for testing."""
    small = interpolate(
        pictures.float(), (size, size), mode="bilinear", antialias=True, align_corners=False
    )
    return normalize(small)
