import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from spm.learn.transforms import (
    MEAN,
    STD,
    Augmentation,
    augment,
    decode,
    normalize,
    resize_normalize,
    sample_params,
)


def jpeg(size: int = 40, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (5, 5, 3), dtype=np.uint8)
    smooth = Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    smooth.save(out, "JPEG", quality=95)
    return out.getvalue()


def params(top=0, left=0, mirror=False, brightness=1.0, color=1.0) -> Augmentation:
    """Parameters of one image."""
    values = (top, left, mirror, brightness, color)
    return Augmentation(*(torch.tensor([value]) for value in values))


def test_decoded_images_are_channels_rows_columns():
    red_corner = np.zeros((16, 16, 3), np.uint8)
    red_corner[:8, 8:] = (255, 0, 0)
    out = io.BytesIO()
    Image.fromarray(red_corner).save(out, "JPEG", quality=95, subsampling=0)
    image = decode([out.getvalue()])[0]
    assert image.shape == (3, 16, 16)
    assert image[0, :8, 8:].min() > 200 > 60 > image[1:].max()


def test_normalized_images_have_the_scale_of_imagenet():
    white = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    torch.testing.assert_close(normalize(white)[0, :, 0, 0], (1 - MEAN) / STD)


def test_without_mirroring_and_recoloring_the_result_is_a_crop():
    images = decode([jpeg()])
    expected = normalize(images)[:, :, 3:33, 5:35]
    torch.testing.assert_close(augment(images, 30, params(3, 5)), expected)


def test_mirroring_flips_left_and_right():
    images = decode([jpeg()])
    torch.testing.assert_close(augment(images, 40, params(mirror=True)), normalize(images).flip(3))


@pytest.mark.parametrize(
    ("enhance", "name"), [(ImageEnhance.Brightness, "brightness"), (ImageEnhance.Color, "color")]
)
@pytest.mark.parametrize("factor", [0.7, 0.9])
def test_brightness_and_color_agree_with_pillow(enhance, name, factor):
    image = Image.open(io.BytesIO(jpeg()))
    array = np.asarray(enhance(image).enhance(factor)).copy()
    expected = normalize(torch.from_numpy(array).permute(2, 0, 1)[None])
    result = augment(decode([jpeg()]), 40, params(**{name: factor}))
    # In gray levels; the rest is rounding, and the difference between two decoders.
    assert (result - expected).abs().max() * STD.min() * 255 < 4


def test_random_parameters_stay_in_the_image_and_depend_on_the_seed_only():
    one, two = (sample_params(500, 32, torch.Generator().manual_seed(1)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert (one.top.min(), one.top.max()) == (0, 32)
    assert 0.4 < one.mirror.float().mean() < 0.6
    assert one.brightness.min() >= 0.7
    assert one.color.max() <= 1.3


def test_a_resized_image_keeps_its_corners_in_place():
    images = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    images[:, :, :16, :16] = 255
    resized = resize_normalize(images, 16)[0, 0]
    assert resized[0, 0] > 0 > resized[0, 15]
