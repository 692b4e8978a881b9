"""The report of the smallest project in a real browser, without a network."""

import re
import shutil

import pytest

from spm.base import csv_file
from tests.support.project import Project

pytestmark = pytest.mark.slow
SHOWN = {  # category: label of a result, words of its caption
    "At a glance": ("the whole report", "The report as one page"),
    "Corpus": ("samples", "Random training clips"),
    "Clusters": ("sounds: main", "principal components"),
    "Figures": ("coverage", "status of every listed video"),
    "Heat maps": ("spm: best, median, worst", "Best, median and worst test frames"),
    "Scores": ("scores", "Every run and baseline under every protocol"),
}


@pytest.fixture(scope="module")
def report(undisturbed, tmp_path_factory):
    """The file of the report; no job runs for it."""
    folder = tmp_path_factory.mktemp("report") / "project"
    shutil.copytree(undisturbed.folder, folder, copy_function=shutil.copy2)
    counts = folder / "results/boxes/annotations/given.csv"
    csv_file.write_text(counts, counts.read_text() + "person,other-category,9000\n")
    Project(folder, undisturbed.config).run("all", "--report", "report.html")
    return folder / "report.html"


@pytest.fixture
def page(browser, report):
    """The opened report; it must neither fail nor request anything."""
    page = browser.new_context(offline=True, viewport={"width": 1400, "height": 900}).new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))

    def note(request) -> None:
        if request.url.startswith("http"):
            faults.append(request.url)

    page.on("request", note)
    page.goto(report.as_uri())
    page.get_by_text("Which pixels of these videos make the sound?").wait_for()
    yield page
    page.context.close()
    assert not faults


def test_the_first_page_has_the_runs_the_versions_the_graph_of_rules_and_the_config(page):
    text = page.inner_text("body")
    assert re.search(r"Runs:\s+spm\n", text)  # without no-promotion
    assert re.search(r"Versions:\s+spm \d.*, Python 3\.\d+\.\d+, .*torch \d", text)
    page.locator("#rulegraph svg, #rulegraph canvas").first.wait_for()
    assert re.search(r"Warning\s+90\d\d of 9\d{3} given boxes are rejected: 9000 other-cat", text)
    page.get_by_text("The whole config").click()
    assert '"frames_per_clip": 2' in page.inner_text("details pre")


def open_category(page, name):
    page.get_by_text(name, exact=True).first.click()


def show(page, label):
    """Click the eye beside a result; the row of the result."""
    row = page.locator("tr", has=page.get_by_text(label, exact=True))
    row.locator("a, button").first.click()
    return row


@pytest.mark.parametrize("category", SHOWN)
def test_each_category_shows_its_results_with_a_caption(page, category):
    label, caption = SHOWN[category]
    open_category(page, category)
    row = show(page, label)
    if category in ("Scores", "At a glance"):
        assert "whole-image" in page.frame_locator("iframe").locator("table").first.inner_text()
    else:
        image = page.locator("img[src*='svg']").last
        image.wait_for()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    row.locator("a, button").last.click()
    page.get_by_text(caption).wait_for()


def test_a_video_plays_in_the_report(page):
    open_category(page, "Heat maps")
    show(page, "videos of every run")
    video = page.frame_locator("iframe").locator("video").first
    video.evaluate("video => { video.muted = true; return video.play() }")
    page.wait_for_timeout(600)
    assert video.evaluate("video => video.currentTime") > 0
    assert video.evaluate("video => video.videoWidth") > 100
