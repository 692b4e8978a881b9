"""Hostile ids, addresses and pages: each gives a row with its reason, without other effects."""

import csv
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from spm.base import tables
from spm.corpus import clips, fetch
from spm.corpus.fetch import Fetch
from spm.corpus.fetching import attempt, downloads, proxy
from spm.corpus.media import forks
from spm.corpus.media.limits import Bounds
from spm.corpus.membership import local_digest
from tests.support.web import WebServer

pytestmark = pytest.mark.slow

ALL_MEMORY_MB = 1 << 20
QUICK = Fetch(sleep_s=0, backoff_s=0.01, timeout_s=10.0, retries=1, private_hosts=("127.0.0.1",))
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n{}#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"
IDS = [
    "$(touch canary)", "`touch canary`", "; touch canary", "| touch canary", "a'b\"c", "../canary",
    "..", "/etc/passwd", "a\x00b", "a\x1b[31mb", "x" * 5000, "\u202egpj.exe", "a b", "-rf /",
    "%(title)s", "{shard}", "*", "C:\\canary", "y" * 200_000,
]  # fmt: skip
VALID_IDS = ["ویدیو", "видео", "動画", "-rf", "--exec", "con", "é" * 60]  # unusual
ADDRESSES = [
    "file:///etc/passwd", "file:///etc/shadow", "file:///dev/zero", "file:///proc/self/environ",
    "../../../../etc/passwd",
    "/dev/stdin", "", "ftp://127.0.0.1/a.mp4", "data:video/mp4;base64,AAAA", "javascript:alert(1)",
    "concat:a|b", "subfile,,start,0,end,9,,:/etc/passwd", "ytsearch:violin", "http://",
    "http://[::1", "http://a:99999/", "https://?", "http://$(touch canary)/",
    "http://127.0.0.1;touch canary/", "http://a@b@c/", "http://\u2024.com/", "x" * 100_000,
    "--exec=touch canary", "-o/tmp/canary", "http://169.254.169.254/latest/meta-data/",
    "http://localhost:22/", "http://[::ffff:127.0.0.1]:22/", "http://0/", "rtmp://127.0.0.1/live",
    "%(id)s", "a\nb", "http://" + "a" * 70 + ".example/", "x" * 200_000, "a" * 300, "d/" * 4000,
    "file:///tmp/a%00b", "file:///%ED%A0%80", "file:///%1B%5B31m", "http://127.0.0.1:1/%00",
    "\u202egpj.exe", "http://\u202e.example/", "http://example.invalid/\x9b31m",
]  # fmt: skip


def write_unchecked(folder: Path, videos: dict[str, str]) -> Path:
    """A manifest that was not checked when it was written."""
    path = folder / "manifest.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = [(video_id, url, "solo", "violin") for video_id, url in videos.items()]
        csv.writer(file).writerows([("video_id", "url", "kind", "categories"), *rows])
    return path


def rows(
    folder: Path, videos: dict[str, str], config: Fetch = QUICK
) -> dict[str, dict[str, object]]:
    """Fetch and cut the videos; their rows in the ledger, compared with the table of videos."""
    ledger = folder / "ledger.parquet"
    fetch.run(
        config,
        manifest=write_unchecked(folder, videos),
        shard=0,
        shards=1,
        store=folder / "store",
        out=ledger,
    )
    out = {name: folder / f"{name}.parquet" for name in ("clips", "videos")}
    clips.run(clips.Clips(size=16), ledger=ledger, threads=2, **out)
    found = {row["video_id"]: row for row in tables.read(ledger).to_pylist()}
    cut = {row["video_id"]: row["status"] for row in tables.read(out["videos"]).to_pylist()}
    assert list(found) == list(cut) == sorted(videos)
    fetched = {name for name, row in found.items() if row["status"] == "ok"}
    assert fetched == {name for name, status in cut.items() if status != "missing"}
    return found


