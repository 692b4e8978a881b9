"""`spm localize` with its defaults on recordings by other people: the heat lies on the object."""

import numpy as np
import pandas as pd
import pytest

from spm.inference.localize import Localizer
from tests.support import media

pytestmark = pytest.mark.slow
VIDEOS = ("tabla-w1", "bird-w1", "train-w1", "harp-w1", "drum-w2", "horse-w1")


def is_inside(row, box) -> bool:
    """Whether the hottest cell of a frame lies in a box."""
    return bool(box.x <= row["peak_x"] <= box.x + box.w and box.y <= row["peak_y"] <= box.y + box.h)


@pytest.fixture(scope="module")
def localizations(shared):
    """Each video with its localization."""
    localizer = Localizer(device_name="cpu", maps_per_s=2)
    folder = shared / "wild/videos"
    return {name: localizer.localize(folder / f"{name}.mp4", max_s=8) for name in VIDEOS}


@pytest.fixture(scope="module")
def boxes(shared):
    """Boxes of the videos, drawn by a person."""
    table = pd.read_csv(shared / "wild/boxes.csv")
    return list(table[table["video_id"].isin(VIDEOS)].itertuples())


def test_the_hottest_cell_is_on_the_object(localizations, boxes):
    """Of the frames in which it is at least as hot as the threshold, all but one."""
    hot, hits = 0, 0
    for box in boxes:
        localization = localizations[box.video_id]
        row = localization.row(int(np.abs(localization.times_s - box.time_s).argmin()))
        hot += row["x"] is not None
        hits += row["x"] is not None and is_inside(row, box)
    assert hot >= 0.8 * len(boxes)
    assert hits >= hot - 1


@pytest.mark.parametrize(
    ("video", "sound", "category"),
    [("bird-w1", "Bird", "bird"), ("train-w1", "Train", "train"), ("harp-w1", "Harp", "harp")],
)
def test_what_is_heard_is_named_and_shown(video, sound, category, localizations):
    localization = localizations[video]
    assert sound in {each["class"] for each in localization.audio_classes()}
    named = localization.seconds()["category"]
    assert (named == category).mean() > 0.5


def test_the_sound_decides_on_the_heat(localizations, shared, tmp_path):
    """The same pictures with silence are cold."""
    muted = tmp_path / "muted.mp4"
    source = shared / "wild/videos/bird-w1.mp4"
    media.ffmpeg(
        *["-i", source, "-f", "lavfi", "-i", "anullsrc=r=16000", "-map", "0:v", "-map", "1:a"],
        *["-t", 3, "-c:v", "copy", muted],
    )
    silent = Localizer(device_name="cpu").localize(muted)
    assert silent.maps.max() < 0.05 < 0.5 < localizations["bird-w1"].maps.max()
