"""Damaged and malicious media files, processed by fetch and clips: each must become a row.

python -m tests.support.mutations --count 1000     counts the statuses and their reasons
"""

import argparse
import csv
import json
import os
import re
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from random import Random
from threading import Thread
from typing import NamedTuple

import psutil

from spm.base import tables
from tests.support.project import ROOT
from tests.support.web import WebServer, film, handler

SUFFIXES = (".mp4", ".mkv", ".avi", ".webm", ".ts", ".mov", ".wmv", ".ogv")
NUMBERS = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
STREAMS = (0, 1, 2, 10, 100, 300, 10_000)
FETCH = {
    "sleep_s": 0,
    "backoff_s": 0.01,
    "retries": 1,
    "timeout_s": 10,
    "private_hosts": ["127.0.0.1"],
    "max_mb": 50,
}
CLIPS = {"size": 32, "memory_mb": 1000, "time_s": 30, "max_s": 600}
SERVED = 10  # every tenth file comes from a server
TEXTS = (
    b"",
    b"\0",
    b"Not a video.\n" * 99,
    b"<html><video src='file:///etc/passwd'></html>",
    b"%PDF-1.7\n%\xe2\xe3",
    b"#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    b"ffconcat version 1.0\nfile /dev/zero\n",
    b"PK\3\4" * 99,
    b"\x1f\x8b\x08\0" * 99,
    b"\x89PNG\r\n\x1a\n" * 9,
    b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0\xff\xff\xff\xff\xff\xff",
    b"<svg xmlns='http://www.w3.org/2000/svg'><image href='/etc/passwd'/></svg>",
    b"OggS" + b"\xff" * 999,
)


class Mutant(NamedTuple):
    """A changed file."""

    name: str
    content: bytes


class Outcome(NamedTuple):
    """Results of all files."""

    rows: list[dict[str, object]]  # of the table of videos
    fetch_s: float
    clips_s: float
    largest_mb: float  # of the processes that ran
    left: list[str]  # processes that still run


def _block(data: bytes, rng: Random) -> slice:
    start = rng.randrange(len(data))
    return slice(start, start + rng.randint(1, max(1, len(data) // 4)))


def truncated(data: bytes, rng: Random) -> bytes:
    return data[: rng.randrange(len(data))]


def flipped(data: bytes, rng: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 10, 100, 1000))):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def zeroed(data: bytes, rng: Random) -> bytes:
    gone = _block(data, rng)
    return data[: gone.start] + bytes(len(data[gone])) + data[gone.stop :]


def lost(data: bytes, rng: Random) -> bytes:
    gone = _block(data, rng)
    return data[: gone.start] + data[gone.stop :]


def doubled(data: bytes, rng: Random) -> bytes:
    twice = _block(data, rng)
    return data[: twice.stop] + data[twice] * rng.choice((1, 50)) + data[twice.stop :]


def noise(data: bytes, rng: Random) -> bytes:
    return data[: rng.choice((0, 16, 64, 512))] + rng.randbytes(rng.choice((10, 1000, 100_000)))


def headed(data: bytes, rng: Random) -> bytes:
    """Impossible numbers in the header: sizes, rates, counts, times."""
    changed = bytearray(data)
    head = data.find(b"moov")
    for _ in range(rng.choice((1, 3, 10))):
        place = (
            rng.randrange(max(0, head), len(data) - 4)
            if head > 0
            else rng.randrange(min(600, len(data) - 4))
        )
        changed[place : place + 4] = struct.pack(rng.choice("<>") + "I", rng.choice(NUMBERS))
    return bytes(changed)


def odd(data: bytes, rng: Random) -> bytes:
    return rng.choice(TEXTS)


def crowded(data: bytes, rng: Random) -> bytes:
    """An mp4 with another number of tracks: its tracks repeated, or none."""
    return with_tracks(data, rng.choice(STREAMS)) if b"moov" in data else headed(data, rng)


def with_tracks(mp4: bytes, number: int) -> bytes:
    """The same mp4, whose index is at its end, with `number` tracks."""
    moov = mp4.index(b"moov") - 4
    size = struct.unpack(">I", mp4[moov : moov + 4])[0]
    inside, tracks = _boxes(mp4[moov + 8 : moov + size])
    body = inside + b"".join(tracks[n % len(tracks)] for n in range(number))
    return mp4[:moov] + struct.pack(">I", 8 + len(body)) + b"moov" + body + mp4[moov + size :]


def _boxes(body: bytes) -> tuple[bytes, list[bytes]]:
    """The boxes of a moov that are no tracks, in one string, and each of its tracks."""
    tracks, others, start = [], b"", 0
    while start < len(body):
        size = struct.unpack(">I", body[start : start + 4])[0]
        box = body[start : start + size]
        if box[4:8] == b"trak":
            tracks.append(box)
        else:
            others += box
        start += size
    return others, tracks


MUTATIONS: tuple[Callable[[bytes, Random], bytes], ...] = (
    truncated, flipped, zeroed, lost, doubled, noise, headed, odd, crowded,
)  # fmt: skip


def mutants(videos: dict[str, bytes], count: int, seed: int = 0) -> Iterator[Mutant]:
    """`count` files, with all mutations in turn; a quarter has the suffix of another container."""
    rng = Random(seed)
    for number in range(count):
        mutation = MUTATIONS[number % len(MUTATIONS)]
        suffix = ".mp4" if mutation is crowded else rng.choice(SUFFIXES)
        name = rng.choice(SUFFIXES) if rng.random() < 0.25 else suffix
        yield Mutant(f"{number:04d}-{mutation.__name__}{name}", mutation(videos[suffix], rng))


def _stage(name: str, config: dict[str, object], folder: Path, **options: object) -> float:
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    command = [sys.executable, "-m", f"spm.corpus.{name}", "--config", json.dumps(config), *words]
    start_s = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "no_proxy": "*"}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return time.monotonic() - start_s


