"""The sheet of frames."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from spm.inference import sheet
from spm.inference.localize import Localizer
from tests.support.media import make_video, turn

TOP = sheet.GAP + 2 * sheet.LINE + sheet.GAP + sheet.GAP  # of the first frame, in px
WIDTH, HEIGHT = 240, 160  # of a frame of the video of 96 × 64 px


def page(localization, path) -> np.ndarray:
    sheet.write(localization, path)
    return np.asarray(Image.open(path)).astype(int)


def frame_of(pixels: np.ndarray, number: int) -> np.ndarray:
    left = sheet.GAP + number * (WIDTH + sheet.GAP)
    return pixels[TOP : TOP + HEIGHT, left : left + WIDTH]


def test_silent_seconds_have_no_heat_and_are_gray(localization, tmp_path):
    rms_db = np.where(np.arange(12) < 4, -90.0, -10.0)
    hot = replace(localization, maps=np.ones_like(localization.maps), rms_db=rms_db)
    pixels = page(hot, tmp_path / "sheet.png")
    assert np.ptp(frame_of(pixels, 0), axis=2).max() == 0  # gray
    assert np.ptp(frame_of(pixels, 1), axis=2).max() > 50


def test_colors_show_absolute_values(localization, tmp_path):
    """A weak map is not stretched: it changes the frame less than a strong one."""
    maps = np.zeros_like(localization.maps)
    maps[:, 1, 1] = 1
    cold, weak, strong = (
        page(replace(localization, maps=value * maps, threshold=1), tmp_path / "sheet.png")
        for value in (0, 0.1, 0.9)
    )
    changes = [np.abs(frame_of(each - cold, 0)).sum() for each in (weak, strong)]
    assert 0 < 4 * changes[0] < changes[1]


def test_a_box_is_drawn_only_where_the_score_reaches_the_threshold(localization, tmp_path):
    maps = np.zeros_like(localization.maps)
    maps[:, 2, 2] = 0.4
    with_box, without = (
        page(replace(localization, maps=maps, threshold=threshold), tmp_path / "sheet.png")
        for threshold in (0.3, 0.5)
    )
    changed = np.abs(frame_of(with_box - without, 0)).sum(2) > 0
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert (columns[0], columns[-1]) == pytest.approx((WIDTH / 2, 3 * WIDTH / 4), abs=3)
    assert rows[-1] == pytest.approx(3 * HEIGHT / 4, abs=3)


@pytest.mark.slow
def test_frames_of_a_phones_video_have_its_proportions(network, tmp_path):
    path = turn(make_video(tmp_path / "phone.mp4"), 90)
    localization = Localizer(network, "cpu").localize(path, max_s=1)
    assert localization.size == (96, 192)
    assert sheet.frame_size(localization.size) == (120, 240)
    pixels = page(localization, tmp_path / "sheet.png")
    assert pixels.shape[0] == TOP + 240 + 2 * sheet.LINE + sheet.GAP


@pytest.mark.slow
def test_pixels_that_are_not_square_are_stretched(network, tmp_path):
    path = make_video(tmp_path / "dv.mp4", options=["-vf", "setsar=4/3"])
    assert Localizer(network, "cpu").localize(path, max_s=1).size == (256, 96)


@pytest.mark.parametrize("size", [(4000, 100), (100, 4000)])
def test_extreme_proportions_have_room_for_text(size, localization, tmp_path):
    pixels = page(replace(localization, size=size), tmp_path / "sheet.png")
    assert pixels.shape[1] >= 2 * sheet.TILE


def test_a_long_video_has_at_most_24_frames(localization, tmp_path):
    many = 100
    long = replace(
        localization,
        times_s=np.arange(many, dtype=float),
        maps=np.ones((many, 4, 4), np.float32),
        frames=localization.frames[:1] * many,
        rms_db=np.zeros(many),
    )
    pixels = page(long, tmp_path / "sheet.png")
    rows = (pixels.shape[0] - TOP) / (HEIGHT + 2 * sheet.LINE + sheet.GAP)
    columns = pixels.shape[1] // (WIDTH + sheet.GAP)
    assert (round(rows) - 1) * columns < sheet.TILES <= round(rows) * columns


def test_the_header_names_the_network_and_what_was_heard(localization, class_scores):
    """Other names and other sounds change the header."""
    tagged = replace(localization, class_scores=class_scores)
    other = replace(localization.network, name="other")
    headers = [
        np.asarray(sheet.header(each, 700)).tobytes()
        for each in (localization, tagged, replace(tagged, network=other))
    ]
    assert len(set(headers)) == 3
