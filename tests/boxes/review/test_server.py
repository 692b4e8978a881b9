"""The review page: its server in a separate process, used by requests and by a real browser."""

import os
import re
import signal
import subprocess
import sys
import wave
from io import BytesIO
from pathlib import Path

import pytest
import requests
from PIL import Image

from spm.base import schemas, tables
from spm.base.constants import SAMPLE_RATE_HZ
from spm.base.errors import UserError
from spm.boxes.formats import csv
from spm.boxes.review import decisions
from spm.boxes.review.decisions import DecisionLog
from spm.boxes.review.queue import Filter, Queue, load
from spm.boxes.review.server import load_review_app
from tests.support.project import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def annotated(squares, tmp_path_factory):
    """Boxes on the first frames of 30 clips, with scores from 0.99 down to 0.7."""
    path = tmp_path_factory.mktemp("annotated") / "detector.parquet"
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


class Server:
    """A running `python -m spm.boxes.review.server`, and requests to it."""

    def __init__(self, annotated, squares, decisions, reviewer="ada", *more):
        command = [sys.executable, "-m", "spm.boxes.review.server"]
        command += ["--annotations", annotated, "--index", squares.index, "--clips", squares.clips]
        command += ["--reviews", decisions, "--reviewer", reviewer, "--no-browser", *more]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        self.address = re.search(r"http://\S+", self.process.stderr.readline())[0]
        self.root = self.address.split("/?")[0]
        self.session = requests.Session()
        self.session.trust_env = False

    def open(self):
        self.session.get(self.address).raise_for_status()
        return self

    def ask(self, path, **params):
        return self.session.get(self.root + path, params=params).json()

    def decide(self, number, verdict, **changed):
        box = self.ask("/boxes", numbers=number)[0]
        body = {key: box[key] for key in ("category", "x", "y", "w", "h")} | changed
        return self.session.post(
            f"{self.root}/decide", json={"number": number, "verdict": verdict, **body}
        )

    def stop(self, signal_number=signal.SIGINT):
        self.process.send_signal(signal_number)
        self.process.wait(20)
        self.process.stderr.close()


@pytest.fixture
def start(annotated, squares, tmp_path):
    servers = []

    def begin(reviewer="ada", *more):
        servers.append(Server(annotated, squares, tmp_path / "reviews.csv", reviewer, *more))
        return servers[-1]

    yield begin
    for server in servers:
        if server.process.poll() is None:
            server.stop()


def test_requests_without_the_token_or_to_another_host_are_rejected(start):
    server = start()
    assert server.session.get(server.root).status_code == 403
    assert server.session.get(f"{server.root}/?token=guess").status_code == 403
    assert server.session.post(f"{server.root}/decide", json={}).status_code == 403
    server.open()
    assert server.session.get(server.root, headers={"Host": "evil.example"}).status_code == 400
    answer = server.session.get(server.root)
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert server.root.startswith("http://127.0.0.1:")


def test_an_answered_decision_is_on_the_disk_even_if_the_server_is_killed(start, tmp_path):
    server = start().open()
    assert server.decide(0, "reject").status_code == 200
    server.stop(signal.SIGKILL)
    found = decisions.read(tmp_path / "reviews.csv")
    assert [(d.verdict, d.reviewer) for d in found] == [("reject", "ada")]
    again = start().open()
    assert again.ask("/session")["progress"] == {"boxes": 30, "decided": 1, "own": 1}
    assert again.ask("/boxes", numbers=0)[0]["verdict"] == "reject"


def test_two_reviewers_share_the_boxes_and_do_not_see_each_others_verdicts(start):
    ada, bob = start("ada").open(), start("bob").open()
    ada.decide(0, "accept")
    assert 0 not in bob.ask("/numbers", decided_by="nobody")["numbers"]
    assert 0 in bob.ask("/numbers", decided_by="not-me")["numbers"]
    assert bob.ask("/boxes", numbers=0)[0]["verdict"] is None
    assert bob.ask("/session")["progress"] == {"boxes": 30, "decided": 1, "own": 0}


def test_invalid_requests_are_rejected_and_not_stored(start, tmp_path):
    server = start().open()
    for changed in ({"w": 0}, {"x": 5}, {"category": ""}):
        answer = server.decide(0, "redraw", **changed)
        assert answer.status_code == 400
        assert "expected" in answer.json()["error"]
    assert server.session.post(f"{server.root}/decide", data="{").status_code == 400
    assert server.session.get(f"{server.root}/frame/99").status_code == 400
    assert server.session.get(f"{server.root}/page/../review.py").status_code == 404
    assert not (tmp_path / "reviews.csv").exists()


def test_frames_and_sounds_are_those_of_the_clip(start, squares):
    server = start().open()
    box = server.ask("/boxes", numbers=3)[0]
    clips = [
        row for path in sorted(squares.clips.iterdir()) for row in tables.read(path).to_pylist()
    ]
    clip = next(clip for clip in clips if clip["clip_id"] == box["clip_id"])
    assert server.session.get(f"{server.root}/frame/3").content == clip["frames"][0]
    with wave.open(BytesIO(server.session.get(f"{server.root}/sound/3").content)) as sound:
        assert (sound.getframerate(), sound.getnchannels()) == (SAMPLE_RATE_HZ, 1)
        assert sound.getnframes() == SAMPLE_RATE_HZ
        assert sound.readframes(SAMPLE_RATE_HZ) == clip["pcm"]


