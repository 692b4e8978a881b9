"""An HTTP server on this machine, with the faults of real ones."""

import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from spm.corpus.media import ffmpeg

KINDS = {
    ".mpd": "application/dash+xml", ".rss": "application/rss+xml", ".m3u8": "application/vnd.apple.mpegurl",
    ".html": "text/html",
}  # fmt: skip
HTML = b"<!DOCTYPE html><html><head><title>Hello</title></head><body>No video on this page.</body></html>"


@dataclass
class WebServer:
    """Files, behaviors and requests of a server.

    `answers` maps a path to its behaviors: one per request, and the last one for all later requests.
    """

    root: str
    files: Path
    media: bytes
    answers: dict[str, list[str]] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path, Range header

    def behavior(self, path: str, given: str | None) -> str:
        self.asked.append((path, given))
        queue = self.answers.get(path, ["404"])
        return queue.pop(0) if len(queue) > 1 else queue[0]

    def counts(self) -> Counter[str]:
        return Counter(path for path, _ in self.asked)


def handler(site: WebServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Print nothing."""

        def do_GET(self) -> None:
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
                self.pour(HTML * 1_500_000, slow=False, block=1 << 20)
            elif behavior in ("page", "page named video"):
                self.send(HTML, "text/html" if behavior == "page" else "video/mp4")
            else:
                kind = KINDS.get(file.suffix, "video/mp4")
                self.send(file.read_bytes() if behavior == "file" else site.media, kind, behavior)

        def send(self, body: bytes, kind: str, behavior: str = "") -> None:
            start = int(self.headers["Range"][6:].split("-")[0]) if self.headers["Range"] else 0
            self.send_response(206 if self.headers["Range"] else 200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body) - start))
            if self.headers["Range"]:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.end_headers()
            self.pour(
                body[start : len(body) // 2 if behavior == "cut" else None], behavior == "slow"
            )

        def pour(self, body: bytes, slow: bool, block: int = 1024) -> None:
            try:
                for i in range(0, len(body), block):
                    self.wfile.write(body[i : i + block])
                    time.sleep(0.1 if slow else 0)
            except ConnectionError:
                self.close_connection = True

    return Handler


def film(path: Path, seconds: float = 1.0) -> Path:
    """A real video with sound."""
    inputs = ["-f", "lavfi", "-i", "testsrc=s=96x64:r=10", "-f", "lavfi", "-i", "sine=440:r=16000"]
    command = [
        ffmpeg.binary(),
        "-v",
        "error",
        "-y",
        *inputs,
        "-t",
        str(seconds),
        "-pix_fmt",
        "yuv420p",
        str(path),
    ]
    subprocess.run(command, check=True)
    return path
