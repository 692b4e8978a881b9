"""The page that draws boxes: its frames, its server in a separate process, and what it writes."""

import json
import signal
import threading
import wave
from contextlib import suppress
from io import BytesIO
from types import SimpleNamespace

import pandas as pd
import pytest
import requests
from typer.testing import CliRunner

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.boxes import annotations
from spm.boxes.annotations import Annotations
from spm.boxes.formats import csv
from spm.boxes.review import draw_queue, draw_server
from spm.boxes.review.next_step import next_command
from spm.cli import commands
from tests.support.draw_page import DUET, SILENT, WIDE, DrawProcess, write_results

pytestmark = pytest.mark.slow
HEAD = "video_id,time_s,category,x,y,w,h\n"
CELLO = ("cello", 0.1, 0.2, 0.3, 0.4)


@pytest.fixture
def results(squares, tmp_path):
    return write_results(squares, tmp_path / "results")


@pytest.fixture
def start(results, tmp_path):
    servers = []

    def begin(*options):
        servers.append(DrawProcess(tmp_path / "boxes.csv", results, *options))
        return servers[-1]

    yield begin
    for server in servers:
        server.stop()


def load(results, tmp_path, per_video=3, split="test"):
    return draw_server.load_draw_app(tmp_path / "boxes.csv", results, per_video, split)


def times_of(app, video_id):
    return [frame["time_s"] for frame in app.frames if frame["video_id"] == video_id]


def test_the_frames_are_spread_over_the_audible_time_of_each_test_video(results, tmp_path):
    app = load(results, tmp_path)
    assert times_of(app, WIDE) == [0.5, 2.0, 3.0]
    assert times_of(app, SILENT) == [1.5, 3.0, 3.5]  # one second is audible: two frames
    assert {frame["video_id"] for frame in app.frames} == {WIDE, "cello-14", SILENT, DUET}
    assert len(load(results, tmp_path, per_video=99).frames) == 4 * 8
    assert {f["video_id"] for f in load(results, tmp_path, split="val").frames} == {
        "cello-12",
        "flute-12",
    }


def test_frames_with_boxes_are_shown_too(results, tmp_path):
    (tmp_path / "boxes.csv").write_text(HEAD + f"{WIDE},1.1,cello,0,0,1,1\n{WIDE},3.4,,,,,\n")
    app = load(results, tmp_path)
    assert times_of(app, WIDE) == [0.5, 1.0, 2.0, 3.0, 3.5]


def test_a_frame_has_the_aspect_ratio_of_its_video_as_players_show_it(results, tmp_path):
    aspects = {frame["video_id"]: frame["aspect"] for frame in load(results, tmp_path).frames}
    assert aspects == {WIDE: pytest.approx(4 / 3), "cello-14": 1, SILENT: 1, DUET: 1}


def test_missing_clips_and_a_split_without_videos_say_what_to_run(results, tmp_path):
    with pytest.raises(UserError, match=r"there is no .*clips.parquet: .* snakemake results/corp"):
        load(tmp_path / "nowhere", tmp_path)
    rows = tables.read(results / "corpus/index/clips.parquet").to_pylist()
    train = [row for row in rows if row["split"] == "train"]
    tables.write_rows(results / "corpus/index/clips.parquet", schemas.INDEX, train)
    with pytest.raises(UserError, match="has no clips of test videos: there is nothing to draw"):
        load(results, tmp_path)


def test_detections_and_the_boxes_of_the_nearest_frame_are_suggested(results, tmp_path):
    frames = load(results, tmp_path).frames
    first = {name: frames[0][name] for name in ("clip_id", "video_id", "frame", "time_s")}
    box = {**first, "category": "cello", "x": 0.1, "y": 0.1, "w": 0.5, "h": 0.5}
    rows = [
        {**box, "score": 0.95, "status": "kept"},
        {**box, "score": 0.5, "status": "low-score", "x": 0.4},
        {**box, "score": 0.5, "status": "low-score", "category": "flute"},
        {**box, "score": 0.01, "status": "low-score", "y": 0.4},
        {**box, "score": 0.9, "status": "overlap", "x": 0.11},
    ]
    table = results / "boxes/annotations/detector.parquet"
    tables.write_rows(table, schemas.ANNOTATIONS, rows)
    (tmp_path / "boxes.csv").write_text(
        HEAD + f"{WIDE},2,cello,0.3,0.3,0.4,0.4\n{WIDE},3,cello,0,0,1,1\n"
    )
    app = load(results, tmp_path)
    found = app._state(0)["suggestions"]
    assert [(box["source"], box["x"]) for box in found] == [
        ("as at 2.00 s", 0.3),
        ("detected, 0.95", 0.1),
        ("detected, 0.50", 0.4),
    ]
    assert app._state(len(frames) - 1)["suggestions"] == []


