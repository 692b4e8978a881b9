"""The server of the review page: decisions, queue, images, and who may use it."""

import contextlib
import os
import re
import stat
import subprocess
import sys
import time
import wave
from io import BytesIO
from pathlib import Path

import pytest
import requests

from spm.base import schemas, tables
from spm.base.constants import SAMPLE_RATE_HZ
from spm.base.errors import UserError
from spm.base.shards import table_of
from spm.boxes.review import decisions
from spm.boxes.review.clip_media import ClipMedia
from spm.boxes.review.decision_log import DecisionLog
from spm.boxes.review.queue import Filter, Queue, load
from spm.boxes.review.server import load_review_app
from tests.support.project import ROOT
from tests.support.review_page import ReviewServer, serve, write_annotations

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def annotated(squares, tmp_path_factory):
    return write_annotations(squares, tmp_path_factory.mktemp("annotated") / "detector.parquet")


@pytest.fixture
def start(annotated, squares, tmp_path):
    """Start a server in a process of its own."""
    processes = []

    def begin(*options, **environment):
        command = [sys.executable, "-m", "spm.boxes.review.server"]
        command += ["--annotations", annotated, "--index", squares.index, "--clips", squares.clips]
        command += ["--reviews", tmp_path / "reviews.csv", "--reviewer", "ada", *options]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        processes.append(
            subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        )
        line = processes[-1].stderr.readline()
        return ReviewServer(re.search(r"http://\S+", line)[0]), processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.fixture
def open_server(annotated, squares, tmp_path):
    """Start a server in a thread."""
    with contextlib.ExitStack() as stack:

        def begin(reviewer="ada"):
            place = (annotated, squares.index, squares.clips, tmp_path / "reviews.csv")
            return stack.enter_context(serve(*place, reviewer)).open()

        yield begin


def test_requests_without_the_token_or_to_another_host_are_rejected(open_server):
    server = open_server()
    stranger = requests.Session()
    for address in (server.root, f"{server.root}/?token=guess", f"{server.origin}/"):
        assert stranger.get(address).status_code == 403
    assert stranger.post(f"{server.root}/decide", json={}).status_code == 403
    rebound = server.session.get(f"{server.root}/session", headers={"Host": "evil.example"})
    assert rebound.status_code == 400
    answer = server.session.get(f"{server.root}/session")
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert server.root.startswith("http://127.0.0.1:")


def test_the_cookie_names_the_port_and_belongs_to_the_folder_of_the_page(open_server):
    server = open_server()
    (cookie,) = server.session.cookies
    port = server.origin.rsplit(":", 1)[1]
    assert cookie.name == f"spm-review-{port}"
    assert server.origin + cookie.path == f"{server.root}/"
    assert {"HttpOnly", "SameSite"} <= cookie._rest.keys()
    assert cookie._rest["SameSite"].lower() == "strict"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    ],
    ids=" ".join,
)
def test_requests_of_other_pages_are_rejected(open_server, tmp_path, headers):
    server = open_server()
    assert server.decide(0, "reject", headers).status_code == 403
    assert not (tmp_path / "reviews.csv").exists()
    own = {"Origin": server.origin, "Sec-Fetch-Site": "same-origin"}
    assert server.decide(0, "reject", own).status_code == 200


def test_an_image_is_not_shown_in_other_pages(open_server):
    server = open_server()
    embedded = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}
    assert server.session.get(f"{server.root}/frame/0", headers=embedded).status_code == 403
    assert server.session.get(f"{server.root}/frame/0").status_code == 200


def test_the_address_is_not_in_the_command_line_of_the_browser(start, tmp_path):
    """Every user of a machine can read the command lines of all processes."""
    browser, called = tmp_path / "browser", tmp_path / "called"
    browser.write_text(f'#!/bin/sh\necho "$@" > {called}.part; mv {called}.part {called}\n')
    browser.chmod(0o755)
    server, process = start(BROWSER=str(browser))
    while not called.exists():
        time.sleep(0.05)
    page = Path(called.read_text().strip().removeprefix("file://"))
    assert page.parent == tmp_path
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert server.address in page.read_text()
    token = server.address.split("token=")[1]
    for part in (called.read_text(), Path(f"/proc/{process.pid}/cmdline").read_text()):
        assert token not in part
    process.terminate()
    process.wait(20)
    assert not page.exists()


def test_an_answered_decision_is_on_the_disk_even_if_the_server_is_killed(
    start, open_server, tmp_path
):
    server, process = start("--no-browser")
    assert server.open().decide(0, "reject").status_code == 200
    process.kill()
    found = decisions.read(tmp_path / "reviews.csv")
    assert [(d.verdict, d.reviewer) for d in found] == [("reject", "ada")]
    again = open_server()
    assert again.ask("/session")["progress"] == {"boxes": 30, "decided": 1, "own": 1}
    assert again.ask("/boxes", numbers=0)[0]["verdict"] == "reject"


