"""Baselines of `spm score --videos`: spm/inference/baseline_predictions.py."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from spm.base.errors import UserError
from spm.cli import commands
from spm.demo import scenario
from spm.inference.baseline_predictions import FramePlace, find_videos, predict

pytestmark = pytest.mark.usefixtures("parts")
DEMO = scenario.Demo(solos=1, duets=0, scenes=1, scene_s=3, width=96, height=72)
TIMES_S = (0.3, 1.7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a drawn video of a cello, of three seconds."""
    folder = tmp_path_factory.mktemp("videos")
    drawn = next(video for video in scenario.videos(DEMO) if video.categories == ("cello",))
    scenario.render(drawn, DEMO, folder)
    (folder / f"{drawn.video_id}.mp4").rename(folder / "c.mp4")
    (folder / "manifest.csv").write_text(
        "video_id,url,kind,categories\nc,c.mp4,solo,cello\nw,https://e.org/w.mp4,solo,cello\n"
    )
    return folder


@pytest.fixture(scope="module")
def found(folder):
    """The maps of two frames of the video, the later one first."""
    places = {f"c/{time_s:.3f}": FramePlace("c", time_s) for time_s in reversed(TIMES_S)}
    return predict(find_videos(folder), places, ["flute", "cello"], "cpu")


def test_videos_are_found_by_their_names_or_by_the_manifest(folder):
    expected = {"c": folder / "c.mp4"}
    assert find_videos(folder) == find_videos(folder / "manifest.csv") == expected


@pytest.mark.slow
def test_each_frame_has_a_map_of_each_network_in_the_order_of_the_keys(found):
    assert set(found) == {"object-prior", "zero-shot"}
    for maps in found.values():
        assert maps.keys == ["c/1.700", "c/0.300"]
        assert maps.videos == [("c",), ("c",)]
        assert maps.frame_maps.shape == (2, 14, 14)
    assert found["object-prior"].class_maps is None
    assert found["zero-shot"].classes == ("cello", "flute")
    assert found["zero-shot"].class_maps.shape == (2, 2, 14, 14)


@pytest.mark.slow
def test_a_frame_has_the_same_map_beside_others_and_alone(found, folder):
    alone = predict(find_videos(folder), {"x": FramePlace("c", 0.3)}, ["cello"], "cpu")
    for name, maps in alone.items():
        np.testing.assert_allclose(maps.frame_maps[0], found[name].frame_maps[1], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "message"),
    [
        (FramePlace("nobody", 0.3), "--videos: no file of nobody; expected files named by the ids"),
        (
            FramePlace("c", 9.0),
            r"c\.mp4: no frame within 0\.15 s of 9\.000 s: its last frame is at 2\.",
        ),
    ],
)
def test_a_frame_that_no_video_shows_is_an_error(folder, place, message):
    with pytest.raises(UserError, match=message):
        predict(find_videos(folder), {"x": place}, ["cello"], "cpu")


def write_maps(path: Path, keys: list[str]) -> Path:
    np.savez(path, keys=np.array(keys), maps=np.random.default_rng(0).random((len(keys), 7, 7)))
    return path


@pytest.mark.slow
def test_the_command_scores_the_networks_next_to_the_maps(folder, tmp_path):
    boxes, out = tmp_path / "boxes.csv", tmp_path / "scores.csv"
    with boxes.open("w", newline="") as file:
        rows = [["c", time_s, "cello", 0.25, 0.25, 0.5, 0.5] for time_s in TIMES_S]
        csv.writer(file).writerows([["video_id", "time_s", "category", *"xywh"], *rows])
    maps = write_maps(tmp_path / "maps.npz", [f"c/{time_s:.3f}" for time_s in TIMES_S])
    words = ["score", str(maps), "--boxes", str(boxes), "--videos", str(folder), "--out", str(out)]
    done = CliRunner().invoke(commands, [*words, "--protocol", "adaptive"])
    assert done.exit_code == 0, done.output
    assert "object-prior" in done.output
    table = pd.read_csv(out).set_index("metric")["value"]
    assert table["maps − zero-shot auc"] == pytest.approx(table["auc"] - table["zero-shot auc"])
    assert table["object-prior pointing_game"] >= 0
