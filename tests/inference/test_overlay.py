"""The overlay video and the sheet of frames."""

from dataclasses import replace

import av
import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from spm.inference import overlay
from spm.inference.localize import Localizer
from tests.support.media import make_video, turn


def read_video(path):
    """Codecs of pictures and sound, frames, and length in seconds."""
    with av.open(str(path)) as container:
        pictures, sound = container.streams.video[0], container.streams.audio[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(pictures)]
        length_s = float(container.duration / av.time_base)
        return pictures.codec.name, sound.codec.name, frames, length_s


def test_the_video_has_h264_aac_and_heat_at_the_place_of_the_map(localization, tmp_path):
    corner = np.zeros_like(localization.maps)
    corner[:, 0, 0] = 1
    overlay.video(replace(localization, maps=corner), tmp_path / "hot.mp4")
    overlay.video(replace(localization, maps=0 * corner), tmp_path / "cold.mp4")
    pictures, sound, hot, length_s = read_video(tmp_path / "hot.mp4")
    _, _, cold, _ = read_video(tmp_path / "cold.mp4")
    assert (pictures, sound) == ("h264", "aac")
    assert length_s == pytest.approx(3.4, abs=0.1)
    assert len(hot) == len(cold) == 34
    difference = np.array(hot[5:25], float) - np.array(cold[5:25], float)
    changed = np.abs(difference.mean(0)).sum(2)
    height, width = changed.shape
    upper_left = changed[: height // 4, : width // 4].mean()
    lower_right = changed[height // 2 :, width // 2 :].mean()
    assert upper_left > 20 * lower_right


def test_a_phones_video_stays_upright(network, tmp_path):
    path = turn(make_video(tmp_path / "phone.mp4"), 90)
    localization = Localizer(network, "cpu").localize(path, max_s=2)
    overlay.video(localization, tmp_path / "out.mp4", max_s=2)
    _, _, frames, length_s = read_video(tmp_path / "out.mp4")
    assert frames[0].shape[:2] == (192, 96)
    assert length_s == pytest.approx(2, abs=0.1)


def test_silent_seconds_have_no_heat_and_are_gray(localization, tmp_path):
    quiet = np.where(np.arange(12) < 4, -90.0, -10.0)
    half = replace(localization, maps=np.ones_like(localization.maps), rms_db=quiet)
    heat = overlay.relative_heat(half)
    assert heat[:4].max() == 0 < heat[4:].min()
    overlay.sheet(half, tmp_path / "sheet.png")
    page = np.asarray(Image.open(tmp_path / "sheet.png")).astype(int)
    tile = overlay.TILE
    silent, audible = page[:tile, :tile], page[:tile, tile : 2 * tile]
    assert np.ptp(silent, axis=2).max() == 0  # gray
    assert np.ptp(audible, axis=2).max() > 50


# Machado, Oliveira and Fernandes, TVCG 2009, severity 1: how color-blind people see linear RGB.
COLOR_VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize("vision", COLOR_VISION)
def test_hotter_pixels_are_lighter_for_every_reader_and_in_gray(vision):
    colors = mpl.colormaps[overlay.HEAT](np.linspace(0, 1, 64))[:, :3]
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    seen = (linear @ np.transpose(COLOR_VISION[vision])).clip(0, 1)
    luminance = seen @ [0.2126, 0.7152, 0.0722]
    linear_part = 903.3 * luminance  # of CIE L*
    lightness = np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, linear_part)
    assert (np.diff(lightness) > 0.3).all()
    assert np.ptp(lightness) > 75
