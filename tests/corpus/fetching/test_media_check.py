"""Files are checked by processes that one helper forks; a file ends only its own process."""

from pathlib import Path

import pytest

from spm.base.errors import UserError
from spm.corpus.fetching import media_check
from spm.corpus.media import forks
from spm.corpus.media.limits import Bounds

CRASHING = "tests.support.crashing"  # ends its processes as the names of the files say


def helper_pid(module: str) -> int:
    with forks.helper(module) as helper:
        return helper.process.pid


def test_media_have_no_fault_and_other_files_have_a_reason(media, tmp_path):
    (tmp_path / "text.mp4").write_text("no film")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n")
    assert media_check.fault(media) == ""
    assert media_check.fault(tmp_path / "text.mp4")
    assert media_check.fault(tmp_path / "list.m3u8")
    first = helper_pid(media_check.HELPER)
    assert media_check.fault(media) == ""
    assert helper_pid(media_check.HELPER) == first


@pytest.fixture
def crashing(tmp_path, monkeypatch) -> Path:
    """A folder whose files end the process that reads them."""
    monkeypatch.setattr(media_check, "HELPER", CRASHING)
    for name in ("SIGSEGV", "SIGKILL", "hang"):
        (tmp_path / f"{name}.mp4").write_text("no film")
    return tmp_path


def test_a_file_that_ends_the_process_has_a_reason_unless_somebody_stopped_it(
    media, crashing, monkeypatch
):
    reason = "its header ends the process that reads it (11)"
    assert media_check.fault(crashing / "SIGSEGV.mp4") == reason
    with pytest.raises(UserError, match="stopped from outside"):
        media_check.fault(crashing / "SIGKILL.mp4")
    monkeypatch.undo()
    assert media_check.fault(media) == ""


def test_a_helper_that_somebody_stopped_is_started_again(media):
    with forks.helper(media_check.HELPER) as helper:
        helper.process.kill()
        helper.process.wait()
    assert media_check.fault(media) == ""
    assert helper_pid(media_check.HELPER) != helper.process.pid


def test_a_file_that_takes_too_long_has_a_reason(media, crashing, monkeypatch):
    monkeypatch.setattr(media_check, "BOUNDS", Bounds(memory_mb=3000, time_s=1))
    assert media_check.fault(crashing / "hang.mp4") == "its header takes more than 1 s"
    monkeypatch.undo()
    assert media_check.fault(media) == ""
