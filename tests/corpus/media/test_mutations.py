"""Damaged media through fetch and clips; tests.support.mutations sends a thousand of them."""

import psutil
import pytest

from spm.base.errors import UserError
from spm.base.statuses import VideoStatus
from spm.corpus.clips import Clips
from spm.corpus.media import limits
from spm.corpus.media.limits import Bounds
from spm.corpus.media.probe import Unusable, probe_in_subprocess
from tests.corpus.test_clips import cut_one, stand_in
from tests.support import mutations
from tests.support.media import ffmpeg
from tests.support.web import film


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> dict[str, bytes]:
    return mutations.make_videos(tmp_path_factory.mktemp("videos"))


@pytest.mark.slow
def test_every_damaged_file_ends_as_a_row_with_its_reason_and_leaves_no_process(videos, tmp_path):
    sent = list(mutations.mutants(videos, 40, seed=1))
    outcome = mutations.send(sent, tmp_path / "sent")
    assert [row["video_id"] for row in outcome.rows] == sorted(mutant.name for mutant in sent)
    assert {row["status"] for row in outcome.rows} <= set(VideoStatus)
    assert all(row["reason"] for row in outcome.rows if row["status"] != "ok")
    assert all("/sent" not in row["reason"].replace("/sent/media", "") for row in outcome.rows)
    assert {row["status"] for row in outcome.rows} >= {"missing", "unreadable"}
    assert not outcome.left


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1, 10, 1_000, 10_000])
def test_a_file_of_any_number_of_tracks_is_read_or_refused_within_bounds(videos, tmp_path, number):
    (tmp_path / "many.mp4").write_bytes(mutations.with_tracks(videos[".mp4"], number))
    if number in (1, 10, 1_000):
        assert probe_in_subprocess(tmp_path / "many.mp4", Bounds(1000, 30)).pictures
    else:
        with pytest.raises(Unusable):
            probe_in_subprocess(tmp_path / "many.mp4", Bounds(1000, 30))


@pytest.mark.slow
def test_a_file_that_exceeds_the_memory_limit_is_a_row(tmp_path):
    source = ["-f", "lavfi", "-i", "color=s=8000x8000:r=1:d=2", "-f", "lavfi", "-i", "sine=d=2"]
    ffmpeg(*source, "-c:v", "mjpeg", "-pix_fmt", "yuvj444p", tmp_path / "large.mkv")
    _, facts = cut_one(tmp_path / "large.mkv", Clips(size=16, memory_mb=500))
    assert (facts["status"], facts["width"]) == ("unreadable", 8000)
    assert facts["reason"]
    _, facts = cut_one(tmp_path / "large.mkv", Clips(size=16, memory_mb=4000))
    assert facts["status"] == "ok"


@pytest.mark.slow
def test_a_file_that_exceeds_the_time_limit_is_a_row_and_its_ffmpeg_has_ended(
    tmp_path, monkeypatch
):
    program = stand_in(tmp_path / "ffmpeg", "exec sleep 987")
    monkeypatch.setattr("spm.corpus.media.decode.binary", lambda: program)
    _, facts = cut_one(film(tmp_path / "film.mp4"), Clips(time_s=1))
    assert (facts["status"], facts["reason"]) == ("unreadable", "took more than 1 s")
    commands = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]
    assert ["sleep", "987"] not in commands


def test_a_clock_that_jumps_far_ahead_fills_no_disk(tmp_path):
    far = ["-vf", "setpts=if(gte(N\\,5)\\,PTS+90000/TB\\,PTS)", "-fps_mode", "passthrough"]
    source = ["-f", "lavfi", "-i", "testsrc=s=96x64:r=10:d=1", "-f", "lavfi", "-i", "sine=d=1"]
    ffmpeg(*source, *far, tmp_path / "jump.mkv")
    found, facts = cut_one(tmp_path / "jump.mkv", Clips(size=16, max_s=20))
    assert facts["video_s"] <= 20
    assert len(found) <= 20


@pytest.fixture
def crashing(tmp_path, monkeypatch):
    """Probe a file of a given name by a helper whose processes end as the name says."""
    monkeypatch.setattr("spm.corpus.media.probe.HELPER", "tests.support.crashing")

    def read(name: str) -> None:
        (tmp_path / name).write_bytes(b"media")
        probe_in_subprocess(tmp_path / name, Bounds(1000, 1))

    return read


def test_a_header_that_crashes_its_reader_is_a_row_and_the_next_file_is_read(crashing):
    for name in ("SIGSEGV", "SIGABRT"):
        with pytest.raises(Unusable, match=rf"its header crashes libav .{name}."):
            crashing(f"{name}.mp4")


@pytest.mark.slow
def test_a_header_that_takes_too_long_is_a_row(crashing):
    with pytest.raises(Unusable, match="reading its header took more than 1 s"):
        crashing("hang.mp4")


def test_a_reader_stopped_from_outside_is_an_error_of_the_job(crashing):
    with pytest.raises(UserError, match="stopped from outside"):
        crashing("SIGKILL.mp4")


@pytest.mark.parametrize("name", ["memory", "bug"])
def test_a_bug_in_the_reader_is_a_traceback(crashing, name):
    with pytest.raises(RuntimeError, match=r"Traceback(.|\n)*(MemoryError|KeyError)"):
        crashing(f"{name}.mp4")


def test_a_limited_process_has_the_limits(tmp_path):
    done = limits.run_limited(
        ["/bin/sh", "-c", "ulimit -v; ulimit -t"], Bounds(memory_mb=700, time_s=5)
    )
    assert done.stdout.split() == [b"716800", b"20"]