def test_an_answer_is_on_the_disk_even_if_the_server_is_killed(start, tmp_path):
    server = start()
    assert "12 frames of 4 test videos" in server.title
    assert server.answer(0, CELLO, ("flute", 0, 0, 1, 1)).json()["progress"]["boxed"] == 1
    assert server.answer(1, nothing_sounds=True).status_code == 200
    server.stop(signal.SIGKILL)
    expected = f"{WIDE},0.5,cello,0.1,0.2,0.3,0.4\n{WIDE},0.5,flute,0,0,1,1\n{WIDE},2,,,,,\n"
    assert (tmp_path / "boxes.csv").read_text() == HEAD + expected
    again = start()
    assert again.get("/session")["progress"] == {"frames": 12, "boxed": 1, "empty": 1, "boxes": 2}
    assert again.get("/session")["answered"] == [0, 1]
    assert [box["category"] for box in again.state(0)["boxes"]] == ["cello", "flute"]
    assert again.state(1)["nothing_sounds"]


def test_a_server_that_is_killed_at_any_moment_has_stored_what_it_acknowledged(start, tmp_path):
    acknowledged = {}
    number = 0
    for delay_s in (0.1, 0.25):
        server = start()
        killer = threading.Timer(delay_s, server.stop, [signal.SIGKILL])
        before = number
        with suppress(requests.ConnectionError):
            while True:
                number += 1
                answer = server.answer(number % 12, (f"c{number}", 0, 0, 1, 1))
                assert answer.status_code == 200
                acknowledged[number % 12] = number
                if number == before + 3:
                    killer.start()
        killer.join()
        stored = load_stored(tmp_path / "boxes.csv", start)
        acknowledged.pop(0, None)  # load_stored has answered frame 0
        for frame, last in acknowledged.items():
            # The answer that nobody acknowledged may be there too.
            assert stored[frame] in (last, number)
    assert len(acknowledged) > 2
    files = {path.name for path in tmp_path.iterdir()} - {"boxes.csv", "results"}
    assert not [name for name in files if not name.endswith(".lock")]


def load_stored(path, start):
    """The number in the class of the box of each frame, as a new server reads the file."""
    csv.read(path)
    server = start()
    server.answer(0, nothing_sounds=True)
    states = [server.state(number) for number in range(12)]
    server.stop()
    return [int(state["boxes"][0]["category"][1:]) if state["boxes"] else 0 for state in states]


def test_two_pages_lose_no_answer_and_a_hand_edit_is_kept(start, tmp_path):
    one, two = start(), start()
    old = two.state(0)["version"]
    one.answer(0, CELLO)
    one.answer(1, CELLO)
    conflict = two.answer(0, ("flute", 0, 0, 1, 1), version=old)
    assert conflict.status_code == 409
    assert [box["category"] for box in conflict.json()["state"]["boxes"]] == ["cello"]
    path = tmp_path / "boxes.csv"
    path.write_text(path.read_text() + "other,7,cello,0,0,1,1\n")
    assert two.answer(2, nothing_sounds=True).status_code == 200
    assert path.read_text().splitlines()[1:] == [
        f"{WIDE},0.5,cello,0.1,0.2,0.3,0.4",
        f"{WIDE},2,cello,0.1,0.2,0.3,0.4",
        "other,7,cello,0,0,1,1",
        f"{WIDE},3,,,,,",
    ]
    path.write_text(path.read_text().replace("0.1,0.2,0.3,0.4", "0.5,0.2,0.3,0.4", 1))
    assert one.state(0)["boxes"][0]["x"] == 0.5


def test_invalid_requests_are_rejected_and_not_stored(start, tmp_path):
    server = start()
    for box in (("cello", 0.9, 0, 0.5, 1), ("", 0, 0, 1, 1), ("cello", 0, 0, 0, 1)):
        answer = server.answer(0, box)
        assert answer.status_code == 400
        assert answer.json()["error"]
    assert server.answer(0, CELLO, nothing_sounds=True).status_code == 400
    assert server.answer(0, CELLO, Origin="http://evil.example").status_code == 403
    assert server.answer(0, CELLO, Origin="null").status_code == 403
    assert server.session.get(server.root, headers={"Host": "evil.example"}).status_code == 400
    for cookie in server.session.cookies:
        cookie.value = "guess"
    assert server.answer(0, CELLO, version="x").status_code == 403
    assert not (tmp_path / "boxes.csv").exists()


