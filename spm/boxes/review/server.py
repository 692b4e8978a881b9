"""The cleaning by hand: a page on this machine that shows boxes, the most doubtful first, and takes decisions by key.

python -m spm.boxes.review.server --annotations results/boxes/annotations/detector.parquet
    --index results/corpus/index/clips.parquet --clips results/corpus/clips --reviews reviews.csv --reviewer ada

Each decision is on the disk before the next box is shown; the annotations stage reads them when it next runs. Only this
machine can open the page, and only with the token in its address.
"""

import argparse
import getpass
import secrets
import socket
import sys
import webbrowser
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import uvicorn
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from spm.base import tables
from spm.base.config import UserError
from spm.boxes.review import decisions
from spm.boxes.review.queue import Filter, Media, Queue, decide, load

PAGE = Path(__file__).with_name("page")
HOST = "127.0.0.1"
COOKIE = "spm-review"
POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"
AHEAD = 12  # boxes that the page may ask about at once


class Verdict(BaseModel):
    """What the page sends."""

    model_config = ConfigDict(extra="forbid")
    number: int
    verdict: Literal["accept", "reject", "relabel", "redraw", "undo"]
    category: str
    x: float
    y: float
    w: float
    h: float


class ReviewApp:
    """What the page is answered from."""

    def __init__(self, queue: Queue, media: Media, path: Path, categories: list[str]) -> None:
        self.queue, self.media, self.path, self.categories = queue, media, path, categories

    def start(self, request: Request) -> Response:
        """What the page needs to know once."""
        names = {name: sorted(set(values.tolist())) for name, values in self.queue.columns.items()}
        about = {
            "reviewer": self.queue.reviewer,
            "categories": self.categories,
            "progress": self.queue.progress(),
        }
        return JSONResponse({**about, "filters": names})

    def numbers(self, request: Request) -> Response:
        """The boxes that pass the filters, in order."""
        given = dict(request.query_params)
        scores = {name: float(given.pop(name)) for name in ("low", "high") if given.get(name)}
        wanted = Filter(**{name: value for name, value in given.items() if value}, **scores)  # type: ignore[arg-type]
        return JSONResponse(
            {"numbers": self.queue.numbers(wanted), "progress": self.queue.progress()}
        )

    def boxes(self, request: Request) -> Response:
        """A few boxes with what is beside them."""
        wanted = [int(number) for number in request.query_params["numbers"].split(",")][:AHEAD]
        return JSONResponse([self.queue.describe(number) for number in wanted])

    def frame(self, request: Request) -> Response:
        """The picture under a box."""
        return self._media(self.media.frame, request, "image/jpeg")

    def sound(self, request: Request) -> Response:
        """The second of sound around it."""
        return self._media(self.media.sound, request, "audio/wav")

    def _media(
        self, read: Callable[[dict[str, Any]], bytes], request: Request, kind: str
    ) -> Response:
        box = self.queue.boxes[request.path_params["number"]]
        return Response(
            read(box), media_type=kind, headers={"Cache-Control": "private, max-age=3600"}
        )

    async def decide(self, request: Request) -> Response:
        """Write a decision down; the answer comes when it is on the disk."""
        return await run_in_threadpool(self._decide, await request.body())

    def _decide(self, body: bytes) -> Response:
        given = Verdict.model_validate_json(body).model_dump()
        number, verdict = given.pop("number"), given.pop("verdict")
        decision = decide(self.queue, number, verdict, given)
        decisions.check(decision)
        decisions.append(self.path, decision)
        return JSONResponse({"box": self.queue.describe(number), "progress": self.queue.progress()})


