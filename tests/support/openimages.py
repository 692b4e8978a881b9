"""A small Open Images in the published form, with drawn pictures, and its server."""

import hashlib
import io
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath

from PIL import Image

from spm.boxes.formats.openimages import CLASSES, FLAGS
from spm.boxes.openimages import BOX_TABLES, IMAGE_TABLES
from spm.demo.scenario import Demo, DemoVideo, shoot

# Names of Open Images, and those of the embedded corpus.
DRAWN = {"cello": "cello", "flute": "flute", "guitar": "acoustic_guitar"}
BOX_HEAD = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,"
    "IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
)
# Only in the table of train.
CLICKS = ",XClick1X,XClick2X,XClick3X,XClick4X,XClick1Y,XClick2Y,XClick3Y,XClick4Y"
PICTURE_HEAD = (
    "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,"
    "OriginalSize,OriginalMD5,Thumbnail300KURL,Rotation"
)
PERSON = "/m/01g317"
ORDER = ["IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside"]


def picture(
    category: str, number: int, width: int = 128, height: int = 96
) -> tuple[bytes, tuple[float, ...]]:
    """A drawn picture as JPEG, and the box of its object: (x, y, w, h) as fractions."""
    config = Demo(scene_s=1, width=width, height=height, fps=4, silent_other=0, seed=7)
    video = DemoVideo(f"openimages-{category}", "solo", (DRAWN[category],))
    take = shoot(video, number, config, 8000, 1)
    out = io.BytesIO()
    Image.fromarray(take.frames[0]).save(out, "JPEG", quality=90)
    return out.getvalue(), next(box for time_s, _, box in take.boxes if time_s == 0)


def box_line(image_id: str, label: str, box: tuple[float, ...], subset: str, **flags: int) -> str:
    x, y, w, h = box
    marks = ",".join(str(flags.get(flag, 0)) for flag in ORDER)
    line = f"{image_id},xclick,{label},1,{x:.6f},{x + w:.6f},{y:.6f},{y + h:.6f},{marks}"
    return line + (",-1" * 8 if subset == "train" else "")


def publish(folder: Path, per_class: int = 4, subsets: tuple[str, ...] = ("train", "test")) -> Path:
    """Write tables and pictures; as in the published tables, ids of pictures are digits."""
    assert set(ORDER) == set(FLAGS)
    for subset in subsets:
        boxes = [BOX_HEAD + (CLICKS if subset == "train" else "")]
        about = [PICTURE_HEAD]
        (folder / subset).mkdir(parents=True)
        for n, category in enumerate(sorted(DRAWN)):
            for k in range(per_class):
                image_id = f"{hashlib.sha256(f'{subset}{n}{k}'.encode()).hexdigest()[:16]}"
                jpeg, box = picture(category, k + (1000 if subset == "test" else 0))
                (folder / subset / f"{image_id}.jpg").write_bytes(jpeg)
                boxes.append(box_line(image_id, CLASSES[category], box, subset))
                boxes.append(box_line(image_id, PERSON, (0, 0, 0.5, 1), subset))
                about.append(about_line(image_id, subset))
        for names, lines in ((BOX_TABLES, boxes), (IMAGE_TABLES, about)):
            (folder / PurePosixPath(names[subset]).name).write_text("\n".join(lines) + "\n")
    return folder


def about_line(image_id: str, subset: str, rotation: str = "0.0") -> str:
    page = f"https://example.org/{image_id}"
    license = "https://creativecommons.org/licenses/by/2.0/"
    author = '"A. Author,\n Sr."'
    head = f"{image_id},{subset},{page}.jpg,{page},{license},{page}"
    return f"{head},{author},A title,1000,abc==,,{rotation}"


@dataclass
class Bucket:
    """A server of a folder that sends MD5 sums; `answers` has the faults of each path in turn."""

    root: str
    folder: Path
    answers: dict[str, list[str]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    ranges: list[tuple[str, str]] = field(default_factory=list)

    def fault(self, path: str) -> str:
        queue = self.answers.get(path, [])
        return queue.pop(0) if queue else ""


def handler(bucket: Bucket) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            """Print nothing."""

        def do_GET(self) -> None:
            bucket.asked[self.path] += 1
            fault = bucket.fault(self.path)
            file = bucket.folder / self.path.lstrip("/")
            if fault.isdigit() or not file.is_file():
                self.send_error(int(fault) if fault else 403)
                return
            self.send(file.read_bytes(), fault)

        def send(self, body: bytes, fault: str) -> None:
            asked = self.headers["Range"]
            start = int(asked[6:].split("-")[0]) if asked else 0
            if asked:
                bucket.ranges.append((self.path, asked))
            digest = hashlib.md5(body if fault != "other" else b"something else")
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(body) - start))
            if self.path.endswith(".csv"):
                self.send_header(
                    "x-goog-hash", f"crc32c=AAAAAA==,md5={b64encode(digest.digest()).decode()}"
                )
            else:
                self.send_header("ETag", f'"{digest.hexdigest()}"')
            self.end_headers()
            self.wfile.write(body[start : len(body) // 2 if fault == "cut" else None])
            self.close_connection = fault == "cut"

    return Handler


def serve(folder: Path) -> tuple[Bucket, ThreadingHTTPServer]:
    """A server that does not run yet, and the record of its requests."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.daemon_threads = True
    bucket = Bucket(f"http://127.0.0.1:{server.server_port}", folder)
    server.RequestHandlerClass = handler(bucket)
    return bucket, server
