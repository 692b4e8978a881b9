"""Videos at addresses, and the limits of damaged ones."""

import os
import time

import pytest

from spm.base.errors import UserError
from spm.corpus.media.limits import Bounds
from spm.inference import jobs, overlay, sources
from tests.support.media import make_video

# Writes more than a pipe holds before it reads its standard input.
FLOOD = (
    "head -c 300000 /dev/zero | tr '\\0' x >&2; echo >&2; cat > /dev/null; echo done >&2; exit {}"
)


@pytest.fixture
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.slow
def test_a_redirect_into_the_private_network_is_not_followed(site, no_proxies, tmp_path):
    """The address itself names a private host, which it may ask; the redirect names another one."""
    port = site.root.rpartition(":")[2]
    site.answers = {
        "/film.mp4": [f"to http://localhost:{port}/secret"],
        "/secret": ["media"],
    }
    address = site.root.replace("://", "://me:secret@") + "/film.mp4"
    with pytest.raises(UserError, match="private address") as caught:
        sources.download(address, tmp_path)
    message = str(caught.value)
    assert "bad: " in message
    assert "--private-host" in message
    assert "me:secret" not in message
    assert set(site.counts()) == {"/film.mp4"}


@pytest.mark.slow
def test_two_addresses_with_the_same_last_segment_are_two_downloads(site, no_proxies, tmp_path):
    site.answers = {"/one/film.mp4": ["media"], "/two/film.mp4": ["media"]}
    addresses = [f"{site.root}/{folder}/film.mp4" for folder in ("one", "two")]
    planned = jobs.plan(addresses, tmp_path)
    lengths_s = [job.prepare((), 3000) for job in planned]
    assert [job.reason for job in planned] == ["", ""]
    assert lengths_s == pytest.approx([2.0, 2.0], abs=0.1)
    assert planned[0].path != planned[1].path


def test_only_hosts_that_show_that_they_are_private_are_allowed_by_themselves():
    allowed = {
        "http://127.0.0.1:8000/a": ["127.0.0.1:8000"],
        "http://[::1]/a": ["::1:80"],
        "https://localhost/a": ["localhost:443"],
        "http://93.184.215.14/a": [],
        "http://example.org/a": [],
        "http://nas.local/a": [],
    }
    assert {address: sources._own_host(address) for address in allowed} == allowed


@pytest.mark.parametrize("status", [0, 1])
def test_a_flood_of_messages_does_not_stop_the_film(tmp_path, status):
    command, frames = ["/bin/sh", "-c", FLOOD.format(status)], [bytes(9000)] * 100
    seconds: list[float] = []
    done = (command, iter(frames), tmp_path / "film.mp4", seconds.append, Bounds(3000, 60))
    if status:
        with pytest.raises(UserError, match=r"film\.mp4 could not be written .*: done"):
            overlay._run(*done)
    else:
        overlay._run(*done)
    assert len(seconds) == 100


@pytest.mark.slow
def test_a_film_that_takes_too_long_is_given_up(tmp_path):
    command, start_s = ["/bin/sh", "-c", "exec sleep 60"], time.monotonic()
    frames = iter([bytes(9000)] * 100)
    with pytest.raises(UserError, match=r"film\.mp4 could not be written .*took more than 0.5 s"):
        overlay._run(command, frames, tmp_path / "film.mp4", lambda _: None, Bounds(3000, 0.5))
    assert time.monotonic() - start_s < 30


def test_a_program_that_needs_too_much_memory_ends(tmp_path):
    code = "import sys; bytearray(1 << 30)"
    command = [os.environ.get("PYTHON", "python3"), "-S", "-c", code]
    with pytest.raises(UserError, match="MemoryError"):
        overlay._run(command, iter([]), tmp_path / "film.mp4", lambda _: None, Bounds(500, 60))


def test_a_file_that_is_no_media_is_named_with_the_reason(tmp_path):
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with pytest.raises(UserError, match=r"list\.mp4: unreadable: a list of files"):
        sources.inspect(tmp_path / "list.mp4", 3000)
    with pytest.raises(UserError, match=r"none\.mp4: no such file"):
        sources.inspect(tmp_path / "none.mp4", 3000)
    os.mkfifo(tmp_path / "pipe.mp4")
    (job,) = jobs.plan([str(tmp_path / "pipe.mp4")], tmp_path / "out")
    job.prepare((), 3000)
    assert job.reason.endswith("pipe.mp4: not a file")


def test_a_video_is_read_again_when_it_has_changed(tmp_path):
    film = make_video(tmp_path / "film.mp4", seconds=1)
    assert sources.inspect(film, 3000).length_s == pytest.approx(1, abs=0.1)
    make_video(film, seconds=2)
    assert sources.inspect(film, 3000).length_s == pytest.approx(2, abs=0.1)
