"""The page of `spm review --draw`: its server, its use in a browser, and small results for it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import requests

from spm.base import schemas, tables
from spm.base.shards import table_of
from tests.support.corpora import SHARDS, Corpus
from tests.support.project import ROOT

DUET = "flute-14"  # has both categories
SILENT = "flute-13"  # only its last second is audible
FINGER_MS = 30  # between two places of a finger; after a faster one Chromium ignores the next tap
WIDE = "cello-13"  # 320 x 240; the sizes of the others are not known


def write_results(squares: Corpus, folder: Path) -> Path:
    """Results of a workflow that has cut clips, and has no boxes yet."""
    corpus = folder / "corpus"
    (corpus / "index").mkdir(parents=True)
    (corpus / "clips").symlink_to(squares.clips)
    rows = tables.read(squares.index).to_pylist()
    for row in rows:
        if row["video_id"] == DUET:
            row |= {"kind": "duet", "categories": ["cello", "flute"]}
        if row["video_id"] == SILENT:
            row["audible"] = row["start_s"] == 3
    tables.write_rows(corpus / "index/clips.parquet", schemas.INDEX, rows)
    sizes = {"width": 240, "height": 320, "rotation_deg": 90}
    for shard in range(SHARDS):
        videos = [{"video_id": WIDE, "status": "ok", **sizes}]
        shard_of_wide = {row["shard"] for row in rows if row["video_id"] == WIDE}
        table = table_of(corpus / "videos", shard)
        tables.write_rows(table, schemas.VIDEOS, videos if shard in shard_of_wide else [])
    return folder


class DrawServer:
    """The served page, and requests to it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.root = address.split("/?")[0]
        self.origin = self.root.rsplit("/", 1)[0]
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.get(address).raise_for_status()

    def get(self, path: str, **params):
        """The JSON of an address."""
        return self.session.get(self.root + path, params=params).json()

    def state(self, number: int) -> dict:
        """The boxes of a frame, as the page gets them."""
        return self.get(f"/state/{number}")

    def answer(self, number: int, *boxes, nothing_sounds=False, version=None, **headers):
        """Send the boxes of a frame: (category, x, y, w, h), or a box of its state."""
        known = ("row", "category", "x", "y", "w", "h")
        sent = [
            box if isinstance(box, dict) else dict(zip(known, (None, *box), strict=True))
            for box in boxes
        ]
        body = {
            "number": number,
            "version": version or self.state(number)["version"],
            "nothing_sounds": nothing_sounds,
            "boxes": sent,
        }
        return self.session.post(f"{self.root}/answer", json=body, headers=headers)


class DrawProcess(DrawServer):
    """A running `spm review --draw`."""

    def __init__(self, boxes: Path, results: Path, *options: str) -> None:
        command = [sys.executable, "-m", "spm.cli", "review", "--draw", boxes, "--no-browser"]
        self.process = subprocess.Popen(
            [*command, "--results", results, *options],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self.title = self.process.stderr.readline()
        super().__init__(re.search(r"http://\S+", self.title)[0])

    def stop(self, signal_number: int = signal.SIGINT) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
            self.process.wait(20)
            self.process.stderr.close()


class DrawPage:
    """The open page, with the gestures of a person."""

    def __init__(self, page, server, first=0):
        self.page, self.server, self.errors = page, server, []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(server.address)
        self.wait_for(first)

    def wait_for(self, number):
        self.page.wait_for_selector(f'body[data-number="{number}"]')

    def saved(self):
        self.page.wait_for_selector('body[data-saved="yes"]')

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def point(self, x, y):
        area = self.page.locator("#canvas").bounding_box()
        return area["x"] + x * area["width"], area["y"] + y * area["height"]

    def drag(self, start, end):
        self.page.mouse.move(*self.point(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.point(*end), steps=5)
        self.page.mouse.up()

    def touch(self, start, end, steps=5):
        """Drag with a finger; the same start and end is a tap."""
        client = self.page.context.new_cdp_session(self.page)

        def send(kind, *points):
            places = [dict(zip("xy", self.point(*point), strict=True)) for point in points]
            client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

        send("touchStart", start)
        for n in range(1, steps + 1):
            self.page.wait_for_timeout(FINGER_MS)
            send("touchMove", [a + (b - a) * n / steps for a, b in zip(start, end, strict=True)])
        send("touchEnd")

    def pinch(self, center, start, end, steps=4):
        """Move two fingers apart, from one distance to another one, around a point."""
        client = self.page.context.new_cdp_session(self.page)
        for n in range(steps + 1):
            half = (start + (end - start) * n / steps) / 2
            places = [self.point(center[0] + side * half, center[1]) for side in (-1, 1)]
            points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
            kind = "touchMove" if n else "touchStart"
            client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
            self.page.wait_for_timeout(FINGER_MS)
        client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def text(self, selector):
        return self.page.inner_text(selector)