def test_a_page_accepts_its_own_origin_and_two_servers_have_two_cookies(start):
    one, two = start(), start()
    one.session.cookies.update(two.session.cookies)
    assert one.answer(0, CELLO, Origin=one.origin).status_code == 200
    assert two.get("/session")["answered"] == [0]


def test_frames_and_sounds_are_those_of_the_clip(start, squares):
    server = start()
    clips = pd.concat(tables.read(path).to_pandas() for path in sorted(squares.clips.iterdir()))
    clip = clips.set_index("clip_id").loc[f"{WIDE}_0003000"]
    assert server.session.get(f"{server.root}/frame/2").content == clip["frames"][0]
    with wave.open(BytesIO(server.session.get(f"{server.root}/sound/2").content)) as sound:
        assert sound.readframes(sound.getnframes()) == clip["pcm"]


def test_the_next_command_is_that_of_the_tutorial_or_names_the_file(tmp_path):
    boxes, settings = tmp_path / "boxes.csv", {"boxes": ["given"], "given_boxes": "b c.csv"}
    command = next_command(boxes, "boxes.csv", settings)
    assert command.endswith(f"--config 'corpus={json.dumps(settings)}'")
    (tmp_path / "manifest.csv").write_text("")
    setting = json.dumps({"manifest": str(tmp_path / "manifest.csv")})
    assert next_command(boxes, "boxes.csv", settings).endswith(f"--config 'corpus={setting}'")
    assert "CONFIG.yaml" in next_command(boxes, "reviews.csv", settings)


@pytest.fixture
def annotate(results, squares, tmp_path):
    """The stage `annotations`, with boxes.csv."""

    def run():
        out = tmp_path / "given.parquet"
        annotations.run(
            Annotations(),
            manifest=squares.manifest,
            index=results / "corpus/index/clips.parquet",
            clips=results / "corpus/clips",
            boxes=tmp_path / "boxes.csv",
            detections=None,
            detector=None,
            reviews=None,
            out=out,
            counts_table=tmp_path / "counts.csv",
            agreement=tmp_path / "agreement.csv",
        )
        return tables.read(out).to_pylist()

    return run


def test_annotations_takes_what_was_drawn_and_gives_empty_frames_no_truth(
    start, annotate, tmp_path, capsys
):
    server = start()
    frames = server.get("/session")["frames"]
    duet = next(n for n, frame in enumerate(frames) if frame["video_id"] == DUET)
    server.answer(duet, CELLO, ("flute", 0.5, 0, 0.5, 1))
    server.answer(0, nothing_sounds=True)
    rows = annotate()
    assert "2 kept, 0 rejected; nothing sounds in 1 frame\n" in capsys.readouterr().err
    assert [row["category"] for row in rows if row["status"] == "kept"] == ["cello", "flute"]
    (empty,) = [row for row in rows if row["status"] != "kept"]
    assert (empty["status"], empty["clip_id"], empty["frame"]) == (
        "nothing-sounds",
        f"{WIDE}_0000000",
        1,
    )
    assert empty["score"] is empty["x"] is empty["category"] is None
    counts = pd.read_csv(tmp_path / "counts.csv")
    assert counts["boxes"].sum() == 2


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["--draw", "--sample", "3"], "--sample: it has an effect only without --draw"),
        (["--draw", "--reviewer", "ada"], "--reviewer: it has an effect only without --draw"),
        (["--frames-per-video", "2"], "--frames-per-video: it has an effect only with --draw"),
        (["--split", "train"], "--split: it has an effect only with --draw"),
    ],
)
def test_options_of_the_other_page_are_refused(options, fault, tmp_path):
    result = CliRunner().invoke(commands, ["review", str(tmp_path / "boxes.csv"), *options])
    assert result.exit_code == 2
    assert fault in " ".join(result.output.split())


def test_silent_frames_are_drawn_last(results):
    clips = draw_queue.read_clips(
        results / "corpus/index/clips.parquet", results / "corpus/clips", "test"
    )
    one = draw_queue.choose_frames([c for c in clips if c["video_id"] == SILENT], 1, ())
    assert [SimpleNamespace(**frame).audible for frame in one] == [True]
