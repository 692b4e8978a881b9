"""The page of `spm review`: small tables for it, its server in a thread, and requests to it."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests
import uvicorn
from starlette.routing import BaseRoute

from spm.base import schemas, tables
from spm.boxes.formats import csv
from spm.boxes.review import decisions, web
from spm.boxes.review.server import ReviewApp, load_review_app, routes_of
from tests.support.corpora import Corpus


def write_annotations(squares: Corpus, path: Path) -> Path:
    """Boxes on the first frames of 30 clips, with scores from 0.99 down to 0.7."""
    drawn = [box for box in csv.read(squares.boxes) if box["time_s"] % 1 == 0][:30]
    rows = []
    for n, box in enumerate(drawn):
        clip = f"{box['video_id']}_{int(box['time_s']) * 1000:07d}"
        score = 0.99 - n / 100
        status = "kept" if score > 0.9 else "low-score"
        columns = {"clip_id": clip, "frame": 0, "score": score, "status": status}
        rows.append({**box, **columns, "box": decisions.box_name(box)})
    tables.write_rows(path, schemas.ANNOTATIONS, rows)
    return path


class ReviewServer:
    """A served page, and requests to it."""

    def __init__(self, address: str, app: ReviewApp | None = None) -> None:
        self.address, self.app = address, app
        self.root = address.split("/?")[0]
        self.origin = self.root.rsplit("/", 1)[0]
        self.session = requests.Session()
        self.session.trust_env = False

    def open(self) -> "ReviewServer":
        """Get the cookie, as a browser does."""
        self.session.get(self.address).raise_for_status()
        return self

    def ask(self, path: str, **params):
        """The JSON of an address."""
        return self.session.get(self.root + path, params=params).json()

    def decide(self, number: int, verdict: str, headers=None, **changed):
        """Decide about a box."""
        box = self.ask("/boxes", numbers=number)[0]
        body = {key: box[key] for key in ("category", "x", "y", "w", "h")} | changed
        body |= {"number": number, "verdict": verdict}
        return self.session.post(f"{self.root}/decide", json=body, headers=headers)


@contextmanager
def serve_routes(routes: Sequence[BaseRoute]) -> Iterator[str]:
    """Serve a page in a thread; its address."""
    access = web.Access.generate()
    config = uvicorn.Config(web.build(routes, access), log_level="warning")
    with socket.socket() as listening:
        listening.bind((web.HOST, 0))
        listening.listen()
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield access.url(listening.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def serve(
    annotated: Path, index: Path, clips: Path, reviews: Path, reviewer: str = "ada"
) -> Iterator[ReviewServer]:
    """Serve the page of reviews in a thread."""
    app = load_review_app(annotated, index, clips, reviews, reviewer)
    with serve_routes(routes_of(app)) as address:
        yield ReviewServer(address, app)
    app.close()
