"""The review page: shows boxes, the most uncertain first; keys accept, reject or correct them.

python -m spm.boxes.review.server --annotations results/boxes/annotations/detector.parquet
    --index results/corpus/index/clips.parquet --clips results/corpus/clips --reviews reviews.csv
    --reviewer ada

Each decision is on the disk before the next box is shown; the stage `annotations` applies decisions
when it next runs. Only this machine can open the page, and only with the token in its address.
"""

import argparse
import getpass
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from spm.base import tables
from spm.base.errors import UserError
from spm.boxes.review import draw_queue, web
from spm.boxes.review.clip_media import ClipMedia
from spm.boxes.review.decision_log import DecisionLog
from spm.boxes.review.decisions import ReviewVerdict, check
from spm.boxes.review.next_step import next_command
from spm.boxes.review.queue import Filter, Queue, decide, load

MAX_BOXES = 12  # per request of the page


class DecisionRequest(BaseModel):
    """The page sends a decision in this form."""

    model_config = ConfigDict(extra="forbid")
    number: int
    verdict: ReviewVerdict
    category: str
    x: float
    y: float
    w: float
    h: float
    seen: int = 0  # decisions of others that the page knows


class ReviewApp:
    """Answers the page's requests."""

    def __init__(self, queue: Queue, media: ClipMedia, categories: list[str]) -> None:
        self.queue, self.media, self.categories = queue, media, categories

    def session(self, request: Request) -> Response:
        """Reviewer, categories and values of the filters; the page asks for them once."""
        values = {name: sorted(set(column.tolist())) for name, column in self.queue.columns.items()}
        path = self.queue.log.path
        command = next_command(path, "reviews.csv", {"reviews": str(path.resolve())})
        return JSONResponse(
            {
                "reviewer": self.queue.reviewer,
                "categories": self.categories,
                "filters": values,
                "file": str(path),
                "command": command,
                **self._news(0),
            }
        )

    def _news(self, seen: int) -> dict[str, Any]:
        """The progress, and the boxes that others have decided about since the page asked."""
        progress = self.queue.progress()
        by_others = self.queue.by_others
        return {
            "progress": progress,
            "by_others": by_others[seen:],
            "seen": len(by_others),
            "notices": self._take_notices(),
        }

    def _take_notices(self) -> list[str]:
        """What the reviewer should know about the file, once; it is printed too."""
        log = self.queue.log
        notices, log.notices = log.notices, []
        for notice in notices:
            print(f"spm review: {notice}", file=sys.stderr)
        return notices

    def close(self) -> None:
        """Add the decisions again that another program has removed from the file."""
        self.queue.log.close()
        self._take_notices()

    def news(self, request: Request) -> Response:
        """What has changed by others, and the agreement with them; asked for all the time."""
        news = self._news(int(request.query_params["seen"]))
        agreement = [pair._asdict() for pair in self.queue.agreement()]
        return JSONResponse({**news, "agreement": agreement})

    def numbers(self, request: Request) -> Response:
        """Numbers of the boxes that pass the filters, in order."""
        params: dict[str, Any] = {k: v for k, v in request.query_params.items() if v}
        for name in ("min_score", "max_score"):
            if name in params:
                params[name] = float(params[name])
        seen = int(params.pop("seen", 0))
        numbers = self.queue.numbers(Filter(**params))
        return JSONResponse({"numbers": numbers, **self._news(seen)})

    def boxes(self, request: Request) -> Response:
        """Boxes by number, each with the other boxes of its frame."""
        numbers = [int(number) for number in request.query_params["numbers"].split(",")]
        return JSONResponse([self.queue.describe(number) for number in numbers[:MAX_BOXES]])

    def frame(self, request: Request) -> Response:
        """The image of a box's frame."""
        return web.media_response(self.media.frame, self.queue.boxes, request, "image/jpeg")

    def sound(self, request: Request) -> Response:
        """The sound of a box's clip."""
        return web.media_response(self.media.sound, self.queue.boxes, request, "audio/wav")

    async def decide(self, request: Request) -> Response:
        """Store a decision; the response is sent when it is on the disk."""
        return await run_in_threadpool(self._decide, await request.body())

    def _decide(self, body: bytes) -> Response:
        values = DecisionRequest.model_validate_json(body).model_dump()
        number, seen = values.pop("number"), values.pop("seen")
        decision = decide(self.queue, number, values.pop("verdict").value, values)
        check(decision)
        self.queue.log.append(decision)
        return JSONResponse({"box": self.queue.describe(number), **self._news(seen)})


def routes_of(review_app: ReviewApp) -> list[BaseRoute]:
    """The page, and what it asks for."""
    return [
        Route("/", lambda request: FileResponse(web.PAGE / "review.html")),
        Route("/session", review_app.session),
        Route("/news", review_app.news),
        Route("/numbers", review_app.numbers),
        Route("/boxes", review_app.boxes),
        Route("/frame/{number:int}", review_app.frame),
        Route("/sound/{number:int}", review_app.sound),
        Route("/decide", review_app.decide, methods=["POST"]),
    ]


def load_review_app(
    annotations: Path,
    index: Path,
    clips: Path,
    reviews: Path,
    reviewer: str,
    sample: int | None = None,
) -> ReviewApp:
    """Load the boxes, and the decisions so far.

    The tables of videos, beside the folder of clips, have the sizes of the videos.

    Raises
    ------
    UserError
        If there is no box to review, or the file of decisions is not valid.
    """
    if not (reviewer.strip() and reviewer.isprintable()):
        raise UserError(f"reviewer {reviewer!r}: expected a non-empty name on one line")
    boxes = load(annotations, index, sample)
    ratios = draw_queue.aspect_ratios(clips.with_name("videos"), {box["shard"] for box in boxes})
    for box in boxes:
        box["aspect"] = ratios.get(box["video_id"], draw_queue.SQUARE)
    queue = Queue(boxes, DecisionLog(reviews), reviewer.strip())
    queue.decided()  # reads the file now, so that errors in it stop the start
    categories = {box["category"] for box in queue.boxes}
    for row in tables.read(index, ["categories"]).to_pylist():
        categories.update(row["categories"])
    return ReviewApp(queue, ClipMedia(clips), sorted(categories))


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
        Two tables and a folder, as these stages write them.
    reviews : Path
        CSV file that decisions are appended to; the first decision creates it.
    reviewer : str
        Name of the reviewer.
    port : int
        0: any free port.
    sample : int, optional
        Number of boxes, the same for every reviewer, to measure agreement.
    browse : bool
        Whether to open the page in a browser.
    """
    review_app = load_review_app(annotations, index, clips, reviews, reviewer, sample)
    title = f"{len(review_app.queue.boxes)} boxes, the most uncertain first"
    try:
        web.serve(routes_of(review_app), title, reviews, port=port, browse=browse)
    finally:
        review_app.close()


def main() -> None:
    """Serve the page for the files of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("annotations", "index", "clips", "reviews"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument(
        "--reviewer", default=getpass.getuser(), help="name of the reviewer (default: the user)"
    )
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument(
        "--sample", type=int, help="number of boxes, the same for every reviewer (default: all)"
    )
    parser.add_argument("--no-browser", action="store_false", dest="browse")
    try:
        serve(**vars(parser.parse_args()))
    except UserError as error:
        sys.exit(f"{parser.prog}: error: {error}")


if __name__ == "__main__":
    main()
