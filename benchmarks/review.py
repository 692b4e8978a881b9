"""Time from a key press to the next box on the review page, in a real browser.

python -m benchmarks.review [--frames 10000] [--decisions 200] [--screenshot docs/review.png]

Scenes of the embedded corpus are rendered and repeated for --frames frames with two boxes each. The
page is served, and a headless Chromium accepts one box after the other. The time includes the key
press, writing the decision to the disk, and decoding and painting the next frame. Needs the package
playwright and a Chromium.

Printed, in ms: the time to open the page, the median time to apply a filter, and the median, the
95th percentile and the maximum of the time to the next box. Target: 95 % within 100 ms.
"""

import argparse
import io
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import uvicorn
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from starlette.routing import BaseRoute

from spm.base import schemas, tables
from spm.base.constants import SAMPLE_RATE_HZ
from spm.base.shards import table_of
from spm.boxes.review import decisions, web
from spm.boxes.review.server import load_review_app, routes_of
from spm.boxes.statuses import BoxStatus
from spm.demo.scenario import PAIRS, Demo, DemoVideo, shoot

TARGET_MS = 100
FRAMES = 4  # per clip
GROUP_CLIPS = 64  # per row group, as the stage clips writes them
VIDEO_CLIPS = 60
SIDE = 256  # px
SCENES = 48
# Presses a key; the number of milliseconds until the next box is on the screen.
PRESS_KEY = """async (key) => {
    const before = document.body.dataset.number, start = performance.now();
    document.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
    while (document.body.dataset.number === before) await new Promise((go) => setTimeout(go, 1));
    await document.getElementById("frame").decode();
    await new Promise((go) => requestAnimationFrame(go));
    return performance.now() - start;
}"""


class Scene(NamedTuple):
    """A second of two instruments."""

    categories: tuple[str, ...]
    jpegs: list[bytes]
    boxes: list[tuple[Any, ...]]  # time in s, category, box


def render_scene(number: int) -> Scene:
    """Render a scene of the embedded corpus."""
    config = Demo(scene_s=1, width=SIDE, height=SIDE, fps=FRAMES, silent_other=0)
    pair = PAIRS[number % len(PAIRS)]
    take = shoot(DemoVideo("review", "duet", pair), number, config, SAMPLE_RATE_HZ, 1)
    return Scene(pair, [_jpeg(frame) for frame in take.frames], take.boxes)