def test_a_server_that_ends_adds_what_an_editor_has_overwritten(start, tmp_path):
    server, process = start("--no-browser")
    server.open().decide(0, "reject")
    (tmp_path / "reviews.csv").write_text("")
    process.terminate()
    process.wait(20)
    assert [d.verdict for d in decisions.read(tmp_path / "reviews.csv")] == ["reject"]
    assert "another program has saved it without 1 decision" in process.stderr.read()


def test_two_reviewers_share_the_boxes_and_do_not_see_each_others_verdicts(open_server):
    ada, bob = open_server("ada"), open_server("bob")
    ada.decide(0, "accept")
    assert 0 not in bob.ask("/numbers", decided_by="nobody")["numbers"]
    assert 0 in bob.ask("/numbers", decided_by="not-me")["numbers"]
    assert bob.ask("/boxes", numbers=0)[0]["verdict"] is None
    news = bob.ask("/news", seen=0)
    assert news["progress"] == {"boxes": 30, "decided": 1, "own": 0}
    assert (news["by_others"], news["agreement"]) == ([0], [])
    ada.decide(1, "reject")
    bob.decide(0, "accept")
    bob.decide(1, "accept")
    news = bob.ask("/news", seen=news["seen"])
    assert 1 in news["by_others"]
    pair = {"reviewer": "ada", "other": "bob", "boxes": 2, "agreed": 0.5, "kappa": 0.0}
    assert news["agreement"] == [pair]


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "accept"),
        ({"category": "flute"}, "relabel"),
        ({"w": 0.1}, "redraw"),
        ({"w": 0.1, "category": "flute"}, "redraw"),
    ],
)
def test_the_verdict_of_an_accepted_box_says_what_was_changed(
    open_server, tmp_path, changes, verdict
):
    server = open_server()
    answer = server.decide(0, "accept", **changes).json()
    (found,) = decisions.read(tmp_path / "reviews.csv")
    assert found.verdict == answer["box"]["verdict"] == verdict
    assert {name: getattr(found, name) for name in changes} == changes
    server.decide(0, "accept")  # as the page shows it now: its changes stay
    assert decisions.read(tmp_path / "reviews.csv")[1] == found


def test_invalid_requests_are_rejected_and_not_stored(open_server, tmp_path):
    server = open_server()
    for changed in ({"w": 0}, {"x": 5}, {"category": ""}):
        answer = server.decide(0, "redraw", **changed)
        assert answer.status_code == 400
        assert "expected" in answer.json()["error"]
    assert server.session.post(f"{server.root}/decide", data="{").status_code == 400
    assert server.session.get(f"{server.root}/frame/99").status_code == 400
    assert server.session.get(f"{server.root}/page/../review.py").status_code == 404
    assert not (tmp_path / "reviews.csv").exists()


def _clip_rows(folder):
    return [row for path in sorted(folder.iterdir()) for row in tables.read(path).to_pylist()]


def test_a_frame_is_never_that_of_another_clip(squares, tmp_path):
    """The workflow writes the clips in another order, then without some, while a page is open."""
    rows = _clip_rows(squares.clips)[:4]
    place = table_of(tmp_path, 0)
    media = ClipMedia(tmp_path)

    def write(clips):
        tables.write_rows(place, schemas.CLIPS, clips)

    def frame_of(number, frame=1):
        clip = rows[number]
        time_s = clip["frame_time_s"][frame]
        box = {"clip_id": clip["clip_id"], "shard": 0, "row": number, "frame": frame}
        return media.frame({**box, "time_s": time_s})

    write(rows)
    assert frame_of(1) == rows[1]["frames"][1]
    write(rows[::-1])
    assert [frame_of(number) for number in range(4)] == [row["frames"][1] for row in rows]
    write(rows[:1])
    with pytest.raises(
        UserError, match=f"has no clip {rows[1]['clip_id']}: the clips have changed"
    ):
        frame_of(1)
    write([{**rows[0], "frame_time_s": [time_s + 0.1 for time_s in rows[0]["frame_time_s"]]}])
    with pytest.raises(UserError, match=r"no frame at 0\.500 s: the clips have changed"):
        frame_of(0)
    place.unlink()
    with pytest.raises(UserError, match="has no clip"):
        frame_of(0)


def test_frames_and_sounds_are_those_of_the_clip(open_server, squares):
    server = open_server()
    box = server.ask("/boxes", numbers=3)[0]
    clip = next(clip for clip in _clip_rows(squares.clips) if clip["clip_id"] == box["clip_id"])
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
    with pytest.raises(UserError, match=r"other.csv: the columns .* are missing"):
        load_review_app(annotated, squares.index, squares.clips, tmp_path / "other.csv", "ada")
    with pytest.raises(UserError, match=r"there is no .*x.parquet: run the workflow first"):
        load_review_app(tmp_path / "x.parquet", squares.index, squares.clips, tmp_path, "ada")
    with pytest.raises(UserError, match="there is nothing to review"):
        load_review_app(
            tmp_path / "none.parquet", squares.index, squares.clips, tmp_path / "r.csv", "ada"
        )
