"""Networks of a hub: a real client, and a server on this machine that answers as the hub does."""

import hashlib
import os
import re
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from spm.inference import hub
from spm.inference.localize import weights_of
from tests.support.project import ROOT

pytest.importorskip("huggingface_hub", reason="pip install 'spm[hub]'")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(SimpleHTTPRequestHandler):
    """Serves root/OWNER/NAME/resolve/REVISION/FILE with the headers that the client reads."""

    def log_message(self, *args: object) -> None:
        """Be silent."""

    def end_headers(self) -> None:
        path = Path(self.translate_path(self.path))
        if path.is_file():
            self.send_header("ETag", f'"{hashlib.sha256(path.read_bytes()).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
        super().end_headers()


@pytest.fixture
def endpoint(tmp_path):
    for revision, text in (("main", "{}"), ("v2", '{"second": true}')):
        folder = tmp_path / f"served/someone/localizer/resolve/{revision}"
        folder.mkdir(parents=True)
        (folder / "network.json").write_text(text)
        (folder / "network.safetensors").write_bytes(b"tensors of " + revision.encode())
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, directory=tmp_path / "served"))
    threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    ).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def found(
    name: str, tmp_path: Path, endpoint: str, before: str = ""
) -> subprocess.CompletedProcess[str]:
    """What another Python finds: the client reads its environment when it is imported."""
    code = f"{before}\nfrom spm.learn import hub\nprint(hub.network({name!r}))"
    here = {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "*",
    }
    environment = {**os.environ, **here, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    )


def test_weights_and_what_is_said_of_them_come_from_the_hub_and_then_without_it(endpoint, tmp_path):
    path = Path(found("someone/localizer", tmp_path, endpoint).stdout.strip())
    assert path.read_bytes() == b"tensors of main"
    assert path.with_suffix(".json").read_text() == "{}"
    again = found("someone/localizer", tmp_path, "http://127.0.0.1:1")
    assert Path(again.stdout.strip()) == path, again.stderr


def test_a_revision_may_be_named(endpoint, tmp_path):
    path = Path(found("someone/localizer@v2", tmp_path, endpoint).stdout.strip())
    assert path.read_bytes() == b"tensors of v2"


@pytest.mark.parametrize(("name", "before", "said"), [
    ("someone/none", "", "someone/none: .*Error: .*expected a file, or a hub's repository with network.json and"),
    ("someone/localizer", "import sys; sys.modules['huggingface_hub'] = None", "pip install 'spm\\[hub\\]'"),
])  # fmt: skip
def test_what_can_not_be_had_is_one_line(name, before, said, endpoint, tmp_path):
    done = found(name, tmp_path, endpoint, before)
    assert done.returncode == 1
    (line,) = [
        line for line in done.stderr.splitlines() if line.startswith("spm.base.config.UserError")
    ]
    assert re.search(said, line)


def test_a_file_or_folder_of_that_name_comes_before_a_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert hub.is_id("someone/localizer")
    assert hub.is_id("someone/localizer@main")
    assert not hub.is_id("network.safetensors")
    assert not hub.is_id("results/fusion/train/spm")
    Path("someone/localizer").mkdir(parents=True)
    assert not hub.is_id("someone/localizer")
    assert weights_of("someone/localizer") == Path("someone/localizer/network.safetensors")
