import base64
import io
import re

import av
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from spm.base import schemas
from spm.base.errors import UserError
from spm.report.overlay_videos import WIDTH, OverlayVideos, choose, draw_boxes, encode, run
from tests.report.conftest import annotation


def clip(video, second, audible=True):
    about = {"start_s": second, "audible": audible, "categories": ["tuba"]}
    return {"clip_id": f"{video}_{second}", "video_id": video, **about}


def test_the_first_seconds_of_one_audible_video_are_chosen():
    silent = [clip("a", second, audible=False) for second in range(3)]
    audible = [clip("b", second) for second in (2, 0, 1)]
    index = pa.Table.from_pylist(silent + audible)
    every_id = set(index["clip_id"].to_pylist())
    chosen = choose(index, every_id, OverlayVideos(max_s=2))
    assert chosen["clip_id"].to_pylist() == ["b_0", "b_1"]
    assert choose(index, {"a_0", "a_1"}, OverlayVideos()).num_rows == 0


def test_a_box_is_drawn_in_white():
    rows = [annotation("v_0000000", 0)]
    boxes = pa.Table.from_pylist(rows, schemas.ANNOTATIONS.schema).to_pandas()
    drawn = draw_boxes(np.zeros((100, 200, 3), np.uint8), boxes)
    assert drawn[20, 20:100].min() == 255
    assert drawn[30, 40].max() == 0


@pytest.mark.slow
def test_the_page_plays_a_video_with_sound_for_each_run_and_network(project, tmp_path):
    names = ("index", "clips", "annotations", "maps", "baseline_maps")
    files = {name: project[name] for name in names}
    run(OverlayVideos(max_s=3), **files, out=tmp_path / "overlay_videos.html")
    page = (tmp_path / "overlay_videos.html").read_text()
    encoded = re.findall(r'src="data:video/mp4;base64,([^"]+)"', page)
    assert len(encoded) == 4
    captions = re.findall(r"<figcaption>(\w+ [\w-]+): ", page)
    runs, baselines = (
        ["Run no-promotion", "Run spm"],
        ["Baseline object-prior", "Baseline zero-shot"],
    )
    assert captions == runs + baselines
    posters = re.findall(r'poster="data:image/jpeg;base64,([^"]+)"', page)
    first = Image.open(io.BytesIO(base64.b64decode(posters[0])))
    assert (len(posters), first.width) == (4, WIDTH)  # not black before it plays
    assert "3 s, 2 frames/s" in page
    (tmp_path / "video.mp4").write_bytes(base64.b64decode(encoded[0]))
    with av.open(tmp_path / "video.mp4") as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert float(video.average_rate) == 2
        assert len(list(container.decode(video=0))) == 6
        assert float(audio.duration * audio.time_base) == pytest.approx(3, abs=0.1)


def test_equal_frames_and_sound_give_equal_videos():
    frames = [np.full((64, 64, 3), 40 * number, np.uint8) for number in range(4)]
    assert encode(frames, bytes(32_000), 4) == encode(frames, bytes(32_000), 4)


def test_the_error_names_the_ffmpeg_that_failed():
    with pytest.raises(UserError, match="could not write a video: "):
        encode([np.zeros((8, 0, 3), np.uint8)], b"", 4)


def test_without_maps_the_page_says_so(project, tmp_path):
    files = {"index": project["index"], "clips": project["clips"]}
    files |= {"annotations": [], "maps": [], "baseline_maps": []}
    run(OverlayVideos(), **files, out=tmp_path / "overlay_videos.html")
    assert "No maps of audible test clips." in (tmp_path / "overlay_videos.html").read_text()