def test_the_most_uncertain_boxes_come_first_and_filters_apply(annotated, squares, tmp_path):
    queue = Queue(load(annotated, squares.index), DecisionLog(tmp_path / "none.csv"), "ada")
    scores = queue.scores[queue.numbers(Filter(decided_by="all"))]
    assert abs(scores[0] - 0.9) < 0.011
    assert sorted(abs(scores - 0.9).round(6)) == list(abs(scores - 0.9).round(6))
    kept = queue.numbers(Filter(decided_by="all", status="kept", min_score=0.95))
    assert queue.scores[kept].min() >= 0.95 - 1e-6
    assert len(kept) == 5
    of_video = queue.numbers(Filter(video_id="cello-01"))
    assert {queue.boxes[n]["video_id"] for n in of_video} == {"cello-01"}
    assert queue.numbers(Filter(category="flute")) == []


def test_a_sample_is_the_same_for_every_reviewer(annotated, squares):
    sample = load(annotated, squares.index, 7)
    assert sample == load(annotated, squares.index, 7)
    assert len(sample) == 7
    assert {row["box"] for row in sample} < {row["box"] for row in load(annotated, squares.index)}


def test_an_invalid_reviewer_or_file_and_an_empty_table_are_errors(annotated, squares, tmp_path):
    with pytest.raises(UserError, match=r"reviewer ' ': expected a non-empty name"):
        load_review_app(annotated, squares.index, squares.clips, tmp_path / "r.csv", " ")
    tables.write_rows(tmp_path / "none.parquet", schemas.ANNOTATIONS, [])
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"other.csv: the columns are"):
        load_review_app(annotated, squares.index, squares.clips, tmp_path / "other.csv", "ada")
    with pytest.raises(UserError, match="there is nothing to review"):
        load_review_app(
            tmp_path / "none.parquet", squares.index, squares.clips, tmp_path / "r.csv", "ada"
        )


@pytest.fixture
def page(browser, start):
    server = start()
    page = browser.new_page(viewport={"width": 1200, "height": 760})
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console", lambda message: errors.append(message.text) if message.type == "error" else None
    )
    page.goto(server.address)
    shown(page, 0)
    yield page
    page.close()
    assert not errors


def shown(page, number):
    page.wait_for_selector(f'body[data-number="{number}"]')


def verdicts(tmp_path):
    return [d.verdict for d in decisions.read(tmp_path / "reviews.csv")]


def test_keys_accept_reject_relabel_and_undo(page, tmp_path):
    page.keyboard.press("a")
    shown(page, 1)
    page.keyboard.press("x")
    shown(page, 2)
    page.keyboard.press("2")  # cello, flute
    shown(page, 3)
    page.keyboard.press("u")
    shown(page, 2)
    page.keyboard.press("u")
    shown(page, 1)
    assert verdicts(tmp_path) == ["accept", "reject", "relabel", "undo", "undo"]
    assert decisions.read(tmp_path / "reviews.csv")[2].category == "flute"
    assert "1 of 30 boxes decided, 1 by me" in page.inner_text("#progress")
    page.keyboard.press("ArrowLeft")
    shown(page, 0)
    assert "my decision: accept" in page.inner_text("#details")


def test_a_box_is_redrawn_by_dragging(page, tmp_path):
    canvas = page.locator("#canvas").bounding_box()
    x, y, side = canvas["x"], canvas["y"], canvas["width"]
    page.keyboard.press("d")
    page.mouse.move(x + 0.25 * side, y + 0.5 * side)
    page.mouse.down()
    page.mouse.move(x + 0.75 * side, y + 0.9 * side, steps=4)
    page.mouse.up()
    shown(page, 1)
    decision = decisions.read(tmp_path / "reviews.csv")[0]
    assert decision.verdict == "redraw"
    assert (decision.x, decision.y, decision.w, decision.h) == pytest.approx(
        (0.25, 0.5, 0.5, 0.4), abs=0.01
    )
    page.keyboard.press("d")
    page.keyboard.press("Escape")
    page.mouse.click(x + 0.5 * side, y + 0.5 * side)
    assert len(verdicts(tmp_path)) == 1


def test_the_box_lies_on_the_square_of_the_image(page):
    page.wait_for_load_state("networkidle")
    picture = Image.open(BytesIO(page.locator("#canvas").screenshot())).convert("RGB")
    box = page.locator("rect.current")
    x, y, w, h = (float(box.get_attribute(name)) for name in ("x", "y", "width", "height"))
    side = picture.size[0]
    red, green, blue = picture.getpixel((int((x + w / 2) * side), int((y + h / 2) * side)))
    assert (red > 180, green < 80, blue < 80) == (True, True, True)  # a cello is a red square


def test_the_sound_of_the_clip_plays_and_filters_change_the_boxes(page, tmp_path):
    page.keyboard.press(" ")
    page.wait_for_selector('body[data-played="0"]')
    page.select_option("#status", "low-score")
    page.wait_for_selector("#details:has-text('low-score')")
    page.fill("#min_score", "0.8")
    page.press("#min_score", "Tab")
    page.wait_for_selector("#progress:has-text('; 11 pass')")
    page.select_option("#decided_by", "me")
    page.wait_for_selector('body[data-number="none"]')
    assert page.inner_text("#title") == "No box passes the filters"
    assert not Path(tmp_path / "reviews.csv").exists()
