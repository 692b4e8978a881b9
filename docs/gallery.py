"""Make the pictures of gallery.md from the results of the demo.

make demo
python docs/gallery.py demo

The folder of the demo is the argument. Chromium takes the picture of overview.html.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

OUT = Path(__file__).parent / "gallery"
WIDTH = 1100  # px, at most
FIGURES = {  # file of results/report, by name in the gallery
    "heatmaps": "figures/heatmaps",
    "best-worst": "best_worst/spm",
    "clusters": "cluster_plot/main",
    "samples": "samples/samples",
    "scores": "figures/scores",
}
PHOTOS = {"heatmaps", "best-worst", "samples", "sheet", "overview"}  # JPEG; the others are PNG
DUET = "demo-duet-violin-acoustic_guitar-01.mp4"


def store(source: Path, name: str) -> None:
    """Store a picture of at most WIDTH px in the gallery."""
    with Image.open(source) as picture:
        small = picture.convert("RGB")
    small.thumbnail((WIDTH, 2 * WIDTH), Image.Resampling.LANCZOS)
    if name in PHOTOS:
        small.save(OUT / f"{name}.jpg", quality=72, optimize=True, progressive=True)
    else:
        small.quantize(64, dither=Image.Dither.NONE).save(OUT / f"{name}.png", optimize=True)


def photograph(page: Path, picture: Path) -> None:
    """Store the first screen of an HTML page as PNG."""
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 1100})
        tab.goto(page.resolve().as_uri())
        tab.screenshot(path=str(picture))
        browser.close()


def localize(demo: Path, folder: Path) -> Path:
    """Localize the sound of a duet with the demo's network, and return the sheet of frames."""
    weights = demo / "results/fusion/train/spm"
    video = demo / "corpus/videos" / DUET
    command = [sys.executable, "-m", "spm.cli", "localize", str(video), "--quiet"]
    subprocess.run([*command, "--weights", str(weights), "--out", str(folder)], check=True)
    return folder / f"{video.stem}.png"


def main() -> None:
    """Store all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path)
    demo = parser.parse_args().demo
    OUT.mkdir(exist_ok=True)
    for name, figure in FIGURES.items():
        store(demo / f"results/report/{figure}.png", name)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store(localize(demo, folder), "sheet")
        photograph(demo / "overview.html", folder / "overview.png")
        store(folder / "overview.png", "overview")


if __name__ == "__main__":
    main()
