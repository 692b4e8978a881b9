"""fetch against a real HTTP server on this machine."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pyarrow.parquet as pq
import pytest

from spm.base import tables
from spm.base.config import UserError
from spm.corpus.fetch import Fetch, run
from spm.corpus.fetching import store
from spm.corpus.fetching.downloader import LiveNow, reject_playlists
from spm.corpus.fetching.errors import classify_error, normalize_message
from spm.corpus.manifest import write
from spm.corpus.media import ffmpeg
from tests.support.web import Site

ROOT = Path(__file__).parents[2]
HERE = ("127.0.0.1",)
QUICK = Fetch(
    sleep_s=0, backoff_s=0.01, timeout_s=10.0, private_hosts=HERE
)  # a busy machine may be slow to serve


class Place:
    """A manifest, a store and a ledger."""

    def __init__(self, root: Path) -> None:
        self.manifest, self.store, self.ledger = (
            root / "manifest.csv",
            root / "store",
            root / "ledger.parquet",
        )

    def of(self, addresses: dict[str, str]) -> "Place":
        write(self.manifest, [(name, url, "solo", "violin") for name, url in addresses.items()])
        return self

    def fetch(self, config: Fetch = QUICK) -> dict[str, dict[str, object]]:
        run(config, manifest=self.manifest, shard=0, shards=1, store=self.store, out=self.ledger)
        return {row["video_id"]: row for row in pq.read_table(self.ledger).to_pylist()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def statuses(rows: dict[str, dict[str, object]]) -> dict[str, object]:
    return {video_id: row["status"] for video_id, row in rows.items()}


def test_a_video_that_is_served_is_kept_whole_with_its_digest(site, place, media):
    site.answers["/a.mp4"] = ["media"]
    start = time.monotonic()
    row = place.of({"a": f"{site.root}/a.mp4"}).fetch(QUICK.model_copy(update={"backoff_s": 30.0}))[
        "a"
    ]
    assert time.monotonic() - start < 30  # nothing to wait for
    assert (row["status"], row["reason"], row["extractor"]) == ("ok", "", "generic")
    assert Path(row["path"]).read_bytes() == media.read_bytes()
    assert (row["bytes"], row["sha256"]) == (media.stat().st_size, store.digest_of(media))
    assert pq.read_schema(place.ledger).equals(tables.LEDGER)


@pytest.mark.parametrize(
    ("behavior", "status"),
    [("404", "gone"), ("410", "gone"), ("403", "blocked"), ("451", "blocked"), ("429", "retry"), ("500", "retry"),
     ("page", "bad"), ("page named video", "bad")],
)  # fmt: skip
def test_a_dead_video_is_a_row_with_its_reason(site, place, behavior, status):
    site.answers["/a.mp4"] = [behavior]
    row = place.of({"a": f"{site.root}/a.mp4"}).fetch(QUICK.model_copy(update={"retries": 1}))["a"]
    assert (row["status"], row["path"], row["sha256"], row["bytes"]) == (status, "", "", 0)
    assert row["reason"]


def test_a_site_that_falls_silent_does_not_hold_the_run(site, place):
    site.answers["/a.mp4"] = ["stall"]
    start = time.monotonic()
    row = place.of({"a": f"{site.root}/a.mp4"}).fetch(
        QUICK.model_copy(update={"retries": 1, "timeout_s": 1.0})
    )["a"]
    assert row["status"] == "retry"
    assert "Read timed out" in row["reason"]
    assert time.monotonic() - start < 15  # yt-dlp's own patience is 20 s


def test_a_server_error_is_asked_again_after_a_pause(site, place):
    site.answers["/a.mp4"] = ["503", "503", "media"]
    start = time.monotonic()
    rows = place.of({"a": f"{site.root}/a.mp4"}).fetch(QUICK.model_copy(update={"backoff_s": 0.2}))
    assert statuses(rows) == {"a": "ok"}
    assert time.monotonic() - start > 0.2 + 0.4  # the pause doubles


def test_attempts_are_counted(site, place):
    site.answers["/a.mp4"] = ["503"]
    assert statuses(place.of({"a": f"{site.root}/a.mp4"}).fetch()) == {"a": "retry"}
    assert site.counts()["/a.mp4"] == QUICK.retries


def test_a_cut_connection_is_continued_where_it_broke(site, place, media):
    site.answers["/a.mp4"] = ["media", "cut", "media"]  # the page, the data; then both again
    row = place.of({"a": f"{site.root}/a.mp4"}).fetch()["a"]
    assert Path(row["path"]).read_bytes() == media.read_bytes()
    assert site.asked[-1][1] not in (None, "bytes=0-")


def test_nothing_known_is_asked_again(site, place):
    site.answers |= {"/ok.mp4": ["media"], "/bad.mp4": ["page"], "/blocked.mp4": ["403"]}
    place.of({name: f"{site.root}/{name}.mp4" for name in ("ok", "bad", "blocked", "gone")})
    first, asked = place.fetch(), len(site.asked)
    assert statuses(first) == {name: name for name in first}
    assert place.fetch() == first
    assert len(site.asked) == asked


def test_only_what_may_come_back_is_asked_again(site, place):
    site.answers |= {"/ok.mp4": ["media"], "/late.mp4": ["503", "503", "503", "media"]}
    place.of({name: f"{site.root}/{name}.mp4" for name in ("ok", "late", "gone")})
    assert statuses(place.fetch()) == {"ok": "ok", "late": "retry", "gone": "gone"}
    site.asked.clear()
    assert statuses(place.fetch()) == {"ok": "ok", "late": "ok", "gone": "gone"}
    assert set(site.counts()) == {"/late.mp4"}


def test_another_address_is_asked(site, place):
    site.answers["/b.mp4"] = ["media"]
    assert statuses(place.of({"a": f"{site.root}/a.mp4"}).fetch()) == {"a": "gone"}
    assert statuses(place.of({"a": f"{site.root}/b.mp4"}).fetch()) == {"a": "ok"}


def test_cookies_open_what_was_blocked_and_leave_what_is_there(site, place, tmp_path):
    cookies = tmp_path / "cookies.txt"
    cookies.write_text(
        "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tname\tvalue\n"
    )
    site.answers |= {"/ok.mp4": ["media"], "/adult.mp4": ["403", "media"]}
    place.of({name: f"{site.root}/{name}.mp4" for name in ("ok", "adult")})
    assert statuses(place.fetch()) == {"ok": "ok", "adult": "blocked"}
    site.asked.clear()
    before = cookies.read_bytes()
    assert statuses(place.fetch(QUICK.model_copy(update={"cookies": str(cookies)}))) == {
        "ok": "ok",
        "adult": "ok",
    }
    assert set(site.counts()) == {"/adult.mp4"}
    assert cookies.read_bytes() == before


def test_media_that_changed_size_are_fetched_again(site, place, media):
    site.answers["/a.mp4"] = ["media"]
    path = Path(place.of({"a": f"{site.root}/a.mp4"}).fetch()["a"]["path"])
    path.write_bytes(path.read_bytes()[:100])
    assert Path(place.fetch()["a"]["path"]).read_bytes() == media.read_bytes()


@pytest.mark.parametrize("note", ["", "{", "[]", '{"status": "ok"}'])
def test_a_note_that_cannot_be_read_is_no_answer(site, place, note):
    site.answers["/a.mp4"] = ["media"]
    path = Path(place.of({"a": f"{site.root}/a.mp4"}).fetch()["a"]["path"]).with_suffix(".json")
    path.write_text(note)
    assert statuses(place.fetch()) == {"a": "ok"}


def test_refusals_of_a_robot_end_the_shard_early(site, place):
    place.of({f"v{i}": f"{site.root}/v{i}.mp4" for i in range(6)})
    site.answers |= {f"/v{i}.mp4": ["429"] for i in range(6)}
    rows = place.fetch(QUICK.model_copy(update={"workers": 1, "retries": 1, "bot_limit": 2}))
    assert set(statuses(rows).values()) == {"retry"}
    assert set(site.counts()) == {"/v0.mp4", "/v1.mp4"}
    assert [("429" in row["reason"], "not asked" in row["reason"]) for row in rows.values()] == [
        *[(True, False)] * 2, *[(False, True)] * 4
    ]  # fmt: skip


def test_a_shard_that_ended_early_still_counts_what_is_there(site, place):
    site.answers |= {"/a.mp4": ["429"], "/z.mp4": ["media"]}
    assert statuses(place.of({"z": f"{site.root}/z.mp4"}).fetch()) == {"z": "ok"}
    place.of({"a": f"{site.root}/a.mp4", "z": f"{site.root}/z.mp4"})
    impatient = QUICK.model_copy(update={"workers": 1, "bot_limit": 1})
    assert statuses(place.fetch(impatient)) == {"a": "retry", "z": "ok"}


def test_an_answer_between_two_refusals_forgives_the_first(site, place):
    site.answers |= {"/a.mp4": ["429"], "/c.mp4": ["429"], "/d.mp4": ["media"]}
    place.of({name: f"{site.root}/{name}.mp4" for name in "abcd"})
    rows = place.fetch(QUICK.model_copy(update={"workers": 1, "retries": 1, "bot_limit": 2}))
    assert statuses(rows) == {"a": "retry", "b": "gone", "c": "retry", "d": "ok"}


def test_ids_that_differ_by_case_or_start_with_a_hyphen_lie_apart(site, place):
    site.answers |= {f"/{i}.mp4": ["media"] for i in range(4)}
    names = ["-abc", "-ABC", "abc", "--exec"]
    rows = place.of({name: f"{site.root}/{i}.mp4" for i, name in enumerate(names)}).fetch()
    assert statuses(rows) == dict.fromkeys(names, "ok")
    files = [path for path in place.store.rglob("*") if path.is_file()]
    assert not [path for path in files if path.name.startswith(("-", "."))]
    assert len({str(path).lower() for path in files}) == 2 * len(
        names
    )  # media and note of each, and nothing else


def stream(site: Site) -> str:
    """Address of a film served as pictures of two sizes and sound, each in pieces."""
    sizes = ["-map", "0:v", "-s:v:0", "128x96", "-map", "0:v", "-s:v:1", "320x240", "-map", "1:a"]
    inputs = ["-f", "lavfi", "-i", "testsrc=r=10", "-f", "lavfi", "-i", "sine"]
    command = [
        ffmpeg.binary(),
        "-v",
        "error",
        *inputs,
        "-t",
        "2",
        *sizes,
        "-pix_fmt",
        "yuv420p",
        "-f",
        "dash",
    ]
    subprocess.run([*command, str(site.files / "film.mpd")], check=True)
    return f"{site.root}/film.mpd"


def test_pictures_and_sound_that_come_apart_are_joined_at_the_size_asked_for(site, place):
    row = place.of({"a": stream(site)}).fetch(QUICK.model_copy(update={"short_side_px": 100}))["a"]
    assert row["status"] == "ok", row
    with av.open(row["path"]) as joined:
        assert [(stream.type, getattr(stream, "height", None)) for stream in joined.streams] == [
            ("video", 96), ("audio", None)
        ]  # fmt: skip


def test_a_film_that_lacks_a_piece_is_not_kept(site, place):
    address = stream(site)
    sorted(site.files.glob("chunk-stream2-*.m4s"))[-1].unlink()
    row = place.of({"a": address}).fetch(QUICK.model_copy(update={"retries": 1}))["a"]
    assert (row["status"], row["path"]) == ("retry", "")


def test_a_list_of_videos_is_not_a_video(site, place):
    item = '<item><title>{0}</title><enclosure url="{1}/{0}.mp4" type="video/mp4"/><link>{1}/{0}.mp4</link></item>'
    items = "".join(item.format(name, site.root) for name in "xy")
    (site.files / "list.rss").write_text(
        f'<?xml version="1.0"?><rss version="2.0"><channel>{items}</channel></rss>'
    )
    site.answers |= {"/x.mp4": ["media"], "/y.mp4": ["media"]}
    row = place.of({"a": f"{site.root}/list.rss"}).fetch()["a"]
    assert (row["status"], row["reason"]) == (
        "bad",
        "a list of videos: expected the address of one",
    )
    assert site.counts() == {}


def test_a_live_stream_may_be_a_video_later():
    with pytest.raises(LiveNow) as refusal:
        reject_playlists({"id": "a", "is_live": True})
    assert classify_error(normalize_message(str(refusal.value))) == ("retry", False)


def test_a_run_killed_in_a_download_is_continued_by_the_next(site, place, media):
    site.answers["/a.mp4"] = ["media", "slow", "media"]
    place.of({"a": f"{site.root}/a.mp4"})
    arguments = {
        "config": QUICK.model_dump_json(),
        "manifest": place.manifest,
        "shard": 0,
        "shards": 1,
    }
    options = [
        f"--{name}={value}"
        for name, value in (arguments | {"store": place.store, "out": place.ledger}).items()
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "spm.corpus.fetch", *options], stderr=subprocess.DEVNULL
    ) as job:
        while not [path for path in place.store.rglob("*.mp4.part") if path.stat().st_size > 2000]:
            assert job.poll() is None
            time.sleep(0.05)
        job.send_signal(signal.SIGKILL)
    assert not place.ledger.exists()
    assert Path(place.fetch()["a"]["path"]).read_bytes() == media.read_bytes()
    assert site.asked[-1][1] not in (None, "bytes=0-")


def test_a_full_disk_is_the_machines_fault_and_not_the_videos(site, place):
    site.answers["/a.mp4"] = ["media"]
    place.of({"a": f"{site.root}/a.mp4"})
    limited = (
        "import resource, sys; from pathlib import Path; from tests.corpus.test_fetch import Place, QUICK;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); Place(Path(sys.argv[1])).fetch(QUICK)"
    )
    job = subprocess.run(
        [sys.executable, "-c", limited, str(place.store.parent)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert "UserError: store" in job.stderr
    assert "expected room" in job.stderr
    assert not place.ledger.exists()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"cookies": "nowhere.txt"}, "nowhere"),
        ({"cookies": __file__}, "Netscape"),
        ({"format": "best["}, "best"),
    ],
)
def test_a_wrong_setting_stops_the_job_before_anything_is_asked(site, place, wrong, named):
    with pytest.raises(UserError, match=named):
        place.of({"a": f"{site.root}/a.mp4"}).fetch(QUICK.model_copy(update=wrong))
    assert not site.asked


def test_a_store_that_is_no_folder_stops_the_job(site, place):
    place.store.write_text("in the way")
    with pytest.raises(UserError, match=r"store .*expected a folder"):
        place.of({"a": f"{site.root}/a.mp4"}).fetch()


def test_a_store_that_fails_under_way_stops_the_job(site, place):
    site.answers["/a.mp4"] = ["media"]
    path = Path(place.of({"a": f"{site.root}/a.mp4"}).fetch()["a"]["path"])
    place.ledger.unlink()
    shutil.rmtree(path.parent)
    path.parent.write_text("in the way")
    with pytest.raises(UserError, match=r"store .*expected a folder that can be written"):
        place.fetch()
    assert not place.ledger.exists()


def test_a_shard_outside_of_the_shards_stops_the_job(place):
    place.of({"a": "a.mp4"})
    with pytest.raises(UserError, match="shard 2: expected 0 to 1"):
        run(QUICK, manifest=place.manifest, shard=2, shards=2, store=place.store, out=place.ledger)


def test_files_stay_where_they_are(place, media, tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "my film.mp4").write_bytes(media.read_bytes())
    rows = place.of(
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
    assert {rows[name]["sha256"] for name in ("-x", "y")} == {store.digest_of(media)}
    assert all(row["extractor"] == "local" for row in rows.values())
    assert not list(place.store.iterdir())


def test_every_video_is_in_one_shard(place):
    place.of({f"v{i}": "nowhere.mp4" for i in range(40)})
    seen = []
    for shard in range(3):
        run(
            QUICK,
            manifest=place.manifest,
            shard=shard,
            shards=3,
            store=place.store,
            out=place.ledger,
        )
        seen += pq.read_table(place.ledger)["video_id"].to_pylist()
    assert sorted(seen) == sorted(f"v{i}" for i in range(40))


def test_equal_answers_give_equal_bytes(site, tmp_path, monkeypatch):
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
        place = Place(Path()).of({name: f"{site.root}/{name}.mp4" for name in order})
        place.fetch(config)
        ledgers.append(place.ledger.read_bytes())
    assert ledgers[0] == ledgers[1]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("gone", "[youtube] jW_AuF6dQYY: Video unavailable"),
        ("gone", "[youtube] jW_AuF6dQYY: Private video. Sign in if you've been granted access to this video"),
        ("gone", "[youtube] a: Video unavailable. This video has been removed by the uploader"),
        ("gone", "[youtube] a: This video is no longer available because the YouTube account has been terminated"),
        ("gone", "[youtube] a: This video has been removed for violating YouTube's Terms of Service"),
        ("gone", "[youtube] a: Video unavailable. This video is no longer available due to a copyright claim by X"),
        ("gone", "[youtube] a: This live stream recording is not available."),
        ("blocked", "[youtube] a: Sign in to confirm your age. This video may be inappropriate for some users."),
        ("blocked", "[youtube] a: The uploader has not made this video available in your country"),
        ("blocked", "[youtube] a: Video unavailable. It contains content from SME, who has blocked it in your country"),
        ("blocked", "[youtube] a: Join this channel to get access to members-only content like this video"),
        ("blocked", "[youtube] a: This video is only available to Music Premium members"),
        ("blocked", "[youtube] a: Video unavailable. Playback on other websites has been disabled by the video owner"),
        ("blocked", "[vimeo] a: This video is only available for registered users. Use --cookies"),
        ("blocked", "[x] a: This video is DRM protected"),
        ("blocked", "[generic] a: Unable to download webpage: HTTP Error 403: Forbidden"),
        ("retry", "unable to download video data: HTTP Error 403: Forbidden"),
        ("retry", "[youtube] a: Unable to download API page: HTTP Error 403: Forbidden"),
        ("retry", "[youtube] a: This live event will begin in 3 hours."),
        ("retry", "[youtube] a: The page needs to be reloaded."),
        ("retry", "[youtube] a: Video unavailable. The following content is not available on this app."),
        ("retry", "[youtube] a: Requested format is not available. Use --list-formats for a list of available formats"),
        ("retry", "Unable to download webpage: HTTP Error 503: Service Unavailable"),
        ("retry", "Unable to download webpage: [Errno 101] Network is unreachable (caused by TransportError('…'))"),
        ("retry", "\r[download] Got error: 31415 bytes read, 27182 more expected"),
        ("retry", "[generic] a: something nobody has seen before"),
        ("bad", "[generic] Unsupported URL: https://example.org/private-video-removed"),
        ("bad", "[youtube:truncated_id] a: Incomplete YouTube ID abc. URL https://youtu.be/abc looks truncated."),
    ],
)  # fmt: skip
def test_what_sites_say_is_understood(status, message):
    assert classify_error(normalize_message(f"ERROR: {message}")) == (status, False)


@pytest.mark.parametrize(
    "message",
    [
        "[youtube] a: Sign in to confirm you’re not a bot. Use --cookies-from-browser",
        "[youtube] a: Video unavailable. This content isn't available, try again later. The current session has been"
        " rate-limited by YouTube for up to an hour.",
        "[youtube] a: Sorry. YouTube is requiring a captcha challenge before playback",
        "[generic] a: Unable to download webpage: HTTP Error 429: Too Many Requests (caused by <HTTPError 429>)",
        "[generic] Got HTTP Error 403 caused by Cloudflare anti-bot challenge; see  https://example.org",
    ],
)
def test_what_is_said_to_robots_is_not_held_against_the_video(message):
    assert classify_error(normalize_message(f"ERROR: {message}")) == ("retry", True)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("\x1b[0;31mERROR:\x1b[0m [youtube] -x_y: Video unavailable", "Video unavailable"),
        (
            "ERROR: \r[download] Got error: 7 bytes read, 9 more expected",
            "Got error: the connection was cut",
        ),
        (
            "ERROR: [generic] Unable to download webpage: <urllib3.HTTPConnection object at 0x7f>: refused",
            "refused",
        ),
        ("ERROR: [x] a: No sound; please report this issue on  https://example.org", "No sound"),
        ("ERROR: [x] a: Not here.\nThis video is available in Norway.", "Not here."),
    ],
)
def test_a_reason_holds_nothing_that_differs_from_run_to_run(message, reason):
    assert normalize_message(message).endswith(reason)
    assert not set(normalize_message(message)) & set("\x1b\r\n<")
