"""Networks on a hub: the real client, and a local server that answers as the hub does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from spm.inference import hub
from spm.inference.model import find_weights
from tests.support import hub as local_hub
from tests.support.project import ROOT

pytest.importorskip("huggingface_hub", reason="pip install 'sound-promotion[hub]'")
OFFLINE = "http://127.0.0.1:1"  # nothing answers here


@pytest.fixture
def endpoint(tmp_path):
    """The address of a hub with one network in two revisions, and one set of pictures."""
    for revision, text in (("main", "{}"), ("v2", '{"second": true}')):
        folder = tmp_path / f"served/models/someone/localizer/{revision}"
        folder.mkdir(parents=True)
        (folder / "network.json").write_text(text)
        (folder / "network.safetensors").write_bytes(b"tensors of " + revision.encode())
    for name, color in (("images/a_b.png", "red"), ("gt_masks/a_b.png", "white")):
        path = tmp_path / "served/datasets/someone/set/main" / name
        path.parent.mkdir(parents=True)
        Image.new("RGB", (8, 8), color).save(path)
    with local_hub.serve(tmp_path / "served") as (address, _):
        yield address


def download(
    name: str, folder: Path, endpoint: str, prelude: str = ""
) -> subprocess.CompletedProcess[str]:
    """Download a network in another process."""
    code = f"{prelude}\nfrom spm.inference import hub\nprint(hub.network({name!r}))"
    return run(code, folder, endpoint)


def run(code: str, folder: Path, endpoint: str) -> subprocess.CompletedProcess[str]:
    """Run code in another process, since the client reads its environment at import."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(folder / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "*",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=folder,
    )


@pytest.mark.slow
def test_a_network_is_downloaded_once_and_then_read_from_the_cache(endpoint, tmp_path):
    path = Path(download("someone/localizer", tmp_path, endpoint).stdout.strip())
    assert path.read_bytes() == b"tensors of main"
    assert path.with_suffix(".json").read_text() == "{}"
    again = download("someone/localizer", tmp_path, OFFLINE)
    assert Path(again.stdout.strip()) == path, again.stderr


@pytest.mark.slow
def test_pictures_of_a_set_are_downloaded_and_its_masks_are_not_taken_for_them(endpoint, tmp_path):
    code = (
        "from spm.inference import benchmark_pictures as pictures\n"
        "folder = pictures.find('someone/set')\n"
        "print(pictures.pictures_of(['a_b_a'], ['a_b'], folder)['a_b_a'])"
    )
    done = run(code, tmp_path, endpoint)
    picture = Path(done.stdout.strip())
    assert picture.parts[-2:] == ("images", "a_b.png"), done.stderr
    assert Image.open(picture).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.slow
def test_a_revision_can_be_named(endpoint, tmp_path):
    path = Path(download("someone/localizer@v2", tmp_path, endpoint).stdout.strip())
    assert path.read_bytes() == b"tensors of v2"


MISSING = "someone/none: .*Error: .*expected a file, or a repository of the hub with network.json"
NO_CLIENT = "import sys; sys.modules['huggingface_hub'] = None"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "prelude", "message"),
    [
        ("someone/none", "", MISSING),
        ("someone/localizer", NO_CLIENT, r"pip install 'sound-promotion\[hub\]'"),
    ],
)
def test_a_failure_is_one_line(name, prelude, message, endpoint, tmp_path):
    done = download(name, tmp_path, endpoint, prelude)
    assert done.returncode == 1
    start = "spm.base.errors.UserError"
    (line,) = [line for line in done.stderr.splitlines() if line.startswith(start)]
    assert re.search(message, line)


def test_a_file_or_folder_has_priority_over_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert hub.is_id("someone/localizer")
    assert hub.is_id("someone/localizer@main")
    assert not hub.is_id("network.safetensors")
    assert not hub.is_id("models/network.safetensors")  # a file that does not exist
    assert not hub.is_id("results/fusion/train/spm")
    Path("someone/localizer").mkdir(parents=True)
    assert not hub.is_id("someone/localizer")
    assert find_weights("someone/localizer") == Path("someone/localizer/network.safetensors")
