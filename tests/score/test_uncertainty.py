import numpy as np
import pytest

from spm.score import uncertainty


def test_the_interval_is_wide_if_frames_come_from_few_videos():
    values = np.repeat([1.0, 0.0, 1.0, 0.0], 100)
    few = uncertainty.interval(values, np.repeat(list("abcd"), 100), resamples=1000, seed=0)
    many = uncertainty.interval(values, np.arange(400), resamples=1000, seed=0)
    assert few == (0, 1)
    assert many[0] == pytest.approx(0.5 - 1.96 * 0.5 / 20, abs=0.01)
    assert many[1] == pytest.approx(0.5 + 1.96 * 0.5 / 20, abs=0.01)


def test_the_interval_weighs_a_video_by_its_frames():
    low, high = uncertainty.interval(
        [1.0] * 99 + [0.0], ["long"] * 99 + ["short"], resamples=200, seed=1
    )
    assert (low, high) == (0, 1)
    middle = uncertainty.interval(
        [1.0] * 99 + [0.0], ["long"] * 99 + ["short"], resamples=200, seed=1, confidence=0.0
    )
    assert middle == (0.99, 0.99)


def test_the_interval_is_the_same_for_a_seed_whatever_the_order_of_the_frames():
    values, videos = np.array([0.1, 0.9, 0.5, 0.3]), np.array(["a", "b", "b", "c"])
    order = [2, 0, 3, 1]
    once = uncertainty.interval(values, videos, resamples=100, seed=3)
    again = uncertainty.interval(values[order], videos[order], resamples=100, seed=3)
    assert once == pytest.approx(again, abs=1e-12)


def test_one_video_has_no_interval():
    assert uncertainty.interval([0.0, 1.0], ["a", "a"], resamples=10, seed=0) is None


def test_the_interval_of_a_difference_is_narrower_than_those_of_the_means():
    rng = np.random.default_rng(0)
    difficulty = rng.random(40).repeat(5)  # of the videos, the same for both runs
    first = difficulty + 0.05 + 0.01 * rng.random(200)
    second = difficulty + 0.01 * rng.random(200)
    videos = np.arange(40).repeat(5)
    gain, (low, high) = uncertainty.difference(first, second, videos, resamples=500, seed=0)
    assert low < gain < high
    assert gain == pytest.approx(0.05, abs=0.005)
    alone = uncertainty.interval(first, videos, resamples=500, seed=0)
    assert high - low < (alone[1] - alone[0]) / 10
    assert low > 0


def test_the_difference_of_a_run_from_itself_is_zero():
    values = np.array([0.1, 0.4, 0.3])
    assert uncertainty.difference(values, values, ["a", "b", "b"], resamples=10, seed=0) == (
        0,
        (0, 0),
    )
    assert uncertainty.difference(values, values, ["a"] * 3, resamples=10, seed=0) == (0, None)


@pytest.mark.slow
def test_many_mosaics_of_a_few_videos_give_the_interval_of_the_videos():
    """A mosaic's value is the mean of its two videos' values: ten videos decide."""
    rng = np.random.default_rng(0)
    quality, pairs = rng.random(10), rng.permuted(np.tile(np.arange(10), (3000, 1)), axis=1)[:, :2]
    values = quality[pairs].mean(1)
    low, high = uncertainty.interval(values, pairs, resamples=2000, seed=0)
    alone = uncertainty.interval(values, np.arange(3000), resamples=2000, seed=0)
    assert (high - low) > 5 * (alone[1] - alone[0])
    assert high - low == pytest.approx(2 * 1.96 * quality.std() / np.sqrt(10), rel=0.2)


def test_frames_of_the_same_videos_have_no_interval():
    assert uncertainty.interval([0.0, 1.0], [["a", "b"], ["a", "b"]], resamples=10, seed=0) is None


def test_the_order_of_a_frames_videos_does_not_matter():
    values = [0.1, 0.9, 0.5]
    first = uncertainty.interval(
        values, [["a", "b"], ["b", "c"], ["a", "c"]], resamples=100, seed=3
    )
    second = uncertainty.interval(
        values, [["b", "a"], ["c", "b"], ["c", "a"]], resamples=100, seed=3
    )
    assert first == pytest.approx(second)


def test_draws_that_are_shared_give_the_intervals_of_each_call():
    values, videos = np.array([0.1, 0.9, 0.5, 0.3]), ["a", "b", "b", "c"]
    draws = uncertainty.draw(videos, resamples=100, seed=3)
    alone = uncertainty.interval(values, videos, resamples=100, seed=3)
    assert uncertainty.interval_of(values, draws) == alone
    paired = uncertainty.difference(values, values[::-1], videos, resamples=100, seed=3)
    assert uncertainty.difference_of(values, values[::-1], draws) == paired


def test_both_means_of_a_difference_see_the_same_draw_of_videos():
    """Videos a and b differ by 1, c by nothing: every resample shows its share."""
    first, second, videos = [1.0, 0.0, 0.4], [0.0, 1.0, 0.4], ["a", "b", "c"]
    draws = uncertainty.draw(videos, resamples=400, seed=0)
    drawn = draws.weights[:, draws.group]  # (resamples, videos)
    expected = np.quantile((drawn[:, 0] - drawn[:, 1]) / 3, [0.025, 0.975])
    value, bounds = uncertainty.difference_of(first, second, draws)
    assert value == 0
    assert bounds == pytest.approx(tuple(expected))


def test_one_video_has_no_draws():
    assert uncertainty.draw(["a", "a"], resamples=10, seed=0) is None
    assert uncertainty.difference_of([1.0, 0.5], [0.5, 0.5], None) == (0.25, None)
