"""Fixtures and marks of all tests.

Modules that import torch are imported where they are used: the process that starts those of the
tests would need five seconds for them.
"""

import gc
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.sharing import make_once
from tests.support.web import WebServer, film, handler

if TYPE_CHECKING:
    from tests.support.corpora import Corpus

gc.disable()  # until all modules are imported: with garbage collection this takes 27 s, not 17 s
# Tests of training compute on one thread on any machine, because other processes test beside them.
os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# No test has a limit of time but the general one: the first example of a test may compile a loop.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
ROOT = Path(__file__).parent
# New variables that change what other tests do; libraries set other ones when they are imported.
VARIABLES = ("PYTHON", "SPM_", "SNAKEMAKE")
SHARED = ROOT.parents[1] / "shared" / "data"


# Tests with these fixtures are `slow`: they train, run the workflow, start a server or a browser.
SLOW_FIXTURES = {"audio", "browser", "bucket", "features", "site", "trained", "undisturbed"}
# The processes of `make test` start with these files, so that none of them is left for the end.
LONGEST_FIRST = [
    "workflow/test_slurm.py",
    "workflow/test_staleness.py",
    "fusion/test_methods.py",
    "workflow/test_conda.py",
    "workflow/test_faults.py",
    "benchmarks/test_benchmark_programs.py",
    "fusion/test_new_method_page.py",
    "fusion/test_train.py",
    "workflow/test_workflow.py",
    "workflow/test_wheel.py",
    "workflow/test_finished_networks.py",
    "workflow/test_paper.py",
    "workflow/test_wrong_settings.py",
    "learn/test_distributed.py",
    "fusion/test_dsol.py",
    "fusion/test_resume_epoch.py",
    "inference/test_localize_command.py",
    "corpus/test_clips.py",
    "corpus/test_fetch.py",
    "corpus/media/test_mutations.py",
    "boxes/review/test_draw_page.py",
    "boxes/review/test_review_page.py",
    "boxes/review/test_draw_server.py",
]


def pytest_collection_finish() -> None:
    """Collect garbage again, but search none of the imported modules for it."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their fixtures, and put the longest files first."""
    order = {ROOT / name: number for number, name in enumerate(LONGEST_FIRST)}
    for item in items:
        if not SLOW_FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
    items.sort(key=lambda item: order.get(item.path, len(order)))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-docs",
        action="store_true",
        help="write the pages that tests make, docs/staleness.md",
    )


@pytest.fixture(autouse=True)
def process_unchanged() -> Iterator[None]:
    """Fail a test that leaves an environment variable or another current folder to later tests."""
    folder, before = Path.cwd(), dict(os.environ)
    yield
    changed = {name for name, _ in before.items() ^ os.environ.items()} - {"PYTEST_CURRENT_TEST"}
    assert {name for name in changed if name in before or name.startswith(VARIABLES)} == set()
    assert Path.cwd() == folder


@pytest.fixture(scope="session")
def squares(tmp_path_factory) -> "Corpus":
    """Two categories, a square and a tone each."""
    from tests.support import corpora

    return corpora.Corpus.of(make_once(tmp_path_factory, "squares", corpora.write))


@pytest.fixture(scope="session")
def few_squares(tmp_path_factory) -> "Corpus":
    """A quarter of these training videos, for trainings that need not learn to localize."""
    from tests.support import corpora

    folder = make_once(
        tmp_path_factory, "few_squares", lambda folder: corpora.write(folder, train=3)
    )
    return corpora.Corpus.of(folder)


@pytest.fixture(scope="session")
def promoted(squares, tmp_path_factory) -> Path:
    """An audio network trained on the clusters of high and low tones."""
    from tests.support import audio_network

    def train(folder: Path) -> None:
        audio_network.train(squares, folder / "audio.safetensors")

    return make_once(tmp_path_factory, "promoted", train) / "audio.safetensors"


@pytest.fixture(scope="session")
def parts() -> None:
    """The weights of the networks that are not trained; a test without them skips."""
    from spm.learn import efficientnet, pretrained

    for part in (efficientnet.PART, "yamnet"):
        if pretrained.find(part) is None:
            pytest.skip(f"{part}: {pretrained.PARTS[part].source.remedy}")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Recordings, published boxes and golden scores outside this repository."""
    if not SHARED.is_dir():
        pytest.skip("no folder ../shared/data: it has the real recordings and golden scores")
    return SHARED


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real browser, for the pages that users open."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if CHROMIUM is None:
        pytest.skip("no chromium on the PATH: apt-get install chromium")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of two seconds."""
    return film(tmp_path_factory.mktemp("media") / "film.mp4", 2.0)


@pytest.fixture
def site(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """A web server on this machine; see tests/support/web.py."""
    monkeypatch.setenv("no_proxy", "*")
    files = tmp_path / "served"
    files.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.daemon_threads = True
    site = WebServer(f"http://127.0.0.1:{server.server_port}", files, media.read_bytes())
    server.RequestHandlerClass = handler(site)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    )
    thread.start()
    yield site
    server.shutdown()
    server.server_close()
