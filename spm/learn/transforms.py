"""From JPEG bytes to a normalized batch of images, with random crops, mirroring and colors.

Worker processes decode and crop (`decoded`, `crop_batch`), because crops of 8 bits are small.
Mirroring, colors and normalization are batched on the device of the network (`color_normalize`).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import simplejpeg
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from spm.base.errors import UserError
from spm.base.sizes import check_pixels
from spm.learn import slots

MEAN = torch.tensor([0.485, 0.456, 0.406])  # of ImageNet's pixels, in [0, 1]
STD = torch.tensor([0.229, 0.224, 0.225])
LUMA = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601: Pillow's weights of a gray value
JITTER = 0.3  # brightness and color factors are uniform in 1 ± JITTER (DSOL)


class Augmentation(NamedTuple):
    """Random parameters of an augmentation, one value per image."""

    top: np.ndarray  # (B,) first row of the crop
    left: np.ndarray  # (B,) first column
    mirror: np.ndarray  # (B,) bool
    brightness: np.ndarray  # (B,) float32 factor
    color: np.ndarray  # (B,) float32 factor: 0 is gray, 1 leaves the colors unchanged


def sample_params(batch: int, margin: int, generator: torch.Generator) -> Augmentation:
    """Parameters of random crops with a margin of `margin` px, half of them mirrored.

    This is DSOL's training transform.
    """
    uniform = torch.rand(4, batch, generator=generator).numpy()
    corner = torch.randint(0, margin + 1, (2, batch), generator=generator).numpy()
    factor = 1 + JITTER * (2 * uniform[:2] - 1)
    return Augmentation(corner[0], corner[1], uniform[2] < 0.5, factor[0], factor[1])


def decoded(jpegs: Iterable[bytes]) -> Iterator[np.ndarray]:
    """Decode images one after the other: (H, W, 3) each, uint8.

    All images of one size, or smaller, are decoded into the same memory, which stays in the
    processor's cache: use each before the next.

    Raises
    ------
    UserError
        If an image is damaged.
    """
    memory = np.empty(1, np.uint8)
    for jpeg in jpegs:
        try:
            image = simplejpeg.decode_jpeg(jpeg, "RGB", buffer=memory)
        except ValueError:  # larger than the memory, or damaged
            image = _decode_first(jpeg)
            memory = image.reshape(-1)
        yield image


def _decode_first(jpeg: bytes) -> np.ndarray:
    """Decode an image into new memory, after a look at its size."""
    try:
        size(jpeg)
        image: np.ndarray = simplejpeg.decode_jpeg(jpeg, "RGB")
    except ValueError as error:
        raise UserError(
            f"a frame is not a complete JPEG image ({error}): delete the table of its clips and"
            " run again"
        ) from error
    return image


def decode(jpegs: Sequence[bytes]) -> Tensor:
    """Decode images of one size: (B, 3, H, W), uint8; the memory has the order (B, H, W, 3)."""
    images = slots.empty((len(jpegs), *size(jpegs[0]), 3), torch.uint8)
    for out, image in zip(images.numpy(), decoded(jpegs), strict=True):
        out[:] = image
    return images.permute(0, 3, 1, 2)


def decode_each(jpegs: Sequence[bytes]) -> list[Tensor]:
    """Decode images of any sizes: (3, H, W) each, uint8; the memory has the order (H, W, 3)."""
    return [torch.from_numpy(image.copy()).permute(2, 0, 1) for image in decoded(jpegs)]


def stack(images: Sequence[Tensor]) -> Tensor:
    """Decoded images of one size as one tensor: B images (3, H, W) → (B, 3, H, W)."""
    rows = [image.permute(1, 2, 0) for image in images]  # (H, W, 3)
    return torch.stack(rows).permute(0, 3, 1, 2)


def size(jpeg: bytes) -> tuple[int, int]:
    """Height and width of an image in px."""
    height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
    check_pixels(width, height)
    return height, width


def crop_batch(
    images: Iterable[np.ndarray], crop: int, params: Augmentation, views: int = 1
) -> Tensor:
    """Crop each image at its own place, `views` times: (views · B, 3, crop, crop), uint8.

    Parameters
    ----------
    images : iterable of B arrays, shape (H, W, 3), uint8
        Such as those of `decoded`.
    crop : int
        Width and height of the crops in px.
    params : Augmentation
        For views · B crops: those of the first view of all images first. The memory of the result
        has the order (views · B, crop, crop, 3).
    views : int
        Crops of each image.
    """
    corners = list(zip(params.top.tolist(), params.left.tolist(), strict=True))
    crops = slots.empty((len(corners), crop, crop, 3), torch.uint8)
    arrays = crops.numpy()
    for number, image in enumerate(images):
        for place in range(number, len(corners), len(corners) // views):
            top, left = corners[place]
            arrays[place] = image[top : top + crop, left : left + crop]
    return crops.permute(0, 3, 1, 2)


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


def color_normalize(crops: Tensor, params: Augmentation) -> Tensor:
    """Mirror, recolor and normalize: (B, 3, H, W) uint8 → float32, on the device of the crops."""
    factors = torch.from_numpy(params.brightness), torch.from_numpy(params.color)
    matrix, offset = _color_transform(*factors)
    mirror = torch.from_numpy(params.mirror).to(crops.device, non_blocking=True)
    mirror = mirror[:, None, None, None]
    mirrored = torch.where(mirror, crops.flip(3), crops)
    planes = mirrored.to(torch.float32, memory_format=torch.contiguous_format)
    return _apply(planes, matrix, offset)


def _apply(images: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    pixels = images.flatten(2).float()  # (B, 3, H·W)
    # A blocking copy would wait for all that the GPU has to do.
    matrix = matrix.to(images.device, non_blocking=True)
    offset = offset.to(images.device, non_blocking=True)
    return torch.baddbmm(offset, matrix, pixels).view(images.shape)


def resize_normalize(images: Tensor, size: int) -> Tensor:
    """Resize whole images and normalize them: (B, 3, H, W) uint8 → (B, 3, size, size) float32."""
    if images.shape[2:] == (size, size):
        return normalize(images)
    resized = interpolate(
        images.float(), (size, size), mode="bilinear", antialias=True, align_corners=False
    )
    return normalize(resized)
