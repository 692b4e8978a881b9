"""Time to store a drawn box, and to show the next frame, on the page of `spm review --draw`.

python -m benchmarks.draw [--frames 10000] [--rows 10000] [--boxes 50] [--screenshot docs/draw.png]

The scenes are those of benchmarks.review. The file of boxes has --rows rows before. A headless
Chromium draws a box by mouse, waits until it is on the disk, and goes to the next frame. Printed,
in ms: the median and the 95th percentile of both. Targets: 100 ms for the next frame, and 300 ms
until a box is on the disk, for which nobody has to wait.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, sync_playwright

from benchmarks.review import FRAMES, VIDEO_CLIPS, open_page, serve, write_tables
from spm.base import schemas, tables
from spm.base.shards import table_of
from spm.boxes.review import draw_server

PER_VIDEO = VIDEO_CLIPS * FRAMES  # every frame


def write_results(folder: Path, frames: int) -> None:
    """Write results in the folders of the workflow, with videos of 4:3."""
    scratch = folder / "scratch"
    write_tables(scratch, frames)
    corpus = folder / "corpus"
    corpus.mkdir()
    (scratch / "clips").rename(corpus / "clips")
    (corpus / "index").mkdir()
    (scratch / "index.parquet").rename(corpus / "index/clips.parquet")
    names = sorted(set(tables.read(corpus / "index/clips.parquet")["video_id"].to_pylist()))
    videos = [{"video_id": name, "width": 320, "height": 240} for name in names]
    tables.write_rows(table_of(corpus / "videos", 0), schemas.VIDEOS, videos)


def write_boxes(path: Path, rows: int) -> None:
    """Write boxes on the last frames, so that the first ones have none."""
    lines = ["video_id,time_s,category,x,y,w,h"]
    for number in range(rows):
        clip, frame = divmod(number, FRAMES)
        video, second = divmod(clip, VIDEO_CLIPS)
        lines.append(f"old-{video:03d},{second + frame / FRAMES},cello,0.1,0.1,0.5,0.5")
    path.write_text("\n".join(lines) + "\n")


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw a box from corner to corner, and confirm its class."""
    area = page.locator("#canvas").bounding_box()
    assert area is not None
    points = [
        (area["x"] + x * area["width"], area["y"] + y * area["height"]) for x, y in (start, end)
    ]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1])
    page.mouse.up()
    page.keyboard.press("Enter")


def duration_ms(action: Callable[[], None]) -> float:
    """Milliseconds that an action takes."""
    start_s = time.perf_counter()
    action()
    return 1000 * (time.perf_counter() - start_s)


def measure(page: Page, boxes: int) -> None:
    """Draw boxes, and print the times."""
    stored_ms, next_ms = [], []

    def wait_until_saved() -> None:
        page.wait_for_selector('body[data-saved="yes"]')

    def go_on() -> None:
        before = page.get_attribute("body", "data-number")
        page.keyboard.press("Enter")
        page.wait_for_selector(f'body:not([data-number="{before}"])')

    for _ in range(boxes):
        drag(page, (0.2, 0.2), (0.6, 0.7))
        stored_ms.append(duration_ms(wait_until_saved))
        next_ms.append(duration_ms(go_on))
    for name, times in (("box on the disk", stored_ms), ("next frame", next_ms)):
        late_ms = sorted(times)[int(0.95 * len(times))]
        print(f"{name}: median {median(times):.0f} ms, 95 % {late_ms:.0f} ms")


def take_screenshot(page: Page, draw_app: draw_server.DrawApp, truth: Path, out: Path) -> None:
    """Draw the exact boxes of a frame, and save the picture of the page."""
    page.set_viewport_size({"width": 1280, "height": 800})
    page.reload()
    page.wait_for_selector("body[data-number]")
    number = int(page.get_attribute("body", "data-number") or 0)
    frame = draw_app.frames[number]
    for row in tables.read(truth).to_pylist():
        if (row["clip_id"], row["frame"]) == (frame["clip_id"], frame["frame"]):
            drag(page, (row["x"], row["y"]), (row["x"] + row["w"], row["y"] + row["h"]))
            page.keyboard.press("Escape")
    page.wait_for_selector('body[data-saved="yes"]')
    page.keyboard.press("s")
    page.screenshot(path=out)


def main() -> None:
    """Serve the page to a browser that draws."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--boxes", type=int, default=50)
    parser.add_argument("--screenshot", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        folder = Path(scratch)
        write_results(folder, given.frames)
        write_boxes(folder / "boxes.csv", given.rows)
        draw_app = draw_server.load_draw_app(folder / "boxes.csv", folder, PER_VIDEO)
        print(f"{len(draw_app.frames)} frames, {given.rows} rows")
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with serve(draw_server.routes_of(draw_app)) as url:
            page, opened_ms = open_page(browser, url)
            print(f"page opens in {opened_ms:.0f} ms")
            measure(page, given.boxes)
            if given.screenshot:
                truth = folder / "scratch/boxes.parquet"
                take_screenshot(page, draw_app, truth, given.screenshot)
        browser.close()


if __name__ == "__main__":
    main()
