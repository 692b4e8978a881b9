"""The page of `spm app`, in a real browser: a video is uploaded, and its film is shown."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from spm.demo import scenario
from tests.support.project import ROOT

if find_spec("gradio") is None:
    pytest.skip("pip install 'sound-promotion[app]'", allow_module_level=True)
pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
WAIT_MS = 120_000
SUFFIXES = {".mp4", ".png", ".parquet", ".json"}


@pytest.fixture(scope="module")
def concert(tmp_path_factory) -> Path:
    """A drawn video of two seconds."""
    config = scenario.Demo(solos=1, duets=0, scenes=1)
    take = scenario.shoot(scenario.videos(config)[0], 0, config, 16000, 1)
    path = tmp_path_factory.mktemp("concert") / "drawn concert.mp4"
    scenario.encode(path, take.frames, config.fps, take.sound, 16000)
    return path


@pytest.fixture(scope="module")
def temporary(tmp_path_factory) -> Path:
    """The folder of temporary files of the server."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def address(network, temporary) -> Iterator[str]:
    """The page with an untrained network; when it stops, all of its files are gone."""
    command = [sys.executable, "-m", "spm.cli", "app", "--no-browser", "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    process = subprocess.Popen(
        [*command, "--weights", str(network)],
        stderr=subprocess.PIPE, text=True, env=environment, cwd=temporary,
    )  # fmt: skip
    with process:
        yield re.search(r"http://\S+", process.stderr.readline())[0]
        process.send_signal(signal.SIGTERM)
        assert "Traceback" not in process.stderr.read()
    assert not list(temporary.iterdir())


@pytest.fixture
def page(browser, address):
    """The open page; all of its requests go to its own server."""
    page, hosts = browser.new_page(viewport={"width": 390, "height": 800}), set()
    page.on("request", lambda sent: hosts.add(urlsplit(sent.url.removeprefix("blob:")).netloc))
    page.set_default_timeout(WAIT_MS)
    page.goto(address)
    page.get_by_role("button", name="Localize").wait_for()
    yield page
    page.close()
    assert hosts == {urlsplit(address).netloc}


def localize(page, path) -> str:
    """Upload a video; the text of its result."""
    page.locator("input[type=file]").first.set_input_files(path)
    page.locator("video").first.wait_for(state="attached")
    page.get_by_role("button", name="Localize").click()
    text = page.get_by_label("Result")
    sync_api.expect(text).to_have_value(re.compile(r"\S"), timeout=WAIT_MS)
    return text.input_value()


def test_a_video_becomes_a_film_that_plays_a_table_and_files(page, concert):
    assert "drawn concert.mp4" in localize(page, concert)
    film = page.locator("video").nth(1)
    film.wait_for()
    film.evaluate("film => film.play()")
    while film.evaluate("film => film.currentTime") == 0:
        page.wait_for_timeout(100)
    assert film.evaluate("film => film.readyState") >= 2
    assert page.locator("tbody tr").count() >= 2
    files = page.locator("a[download]").all()
    assert {Path(file.get_attribute("download")).suffix for file in files} == SUFFIXES
    with page.expect_download() as download:
        page.locator("a[download$='.json']").click()
    document = json.loads(download.value.path().read_text())
    assert document["video"]["seconds"] == 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_broken_file_has_a_message_and_no_film(page, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    assert localize(page, broken).startswith("Error: broken.mp4: unreadable: ")
    assert page.locator("video").count() == 1


def test_without_the_token_nobody_can_use_the_page(address):
    root = address.split("?")[0]
    for path in ("", "config", "gradio_api/info"):
        assert requests.get(root + path, timeout=60).status_code == 403
