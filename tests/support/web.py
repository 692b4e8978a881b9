"""An HTTP server on this machine, with the faults of real ones."""

import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from spm.corpus.media import ffmpeg

CONTENT_TYPES = {
    ".mpd": "application/dash+xml",
    ".rss": "application/rss+xml",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".html": "text/html",
}
HTML = (
    b"<!DOCTYPE html><html><head><title>Hello</title></head>"
    b"<body>No video on this page.</body></html>"
)


@dataclass
class WebServer:
    """Files, behaviors and requests of a server.

    `answers` maps a path to its behaviors: one per request, the last one for all later requests.
    """

    root: str
    files: Path
    media: bytes
    answers: dict[str, list[str]] = field(default_factory=dict)
    etag: str = ""  # of the media; empty: the server sends none
    pause_s: float = 0.0  # after each block
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path, Range header

    def behavior(self, path: str, given: str | None) -> str:
        self.asked.append((path, given))
        queue = self.answers.get(path, ["404"])
        return queue.pop(0) if len(queue) > 1 else queue[0]

    def counts(self) -> Counter[str]:
        return Counter(path for path, _ in self.asked)


class _Handler(BaseHTTPRequestHandler):
    """Answers requests as a server's `answers` ask for."""

    server_state: WebServer

    def log_message(self, *args: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        site = self.server_state
        file = site.files / self.path.lstrip("/")
        behavior = "file" if file.is_file() else site.behavior(self.path, self.headers["Range"])
        if behavior.isdigit():
            self.send_error(int(behavior))
        elif behavior == "stall":
            time.sleep(60)
        elif behavior.startswith("to "):
            self.send_response(302)
            self.send_header("Location", behavior[3:])
            self.end_headers()
        elif behavior == "endless page":
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.write(HTML * 1_500_000, slow=False, block=1 << 20)
        elif behavior in ("page", "page named video"):
            self.send(HTML, "text/html" if behavior == "page" else "video/mp4")
        else:
            body = file.read_bytes() if behavior == "file" else site.media
            self.send(body, CONTENT_TYPES.get(file.suffix, "video/mp4"), behavior)

    def send(self, body: bytes, content_type: str, behavior: str = "") -> None:
        """Send a body, or the part of it that the request asks for."""
        requested = self.headers["Range"]
        start = int(requested[6:].split("-")[0]) if requested else 0
        if start and start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if requested else 200)
        if self.server_state.etag:
            self.send_header("ETag", self.server_state.etag)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body) - start))
        if requested:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        end = len(body) // 2 if behavior == "cut" else None
        self.write(body[start:end], slow=behavior == "slow")

    def write(self, body: bytes, *, slow: bool, block: int = 1024) -> None:
        """Write a body in blocks, until the client closes the connection."""
        try:
            for start in range(0, len(body), block):
                self.wfile.write(body[start : start + block])
                time.sleep(0.1 if slow else self.server_state.pause_s)
        except ConnectionError:
            self.close_connection = True


@contextmanager
def serving(files: Path, pause_s: float) -> Iterator[str]:
    """Serve the files of a folder slowly; gives the root of their addresses."""
    site = WebServer("", files, b"", pause_s=pause_s)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(site)) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def handler(site: WebServer) -> type[BaseHTTPRequestHandler]:
    """A class of handlers for a server."""
    return type("Handler", (_Handler,), {"server_state": site})


def film(path: Path, seconds: float = 1.0) -> Path:
    """A real video with sound."""
    pictures = ["-f", "lavfi", "-i", "testsrc=s=96x64:r=10"]
    sound = ["-f", "lavfi", "-i", "sine=440:r=16000"]
    command = [ffmpeg.binary(), "-v", "error", "-y", *pictures, *sound]
    output = ["-t", str(seconds), "-pix_fmt", "yuv420p", str(path)]
    subprocess.run([*command, *output], check=True)
    return path
