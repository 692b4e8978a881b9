"""Lists, addresses and pages written by someone who means harm: each does nothing but become a row with its reason."""

import csv
from pathlib import Path

import pytest

from spm.base import tables
from spm.corpus import clips, fetch
from spm.corpus.fetch import Fetch
from tests.support.web import Site

QUICK = Fetch(sleep_s=0, backoff_s=0.01, timeout_s=10.0, retries=1, private_hosts=("127.0.0.1",))
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n{}#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"
IDS = [
    "$(touch canary)", "`touch canary`", "; touch canary", "| touch canary", "a'b\"c", "../canary", "..", "/etc/passwd",
    "a\x00b", "a\x1b[31mb", "x" * 5000, "\u202egpj.exe", "a b", "-rf /", "%(title)s", "{shard}", "*", "C:\\canary",
]  # fmt: skip
FINE = ["ویدیو", "видео", "動画", "-rf", "--exec", "con", "é" * 60]  # odd, but names
ADDRESSES = [
    "file:///etc/passwd", "file:///etc/shadow", "file:///dev/zero", "file:///proc/self/environ",
    "../../../../etc/passwd",
    "/dev/stdin", "", "ftp://127.0.0.1/a.mp4", "data:video/mp4;base64,AAAA", "javascript:alert(1)", "concat:a|b",
    "subfile,,start,0,end,9,,:/etc/passwd", "ytsearch:violin", "http://", "http://[::1", "http://a:99999/", "https://?",
    "http://$(touch canary)/", "http://127.0.0.1;touch canary/", "http://a@b@c/", "http://\u2024.com/", "x" * 100_000,
    "--exec=touch canary", "-o/tmp/canary", "http://169.254.169.254/latest/meta-data/",
    "http://localhost:22/", "http://[::ffff:127.0.0.1]:22/", "http://0/", "rtmp://127.0.0.1/live", "%(id)s", "a\nb",
    "http://" + "a" * 70 + ".example/",
]  # fmt: skip


def listed(folder: Path, videos: dict[str, str]) -> Path:
    """A manifest as a stranger would write it: no check before the one that is tested."""
    path = folder / "manifest.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = [(video_id, url, "solo", "violin") for video_id, url in videos.items()]
        csv.writer(file).writerows([("video_id", "url", "kind", "categories"), *rows])
    return path