def _jpeg(frame: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(frame).save(out, "JPEG", quality=92)
    return out.getvalue()


def write_tables(folder: Path, frames: int) -> None:
    """Write the tables that the workflow would write: clips, index, and boxes with scores."""
    generator = np.random.default_rng(0)
    index: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    clip_count = frames // FRAMES
    scenes = [render_scene(number) for number in range(min(SCENES, clip_count))]
    with tables.writer(table_of(folder / "clips", 0), schemas.CLIPS) as write:
        for start in range(0, clip_count, GROUP_CLIPS):
            rows = []
            for number in range(start, min(start + GROUP_CLIPS, clip_count)):
                scene = scenes[number % len(scenes)]
                row = clip_row(number, scene, generator)
                ids = {"clip_id": row["clip_id"], "video_id": row["video_id"]}
                rows.append(row)
                index.append(index_row(ids, number, scene))
                boxes += box_rows(ids, row["start_s"], scene, generator)
            write(**pd.DataFrame(rows).to_dict("list"))
    tables.write_rows(folder / "index.parquet", schemas.INDEX, index)
    tables.write_rows(folder / "boxes.parquet", schemas.ANNOTATIONS, boxes)


def index_row(ids: dict[str, str], number: int, scene: Scene) -> dict[str, Any]:
    """A row of the index: all clips are of test videos."""
    columns = {"kind": "duet", "split": "test", "audible": True, "categories": scene.categories}
    return {**ids, **columns, "shard": 0, "row": number, "start_s": number % VIDEO_CLIPS}


def clip_row(number: int, scene: Scene, generator: np.random.Generator) -> dict[str, Any]:
    """A row of the table of clips, with noise as its sound."""
    video, start_s = divmod(number, VIDEO_CLIPS)
    video_id = f"video-{video:03d}"
    return {
        "clip_id": f"{video_id}_{start_s * 1000:07d}",
        "video_id": video_id,
        "start_s": start_s,
        "frame_time_s": [start_s + frame / FRAMES for frame in range(FRAMES)],
        "frames": scene.jpegs,
        "pcm": generator.normal(0, 2000, SAMPLE_RATE_HZ).astype("<i2").tobytes(),
        "rms_db": -24,
    }


def box_rows(
    ids: dict[str, str], start_s: float, scene: Scene, generator: np.random.Generator
) -> Iterator[dict[str, Any]]:
    """Rows of the table of annotations, with random scores from 0.3 to 1."""
    for time_s, category, box in scene.boxes:
        score = float(generator.uniform(0.3, 1))
        sides = dict(zip("xywh", map(float, box), strict=True))
        yield {
            **ids,
            "frame": round(time_s * FRAMES),
            "time_s": start_s + time_s,
            "category": category,
            "score": score,
            **sides,
            "status": BoxStatus.KEPT if score > 0.9 else BoxStatus.LOW_SCORE,
            "box": decisions.box_name({"category": category, **sides}),
        }


@contextmanager
def serve(routes: Sequence[BaseRoute]) -> Iterator[str]:
    """Serve a page in a thread; its URL."""
    with socket.socket() as listening:
        listening.bind((web.HOST, 0))
        access = web.Access.generate()
        app = web.build(routes, access)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield access.url(listening.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


def open_page(browser: Browser, url: str) -> tuple[Page, float]:
    """Open the page; the page, and the milliseconds until it shows a box."""
    page = browser.new_page(viewport={"width": 1200, "height": 760})
    start_s = time.perf_counter()
    page.goto(url)
    page.wait_for_selector("body[data-number]")
    return page, 1000 * (time.perf_counter() - start_s)


def apply_filter(page: Page, status: str) -> float:
    """Apply a filter; the milliseconds that this takes."""
    start_s = time.perf_counter()
    page.select_option("#status", status)
    page.wait_for_selector(f"#details:has-text('{status}')")
    return 1000 * (time.perf_counter() - start_s)


def measure(url: str, decision_count: int, screenshot: Path | None) -> None:
    """Use the page in a browser, and print the times."""
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page, opened_ms = open_page(browser, url)
        waits_ms = sorted(page.evaluate(PRESS_KEY, "a") for _ in range(decision_count))
        statuses = (BoxStatus.KEPT, BoxStatus.LOW_SCORE) * 3
        filters_ms = [apply_filter(page, status) for status in statuses]
        if screenshot:
            page.screenshot(path=screenshot)
        browser.close()
    late_ms = waits_ms[int(0.95 * len(waits_ms))]
    print(f"page opens in {opened_ms:.0f} ms; filter: {median(filters_ms):.0f} ms")
    print(f"key to next box: median {median(waits_ms):.0f} ms, 95 % {late_ms:.0f} ms,", end=" ")
    print(f"longest {waits_ms[-1]:.0f} ms; target: 95 % within {TARGET_MS} ms")


def main() -> None:
    """Serve the page to a browser that decides as fast as it can."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--decisions", type=int, default=200)
    parser.add_argument("--screenshot", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_tables(folder, given.frames)
        files = (folder / "boxes.parquet", folder / "index.parquet", folder / "clips")
        review_app = load_review_app(*files, folder / "r.csv", "ada")
        print(f"{given.frames} frames, {len(review_app.queue.boxes)} boxes")
        with serve(routes_of(review_app)) as url:
            measure(url, given.decisions, given.screenshot)


if __name__ == "__main__":
    main()
