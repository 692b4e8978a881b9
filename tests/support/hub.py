"""A hub on this machine that answers Hugging Face's client as the real one does.

It keeps repositories as folders, `<kind>/<owner>/<name>/<revision>/`, and answers what the client
asks to make a repository, to write files (small ones in the commit, large ones before it), and to
list and read them.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE_BYTES = 250  # files of this size are sent before the commit, as on the real hub from 10 MB
REPOSITORY = r"/api/(models|datasets)/([\w.-]+/[\w.-]+)"


class Hub(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, folder: Path, token: str, requests: list[str]) -> None:
        self.folder, self.token, self.requests = folder, token, requests
        super().__init__(*arguments)

    def log_message(self, *args: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        """Metadata of a repository, or a file."""
        self.requests.append(f"GET {self.path}")
        path = self.path.partition("?")[0]
        if found := re.fullmatch(rf"{REPOSITORY}(?:/revision/([\w.-]+))?", path):
            self.answer_listing(found[1], found[2], found[3] or "main")
        elif found := re.fullmatch(rf"{REPOSITORY}/tree/([\w.-]+)", path):
            self.answer_tree(found[1], found[2], found[3])
        elif found := re.fullmatch(r"/(datasets/)?([\w.-]+/[\w.-]+)/resolve/([\w.-]+)/(.+)", path):
            revision = "main" if found[3] == COMMIT else found[3]
            kind = "datasets" if found[1] else "models"
            self.answer_file(self.folder / kind / found[2] / revision / found[4])
        else:
            self.answer(404, {"error": "no such page"})

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """A new repository, or new files."""
        self.requests.append(f"POST {self.path}")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") != f"Bearer {self.token}":
            self.answer(401, {"error": "Invalid username or password."})
        elif self.path == "/api/repos/create":
            self.create(json.loads(body))
        elif self.path == "/api/validate-yaml":
            self.answer(200, {"errors": [], "warnings": []})
        elif found := re.fullmatch(rf"{REPOSITORY}/preupload/main", self.path):
            self.sort_files(json.loads(body)["files"])
        elif found := re.fullmatch(r"/(?:datasets/)?(.+)\.git/info/lfs/objects/batch", self.path):
            self.announce(json.loads(body)["objects"])
        elif found := re.fullmatch(rf"{REPOSITORY}/commit/main", self.path):
            self.commit(found[1], found[2], body)
        else:
            self.answer(404, {"error": "no such page"})

    def do_PUT(self) -> None:
        """The content of a large file."""
        content = self.rfile.read(int(self.headers["Content-Length"]))
        digest = self.path.rsplit("/", 1)[-1]
        assert hashlib.sha256(content).hexdigest() == digest
        (self.folder / "large").mkdir(exist_ok=True)
        (self.folder / "large" / digest).write_bytes(content)
        self.answer(200, {})

    def create(self, wanted: dict[str, Any]) -> None:
        """Make a repository; the client continues if it exists."""
        kind = f"{wanted.get('type') or 'model'}s"
        name = "/".join(filter(None, [wanted.get("organization"), wanted["name"]]))
        folder = self.folder / kind / name / "main"
        status = 409 if folder.exists() else 200
        folder.mkdir(parents=True, exist_ok=True)
        page = f"datasets/{name}" if kind == "datasets" else name
        self.answer(status, {"url": f"http://{self.headers['Host']}/{page}"})

    def sort_files(self, files: list[dict[str, Any]]) -> None:
        """Say which files are sent before the commit."""
        modes = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["size"] >= LARGE_BYTES else "regular",
                "shouldIgnore": False,
                "oid": None,
            }
            for file in files
        ]
        self.answer(200, {"files": modes})

    def announce(self, objects: list[dict[str, Any]]) -> None:
        """Say where large files are written to."""
        host = self.headers["Host"]
        answers = [
            {
                "oid": each["oid"],
                "size": each["size"],
                "actions": {"upload": {"href": f"http://{host}/large/{each['oid']}", "header": {}}},
            }
            for each in objects
        ]
        self.answer(200, {"transfer": "basic", "objects": answers})

    def commit(self, kind: str, name: str, body: bytes) -> None:
        """Write the files of a commit."""
        folder = self.folder / kind / name / "main"
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                continue
            path = folder / value["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            if entry["key"] == "lfsFile":
                path.write_bytes((self.folder / "large" / value["oid"]).read_bytes())
            else:
                path.write_bytes(base64.b64decode(value["content"]))
        page = f"datasets/{name}" if kind == "datasets" else name
        address = f"http://{self.headers['Host']}/{page}/commit/{COMMIT}"
        self.answer(200, {"commitUrl": address, "commitOid": COMMIT, "success": True})

    def answer_listing(self, kind: str, name: str, revision: str) -> None:
        """The files of a repository."""
        folder = self.folder / kind / name / ("main" if revision == COMMIT else revision)
        if not folder.is_dir():
            self.answer(404, {"error": "Repository not found"}, code="RepoNotFound")
            return
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        names = [{"rfilename": path.relative_to(folder).as_posix()} for path in files]
        self.answer(200, {"id": name, "sha": COMMIT, "siblings": names, "private": False})

    def answer_tree(self, kind: str, name: str, revision: str) -> None:
        """The files of a repository with their sizes."""
        folder = self.folder / kind / name / ("main" if revision == COMMIT else revision)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        entries = [
            {
                "type": "file",
                "path": path.relative_to(folder).as_posix(),
                "size": path.stat().st_size,
                "oid": hashlib.sha1(path.read_bytes()).hexdigest(),
            }
            for path in files
        ]
        self.answer(200, entries)

    def answer_file(self, path: Path) -> None:
        """The content of a file."""
        if not path.is_file():
            self.answer(404, {"error": "Entry not found"}, code="EntryNotFound")
            return
        content = path.read_bytes()
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def answer(self, status: int, content: Any, code: str = "") -> None:
        """An answer in JSON."""
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)


@contextmanager
def serve(folder: Path, token: str = "token") -> Iterator[tuple[str, list[str]]]:
    """Serve the repositories of a folder: the address, and the requests so far."""
    requests: list[str] = []
    handler = partial(Hub, folder=folder, token=token, requests=requests)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=partial(server.serve_forever, poll_interval=0.05), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        server.server_close()