class Token(BaseHTTPMiddleware):
    """Nothing is answered without the token; the address that has it exchanges it for a cookie."""

    def __init__(self, app: Any, token: str) -> None:
        super().__init__(app)
        self.token = token

    async def dispatch(
        self, request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Let through who has the cookie."""
        if self._is(request.query_params.get("token")):
            answer: Response = RedirectResponse(request.url.path, status_code=303)
            answer.set_cookie(COOKIE, self.token, httponly=True, samesite="strict")
        elif self._is(request.cookies.get(COOKIE)):
            answer = await call_next(request)
        else:
            answer = Response("open the address that spm review printed: it has a token", 403)
        answer.headers["Content-Security-Policy"] = POLICY
        return answer

    def _is(self, given: str | None) -> bool:
        return given is not None and secrets.compare_digest(given.encode(), self.token.encode())


def _refused(request: Request, error: Exception) -> Response:
    """What the page sent is not something that can be answered: it is told why."""
    return JSONResponse({"error": str(error)}, 400)


def app(desk: ReviewApp, token: str) -> Starlette:
    """The page and what it asks for."""
    routes = [
        Route("/", lambda request: FileResponse(PAGE / "review.html")),
        Route("/start", desk.start),
        Route("/numbers", desk.numbers),
        Route("/boxes", desk.boxes),
        Route("/frame/{number:int}", desk.frame),
        Route("/sound/{number:int}", desk.sound),
        Route("/decide", desk.decide, methods=["POST"]),
        Mount("/page", StaticFiles(directory=PAGE)),
    ]
    guards = [
        Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]),
        Middleware(Token, token=token),
    ]
    wrong = dict.fromkeys(
        [UserError, ValidationError, ValueError, TypeError, LookupError], _refused
    )
    return Starlette(routes=routes, middleware=guards, exception_handlers=wrong)


def make_app(
    annotations: Path,
    index: Path,
    clips: Path,
    reviews: Path,
    reviewer: str,
    sample: int | None = None,
) -> ReviewApp:
    """Everything that the page is answered from.

    Raises
    ------
    UserError
        When there is nothing to review, or the file of decisions is none.
    """
    if not (reviewer.strip() and reviewer.isprintable()):
        raise UserError(f"reviewer {reviewer!r}: expected a name, on one line")
    queue = Queue(load(annotations, index, sample), decisions.DecisionLog(reviews), reviewer)
    queue.decided()  # a file that holds something else is refused now, not at the first decision
    listed = {
        category
        for row in tables.read(index, ["categories"]).to_pylist()
        for category in row["categories"]
    }
    return ReviewApp(
        queue, Media(clips), reviews, sorted(listed | {box["category"] for box in queue.boxes})
    )


def serve(
    annotations: Path,
    index: Path,
    clips: Path,
    reviews: Path,
    reviewer: str,
    port: int = 0,
    sample: int | None = None,
    browse: bool = True,
) -> None:
    """Serve the page until Ctrl-C.

    Parameters
    ----------
    annotations, index, clips : Path
        What these stages left: two tables and a folder.
    reviews : Path
        CSV that decisions are appended to; made with the first one.
    reviewer : str
        Who decides.
    port : int
        0: any free one.
    sample : int, optional
        Only so many boxes, the same for every reviewer, to measure how far two of them agree.
    browse : bool
        Open a browser.
    """
    desk, token = (
        make_app(annotations, index, clips, reviews, reviewer, sample),
        secrets.token_urlsafe(16),
    )
    with socket.socket() as listening:
        try:
            listening.bind((HOST, port))
            listening.listen()  # who opens the address at once waits for the server, and is not refused
        except OSError as error:
            raise UserError(
                f"port {port}: {error.strerror}: expected a free one; 0 takes any"
            ) from error
        address = f"http://{HOST}:{listening.getsockname()[1]}/?token={token}"
        print(
            f"{len(desk.queue.boxes)} boxes, most doubtful first: {address}\nCtrl-C ends it",
            file=sys.stderr,
        )
        if browse:
            webbrowser.open(address)
        server = uvicorn.Server(uvicorn.Config(app(desk, token), log_level="warning"))
        server.run(sockets=[listening])


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("annotations", "index", "clips", "reviews"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--reviewer", default=getpass.getuser(), help="who decides (the user)")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument(
        "--sample", type=int, help="only so many boxes, the same for every reviewer"
    )
    parser.add_argument("--no-browser", action="store_false", dest="browse")
    try:
        serve(**vars(parser.parse_args()))
    except UserError as error:
        sys.exit(f"{parser.prog}: error: {error}")


if __name__ == "__main__":
    main()