def rows(
    folder: Path, videos: dict[str, str], config: Fetch = QUICK
) -> dict[str, dict[str, object]]:
    """Fetch and cut a list: the ledger's row of each video, which the table of videos repeats."""
    ledger = folder / "ledger.parquet"
    fetch.run(
        config,
        manifest=listed(folder, videos),
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
    assert {name for name, row in found.items() if row["status"] == "ok"} == {
        n for n in cut if cut[n] != "missing"
    }
    return found


def only(folder: Path, address: str, config: Fetch = QUICK) -> dict[str, object]:
    return rows(folder, {"a": address}, config)["a"]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Where the stages run; whatever else appears in it, or beside it, was not meant to."""
    (tmp_path / "deep" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "here")
    return tmp_path / "deep" / "here"


def test_hostile_ids_become_rows_and_odd_ones_are_only_names(folder, media):
    (folder / "film.mp4").write_bytes(media.read_bytes())
    found = rows(folder, dict.fromkeys([*IDS, *FINE], "film.mp4"))
    assert {found[name]["status"] for name in IDS} == {"bad"}
    assert all("expected" in found[name]["reason"] for name in IDS)
    assert {found[name]["status"] for name in FINE} == {"ok"}
    assert not list(folder.parents[1].rglob("*canary*"))
    assert not list((folder / "store").iterdir())


def test_hostile_addresses_become_rows(folder, site):
    videos = {f"v{n:02d}": address for n, address in enumerate(ADDRESSES)}
    found = rows(folder, videos)
    told = {videos[name][:60]: (row["status"], row["reason"]) for name, row in found.items()}
    assert {status for status, _ in told.values()} <= {"bad", "gone", "retry"}, told
    assert all(
        reason and len(reason) <= 400 and reason.isprintable() for _, reason in told.values()
    ), told
    assert told["file:///etc/passwd"][0] == told["http://localhost:22/"][0] == "bad"
    assert not site.asked
    assert not list(folder.parents[1].rglob("*canary*"))
    assert not [
        path for path in (folder / "store").rglob("*") if path.is_file() and path.suffix != ".json"
    ]


def test_a_file_that_may_not_be_read_is_a_row(folder):
    closed = next(
        (path for path in Path("/sys/bus").glob("*/drivers_probe")), None
    )  # may only be written, by root too
    if closed is None:
        pytest.skip("no file here that nobody may read")
    row = only(folder, closed.as_uri())
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
    row = only(folder, f"{site.root}/a.mp4")
    assert row["status"] != "ok"
    assert ("private network" in row["reason"]) == ("http" in to or to.startswith("//"))
    assert set(site.counts()) == {"/a.mp4"}


def test_a_redirect_to_a_host_that_is_allowed_is_followed(folder, site):
    site.answers |= {
        "/a.mp4": [f"to {site.root.replace('127.0.0.1', 'localhost')}/b.mp4"],
        "/b.mp4": ["media"],
    }
    hosts = {"private_hosts": ("127.0.0.1", "localhost")}
    assert only(folder, f"{site.root}/a.mp4", QUICK.model_copy(update=hosts))["status"] == "ok"


def inside(site: Site) -> str:
    """A host that no setting allows, and that would answer."""
    site.answers["/secret"] = ["media"]
    return site.root.replace("127.0.0.1", "localhost")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("page.html", "<html><title>$(touch canary)</title><body><video src='{inside}/secret'></video></body></html>"),
        ("page.html", "<html><meta http-equiv='refresh' content='0;url={inside}/secret'></html>"),
        ("page.html", "<html><head><meta property='og:video' content='{inside}/secret'></head></html>"),
        ("list.m3u8", PLAYLIST.format("", "{inside}/secret")),
        ("list.m3u8", PLAYLIST.format('#EXT-X-KEY:METHOD=AES-128,URI="{inside}/secret"\n', "/a.ts")),
        ("list.m3u8", PLAYLIST.format('#EXT-X-KEY:METHOD=SAMPLE-AES,URI="{inside}/secret"\n', "{inside}/secret")),
        ("film.mp4", PLAYLIST.format("", "{inside}/secret")),
        ("film.mp4", "ffconcat version 1.0\nfile {inside}/secret\n"),
        ("film.mpd", '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" mediaPresentationDuration="PT2S"><Period>'
         '<AdaptationSet mimeType="video/mp4"><Representation id="1"><BaseURL>{inside}/secret</BaseURL>'
         "</Representation></AdaptationSet></Period></MPD>"),
    ],
)  # fmt: skip
def test_what_a_server_names_is_not_asked_for_in_a_private_network(folder, site, name, text):
    (site.files / name).write_text(text.replace("{inside}", inside(site)))
    row = only(folder, f"{site.root}/{name}")
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
def test_a_title_names_no_file(folder, site, title):
    site.answers["/film.mp4"] = ["media"]
    head = f"<title>{title}</title><meta property='og:title' content='{title}'>"
    (site.files / "page.html").write_text(
        f"<html><head>{head}</head><video src='/film.mp4'></video></html>"
    )
    row = only(folder, f"{site.root}/page.html")
    assert row["status"] == "ok", row
    assert (
        len([path for path in (folder / "store").rglob("*") if path.is_file()]) == 2
    )  # media and note
    assert not list(folder.parents[1].rglob("*canary*"))


def test_a_page_without_end_is_not_read_to_it(folder, site):
    site.answers["/page"] = ["endless page"]
    row = only(folder, f"{site.root}/page")
    assert (row["status"], "larger than" in row["reason"]) == ("bad", True)


def test_a_video_of_too_many_bytes_is_a_row(folder, site):
    site.answers["/a.mp4"] = ["media"]
    row = only(folder, f"{site.root}/a.mp4", QUICK.model_copy(update={"max_mb": 0.001}))
    assert (row["status"], "larger than fetch.max_mb" in row["reason"]) == ("bad", True)


def test_a_server_that_drips_is_left(folder, site):
    site.answers["/a.mp4"] = ["media", "slow"]
    row = only(folder, f"{site.root}/a.mp4", QUICK.model_copy(update={"give_up_s": 0.5}))
    assert row["status"] == "retry"
