"""The page that draws boxes: shows frames of test videos, and writes the file of given boxes.

Each answer is on the disk before the page says so. Other lines of the file stay as they are. An
answer to a frame whose boxes have changed in the meantime, by another page or an editor, is not
stored: the page gets the new boxes and adds its own to them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from spm.base.statuses import Split
from spm.base.words import count
from spm.boxes.formats.frames import BoxRow
from spm.boxes.ground_truth import ClipRow
from spm.boxes.review import draw_answers, draw_queue, web
from spm.boxes.review.box_file import BoxFile, Contents, Edit
from spm.boxes.review.clip_media import ClipMedia
from spm.boxes.review.draw_answers import NO_ROWS, Conflict, FrameAnswer, FrameId, FrameRows
from spm.boxes.review.draw_queue import frame_id
from spm.boxes.review.next_step import next_command


class DrawApp:
    """Answers the requests of the page."""

    def __init__(
        self,
        file: BoxFile,
        clips: list[ClipRow],
        frames: list[BoxRow],
        media: ClipMedia,
        detections: Mapping[FrameId, list[BoxRow]],
    ) -> None:
        self.file, self.clips, self.frames, self.media = file, clips, frames, media
        self.detections = detections
        self.read: tuple[Contents, dict[FrameId, FrameRows]] | None = None

    def session(self, request: Request) -> Response:
        """The frames in order, all categories, and which frames have an answer."""
        stored = self._stored(self.file.load())
        answered = [n for n, frame in enumerate(self.frames) if frame_id(frame) in stored]
        return JSONResponse(
            {
                "file": str(self.file.path),
                "frames": [_description(frame) for frame in self.frames],
                "categories": self._categories(),
                "answered": answered,
                "progress": draw_answers.progress(self.frames, stored),
                "command": self._command(),
            }
        )

    def _command(self) -> str:
        path = self.file.path
        settings = {"boxes": ["given"], "given_boxes": str(path.resolve())}
        return next_command(path, "boxes.csv", settings)

    def _categories(self) -> list[str]:
        """Categories of all videos."""
        found: set[str] = set()
        for frame in self.frames:
            found.update(frame["categories"])
        return sorted(found)

    def state(self, request: Request) -> Response:
        """The boxes of a frame, and what is suggested there."""
        return JSONResponse(self._state(request.path_params["number"]))

    def _state(self, number: int) -> dict[str, Any]:
        stored = self._stored(self.file.load())
        frame = self.frames[number]
        detections = self.detections.get(frame_id(frame), [])
        return {
            "number": number,
            **stored.get(frame_id(frame), NO_ROWS).describe(),
            "suggestions": draw_queue.suggestions(frame, detections, self.frames, stored),
        }

    def _stored(self, contents: Contents) -> dict[FrameId, FrameRows]:
        """The rows of each frame; computed again only if the file has changed."""
        read = self.read
        if read is None or read[0] is not contents:
            read = self.read = (contents, draw_answers.by_frame(contents.answers, self.clips))
        return read[1]

    def frame(self, request: Request) -> Response:
        """The image of a frame."""
        return web.media_response(self.media.frame, self.frames, request, "image/jpeg")

    def sound(self, request: Request) -> Response:
        """The sound of a frame's clip."""
        return web.media_response(self.media.sound, self.frames, request, "audio/wav")

    async def answer(self, request: Request) -> Response:
        """Store the boxes of a frame; the response is sent when they are on the disk."""
        return await run_in_threadpool(self._answer, await request.body())

    def _answer(self, body: bytes) -> Response:
        answer = FrameAnswer.model_validate_json(body)
        frame = self.frames[answer.number]

        def plan(contents: Contents) -> Edit:
            stored = self._stored(contents).get(frame_id(frame), NO_ROWS)
            return draw_answers.plan_edit(answer, frame, stored, contents)

        try:
            contents = self.file.replace(plan)
        except Conflict:
            error = "the boxes of this frame were changed by another page or in the file"
            return JSONResponse({"error": error, "state": self._state(answer.number)}, 409)
        progress = draw_answers.progress(self.frames, self._stored(contents))
        return JSONResponse({"state": self._state(answer.number), "progress": progress})


def _description(frame: BoxRow) -> dict[str, Any]:
    """The columns of a frame that the page shows."""
    columns = ("video_id", "time_s", "categories", "audible", "aspect")
    return {name: frame[name] for name in columns}


def routes_of(draw_app: DrawApp) -> list[BaseRoute]:
    """The page, and what it asks for."""
    return [
        Route("/", lambda request: FileResponse(web.PAGE / "draw.html")),
        Route("/session", draw_app.session),
        Route("/state/{number:int}", draw_app.state),
        Route("/frame/{number:int}", draw_app.frame),
        Route("/sound/{number:int}", draw_app.sound),
        Route("/answer", draw_app.answer, methods=["POST"]),
    ]


def load_draw_app(boxes: Path, results: Path, per_video: int, split: str = Split.TEST) -> DrawApp:
    """Choose the frames, and read what is known about them.

    Raises
    ------
    UserError
        If the clips are missing, no video is in the split, or the file of boxes has a fault.
    """
    clips = draw_queue.read_clips(
        results / "corpus/index/clips.parquet", results / "corpus/clips", split
    )
    file = BoxFile(boxes)
    answered = draw_answers.by_frame(file.load().answers, clips)
    frames = draw_queue.choose_frames(clips, per_video, answered.keys())
    ratios = draw_queue.aspect_ratios(results / "corpus/videos", {clip["shard"] for clip in clips})
    for frame in frames:
        frame["aspect"] = ratios.get(frame["video_id"], draw_queue.SQUARE)
    detections = draw_queue.read_detections(results / "boxes/annotations/detector.parquet", frames)
    return DrawApp(file, clips, frames, ClipMedia(results / "corpus/clips"), detections)


def serve(
    boxes: Path,
    results: Path,
    per_video: int = 3,
    split: str = Split.TEST,
    port: int = 0,
    browse: bool = True,
) -> None:
    """Serve the page until Ctrl-C.

    Parameters
    ----------
    boxes : Path
        CSV of given boxes; the first answer creates it.
    results : Path
        Folder of the workflow's results: it needs the index and the clips, and uses the tables of
        videos and of detections if they exist.
    per_video : int
        Number of frames of each video. Frames that have boxes are shown too.
    split : str
        Which videos.
    port : int
        0: any free port.
    browse : bool
        Whether to open the page in a browser.
    """
    draw_app = load_draw_app(boxes, results, per_video, split)
    videos = {frame["video_id"] for frame in draw_app.frames}
    frames = count(len(draw_app.frames), "frame")
    title = f"{frames} of {count(len(videos), f'{split} video')}, boxes in {boxes}"
    web.serve(routes_of(draw_app), title, boxes, port=port, browse=browse)
