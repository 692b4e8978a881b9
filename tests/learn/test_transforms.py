import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from spm.base.errors import UserError
from spm.learn.transforms import (
    MEAN,
    STD,
    Augmentation,
    color_normalize,
    crop_batch,
    decode,
    decoded,
    normalize,
    resize_normalize,
    sample_params,
)


def jpeg(size: int = 40, seed: int = 0, cells: int = 5, **options) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (cells, cells, 3), dtype=np.uint8)
    smooth = Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    smooth.save(out, "JPEG", **{"quality": 95, **options})
    return out.getvalue()


def params(top=0, left=0, mirror=False, brightness=1.0, color=1.0) -> Augmentation:
    """Parameters of one image."""
    factors = (np.float32([value]) for value in (brightness, color))
    return Augmentation(*(np.array([value]) for value in (top, left, mirror)), *factors)


def augment(images: Tensor, crop: int, params: Augmentation) -> Tensor:
    arrays = images.permute(0, 2, 3, 1).numpy()  # (B, H, W, 3)
    return color_normalize(crop_batch(arrays, crop, params), params)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [30, 75, 98])
def test_decoded_pixels_are_those_of_pillow(quality, subsampling):
    """Within one gray level, also of noise and of sizes that no block of pixels divides."""
    for seed, (size, cells) in enumerate([(255, 4), (256, 32), (61, 61)]):
        image = jpeg(size, seed, cells, quality=quality, subsampling=subsampling)
        expected = np.asarray(Image.open(io.BytesIO(image))).astype(int)
        decoded = decode([image])[0].permute(1, 2, 0).numpy()
        assert abs(decoded - expected).max() <= 1


def test_a_damaged_image_is_an_error_of_one_line():
    whole = jpeg()
    for damaged in (b"", b"not an image", whole[:300], whole[:-2]):
        with pytest.raises(
            UserError, match=r"^a frame is not a complete JPEG image \(.*run again$"
        ):
            decode([whole, damaged])


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


def test_each_image_is_cropped_at_its_own_place():
    jpegs = [jpeg(seed=seed) for seed in range(2)]
    corners = np.array([[0, 9, 5, 0], [4, 2, 5, 1]])  # two views of both images
    ones = np.ones(4, np.float32)
    chosen = Augmentation(*corners, ones.astype(bool), ones, ones)
    crops = crop_batch(decoded(jpegs), 20, chosen, views=2)
    images = decode(jpegs)
    assert torch.equal(crops[0], images[0, :, 0:20, 4:24])
    assert torch.equal(crops[1], images[1, :, 9:29, 2:22])
    assert torch.equal(crops[3], images[1, :, 0:20, 1:21])


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
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert (one.top.min(), one.top.max()) == (0, 32)
    assert 0.4 < one.mirror.mean() < 0.6
    assert one.brightness.min() >= 0.7
    assert one.color.max() <= 1.3


def test_a_resized_image_keeps_its_corners_in_place():
    images = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    images[:, :, :16, :16] = 255
    resized = resize_normalize(images, 16)[0, 0]
    assert resized[0, 0] > 0 > resized[0, 15]
