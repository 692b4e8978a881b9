"""Paired comparison of two systems: differences per class and size, intervals, permutations."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from spm.base.errors import UserError
from spm.boxes.formats.frames import BenchmarkBoxes, Box, Frame
from spm.score import comparison, external_maps, masks, protocols
from spm.score.map_arrays import ExternalMaps
from tests.support.command import run_command

VIDEOS = 8
SIDES = [(0.1, 0.1, side, side) for side in (0.1, 0.3, 0.5, 0.8)]  # small to huge on 224 px


def benchmark():
    """Four frames per video, of every size; the categories alternate with the videos."""
    frames = {}
    for video, number in product(range(VIDEOS), range(4)):
        box = Box(("cello", "flute")[video % 2], SIDES[number])
        frames[f"v{video}/{number}"] = Frame((box,), f"v{video}")
    return BenchmarkBoxes(frames)


def good_maps():
    """Maps of the boxes."""
    boxes = [masks.raster(np.array([SIDES[n % 4]]), 56) for n in range(4 * VIDEOS)]
    return ExternalMaps(list(benchmark().frames), np.stack(boxes).astype(np.float32))


def poor_maps():
    """The same, but every map of a flute is moved to the right."""
    maps = good_maps()
    moved = maps.maps.copy()
    for number, key in enumerate(maps.keys):
        if int(key[1]) % 2:
            moved[number] = np.roll(moved[number], 20, axis=1)
    return ExternalMaps(maps.keys, moved)


def compare(first, second, partial=False):
    sides = [
        external_maps.match_to_truth(maps, benchmark(), partial=partial) for maps in (first, second)
    ]
    chosen = [protocols.find("dsol-solo")]
    return list(
        comparison.compare(*comparison.on_common_frames(*sides), chosen, resamples=500, seed=0)
    )


def test_differences_of_all_frames_classes_and_sizes_are_those_of_their_frames():
    found = {each.part: each for each in compare(good_maps(), poor_maps())
             if each.figure == "mean_iou"}  # fmt: skip
    assert list(found) == ["all frames", "class cello", "class flute", "size small", "size medium",
                           "size large", "size huge"]  # fmt: skip
    assert found["class cello"].difference == 0
    assert found["class cello"].p_value == 1
    assert found["all frames"].difference == pytest.approx(found["class flute"].difference / 2)
    assert {found[f"size {name}"].frames for name in comparison.SIZES_PX} == {VIDEOS}
    for each in found.values():
        assert each.difference == pytest.approx(each.first - each.second)
        assert each.low <= each.difference <= each.high
    swapped = {each.part: each for each in compare(poor_maps(), good_maps())
               if each.figure == "mean_iou"}  # fmt: skip
    assert swapped["all frames"].difference == -found["all frames"].difference
    assert swapped["all frames"].p_value == found["all frames"].p_value


def test_the_p_value_is_that_of_all_permutations_of_the_signs_of_videos():
    rng = np.random.default_rng(0)
    videos, gains = list("aabbccddeef"), rng.normal(0.4, 1, 11)
    sums = [gains[np.array(videos) == video].sum() for video in "abcdef"]
    flipped = [abs(np.dot(signs, sums)) for signs in product([1, -1], repeat=6)]
    expected = np.mean(np.array(flipped) >= abs(sum(sums)) - 1e-12)
    p_value = comparison.permutation_test(gains, videos, resamples=1000, seed=0)
    assert p_value == pytest.approx(expected)
    many = [f"v{n}" for n in range(40)]
    values = rng.normal(0.1, 1, 40)
    one = comparison.permutation_test(values, many, resamples=300, seed=1)
    assert one == comparison.permutation_test(values, many, resamples=300, seed=1)
    assert comparison.permutation_test(gains[:2], ["a", "a"], resamples=10, seed=0) is None


def test_only_frames_with_maps_of_both_systems_are_compared():
    first, second = good_maps(), poor_maps()
    fewer = ExternalMaps(second.keys[3:][::-1], second.maps[3:][::-1])
    found = compare(first, fewer, partial=True)
    assert found[0].frames == len(first.keys) - 3
    rest = [ExternalMaps(maps.keys[3:], maps.maps[3:]) for maps in (first, second)]
    both = compare(*rest, partial=True)
    assert found == both
    with pytest.raises(UserError, match="no frame has maps of both systems"):
        compare(
            ExternalMaps(first.keys[:3], first.maps[:3]), fewer, partial=True,
        )  # fmt: skip


@pytest.fixture
def files(tmp_path):
    rows = [
        (key, frame.video_id, box.category, *box.sides)
        for key, frame in benchmark().frames.items()
        for box in frame.boxes
    ]
    columns = ["key", "video_id", "category", "x", "y", "w", "h"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "boxes.csv", index=False)
    for name, maps in (("good", good_maps()), ("poor", poor_maps())):
        np.savez(tmp_path / f"{name}.npz", keys=maps.keys, maps=maps.maps)
    return tmp_path


@pytest.mark.slow
def test_the_command_prints_writes_and_draws_the_differences(files):
    done = run_command(
        "compare-maps", files / "good.npz", files / "poor.npz", "--boxes", files / "boxes.csv",
        "--protocol", "dsol-solo", "--out", files / "d.csv", "--plot", files / "plot.svg",
        "--bootstrap", "200",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "good − poor, protocol dsol-solo, 32 frames" in done.stdout
    assert "class flute" in done.stdout
    table = pd.read_csv(files / "d.csv")
    assert table.columns.tolist() == list(comparison.MapDifference._fields)
    assert set(table["figure"]) == {"auc", "iou@0.5", "ciou@0.3", "mean_iou", "pointing_game"}
    drawing = (files / "plot.svg").read_text()
    assert "class flute (16)" in drawing
    assert (files / "plot.png").stat().st_size > 5_000


def test_an_unknown_figure_is_one_line(files):
    done = run_command(
        "compare-maps", files / "good.npz", files / "poor.npz", "--boxes", files / "boxes.csv",
        "--figure", "miou", "--bootstrap", "20",
    )  # fmt: skip
    assert done.returncode == 1
    assert "--figure miou: expected one of auc, iou@0.5" in done.stderr
    assert done.stderr.count("\n") == 1
