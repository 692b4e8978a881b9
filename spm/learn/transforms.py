"""From JPEG bytes to a normalized batch of images, with random crops, mirroring and colors."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

MEAN = torch.tensor([0.485, 0.456, 0.406])  # of ImageNet's pixels, in [0, 1]
STD = torch.tensor([0.229, 0.224, 0.225])
LUMA = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601: Pillow's weights of a gray value
JITTER = 0.3  # brightness and color factors are uniform in 1 ± JITTER (DSOL)


class Augmentation(NamedTuple):
    """Random parameters of an augmentation, one value per image."""

    top: Tensor  # (B,) first row of the crop
    left: Tensor  # (B,) first column
    mirror: Tensor  # (B,) bool
    brightness: Tensor  # (B,) factor
    color: Tensor  # (B,) factor: 0 is gray, 1 leaves the colors unchanged


def sample_params(batch: int, margin: int, generator: torch.Generator) -> Augmentation:
    """Parameters of random crops with a margin of `margin` px, half of them mirrored.

    This is DSOL's training transform.
    """
    uniform = torch.rand(4, batch, generator=generator)
    corner = torch.randint(0, margin + 1, (2, batch), generator=generator)
    factor = 1 + JITTER * (2 * uniform[:2] - 1)
    return Augmentation(corner[0], corner[1], uniform[2] < 0.5, factor[0], factor[1])


def decode(jpegs: Sequence[bytes]) -> Tensor:
    """Decode images of one size: (B, 3, size, size), uint8."""
    arrays = [np.asarray(Image.open(io.BytesIO(jpeg))) for jpeg in jpegs]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


def _color_transform(brightness: Tensor, color: Tensor) -> tuple[Tensor, Tensor]:
    """Matrix (B, 3, 3) and offset (3, 1) that change colors and normalize 8-bit pixels.

    Brightness, color and normalization are linear, so that one matrix does all three. Values above
    white are kept; Pillow would clip them.
    """
    gray = torch.ones(3, 1) * LUMA  # replaces each channel by the gray value
    mix = color[:, None, None] * torch.eye(3) + (1 - color)[:, None, None] * gray
    matrix = brightness[:, None, None] * mix / (255 * STD[:, None])
    return matrix, -(MEAN / STD)[:, None]


def normalize(images: Tensor) -> Tensor:
    """(B, 3, H, W) uint8 → float32 with ImageNet's mean and standard deviation."""
    ones = torch.ones(len(images))
    return _apply(images, *_color_transform(ones, ones))


def augment(images: Tensor, crop: int, params: Augmentation) -> Tensor:
    """Crop, mirror, recolor and normalize: (B, 3, H, W) uint8 → (B, 3, crop, crop) float32."""
    out = torch.empty(len(images), 3, crop, crop, dtype=torch.uint8)
    tops, lefts, mirrors = params.top.tolist(), params.left.tolist(), params.mirror.tolist()
    for n, image in enumerate(images):
        part = image[:, tops[n] : tops[n] + crop, lefts[n] : lefts[n] + crop]
        out[n] = part.flip(2) if mirrors[n] else part
    return _apply(out, *_color_transform(params.brightness, params.color))


def _apply(images: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    return torch.baddbmm(offset, matrix, images.flatten(2).float()).view(images.shape)


def resize_normalize(images: Tensor, size: int) -> Tensor:
    """Resize whole images and normalize them: (B, 3, H, W) uint8 → (B, 3, size, size) float32."""
    resized = interpolate(
        images.float(), (size, size), mode="bilinear", antialias=True, align_corners=False
    )
    return normalize(resized)
