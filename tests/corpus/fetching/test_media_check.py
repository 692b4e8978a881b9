"""Files are checked by one process, which is started again after a file that ends it."""

import os
import signal

import pytest

from spm.base.errors import UserError
from spm.corpus.fetching import media_check


def test_media_have_no_fault_and_other_files_have_a_reason(media, tmp_path):
    (tmp_path / "text.mp4").write_text("no film")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n")
    assert media_check.fault(media) == ""
    assert media_check.fault(tmp_path / "text.mp4")
    assert media_check.fault(tmp_path / "list.m3u8")
    first = media_check._of_thread.reader.process.pid
    assert media_check.fault(media) == ""
    assert media_check._of_thread.reader.process.pid == first


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_file_that_ends_the_process_has_a_reason_unless_somebody_stopped_it(
    media, monkeypatch, number
):
    assert media_check.fault(media) == ""
    reader = media_check._of_thread.reader
    ask = reader.ask
    monkeypatch.setattr(reader, "ask", lambda path: os.kill(reader.process.pid, number))
    if number == signal.SIGKILL:
        with pytest.raises(UserError, match="stopped from outside"):
            media_check.fault(media)
    else:
        assert media_check.fault(media) == "its header ends the process that reads it (11)"
    assert ask(media) is None
    assert media_check.fault(media) == ""  # a new process


def test_a_file_that_takes_too_long_has_a_reason(media, monkeypatch, tmp_path):
    os.mkfifo(tmp_path / "endless.mp4")
    assert media_check.fault(media) == ""
    monkeypatch.setattr(media_check, "TIME_S", 0.3)
    reader = media_check._of_thread.reader
    assert reader.ask(tmp_path / "endless.mp4") == "its header takes more than 0 s"
    monkeypatch.undo()
    assert media_check.fault(media) == ""
