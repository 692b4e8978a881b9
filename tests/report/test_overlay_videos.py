import base64
import re

import av
import numpy as np
import pyarrow as pa
import pytest

from spm.base import tables
from spm.base.config import UserError
from spm.report.overlay_videos import OverlayVideos, boxed, chosen, encoded, run
from tests.score.conftest import annotation


def clip(video, second, audible=True):
    about = {"start_s": second, "audible": audible, "categories": ["tuba"]}
    return {"clip_id": f"{video}_{second}", "video_id": video, **about}


def test_the_film_is_the_first_seconds_of_one_video_that_is_heard():
    index = pa.Table.from_pylist(
        [clip("a", s, audible=False) for s in range(3)] + [clip("b", s) for s in (2, 0, 1)]
    )
    everything = set(index["clip_id"].to_pylist())
    assert chosen(index, everything, OverlayVideos(max_s=2))["clip_id"].to_pylist() == [
        "b_0",
        "b_1",
    ]
    assert chosen(index, {"a_0", "a_1"}, OverlayVideos()).num_rows == 0


def test_a_box_is_drawn_in_white_where_it_is():
    boxes = pa.Table.from_pylist([annotation("v_0000000", 0)], tables.ANNOTATIONS).to_pandas()
    drawn = boxed(np.zeros((100, 200, 3), np.uint8), boxes)
    assert drawn[20, 20:100].min() == 255
    assert drawn[30, 40].max() == 0


def test_a_page_plays_each_runs_film_with_its_sound(project, tmp_path):
    names = ("index", "clips", "annotations", "maps")
    run(
        OverlayVideos(max_s=3),
        **{name: project[name] for name in names},
        out=tmp_path / "films.html",
    )
    page = (tmp_path / "films.html").read_text()
    films = [
        base64.b64decode(found)
        for found in re.findall(r'src="data:video/mp4;base64,([^"]+)"', page)
    ]
    assert len(films) == 2
    assert "Run spm: " in page
    assert "3 s, 2 frames/s" in page
    (tmp_path / "film.mp4").write_bytes(films[0])
    with av.open(tmp_path / "film.mp4") as film:
        video, audio = film.streams.video[0], film.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert float(video.average_rate) == 2
        assert len(list(film.decode(video=0))) == 6
        assert float(audio.duration * audio.time_base) == pytest.approx(3, abs=0.1)


def test_equal_frames_and_sound_give_equal_films():
    frames = [np.full((64, 64, 3), 40 * n, np.uint8) for n in range(4)]
    assert encoded(frames, bytes(32_000), 4) == encoded(frames, bytes(32_000), 4)


def test_an_ffmpeg_that_fails_is_named_with_what_it_said():
    with pytest.raises(UserError, match="could not write a film: "):
        encoded([np.zeros((8, 0, 3), np.uint8)], b"", 4)


def test_without_maps_the_page_says_so(project, tmp_path):
    index, clips = project["index"], project["clips"]
    run(
        OverlayVideos(),
        index=index,
        clips=clips,
        annotations=[],
        maps=[],
        out=tmp_path / "films.html",
    )
    assert "No maps of audible test clips." in (tmp_path / "films.html").read_text()
