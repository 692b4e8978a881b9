"""Media files that were damaged, cut, or written to do harm, sent through fetch and clips: each has to end as a row.

python -m tests.support.mutations --count 1000    how many ended with which status, and for which reason
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
SERVED = 10  # every so-manieth comes from a server
TEXTS = (
    b"", b"\0", b"Not a video.\n" * 99, b"<html><video src='file:///etc/passwd'></html>", b"%PDF-1.7\n%\xe2\xe3",
    b"#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", b"ffconcat version 1.0\nfile /dev/zero\n",
    b"PK\3\4" * 99, b"\x1f\x8b\x08\0" * 99, b"\x89PNG\r\n\x1a\n" * 9,
    b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0\xff\xff\xff\xff\xff\xff",
    b"<svg xmlns='http://www.w3.org/2000/svg'><image href='/etc/passwd'/></svg>", b"OggS" + b"\xff" * 999,
)  # fmt: skip


class Mutant(NamedTuple):
    """A file that something was done to."""

    name: str
    content: bytes


class Outcome(NamedTuple):
    """What became of the files."""

    rows: list[dict[str, object]]  # of the table of videos
    fetch_s: float
    clips_s: float
    largest_mb: float  # of the processes that ran
    left: list[str]  # processes that are still there


def _block(data: bytes, random: Random) -> slice:
    start = random.randrange(len(data))
    return slice(start, start + random.randint(1, max(1, len(data) // 4)))


def truncated(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data))]


def flipped(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 10, 100, 1000))):
        changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(changed)


def zeroed(data: bytes, random: Random) -> bytes:
    gone = _block(data, random)
    return data[: gone.start] + bytes(len(data[gone])) + data[gone.stop :]


def lost(data: bytes, random: Random) -> bytes:
    gone = _block(data, random)
    return data[: gone.start] + data[gone.stop :]


def doubled(data: bytes, random: Random) -> bytes:
    twice = _block(data, random)
    return data[: twice.stop] + data[twice] * random.choice((1, 50)) + data[twice.stop :]


def noise(data: bytes, random: Random) -> bytes:
    return data[: random.choice((0, 16, 64, 512))] + random.randbytes(
        random.choice((10, 1000, 100_000))
    )


def headed(data: bytes, random: Random) -> bytes:
    """Numbers of the header that can't be: sizes, rates, counts, times."""
    changed = bytearray(data)
    head = data.find(b"moov")
    for _ in range(random.choice((1, 3, 10))):
        place = (
            random.randrange(max(0, head), len(data) - 4)
            if head > 0
            else random.randrange(min(600, len(data) - 4))
        )
        changed[place : place + 4] = struct.pack(random.choice("<>") + "I", random.choice(NUMBERS))
    return bytes(changed)


def odd(data: bytes, random: Random) -> bytes:
    return random.choice(TEXTS)


def crowded(data: bytes, random: Random) -> bytes:
    """An mp4 of another number of tracks: its last one again and again, or none."""
    return with_tracks(data, random.choice(STREAMS)) if b"moov" in data else headed(data, random)


def with_tracks(mp4: bytes, number: int) -> bytes:
    """The same mp4, whose index is at its end, with so many tracks."""
    moov = mp4.index(b"moov") - 4
    size = struct.unpack(">I", mp4[moov : moov + 4])[0]
    inside, tracks = _boxes(mp4[moov + 8 : moov + size])
    body = inside + b"".join(tracks[n % len(tracks)] for n in range(number))
    return mp4[:moov] + struct.pack(">I", 8 + len(body)) + b"moov" + body + mp4[moov + size :]


def _boxes(body: bytes) -> tuple[bytes, list[bytes]]:
    """What a moov holds beside its tracks, and each of these."""
    tracks, others, at = [], b"", 0
    while at < len(body):
        size = struct.unpack(">I", body[at : at + 4])[0]
        box = body[at : at + size]
        tracks, others = ([*tracks, box], others) if box[4:8] == b"trak" else (tracks, others + box)
        at += size
    return others, tracks


MUTATIONS: tuple[Callable[[bytes, Random], bytes], ...] = (
    truncated, flipped, zeroed, lost, doubled, noise, headed, odd, crowded,
)  # fmt: skip


def mutants(films: dict[str, bytes], count: int, seed: int = 0) -> Iterator[Mutant]:
    """So many files, each mutation in turn; one in four under the name of another container."""
    random = Random(seed)
    for number in range(count):
        mutation = MUTATIONS[number % len(MUTATIONS)]
        suffix = ".mp4" if mutation is crowded else random.choice(SUFFIXES)
        name = random.choice(SUFFIXES) if random.random() < 0.25 else suffix
        yield Mutant(f"{number:04d}-{mutation.__name__}{name}", mutation(films[suffix], random))


def _stage(name: str, config: dict[str, object], folder: Path, **options: object) -> float:
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    command = [sys.executable, "-m", f"spm.corpus.{name}", "--config", json.dumps(config), *words]
    begun_s = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "no_proxy": "*"}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return time.monotonic() - begun_s


def _left(folder: Path) -> list[str]:
    """Processes that name the folder."""
    commands = (each.info["cmdline"] or [] for each in psutil.process_iter(["cmdline"]))
    return [" ".join(words) for words in commands if str(folder) in " ".join(words)]


def send(files: list[Mutant], folder: Path) -> Outcome:
    """Send files through both stages, as the workflow runs them: some from the disk, some from a server."""
    (folder / "films").mkdir(parents=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(WebServer("", folder / "films", b"")))
    Thread(target=server.serve_forever, daemon=True).start()
    with (folder / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("video_id", "url", "kind", "categories"))
        for number, (name, content) in enumerate(files):
            (folder / "films" / name).write_bytes(content)
            site = f"http://127.0.0.1:{server.server_port}/" if number % SERVED == 0 else "films/"
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


def filmed(folder: Path) -> dict[str, bytes]:
    """Two seconds in each container."""
    return {suffix: film(folder / f"film{suffix}", 2.0).read_bytes() for suffix in SUFFIXES}


def plain(reason: object) -> str:
    """A reason without its numbers and names."""
    return re.sub(r"\d+(\.\d+)?", "#", re.sub(r"/\S+|\d{4}-\w+\.\w+", "…", str(reason)))[:70]


def main() -> None:
    """Mutate, send, count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        there = send(
            list(mutants(filmed(Path(scratch)), given.count, given.seed)), Path(scratch, "sent")
        )
    for (status, reason), count in Counter(
        (row["status"], plain(row["reason"])) for row in there.rows
    ).most_common():
        print(f"{count:5} {status:11} {reason}")
    print(
        f"{len(there.rows)} of {given.count} are rows; fetch {there.fetch_s:.0f} s, clips {there.clips_s:.0f} s;"
    )
    print(f"largest process {there.largest_mb:.0f} MB; processes left: {there.left or 'none'}")
    sys.exit(len(there.rows) != given.count or bool(there.left))


if __name__ == "__main__":
    main()
