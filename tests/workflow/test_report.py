"""The report of the smallest project, opened in a real browser that has no network."""

import re

import pytest

pytestmark = pytest.mark.slow
SHOWN = {  # category: label of a result, words of its caption
    "Corpus": ("samples", "Training clips at random"),
    "Clusters": ("sounds: main", "principal components"),
    "Figures": ("coverage", "what became of every listed video"),
    "Heat maps": ("spm: best, median, worst", "Best, median and worst test frames"),
    "Scores": ("scores", "Every run and baseline under every protocol"),
}


@pytest.fixture(scope="module")
def report(undisturbed):
    """The report's file, and how long it took no job to make it."""
    undisturbed.run("all", "--report", "report.html")
    return undisturbed.folder / "report.html"


@pytest.fixture
def page(browser, report):
    """The report, opened; it may ask nobody for anything, and must have no fault."""
    page = browser.new_context(offline=True, viewport={"width": 1400, "height": 900}).new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request", lambda asked: faults.append(asked.url) if asked.url.startswith("http") else None
    )
    page.goto(report.as_uri())
    page.get_by_text("Which pixels of these videos make the sound?").wait_for()
    yield page
    page.context.close()
    assert not faults


def test_it_opens_with_what_it_is_about_the_rules_as_a_graph_versions_and_the_config(page):
    said = page.inner_text("body")
    assert re.search(r"Runs:\s+spm\n", said)  # no-promotion is left out
    assert re.search(r"Versions:\s+Python 3\.\d+\.\d+, .*torch \d", said)
    page.locator("#rulegraph svg, #rulegraph canvas").first.wait_for()
    page.get_by_text("The whole config").click()
    assert '"frames_per_clip": 2' in page.inner_text("details pre")


def open_category(page, name):
    page.get_by_text(name, exact=True).first.click()


def look_at(page, label):
    """Click the eye beside a result, and then its caption's sign."""
    row = page.locator("tr", has=page.get_by_text(label, exact=True))
    row.locator("a, button").first.click()
    return row


@pytest.mark.parametrize("category", SHOWN)
def test_each_kind_of_result_is_shown_with_a_caption_that_says_what_to_look_for(page, category):
    label, caption = SHOWN[category]
    open_category(page, category)
    row = look_at(page, label)
    if category == "Scores":
        assert "whole-image" in page.frame_locator("iframe").locator("table").first.inner_text()
    else:
        image = page.locator("img[src*='svg']").last
        image.wait_for()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    row.locator("a, button").last.click()
    page.get_by_text(caption).wait_for()


def test_a_film_plays_within_it(page):
    open_category(page, "Heat maps")
    look_at(page, "films of every run")
    film = page.frame_locator("iframe").locator("video").first
    film.evaluate("film => { film.muted = true; return film.play() }")
    page.wait_for_timeout(600)
    assert film.evaluate("film => film.currentTime") > 0
    assert film.evaluate("film => film.videoWidth") > 100
