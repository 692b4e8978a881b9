"""The overlay video."""

from dataclasses import replace

import av
import numpy as np
import pytest

from spm.inference import drawing, overlay
from spm.inference.localize import Localizer
from tests.support.media import make_video, turn


def read_video(path):
    """Codecs of pictures and sound, frames, and length in seconds."""
    with av.open(str(path)) as container:
        pictures, sound = container.streams.video[0], container.streams.audio[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(pictures)]
        length_s = float(container.duration / av.time_base)
        return pictures.codec.name, sound.codec.name, frames, length_s


@pytest.mark.slow
def test_the_video_has_h264_aac_and_heat_at_the_place_of_the_map(localization, tmp_path):
    corner = np.zeros_like(localization.maps)
    corner[:, 0, 0] = 0.9
    boxless = replace(localization, threshold=1)
    overlay.write(replace(boxless, maps=corner), tmp_path / "hot.mp4")
    overlay.write(replace(boxless, maps=0 * corner), tmp_path / "cold.mp4")
    pictures, sound, hot, length_s = read_video(tmp_path / "hot.mp4")
    _, _, cold, _ = read_video(tmp_path / "cold.mp4")
    with av.open(str(tmp_path / "hot.mp4")) as container:
        assert container.metadata["comment"].endswith(f"network {localization.network}")
    assert (pictures, sound) == ("h264", "aac")
    assert length_s == pytest.approx(3.4, abs=0.1)
    assert len(hot) == len(cold) == 34
    difference = np.array(hot[5:25], float) - np.array(cold[5:25], float)
    changed = np.abs(difference.mean(0)).sum(2)[:64]
    height, width = changed.shape
    upper_left = changed[: height // 4, : width // 4].mean()
    lower_right = changed[height // 2 :, width // 2 :].mean()
    assert upper_left > 20 * lower_right


@pytest.mark.slow
def test_the_film_has_the_box_where_the_score_reaches_the_threshold(network, tmp_path):
    path = make_video(tmp_path / "video.mp4", seconds=2)
    localization = Localizer(network, "cpu").localize(path)
    maps = np.zeros_like(localization.maps)
    maps[2:, 2, 1] = 0.6  # from 1 s on
    hot = replace(localization, maps=maps)
    overlay.write(replace(hot, threshold=0.5), tmp_path / "box.mp4")
    overlay.write(replace(hot, threshold=0.7), tmp_path / "none.mp4")
    with_box, without = (
        np.array(read_video(tmp_path / name)[2], int) for name in ("box.mp4", "none.mp4")
    )
    changed = np.abs(with_box - without).max(3)[:, :96]  # (frames, 96, 192)
    assert changed[:25].max() < 60 < changed[35:].max()
    rows, columns = np.nonzero(changed[35:].mean(0) > 60)
    assert (columns.min(), columns.max()) == pytest.approx((48, 96), abs=6)
    assert rows.max() == pytest.approx(72, abs=3)


@pytest.mark.slow
def test_a_phones_video_stays_upright_and_has_a_strip_below_it(network, tmp_path):
    path = turn(make_video(tmp_path / "phone.mp4"), 90)
    localization = Localizer(network, "cpu").localize(path, max_s=2)
    overlay.write(localization, tmp_path / "out.mp4", max_s=2)
    _, _, frames, length_s = read_video(tmp_path / "out.mp4")
    layout = overlay.Layout.of((96, 192))
    assert frames[0].shape[:2] == (layout.total_height, 96)
    assert layout.height == 192 < layout.total_height
    assert length_s == pytest.approx(2, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seconds", "max_s", "frames"), [(2, None, 60), (2.5, None, 75), (3, 2, 60)]
)
def test_the_film_has_as_many_frames_as_the_video(seconds, max_s, frames, network, tmp_path):
    path = make_video(tmp_path / "video.mp4", seconds=seconds)
    localization = Localizer(network, "cpu").localize(path, max_s=max_s)
    overlay.write(localization, tmp_path / "out.mp4", max_s)
    assert len(read_video(tmp_path / "out.mp4")[2]) == frames


@pytest.mark.parametrize(
    ("size", "expected"),
    [((640, 360), (640, 360)), ((3840, 2160), (1920, 1080)), ((1081, 1921), (1080, 1920))],
)
def test_the_film_has_the_proportions_of_the_video_and_even_sides(size, expected):
    layout = overlay.Layout.of(size)
    assert (layout.width, layout.height) == expected
    assert layout.total_height % 2 == 0


def test_the_strip_says_what_is_heard(localization, class_scores):
    tagged = replace(localization, class_scores=class_scores)
    layout = overlay.Layout(640, 360, 15)
    images = [
        np.asarray(overlay.annotation(tagged, layout, frame))[360:].tobytes()
        for frame in (4, 8, None)
    ]
    assert len(set(images)) == 3


def test_text_is_cut_where_it_is_too_wide():
    text = "heard: Violin, fiddle 0.91 · Musical instrument 0.80"
    short = drawing.shorten(text, 150, 12)
    assert short.endswith("…")
    assert drawing.font(12).getlength(short) <= 150
    assert drawing.shorten(text, 1000, 12) == text
    assert drawing.shorten(text, 1, 12) == ""


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
    colors = drawing.heat_colors(np.linspace(0, 1, 64))[:, :3] / 255
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    seen = (linear @ np.transpose(COLOR_VISION[vision])).clip(0, 1)
    luminance = seen @ [0.2126, 0.7152, 0.0722]
    linear_part = 903.3 * luminance  # of CIE L*
    lightness = np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, linear_part)
    assert (np.diff(lightness) > 0.3).all()
    assert np.ptp(lightness) > 75
