"""The stage fetch with a real HTTP server on this machine."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import av
import pyarrow.parquet as pq
import pytest

from spm.base import schemas
from spm.base.errors import UserError
from spm.base.file_digest import file_digest
from spm.base.statuses import FetchStatus
from spm.corpus.fetch import Fetch, run
from spm.corpus.fetching import attempt, downloader, leftover, parts, store
from spm.corpus.manifest import write
from spm.corpus.media import ffmpeg, forks
from spm.corpus.media.limits import Bounds
from tests.support.web import WebServer

ROOT = Path(__file__).parents[2]
HERE = ("127.0.0.1",)
# A busy machine may be slow to serve: the time-out is long.
QUICK = Fetch(sleep_s=0, backoff_s=0.01, timeout_s=10.0, private_hosts=HERE)


class Corpus:
    """A manifest, a store and a ledger."""

    def __init__(self, root: Path) -> None:
        self.manifest = root / "manifest.csv"
        self.store, self.ledger = root / "store", root / "ledger.parquet"

    def of(self, addresses: dict[str, str]) -> "Corpus":
        write(self.manifest, [(name, url, "solo", "violin") for name, url in addresses.items()])
        return self

    def fetch(self, config: Fetch = QUICK) -> dict[str, dict[str, object]]:
        run(config, manifest=self.manifest, shard=0, shards=1, store=self.store, out=self.ledger)
        return {row["video_id"]: row for row in pq.read_table(self.ledger).to_pylist()}


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(tmp_path)


def statuses(rows: dict[str, dict[str, object]]) -> dict[str, object]:
    return {video_id: row["status"] for video_id, row in rows.items()}


def test_a_video_that_is_served_is_kept_whole_with_its_digest(site, corpus, media):
    site.answers["/a.mp4"] = ["media"]
    start = time.monotonic()
    row = corpus.of({"a": f"{site.root}/a.mp4"}).fetch(
        QUICK.model_copy(update={"backoff_s": 30.0})
    )["a"]
    assert time.monotonic() - start < 30  # nothing to wait for
    assert (row["status"], row["reason"], row["extractor"]) == ("ok", "", "generic")
    assert Path(row["path"]).read_bytes() == media.read_bytes()
    assert (row["bytes"], row["sha256"]) == (media.stat().st_size, file_digest(media))
    assert pq.read_schema(corpus.ledger).equals(schemas.LEDGER.schema)


@pytest.mark.parametrize(
    ("behavior", "status"),
    [("404", "gone"), ("410", "gone"), ("403", "blocked"), ("451", "blocked"), ("429", "retry"),
     ("500", "retry"), ("page", "bad"), ("page named video", "bad")],
)  # fmt: skip
def test_a_dead_video_is_a_row_with_its_reason(site, corpus, behavior, status):
    site.answers["/a.mp4"] = [behavior]
    row = corpus.of({"a": f"{site.root}/a.mp4"}).fetch(QUICK.model_copy(update={"retries": 1}))["a"]
    assert (row["status"], row["path"], row["sha256"], row["bytes"]) == (status, "", "", 0)
    assert row["reason"]


def test_a_site_that_stops_sending_does_not_stop_the_run(site, corpus):
    site.answers["/a.mp4"] = ["stall"]
    start = time.monotonic()
    row = corpus.of({"a": f"{site.root}/a.mp4"}).fetch(
        QUICK.model_copy(update={"retries": 1, "timeout_s": 1.0})
    )["a"]
    assert row["status"] == "retry"
    assert "Read timed out" in row["reason"]
    assert time.monotonic() - start < 15  # yt-dlp's own patience is 20 s


def test_after_a_server_error_the_video_is_requested_again_with_a_pause(site, corpus):
    site.answers["/a.mp4"] = ["503", "503", "media"]
    start = time.monotonic()
    rows = corpus.of({"a": f"{site.root}/a.mp4"}).fetch(QUICK.model_copy(update={"backoff_s": 0.2}))
    assert statuses(rows) == {"a": "ok"}
    assert time.monotonic() - start > 0.2 + 0.4  # the pause doubles


def test_the_number_of_attempts_is_limited(site, corpus):
    site.answers["/a.mp4"] = ["503"]
    assert statuses(corpus.of({"a": f"{site.root}/a.mp4"}).fetch()) == {"a": "retry"}
    assert site.counts()["/a.mp4"] == QUICK.retries


def test_a_cut_connection_is_continued_where_it_broke(site, corpus, media):
    site.answers["/a.mp4"] = ["media", "cut", "media"]  # the page, the data; then both again
    row = corpus.of({"a": f"{site.root}/a.mp4"}).fetch()["a"]
    assert Path(row["path"]).read_bytes() == media.read_bytes()
    assert site.asked[-1][1] not in (None, "bytes=0-")


def leave_a_part(site: WebServer, corpus: Corpus, address: str) -> Path:
    """An unfinished download of 3/4 of the media, as a killed run leaves it."""
    site.answers["/a.mp4"] = ["media", "cut"]
    row = corpus.of({"a": address}).fetch(QUICK.model_copy(update={"retries": 1}))["a"]
    assert row["status"] == "retry"
    (part,) = corpus.store.rglob("*.mp4.part")
    assert 0 < part.stat().st_size < len(site.media)
    return part


def ask_here(request: object, module: str, bounds: Bounds, is_wanted: object) -> forks.Ending:
    """`forks.ask` for an attempt in this process."""
    return forks.Ending(json.dumps(attempt.attempt(request)), 0, timed_out=False)


def changed(media: bytes) -> bytes:
    """Another film of the same length: the rest of a file that is joined to it would be wrong."""
    return media[:64] + bytes(255 - byte for byte in media[64:])


OTHER_FILES = {
    "another ETag": ('"b"', lambda media: media),
    "a shorter file, HTTP 416": ("", lambda media: media[: len(media) // 3]),
    "a longer file": ("", lambda media: media + media[-9000:]),
    "another file of the same length": ("", changed),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", OTHER_FILES)
def test_a_left_over_part_is_never_joined_to_another_file(site, corpus, case, monkeypatch):
    monkeypatch.setattr(attempt, "check_media", lambda *_: None)  # the files are not all films
    monkeypatch.setattr(forks, "ask", ask_here)
    etag, change = OTHER_FILES[case]
    site.etag = etag and '"a"'
    leave_a_part(site, corpus, f"{site.root}/a.mp4")
    site.etag, site.media = etag, change(site.media)
    site.answers["/a.mp4"] = ["media"]
    row = corpus.fetch(QUICK.model_copy(update={"retries": 1}))["a"]
    assert row["status"] == "ok", row
    assert Path(row["path"]).read_bytes() == site.media
    assert not list(corpus.store.rglob("*.origin"))


@pytest.mark.parametrize("etag", ["", '"a"'])
def test_a_left_over_part_of_the_same_file_is_continued(site, corpus, media, etag):
    site.etag = etag
    part = leave_a_part(site, corpus, f"{site.root}/a.mp4")
    size, site.answers["/a.mp4"] = part.stat().st_size, ["media"]
    row = corpus.fetch()["a"]
    assert Path(row["path"]).read_bytes() == media.read_bytes()
    start = int(site.asked[-1][1].removeprefix("bytes=").split("-")[0])
    assert 0 < size - start <= leftover.OVERLAP_BYTES


def test_pictures_that_are_complete_are_checked_before_sound_is_joined_to_them(
    site, tmp_path, media
):
    site.answers["/a.mp4"] = ["media"]
    video = {"id": "a", "title": "a", "url": f"{site.root}/a.mp4", "protocol": "http", "ext": "mp4"}
    name, bounds = tmp_path / "137.mp4", parts.Limits(10, 30, 10)
    with downloader.BoundedYoutubeDL({"ffmpeg_location": ffmpeg.binary()}, bounds) as ydl:
        ydl.dl(str(name), video)
        ydl.dl(str(name), video)
        assert name.read_bytes() == media.read_bytes()
        assert site.asked[-1][1] not in (None, "bytes=0-")  # only the end
        name.write_bytes(changed(media.read_bytes()))
        with pytest.raises(leftover.OtherFile):
            ydl.dl(str(name), video)


COOKIES = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tname\t{}\n"


def test_cookies_that_were_exported_anew_count_by_their_content(site, corpus, tmp_path):
    cookies = tmp_path / "cookies.txt"
    config = QUICK.model_copy(update={"cookies": str(cookies)})
    site.answers |= {"/adult.mp4": ["403"], "/page.mp4": ["page"]}
    corpus.of({name: f"{site.root}/{name}.mp4" for name in ("adult", "gone", "page")})
    for value, expected in (("1", {"/adult.mp4", "/gone.mp4", "/page.mp4"}), ("1", set()),
                            ("2", {"/adult.mp4"})):  # fmt: skip
        site.asked.clear()
        cookies.write_text(COOKIES.format(value))
        rows = corpus.fetch(config)
        assert statuses(rows) == {"adult": "blocked", "gone": "gone", "page": "bad"}
        assert set(site.counts()) == expected


def test_a_private_video_may_be_there_with_other_cookies():
    record = store.MediaRecord(
        "a", "u", "t", FetchStatus.GONE, "Private video. Sign in", cookies="1"
    )
    other = replace(record, cookies="2")
    assert store.is_current(Path(), record, record)
    assert not store.is_current(Path(), record, other)
    removed = replace(record, reason="Video unavailable")
    assert store.is_current(Path(), removed, other)


def test_a_final_outcome_is_not_requested_again(site, corpus):
    site.answers |= {"/ok.mp4": ["media"], "/bad.mp4": ["page"], "/blocked.mp4": ["403"]}
    corpus.of({name: f"{site.root}/{name}.mp4" for name in ("ok", "bad", "blocked", "gone")})
    first, asked = corpus.fetch(), len(site.asked)
    assert statuses(first) == {name: name for name in first}
    assert corpus.fetch() == first
    assert len(site.asked) == asked


def test_only_videos_with_temporary_errors_are_requested_again(site, corpus):
    site.answers |= {"/ok.mp4": ["media"], "/late.mp4": ["503", "503", "503", "media"]}
    corpus.of({name: f"{site.root}/{name}.mp4" for name in ("ok", "late", "gone")})
    assert statuses(corpus.fetch()) == {"ok": "ok", "late": "retry", "gone": "gone"}
    site.asked.clear()
    assert statuses(corpus.fetch()) == {"ok": "ok", "late": "ok", "gone": "gone"}
    assert set(site.counts()) == {"/late.mp4"}


def test_another_address_is_requested(site, corpus):
    site.answers["/b.mp4"] = ["media"]
    assert statuses(corpus.of({"a": f"{site.root}/a.mp4"}).fetch()) == {"a": "gone"}
    assert statuses(corpus.of({"a": f"{site.root}/b.mp4"}).fetch()) == {"a": "ok"}


def test_with_cookies_only_blocked_videos_are_requested_again(site, corpus, tmp_path):
    cookies = tmp_path / "cookies.txt"
    cookies.write_text(
        "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tname\tvalue\n"
    )
    site.answers |= {"/ok.mp4": ["media"], "/adult.mp4": ["403", "media"]}
    corpus.of({name: f"{site.root}/{name}.mp4" for name in ("ok", "adult")})
    assert statuses(corpus.fetch()) == {"ok": "ok", "adult": "blocked"}
    site.asked.clear()
    before = cookies.read_bytes()
    assert statuses(corpus.fetch(QUICK.model_copy(update={"cookies": str(cookies)}))) == {
        "ok": "ok",
        "adult": "ok",
    }
    assert set(site.counts()) == {"/adult.mp4"}
    assert cookies.read_bytes() == before


def test_media_that_changed_size_are_fetched_again(site, corpus, media):
    site.answers["/a.mp4"] = ["media"]
    path = Path(corpus.of({"a": f"{site.root}/a.mp4"}).fetch()["a"]["path"])
    path.write_bytes(path.read_bytes()[:100])
    assert Path(corpus.fetch()["a"]["path"]).read_bytes() == media.read_bytes()


@pytest.mark.parametrize("record", ["", "{", "[]", '{"status": "ok"}'])
def test_a_record_that_cannot_be_read_is_ignored(site, corpus, record):
    site.answers["/a.mp4"] = ["media"]
    path = Path(corpus.of({"a": f"{site.root}/a.mp4"}).fetch()["a"]["path"]).with_suffix(".json")
    path.write_text(record)
    assert statuses(corpus.fetch()) == {"a": "ok"}


def test_refusals_of_automatic_access_end_the_shard_early(site, corpus):
    corpus.of({f"v{i}": f"{site.root}/v{i}.mp4" for i in range(6)})
    site.answers |= {f"/v{i}.mp4": ["429"] for i in range(6)}
    rows = corpus.fetch(QUICK.model_copy(update={"workers": 1, "retries": 1, "bot_limit": 2}))
    assert set(statuses(rows).values()) == {"retry"}
    assert set(site.counts()) == {"/v0.mp4", "/v1.mp4"}
    reasons = [row["reason"] for row in rows.values()]
    assert all("429" in reason for reason in reasons[:2])
    assert all("not requested" in reason and "429" not in reason for reason in reasons[2:])
    assert not any("not requested" in reason for reason in reasons[:2])


def test_a_shard_that_ended_early_still_lists_downloaded_videos(site, corpus):
    site.answers |= {"/a.mp4": ["429"], "/z.mp4": ["media"]}
    assert statuses(corpus.of({"z": f"{site.root}/z.mp4"}).fetch()) == {"z": "ok"}
    corpus.of({"a": f"{site.root}/a.mp4", "z": f"{site.root}/z.mp4"})
    impatient = QUICK.model_copy(update={"workers": 1, "bot_limit": 1})
    assert statuses(corpus.fetch(impatient)) == {"a": "retry", "z": "ok"}


def test_only_consecutive_refusals_are_counted(site, corpus):
    site.answers |= {"/a.mp4": ["429"], "/c.mp4": ["429"], "/d.mp4": ["media"]}
    corpus.of({name: f"{site.root}/{name}.mp4" for name in "abcd"})
    rows = corpus.fetch(QUICK.model_copy(update={"workers": 1, "retries": 1, "bot_limit": 2}))
    assert statuses(rows) == {"a": "retry", "b": "gone", "c": "retry", "d": "ok"}


def test_ids_that_differ_by_case_or_start_with_a_hyphen_have_their_own_files(site, corpus):
    site.answers |= {f"/{i}.mp4": ["media"] for i in range(4)}
    names = ["-abc", "-ABC", "abc", "--exec"]
    rows = corpus.of({name: f"{site.root}/{i}.mp4" for i, name in enumerate(names)}).fetch()
    assert statuses(rows) == dict.fromkeys(names, "ok")
    files = [path for path in corpus.store.rglob("*") if path.is_file()]
    assert not [path for path in files if path.name.startswith(("-", "."))]
    # The media and the record of each video, and nothing else.
    assert len({str(path).lower() for path in files}) == 2 * len(names)


def stream(site: WebServer) -> str:
    """Address of a film with pictures in two sizes and sound, all served in fragments."""
    sizes = ["-map", "0:v", "-s:v:0", "128x96", "-map", "0:v", "-s:v:1", "320x240", "-map", "1:a"]
    inputs = ["-f", "lavfi", "-i", "testsrc=r=10", "-f", "lavfi", "-i", "sine"]
    output = ["-t", "2", *sizes, "-pix_fmt", "yuv420p", "-f", "dash", str(site.files / "film.mpd")]
    subprocess.run([ffmpeg.binary(), "-v", "error", *inputs, *output], check=True)
    return f"{site.root}/film.mpd"


def test_separate_pictures_and_sound_are_joined_in_the_configured_size(site, corpus):
    row = corpus.of({"a": stream(site)}).fetch(QUICK.model_copy(update={"short_side_px": 100}))["a"]
    assert row["status"] == "ok", row
    with av.open(row["path"]) as joined:
        assert [(stream.type, getattr(stream, "height", None)) for stream in joined.streams] == [
            ("video", 96), ("audio", None)
        ]  # fmt: skip


def test_a_film_without_one_of_its_fragments_is_not_stored(site, corpus):
    address = stream(site)
    sorted(site.files.glob("chunk-stream2-*.m4s"))[-1].unlink()
    row = corpus.of({"a": address}).fetch(QUICK.model_copy(update={"retries": 1}))["a"]
    assert (row["status"], row["path"]) == ("retry", "")


def test_a_list_of_videos_is_not_a_video(site, corpus):
    item = (
        '<item><title>{0}</title><enclosure url="{1}/{0}.mp4" type="video/mp4"/>'
        "<link>{1}/{0}.mp4</link></item>"
    )
    items = "".join(item.format(name, site.root) for name in "xy")
    (site.files / "list.rss").write_text(
        f'<?xml version="1.0"?><rss version="2.0"><channel>{items}</channel></rss>'
    )
    site.answers |= {"/x.mp4": ["media"], "/y.mp4": ["media"]}
    row = corpus.of({"a": f"{site.root}/list.rss"}).fetch()["a"]
    assert (row["status"], row["reason"]) == (
        "bad",
        "the address of a list of videos; expected the address of one video",
    )
    assert site.counts() == {}


@pytest.mark.slow
def test_a_download_of_a_killed_run_is_continued_by_the_next(site, corpus, media):
    site.answers["/a.mp4"] = ["media", "slow", "media"]
    corpus.of({"a": f"{site.root}/a.mp4"})
    arguments = {
        "config": QUICK.model_dump_json(), "manifest": corpus.manifest, "shard": 0, "shards": 1,
        "store": corpus.store, "out": corpus.ledger,
    }  # fmt: skip
    options = [f"--{name}={value}" for name, value in arguments.items()]
    with subprocess.Popen(
        [sys.executable, "-m", "spm.corpus.fetch", *options], stderr=subprocess.DEVNULL
    ) as job:
        while not [path for path in corpus.store.rglob("*.mp4.part") if path.stat().st_size > 2000]:
            assert job.poll() is None
            time.sleep(0.05)
        job.send_signal(signal.SIGKILL)
    assert not corpus.ledger.exists()
    assert Path(corpus.fetch()["a"]["path"]).read_bytes() == media.read_bytes()
    assert site.asked[-1][1] not in (None, "bytes=0-")


@pytest.mark.slow
def test_a_full_disk_is_an_error_of_the_job(site, corpus):
    site.answers["/a.mp4"] = ["media"]
    corpus.of({"a": f"{site.root}/a.mp4"})
    limited = (
        "import resource, sys; from pathlib import Path;"
        "from tests.corpus.test_fetch import Corpus, QUICK;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        "Corpus(Path(sys.argv[1])).fetch(QUICK)"
    )
    job = subprocess.run(
        [sys.executable, "-c", limited, str(corpus.store.parent)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert "UserError: store" in job.stderr
    assert "expected space" in job.stderr
    assert not corpus.ledger.exists()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"cookies": "nowhere.txt"}, "nowhere"),
        ({"cookies": __file__}, "Netscape"),
        ({"format": "best["}, "best"),
    ],
)
def test_a_wrong_setting_stops_the_job_before_the_first_request(site, corpus, wrong, named):
    with pytest.raises(UserError, match=named):
        corpus.of({"a": f"{site.root}/a.mp4"}).fetch(QUICK.model_copy(update=wrong))
    assert not site.asked


def test_a_store_that_is_not_a_folder_stops_the_job(site, corpus):
    corpus.store.write_text("in the way")
    with pytest.raises(UserError, match=r"store .*expected a writable folder"):
        corpus.of({"a": f"{site.root}/a.mp4"}).fetch()


def test_a_store_that_fails_during_the_run_stops_the_job(site, corpus):
    site.answers["/a.mp4"] = ["media"]
    path = Path(corpus.of({"a": f"{site.root}/a.mp4"}).fetch()["a"]["path"])
    corpus.ledger.unlink()
    shutil.rmtree(path.parent)
    path.parent.write_text("in the way")
    with pytest.raises(UserError, match=r"store .*expected a writable folder"):
        corpus.fetch()
    assert not corpus.ledger.exists()


def test_a_shard_outside_of_the_shards_stops_the_job(corpus):
    corpus.of({"a": "a.mp4"})
    with pytest.raises(UserError, match="shard 2: expected 0 to 1"):
        run(
            QUICK,
            manifest=corpus.manifest,
            shard=2,
            shards=2,
            store=corpus.store,
            out=corpus.ledger,
        )


def test_local_files_stay_at_their_places(corpus, media, tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "my film.mp4").write_bytes(media.read_bytes())
    rows = corpus.of(
        {
            "-x": "my film.mp4",
            "y": media.as_uri(),
            "z": "empty.mp4",
            "f": "folder.mp4",
            "n": "nowhere.mp4",
        }
    ).fetch()
    assert statuses(rows) == {"-x": "ok", "y": "ok", "z": "bad", "f": "bad", "n": "gone"}
    assert rows["-x"]["path"] == str(tmp_path / "my film.mp4")
    assert {rows[name]["sha256"] for name in ("-x", "y")} == {file_digest(media)}
    assert all(row["extractor"] == "local" for row in rows.values())
    assert not list(corpus.store.iterdir())


def test_every_video_is_in_one_shard(corpus):
    corpus.of({f"v{i}": "nowhere.mp4" for i in range(40)})
    seen = []
    for shard in range(3):
        run(
            QUICK,
            manifest=corpus.manifest,
            shard=shard,
            shards=3,
            store=corpus.store,
            out=corpus.ledger,
        )
        seen += pq.read_table(corpus.ledger)["video_id"].to_pylist()
    assert sorted(seen) == sorted(f"v{i}" for i in range(40))


@pytest.mark.slow
def test_the_same_answers_in_another_order_give_the_same_bytes(site, tmp_path, monkeypatch):
    site.answers |= {
        "/a.mp4": ["media"],
        "/b.mp4": ["stall"],
        "/c.mp4": ["page"],
        "/d.mp4": ["503"],
        "/f.mp4": ["429"],
    }
    site.answers["/e.mp4"] = ["media", "cut", "media", "cut"]
    config = QUICK.model_copy(update={"workers": 4, "retries": 1, "timeout_s": 3.0})
    ledgers = []
    for order in ("abcdefg", "gfedcba"):
        (root := tmp_path / order).mkdir()
        monkeypatch.chdir(root)
        corpus = Corpus(Path()).of({name: f"{site.root}/{name}.mp4" for name in order})
        corpus.fetch(config)
        ledgers.append(corpus.ledger.read_bytes())
    assert ledgers[0] == ledgers[1]