def fetch_one(folder: Path, address: str, config: Fetch = QUICK) -> dict[str, object]:
    return rows(folder, {"a": address}, config)["a"]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The folder in which the stages run; other new files in or beside it are faults."""
    (tmp_path / "deep" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "here")
    return tmp_path / "deep" / "here"


def test_hostile_ids_become_rows_and_unusual_ids_are_accepted(folder, media):
    (folder / "film.mp4").write_bytes(media.read_bytes())
    found = rows(folder, dict.fromkeys([*IDS, *VALID_IDS], "film.mp4"))
    assert {found[name]["status"] for name in IDS} == {"bad"}
    assert all("expected" in found[name]["reason"] for name in IDS)
    assert {found[name]["status"] for name in VALID_IDS} == {"ok"}
    assert not list(folder.parents[1].rglob("*canary*"))
    assert not list((folder / "store").iterdir())


def test_hostile_addresses_become_rows(folder, site):
    videos = {f"v{n:02d}": address for n, address in enumerate(ADDRESSES)}
    found = rows(folder, videos)
    assert local_digest(folder / "manifest.csv", 1, "0000", folder / "cache")  # of the plan
    outcomes = {videos[name][:60]: (row["status"], row["reason"]) for name, row in found.items()}
    assert {status for status, _ in outcomes.values()} <= {"bad", "gone", "retry"}, outcomes
    for address, (_, reason) in outcomes.items():
        assert 0 < len(reason) <= 400, address
        assert reason.isprintable(), address
    assert outcomes["file:///etc/passwd"][0] == outcomes["http://localhost:22/"][0] == "bad"
    assert not site.asked
    assert not list(folder.parents[1].rglob("*canary*"))
    assert not [
        path for path in (folder / "store").rglob("*") if path.is_file() and path.suffix != ".json"
    ]


def test_a_file_that_may_not_be_read_is_a_row(folder):
    # These files can only be written, also by root.
    closed = next((path for path in Path("/sys/bus").glob("*/drivers_probe")), None)
    if closed is None:
        pytest.skip("no file that even root may not read")
    row = fetch_one(folder, closed.as_uri())
    assert (row["status"], row["path"]) == ("bad", "")
    assert row["reason"]


@pytest.mark.parametrize(
    "to", ["http://localhost:{port}/secret", "http://2130706433:{port}/secret", "http://169.254.169.254/secret",
           "https://localhost:{port}/secret", "//localhost:{port}/secret", "file:///etc/passwd", "ftp://localhost/x"],
)  # fmt: skip
def test_a_redirect_into_a_private_network_is_not_followed(folder, site, to):
    site.answers |= {
        "/a.mp4": ["to " + to.format(port=site.root.split(":")[-1])],
        "/secret": ["media"],
    }
    row = fetch_one(folder, f"{site.root}/a.mp4")
    assert row["status"] != "ok"
    assert ("private address" in row["reason"]) == ("http" in to or to.startswith("//"))
    assert set(site.counts()) == {"/a.mp4"}


def test_a_redirect_to_a_host_that_is_allowed_is_followed(folder, site):
    site.answers |= {
        "/a.mp4": [f"to {site.root.replace('127.0.0.1', 'localhost')}/b.mp4"],
        "/b.mp4": ["media"],
    }
    hosts = {"private_hosts": ("127.0.0.1", "localhost")}
    assert fetch_one(folder, f"{site.root}/a.mp4", QUICK.model_copy(update=hosts))["status"] == "ok"


def secret_root(site: WebServer) -> str:
    """An address of this machine that is not allowed, and whose server would answer."""
    site.answers["/secret"] = ["media"]
    return site.root.replace("127.0.0.1", "localhost")


KEY = '#EXT-X-KEY:METHOD={},URI="{{inside}}/secret"\n'
VIDEO_PAGE = (
    "<html><title>$(touch canary)</title><body><video src='{inside}/secret'></video></body></html>"
)
DASH = (
    '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" mediaPresentationDuration="PT2S"><Period>'
    '<AdaptationSet mimeType="video/mp4"><Representation id="1">'
    "<BaseURL>{inside}/secret</BaseURL></Representation></AdaptationSet></Period></MPD>"
)
FILES = [
    ("page.html", VIDEO_PAGE),
    ("page.html", "<html><meta http-equiv='refresh' content='0;url={inside}/secret'></html>"),
    (
        "page.html",
        "<html><head><meta property='og:video' content='{inside}/secret'></head></html>",
    ),
    ("list.m3u8", PLAYLIST.format("", "{inside}/secret")),
    ("list.m3u8", PLAYLIST.format(KEY.format("AES-128"), "/a.ts")),
    ("list.m3u8", PLAYLIST.format(KEY.format("SAMPLE-AES"), "{inside}/secret")),
    ("film.mp4", PLAYLIST.format("", "{inside}/secret")),
    ("film.mp4", "ffconcat version 1.0\nfile {inside}/secret\n"),
    ("film.mpd", DASH),
]


@pytest.mark.parametrize(("name", "text"), FILES)
def test_private_addresses_in_pages_and_playlists_are_not_requested(folder, site, name, text):
    (site.files / name).write_text(text.replace("{inside}", secret_root(site)))
    row = fetch_one(folder, f"{site.root}/{name}")
    assert (row["status"] == "ok", bool(row["reason"])) == (False, True)
    assert "/secret" not in site.counts()


@pytest.mark.parametrize(
    "title",
    [
        "$(touch canary)",
        "../../canary",
        "`touch canary`",
        "%(id)s%s%n",
        "x" * 10_000,
        "\u202e动画\x00",
        "-o canary",
    ],
)
def test_a_title_is_not_used_as_a_file_name(folder, site, title):
    site.answers["/film.mp4"] = ["media"]
    head = f"<title>{title}</title><meta property='og:title' content='{title}'>"
    (site.files / "page.html").write_text(
        f"<html><head>{head}</head><video src='/film.mp4'></video></html>"
    )
    row = fetch_one(folder, f"{site.root}/page.html")
    assert row["status"] == "ok", row
    stored = [path for path in (folder / "store").rglob("*") if path.is_file()]
    assert len(stored) == 2  # media and record
    assert not list(folder.parents[1].rglob("*canary*"))


def test_a_page_that_keeps_an_extractor_busy_ends_with_its_process(folder, site):
    (site.files / "page.html").write_text("<html><head>" + "<meta " * 10_000)
    start = time.monotonic()
    row = fetch_one(folder, f"{site.root}/page.html", QUICK.model_copy(update={"give_up_s": 3.0}))
    assert time.monotonic() - start < 60  # the regular expressions need minutes
    assert (row["status"], row["reason"]) == ("retry", "took longer than fetch.give_up_s")


def test_pages_are_read_for_a_limited_time(folder, site, monkeypatch):
    """The limit is that of the process itself: nothing in Python can interrupt an expression."""
    (site.files / "page.html").write_text("<html><head>" + "<meta " * 10_000)
    monkeypatch.setattr(attempt, "READ_PAGES_S", 1)
    monkeypatch.setattr(forks, "ask", ask_in_fork)
    row = fetch_one(folder, f"{site.root}/page.html")
    assert (row["status"], row["reason"]) == ("retry", "its pages took longer than 1 s to read")


def ask_in_fork(request: object, module: str, bounds: Bounds, wanted: object) -> forks.Ending:
    """`forks.ask` without a helper; the fork starts with all memory of the tests' process."""
    ending = forks.answer(attempt.attempt, request, bounds._replace(memory_mb=ALL_MEMORY_MB))
    assert ending.exit_status <= 0, ending.output
    return ending


