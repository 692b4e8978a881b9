"""One process downloads a video at a time, whatever happens to the others."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from filelock import Timeout

from spm.base import tables
from spm.base.locks import locked
from spm.corpus import fetch
from spm.corpus.fetch import Fetch
from spm.corpus.fetching import attempt, downloads, leftover, store
from spm.corpus.manifest import write
from tests.support.slurm import until

pytestmark = pytest.mark.slow
QUICK = Fetch(sleep_s=0, backoff_s=0.01, timeout_s=30.0, retries=1, private_hosts=("127.0.0.1",))


def options(folder: Path, ledger: str = "ledger.parquet") -> dict[str, object]:
    """Options of the stage."""
    files = {"manifest": folder / "manifest.csv", "store": folder / "store", "out": folder / ledger}
    return {**files, "shard": 0, "shards": 1}


def run(folder: Path, ledger: str = "ledger.parquet", config: Fetch = QUICK) -> dict[str, object]:
    """Fetch one video; its row."""
    fetch.run(config, **options(folder, ledger))
    (row,) = tables.read(folder / ledger).to_pylist()
    return dict(row)


@pytest.fixture
def slow(site, tmp_path) -> Path:
    """A folder with a manifest of one video, which is served slowly."""
    site.answers["/a.mp4"] = ["media", "slow"]
    write(tmp_path / "manifest.csv", [("a", f"{site.root}/a.mp4", "solo", "violin")])
    return tmp_path


def test_two_runs_on_one_store_download_a_video_once(slow, site, media):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda name: run(slow, name), ("1.parquet", "2.parquet"))
    assert first == second
    assert Path(str(first["path"])).read_bytes() == media.read_bytes()
    assert site.counts()["/a.mp4"] == 2  # the page, the media
    assert not [path for path in (slow / "store").rglob("*") if path.suffix in (".lock", ".part")]


def test_a_video_that_another_process_downloads_for_too_long_is_a_row(slow, monkeypatch):
    monkeypatch.setattr(downloads, "LOCKED_S", 0.1)
    with locked(store.lock_path(slow / "store", "a")):
        row = run(slow, config=QUICK.model_copy(update={"give_up_s": 0.5}))
    assert (row["status"], row["reason"]) == ("retry", "another process downloads this video")


def test_a_lock_is_of_one_process_and_leaves_no_file(tmp_path):
    first, second = tmp_path / "a.lock", tmp_path / "b.lock"
    with locked(first):
        with pytest.raises(Timeout), locked(first):
            pass
        with locked(second):
            pass
    with pytest.raises(KeyError), locked(first):
        raise KeyError
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.fixture
def job(slow) -> Iterator[psutil.Process]:
    """A job that downloads the video, as soon as a part of it is there."""
    words = [f"--{name}={value}" for name, value in options(slow).items()]
    command = [sys.executable, "-m", "spm.corpus.fetch", f"--config={QUICK.model_dump_json()}"]
    with subprocess.Popen([*command, *words], stderr=subprocess.DEVNULL) as process:
        until(lambda: any(path.stat().st_size for path in slow.rglob("*.mp4.part")), "a part", 60)
        yield psutil.Process(process.pid)
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_job_that_is_stopped_leaves_no_process(job, slow, site, media, number):
    started = job.children(recursive=True)
    assert len(started) >= 2  # the helper and the attempt
    job.send_signal(number)
    assert not psutil.wait_procs(started, timeout=10)[1]
    site.answers["/a.mp4"] = ["media"]
    assert Path(str(run(slow)["path"])).read_bytes() == media.read_bytes()


def test_a_download_that_outlives_its_job_disturbs_no_later_one(job, slow, site, media):
    """The proxy ends with the job, so the download breaks off; until then it has the lock."""
    (helper,) = [child for child in job.children() if attempt.HELPER in child.cmdline()]
    (download,) = helper.children()
    helper.kill()
    assert job.wait(20) == 1
    row = run(slow)
    assert Path(str(row["path"])).read_bytes() == media.read_bytes()
    assert site.asked[-1][1] not in (None, "bytes=0-")  # the rest only
    assert not psutil.wait_procs([download], timeout=10)[1]


def test_a_file_of_another_length_than_the_server_said_is_not_kept(tmp_path):
    """For instance a connection that a proxy closes early, without an error."""
    found = leftover.Leftover(str(tmp_path / "a.mp4"))
    found.known = leftover.describe({"Content-Length": "10"}, 200)
    (tmp_path / "a.mp4").write_bytes(bytes(10))
    found.check_length()
    (tmp_path / "a.mp4").write_bytes(bytes(9))
    with pytest.raises(leftover.Incomplete, match="9 bytes were received, of 10"):
        found.check_length()
    assert not (tmp_path / "a.mp4").exists()
    packed = {"Content-Length": "10", "Content-Encoding": "gzip"}
    assert leftover.describe(packed, 200) == {}