def _left(folder: Path) -> list[str]:
    """Processes with the folder in their command line."""
    commands = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
    return [" ".join(words) for words in commands if str(folder) in " ".join(words)]


def send(files: list[Mutant], folder: Path) -> Outcome:
    """Run both stages on the files; some come from the disk, some from a server."""
    (folder / "media").mkdir(parents=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(WebServer("", folder / "media", b"")))
    Thread(target=server.serve_forever, daemon=True).start()
    with (folder / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("video_id", "url", "kind", "categories"))
        for number, (name, content) in enumerate(files):
            (folder / "media" / name).write_bytes(content)
            site = f"http://127.0.0.1:{server.server_port}/" if number % SERVED == 0 else "media/"
            rows.writerow((name, site + name, "solo", "violin"))
    shard = {
        "manifest": "manifest.csv",
        "shard": 0,
        "shards": 1,
        "store": "store",
        "out": "ledger.parquet",
    }
    fetch_s = _stage("fetch", FETCH, folder, **shard)
    out = {
        "ledger": "ledger.parquet",
        "clips": "clips.parquet",
        "videos": "videos.parquet",
        "threads": 2,
    }
    clips_s = _stage("clips", CLIPS, folder, **out)
    server.shutdown()
    largest_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return Outcome(
        tables.read(folder / "videos.parquet").to_pylist(),
        fetch_s,
        clips_s,
        largest_mb,
        _left(folder),
    )


def make_videos(folder: Path) -> dict[str, bytes]:
    """Videos of two seconds, in each container."""
    return {suffix: film(folder / f"film{suffix}", 2.0).read_bytes() for suffix in SUFFIXES}


def normalized(reason: object) -> str:
    """A reason without numbers and names of files."""
    return re.sub(r"\d+(\.\d+)?", "#", re.sub(r"/\S+|\d{4}-\w+\.\w+", "…", str(reason)))[:70]


def main() -> None:
    """Mutate, send, count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        files = list(mutants(make_videos(Path(scratch)), options.count, options.seed))
        outcome = send(files, Path(scratch, "sent"))
    reasons = Counter((row["status"], normalized(row["reason"])) for row in outcome.rows)
    for (status, reason), count in reasons.most_common():
        print(f"{count:5} {status:11} {reason}")
    rows, left = len(outcome.rows), outcome.left
    print(f"{rows} of {options.count} are rows")
    print(f"fetch {outcome.fetch_s:.0f} s, clips {outcome.clips_s:.0f} s")
    print(f"largest process {outcome.largest_mb:.0f} MB; processes left: {left or 'none'}")
    sys.exit(rows != options.count or bool(left))


if __name__ == "__main__":
    main()
