"""Pictures and sound stay together in films whose streams change under way."""

from itertools import pairwise
from random import Random

import pytest

from tests.support import segments

pytestmark = pytest.mark.slow
SEEDS = (5, 16, 19, 25, 54, 56)  # tests.support.segments makes any number of films


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    films = {seed: segments.draw(Random(seed)) for seed in SEEDS}
    paths = [
        segments.make(film, folder / f"{seed}.{film.container}") for seed, film in films.items()
    ]
    return segments.cut(paths, folder)


def test_films_of_random_segments_are_cut_whole_and_their_tracks_stay_together(cut):
    for name, (row, clips) in cut.items():
        assert (row["status"], len(clips)) == ("ok", row["clips"]), (name, row["reason"])
        assert segments.apart_s(clips) <= segments.OFF_S, name


def test_the_measure_sees_sound_that_is_late(cut):
    _, clips = cut["25.mp4"]
    late = [
        {"frames": clip["frames"], "pcm": before["pcm"][-3200:] + clip["pcm"][:-3200]}
        for before, clip in pairwise(clips)
    ]
    assert segments.apart_s(late) > 0.09
