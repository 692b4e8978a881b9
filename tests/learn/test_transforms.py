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
    smooth = np.random.default_rng(seed).integers(0, 255, (5, 5, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(smooth).resize((size, size), Image.Resampling.BICUBIC).save(
        out, "JPEG", quality=95
    )
    return out.getvalue()


def how(top=0, left=0, mirror=False, brightness=1.0, color=1.0) -> Augmentation:
    return Augmentation(
        *(torch.tensor([value]) for value in (top, left, mirror, brightness, color))
    )


def test_decoded_pictures_are_channels_rows_columns():
    red_corner = np.zeros((16, 16, 3), np.uint8)
    red_corner[:8, 8:] = (255, 0, 0)
    out = io.BytesIO()
    Image.fromarray(red_corner).save(out, "JPEG", quality=95, subsampling=0)
    picture = decode([out.getvalue()])[0]
    assert picture.shape == (3, 16, 16)
    assert picture[0, :8, 8:].min() > 200 > 60 > picture[1:].max()


def test_normalized_pictures_have_imagenets_scale():
    white = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    torch.testing.assert_close(normalize(white)[0, :, 0, 0], (1 - MEAN) / STD)


def test_no_augmentation_is_a_crop():
    pictures = decode([jpeg()])
    torch.testing.assert_close(
        augment(pictures, 30, how(3, 5)), normalize(pictures)[:, :, 3:33, 5:35]
    )


def test_mirroring_turns_left_to_right():
    pictures = decode([jpeg()])
    torch.testing.assert_close(augment(pictures, 40, how(mirror=True)), normalize(pictures).flip(3))


@pytest.mark.parametrize(
    ("enhance", "name"), [(ImageEnhance.Brightness, "brightness"), (ImageEnhance.Color, "color")]
)
@pytest.mark.parametrize("factor", [0.7, 0.9])
def test_brightness_and_color_are_pillows(enhance, name, factor):
    picture = Image.open(io.BytesIO(jpeg()))
    expected = torch.from_numpy(np.asarray(enhance(picture).enhance(factor)).copy()).permute(
        2, 0, 1
    )[None]
    ours = augment(decode([jpeg()]), 40, how(**{name: factor}))
    assert (
        ours - normalize(expected)
    ).abs().max() * STD.min() * 255 < 4  # gray levels: rounding, and the decoders


def test_draws_stay_in_the_picture_and_repeat_with_their_seed():
    one, two = (sample_params(500, 32, torch.Generator().manual_seed(1)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert (one.top.min(), one.top.max()) == (0, 32)
    assert 0.4 < one.mirror.float().mean() < 0.6
    assert one.brightness.min() >= 0.7
    assert one.color.max() <= 1.3


def test_a_whole_picture_keeps_its_corners_in_place():
    pictures = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    pictures[:, :, :16, :16] = 255
    small = resize_normalize(pictures, 16)[0, 0]
    assert small[0, 0] > 0 > small[0, 15]
