import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

# Tests of training compute on one thread on any machine, because other processes test beside them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from spm.audio.classifier import ClassifierConfig, train_classifier
from spm.audio.clusters import Clusters, compute_features
from spm.audio.kmeans import spherical_kmeans
from spm.audio.sounds import open_sounds
from spm.corpus import clip_reader
from spm.learn import efficientnet, pretrained, weights
from spm.learn.clip_files import Indices, Sounds
from tests.support import corpora
from tests.support.sharing import make_once
from tests.support.web import WebServer, film, handler

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
ROOT = Path(__file__).parent
SHARED = ROOT.parents[1] / "shared" / "data"


# Fixtures that train for seconds, run the workflow or start a browser: their tests are `slow`.
SLOW_FIXTURES = {"audio", "browser", "features", "trained", "undisturbed"}
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
    folder, variables = Path.cwd(), set(os.environ.items())
    yield
    changed = {name for name, _ in variables ^ set(os.environ.items())} - {"PYTEST_CURRENT_TEST"}
    assert (Path.cwd(), changed) == (folder, set())


@pytest.fixture(scope="session")
def squares(tmp_path_factory) -> corpora.Corpus:
    """Two categories, a square and a tone each."""
    return corpora.Corpus.of(make_once(tmp_path_factory, "squares", corpora.write))


@pytest.fixture(scope="session")
def few_squares(tmp_path_factory) -> corpora.Corpus:
    """A quarter of these training videos, for trainings that need not learn to localize."""
    folder = make_once(
        tmp_path_factory, "few_squares", lambda folder: corpora.write(folder, train=3)
    )
    return corpora.Corpus.of(folder)


@pytest.fixture(scope="session")
def promoted(squares, tmp_path_factory) -> Path:
    """An audio network trained on the clusters of high and low tones."""

    def train(folder: Path) -> None:
        train_audio(squares, folder / "audio.safetensors")

    return make_once(tmp_path_factory, "promoted", train) / "audio.safetensors"


@dataclass(frozen=True)
class ShortSounds:
    """The first quarter of a second of sounds: a tone is the same later, and this takes a quarter.

    A network that has learned them takes whole sounds too.
    """

    whole: Sounds

    def __len__(self) -> int:
        return len(self.whole)

    def sounds(self, indices: Indices) -> torch.Tensor:
        return self.whole.sounds(indices)[:, :51]


def train_audio(squares: corpora.Corpus, path: Path) -> None:
    """Train an audio network on two clusters and save it."""
    rows, cpu = clip_reader.select(squares.index, split="train"), torch.device("cpu")
    sounds = ShortSounds(open_sounds("resnet18", rows, squares.spectrograms, None, None))
    labels = spherical_kmeans(compute_features(sounds, Clusters(k=2), cpu), 2).labels
    config = ClassifierConfig(epochs=4, batch=16, standardize=True)
    network = train_classifier(sounds, labels, 2, config, cpu)
    weights.save(path, network.state_dict(), {})


@pytest.fixture(scope="session")
def parts() -> None:
    """The weights of the networks that are not trained; a test without them skips."""
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