def test_an_exception_of_an_extractor_is_a_row(folder, site, monkeypatch):
    """Extractors raise any exception for pages that they do not expect."""
    for error in (RecursionError("deep"), MemoryError(), AssertionError("\ud800\x1b[31m\u202e")):
        monkeypatch.setattr(attempt, "_request", Mock(side_effect=error))
        monkeypatch.setattr(forks, "ask", ask_in_fork)
        row = fetch_one(folder, f"{site.root}/{type(error).__name__}.mp4")
        assert row["status"] == ("bad" if isinstance(error, MemoryError) else "retry")
        assert row["reason"].startswith(type(error).__name__)
        assert row["reason"].isprintable()


def test_the_javascript_runtime_of_an_extractor_may_reserve_address_space():
    """V8 reserves far more than it uses: only written memory is limited."""
    reserve = "import mmap; mmap.mmap(-1, 64 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 0)"
    bounds = Bounds(memory_mb=downloads.MEMORY_MB, time_s=60, only_data=True)

    def program(_: object) -> int:
        return subprocess.run([sys.executable, "-c", reserve], check=False).returncode

    assert forks.answer(program, None, bounds).output == "0"
    use = forks.answer(lambda _: len(bytearray(4 << 30)), None, bounds)
    assert "MemoryError" in use.output


def test_an_endless_page_is_not_read_to_its_end(folder, site):
    site.answers["/page"] = ["endless page"]
    row = fetch_one(folder, f"{site.root}/page")
    assert (row["status"], "larger than" in row["reason"]) == ("bad", True)


def test_a_video_of_too_many_bytes_is_a_row(folder, site):
    site.answers["/a.mp4"] = ["media"]
    row = fetch_one(folder, f"{site.root}/a.mp4", QUICK.model_copy(update={"max_mb": 0.001}))
    assert (row["status"], "larger than fetch.max_mb" in row["reason"]) == ("bad", True)


def test_a_very_slow_server_is_abandoned(folder, site):
    site.answers["/a.mp4"] = ["media", "slow"]
    row = fetch_one(folder, f"{site.root}/a.mp4", QUICK.model_copy(update={"give_up_s": 0.5}))
    assert row["status"] == "retry"


def test_the_sentence_of_a_refusal_does_not_decide_its_status(folder, site, monkeypatch):
    site.answers["/secret"] = ["media"]

    def refuse(host: str, port: int, allowed: object) -> list[str]:
        raise proxy.PrivateHost("This video is private. Sign in: HTTP Error 404")

    monkeypatch.setattr(proxy, "resolve", refuse)
    for address in (f"{site.root}/secret", f"{site.root}/secret".replace("http://", "https://")):
        row = fetch_one(folder, address)
        assert row["status"] == "bad", row
        assert "This video is private" in row["reason"]
    assert not site.asked
