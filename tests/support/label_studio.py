"""Label Studio on this machine: started on loopback, with its own folder, and used by its API."""

import io
import os
import socket
import subprocess
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

TOKEN = "0123456789abcdef0123456789abcdef01234567"
# It must reach nothing but this machine: no reports, and no question for its newest version.
OFFLINE = {
    "COLLECT_ANALYTICS": "0",
    "LATEST_VERSION_CHECK": "0",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
}
START_S = 400  # its first start makes a database


@contextmanager
def running(program: str, folder: Path) -> Iterator["LabelStudio"]:
    """A server; it is stopped at the end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [program, "start", "--no-browser", "--host", address, "--port", str(port)]
    command += ["--internal-host", "127.0.0.1", "--data-dir", str(folder / "data")]
    command += ["--username", "ada@example.org", "--password", "of-this-test-only"]
    command += ["--user-token", TOKEN, "--enable-legacy-api-token"]
    environment = {**OFFLINE, "PATH": os.environ["PATH"], "HOME": str(folder)}
    log = folder / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        tool = LabelStudio(address)
        tool.wait(server, log)
        yield tool
    finally:
        server.terminate()
        server.wait(60)


@dataclass
class LabelStudio:
    """A server, and the project that `create` made."""

    address: str
    project: int = 0

    def __post_init__(self) -> None:
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy
        self.session.headers["Authorization"] = f"Token {TOKEN}"

    def wait(self, server: "subprocess.Popen[bytes]", log: Path) -> None:
        """Return when the server answers."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            assert server.poll() is None, log.read_text()[-2000:]
            try:
                return self.session.get(f"{self.address}/health", timeout=10).raise_for_status()
            except requests.RequestException:
                time.sleep(1)
        raise AssertionError(f"no answer within {START_S} s: {log.read_text()[-2000:]}")

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        answer = self.session.request(method, f"{self.address}/api/{path}", timeout=120, **options)
        assert answer.ok, answer.text[:2000]
        return answer

    def create(self, labels: Sequence[str]) -> None:
        """Make a project for boxes with these labels."""
        choices = "".join(f'<Label value="{label}"/>' for label in labels)
        view = (
            '<View><Image name="image" value="$image"/><RectangleLabels name="label"'
            f' toName="image">{choices}</RectangleLabels></View>'
        )
        answer = self.call("POST", "projects", json={"title": "frames", "label_config": view})
        self.project = answer.json()["id"]

    def upload(self, images: Sequence[Path]) -> dict[Path, int]:
        """Upload images as a browser does; the task of each."""
        tasks = {}
        for image in images:
            file = {"file": (image.name, image.read_bytes(), "image/jpeg")}
            self.call("POST", f"projects/{self.project}/import", files=file)
            page = self.call("GET", "tasks", params={"project": self.project, "page_size": 100})
            tasks[image] = max(task["id"] for task in page.json()["tasks"])
        return tasks

    def annotate(self, task: int, boxes: Sequence[Mapping[str, Any]]) -> None:
        """Store boxes as its editor does: x, y, width, height in percent, rotation in degrees."""
        result = [
            {
                "from_name": "label",
                "to_name": "image",
                "type": "rectanglelabels",
                "original_width": 64,
                "original_height": 64,
                "image_rotation": 0,
                "value": dict(box),
            }
            for box in boxes
        ]
        self.call("POST", f"tasks/{task}/annotations/", json={"result": result})

    def export_coco(self) -> bytes:
        """The JSON file of its COCO export."""
        path = f"projects/{self.project}/export"
        content = self.call("GET", path, params={"exportType": "COCO"}).content
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.read("result.json")
