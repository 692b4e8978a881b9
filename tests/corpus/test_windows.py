"""Windows of videos, from a manifest to clips, with yt-dlp and a server on this machine.

The film tells its time: the brightness of its pictures and the pitch of its sound rise steadily.
"""

import random
import shutil
import ssl
import subprocess
import threading
from collections import Counter
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from yt_dlp import YoutubeDL

from spm.base import schemas, tables
from spm.corpus import clips
from spm.corpus.fetch import Fetch, run
from spm.corpus.fetching import parts, proxy
from spm.corpus.manifest import write
from spm.corpus.manifest_columns import COLUMNS
from spm.corpus.media import ffmpeg
from spm.corpus.windows import WINDOW_COLUMNS, window_id
from tests.support.web import WebServer, handler

pytestmark = pytest.mark.slow
LENGTH_S = 80
STEPS_PER_S = 2.5  # of brightness
FIRST_HZ, HZ_PER_S = 400, 20
QUICK = Fetch(sleep_s=0, backoff_s=0.01, timeout_s=10.0, private_hosts=("127.0.0.1",), workers=2)
CLIPS = clips.Clips(size=16, frames_per_clip=4)
NAMES = (*COLUMNS, *WINDOW_COLUMNS)


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> dict[str, Path]:
    """The film in two containers; its only key frames are 30 s apart."""
    folder = tmp_path_factory.mktemp("films")
    pictures = f"color=s=64x48:r=10:d={LENGTH_S},geq=lum='20+{STEPS_PER_S}*T':cb=128:cr=128"
    phase = f"2*PI*({FIRST_HZ}*t+{HZ_PER_S / 2}*t*t)"
    sound = f"aevalsrc='0.3*sin({phase})':s=16000:d={LENGTH_S}"
    inputs = ["-f", "lavfi", "-i", pictures, "-f", "lavfi", "-i", sound]
    found = {}
    for ending, codecs in {
        "mp4": ["-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-c:a", "aac"],
        "webm": ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"],
    }.items():
        path = folder / f"film.{ending}"
        options = [*codecs, "-g", "300", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
        options = options if ending == "mp4" else options[:-2]
        subprocess.run([ffmpeg.binary(), "-v", "error", *inputs, *options, str(path)], check=True)
        found[ending] = path
    return found


class Corpus:
    """A manifest of windows, and what fetch and clips make of it."""

    def __init__(self, root: Path, rows: list[tuple[str, ...]], config: Fetch = QUICK) -> None:
        self.root = root
        write(root / "manifest.csv", rows, NAMES)
        self.config = config

    def fetch(self) -> dict[str, dict[str, Any]]:
        arguments = {"manifest": self.root / "manifest.csv", "store": self.root / "store"}
        run(self.config, shard=0, shards=1, out=self.root / "ledger.parquet", **arguments)
        return {
            row["video_id"]: row for row in tables.read(self.root / "ledger.parquet").to_pylist()
        }

    def cut(self) -> list[dict[str, Any]]:
        out = {"clips": self.root / "clips.parquet", "videos": self.root / "videos.parquet"}
        clips.run(CLIPS, ledger=self.root / "ledger.parquet", threads=2, **out)
        return tables.read(out["clips"]).to_pylist()


def clips_of(corpus: Corpus) -> list[dict[str, Any]]:
    corpus.fetch()
    return corpus.cut()


@pytest.fixture(scope="module")
def whole(films, tmp_path_factory) -> dict[str, list[dict[str, Any]]]:
    """The clips of the whole films, which are local files."""
    return {
        ending: clips_of(
            Corpus(tmp_path_factory.mktemp(ending), [("a", str(film), "solo", "x", "", "")])
        )
        for ending, film in films.items()
    }


def check_equal(clip: dict[str, Any], other: dict[str, Any]) -> None:
    """Two clips have the same times and pictures, and sounds that are at most 2 ms apart.

    WebM rounds the times of its packets to 1 ms.
    """
    assert clip["frame_time_s"] == pytest.approx(other["frame_time_s"])
    assert clip["frames"] == other["frames"]
    one, two = (np.frombuffer(c["pcm"], "<i2").astype(float) for c in (clip, other))
    part = one[100:-100]
    errors = [np.abs(part - two[100 + lag : lag - 100]).mean() for lag in range(-32, 33)]
    assert min(errors) < 0.05 * np.abs(part).mean()


def test_two_hundred_windows_of_twenty_videos_are_downloaded_once_and_cut(
    site, films, whole, tmp_path
):
    generator = random.Random(1)
    site.media = films["mp4"].read_bytes()
    rows = []
    for number in range(20):
        site.answers[f"/v{number}.mp4"] = ["media"]
        for window in range(10):
            start_s = 8 * window + generator.randrange(6)
            url = f"{site.root}/v{number}.mp4"
            name = window_id(f"v{number}", start_s)
            rows.append((name, url, "solo", "x", f"{start_s}", f"{start_s + 2}"))
    corpus = Corpus(tmp_path, generator.sample(rows, len(rows)))
    ledger = corpus.fetch()
    assert Counter(row["status"] for row in ledger.values()) == {"ok": 200}
    assert Counter(row["path"] for row in ledger.values()).most_common()[-1][1] == 10
    assert site.counts() == {f"/v{number}.mp4": 2 for number in range(20)}  # the page, the media
    tables.write_rows(tmp_path / "ledger.parquet", schemas.LEDGER, list(ledger.values())[::25])
    cut = corpus.cut()
    assert len(cut) == 16
    for clip in cut:
        check_equal(clip, whole["mp4"][int(clip["start_s"])])
    assert corpus.fetch() == ledger
    assert site.counts().total() == 40


@pytest.mark.parametrize("ending", ["mp4", "webm"])
def test_a_window_of_a_local_file_has_the_clips_of_the_whole_file(films, whole, tmp_path, ending):
    rows = [(f"a_{n}000", str(films[ending]), "solo", "x", f"{n}", f"{n + 2}") for n in (0, 31, 78)]
    cut = {clip["start_s"]: clip for clip in clips_of(Corpus(tmp_path, rows))}
    assert sorted(cut) == [0, 1, 31, 32, 78, 79]
    for start_s, clip in cut.items():
        check_equal(clip, whole[ending][int(start_s)])


def test_a_window_may_start_between_two_seconds(films, whole, tmp_path):
    row = ("a_31500", str(films["mp4"]), "solo", "x", "31.5", "33.4")
    (clip,) = clips_of(Corpus(tmp_path, [row]))
    first, second = whole["mp4"][31], whole["mp4"][32]
    sound = first["pcm"][16_000:] + second["pcm"][:16_000]
    check_equal(clip, {
        "frame_time_s": first["frame_time_s"][2:] + second["frame_time_s"][:2],
        "frames": first["frames"][2:] + second["frames"][:2],
        "pcm": sound,
    })  # fmt: skip
    assert (clip["clip_id"], clip["start_s"]) == ("a_31500_0031500", 31.5)


@pytest.mark.parametrize(
    ("ending", "start_s"), [("mp4", 3), ("mp4", 47), ("webm", 0), ("webm", 47)]
)
def test_of_a_video_with_one_window_only_its_part_is_downloaded(
    site, films, whole, tmp_path, ending, start_s
):
    (site.files / f"a.{ending}").write_bytes(films[ending].read_bytes())
    url = f"{site.root}/a.{ending}"
    corpus = Corpus(tmp_path, [("a_x", url, "solo", "x", str(start_s), str(start_s + 3))])
    (row,) = corpus.fetch().values()
    assert row["status"] == "ok", row
    assert row["path"].endswith(".mkv")
    assert row["bytes"] < films[ending].stat().st_size * 0.75
    assert row["window_start_s"] + row["offset_s"] == pytest.approx(start_s, abs=1e-6)
    cut = corpus.cut()
    assert [clip["clip_id"] for clip in cut] == [f"a_x_{start_s + n:04d}000" for n in range(3)]
    for clip in cut:
        check_equal(clip, whole[ending][int(clip["start_s"])])
    assert tables.read(tmp_path / "videos.parquet")["status"].to_pylist() == ["ok"]


def test_a_part_is_requested_through_the_proxy_which_refuses_private_hosts(site, films, tmp_path):
    site.media = films["mp4"].read_bytes()
    private = site.root.replace("127.0.0.1", "localhost") + "/secret.mp4"
    site.answers |= {"/a.mp4": ["media", f"to {private}"], "/secret.mp4": ["media"]}
    rows = [("a_1000", f"{site.root}/a.mp4", "solo", "x", "1", "4")]
    (row,) = Corpus(tmp_path, rows, QUICK.model_copy(update={"retries": 1})).fetch().values()
    assert row["status"] == "bad"
    assert "private address" in row["reason"]
    assert site.counts()["/a.mp4"] >= 2
    assert "/secret.mp4" not in site.counts()


def test_parts_are_not_used_where_they_would_be_most_of_the_video(site, films, tmp_path):
    site.media = films["mp4"].read_bytes()
    site.answers["/a.mp4"] = ["media"]
    rows = [("a_1000", f"{site.root}/a.mp4", "solo", "x", "1", "40")]
    (row,) = Corpus(tmp_path, rows).fetch().values()
    assert Path(row["path"]).read_bytes() == site.media
    assert (row["window_start_s"], row["window_end_s"], row["offset_s"]) == (1, 40, 0)
    small = Corpus(tmp_path, [("a_5000", f"{site.root}/a.mp4", "solo", "x", "5", "7")]).fetch()
    assert small["a_5000"]["path"] == row["path"]  # the stored video serves new windows


def test_windows_that_are_added_later_request_only_their_part(site, films, tmp_path):
    (site.files / "a.mp4").write_bytes(films["mp4"].read_bytes())
    url = f"{site.root}/a.mp4"
    first = [("a_1000", url, "solo", "x", "1", "4")]
    (before,) = Corpus(tmp_path, first).fetch().values()
    stored = Path(before["path"]).stat()
    rows = Corpus(tmp_path, [*first, ("a_50000", url, "solo", "x", "50", "53")]).fetch()
    assert rows["a_1000"] == before
    assert Path(before["path"]).stat() == stored
    assert rows["a_50000"]["offset_s"] > 20
    (site.files / "a.mp4").unlink()
    more = [*first, ("a_70000", url, "solo", "x", "70", "73")]
    assert {name: row["status"] for name, row in Corpus(tmp_path, more).fetch().items()} == {
        "a_1000": "ok", "a_70000": "gone"
    }  # fmt: skip


@pytest.fixture
def secure(site, films, tmp_path) -> WebServer:
    """The server's files by HTTPS, with a certificate of its own in cert.pem."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl, which makes the certificate")
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subject = ["-subj", "/CN=localhost", "-addext", names, "-days", "2"]
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, *subject]
    subprocess.run(request, check=True, capture_output=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(site))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    (site.files / "a.mp4").write_bytes(films["mp4"].read_bytes())
    yield replace(site, root=f"https://127.0.0.1:{server.server_port}")
    server.shutdown()


def test_a_part_by_https_needs_a_certificate_that_is_trusted(secure, tmp_path, monkeypatch):
    video = {"url": f"{secure.root}/a.mp4", "protocol": "https", "extractor": "generic"}
    section = {"section_start": 40.0, "section_end": 43.0}
    bounds = parts.Limits(max_mb=10, time_s=30, timeout_s=10)
    with proxy.running(["127.0.0.1"], 10, 30) as url, YoutubeDL({"proxy": url}) as ydl:
        with pytest.raises(parts.PartFailed):
            parts.download(ydl, video | section, tmp_path / "part.mp4", bounds)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        parts.download(ydl, video | section, tmp_path / "part.mp4", bounds)
    with av.open(str(tmp_path / "part.mp4")) as container:
        assert 29 <= container.start_time / av.time_base <= 40
