"""`spm localize`, and the commands before and after it."""

import inspect
import json
import os
import re

import numpy as np
import pytest

from spm.cli.localize import localize as command
from spm.inference.localization import BOX_THRESHOLD
from spm.inference.localize import MAPS_PER_S, MAX_S, MEMORY_MB, TIME_S
from tests.support import preloaded
from tests.support.media import make_video
from tests.support.project import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def spm(tmp_path):
    """Run a command of spm in an empty folder."""

    def run(*words):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return preloaded.run(["-m", "spm.cli", *words], cwd=tmp_path, env=environment)

    return run


@pytest.fixture
def localize(spm, network):
    """Run `spm localize` with the untrained network, on the CPU."""

    def run(*words):
        return spm("localize", *words, "--weights", network, "--device", "cpu")

    return run


def test_all_files_are_written_although_another_video_fails(localize, video, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    done = localize("text.mp4", video)
    assert done.returncode == 1
    assert "text.mp4: unreadable: " in done.stderr
    assert "1 of 2 videos localized; in localized: " in done.stdout
    assert "network: spm (method spm, SHA-256 " in done.stdout
    written = {path.name for path in (tmp_path / "localized").iterdir()}
    assert written == {"a film.mp4", "a film.png", "a film.parquet", "a film.json"}


def test_a_video_at_an_address_is_downloaded(localize, site, tmp_path):
    site.answers["/clip.mp4"] = ["media"]
    done = localize(f"{site.root}/clip.mp4", "--max-s", 1)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "localized").glob("*.mp4"))) == 1
    gone = localize(f"{site.root}/none.mp4")
    assert "none.mp4: gone: " in gone.stderr


def test_the_default_network_says_what_it_hears_and_that_silence_has_no_box(spm, tmp_path):
    """White noise, then digital silence."""
    sound = np.random.default_rng(0).normal(0, 0.1, 4 * 16000)
    sound[2 * 16000 :] = 0
    make_video(tmp_path / "noise.mp4", seconds=4, sound=sound, rate_hz=16000)
    done = spm("localize", "noise.mp4", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "network: zero-shot (method zero_shot, SHA-256 " in done.stdout
    document = json.loads((tmp_path / "localized/noise.json").read_text())
    assert document["network"]["name"] == "zero-shot"
    assert document["video"]["width"] == 192
    assert "noise" in document["heard"][0]["class"].lower()
    last = document["seconds"][3]
    assert (last["audible"], last["score"], last["x"], last["objects"]) == (False, 0, None, [])


def test_the_threshold_decides_on_boxes(localize, video, tmp_path):
    boxes = []
    for threshold in (0, 1):
        done = localize(video, "--max-s", 1, "--threshold", threshold, "--json")
        (row,) = json.loads(done.stdout)[0]["localization"]["seconds"]
        boxes.append(row["x"])
    assert boxes[0] is not None
    assert boxes[1] is None
    assert localize(video, "--threshold", 2).returncode == 2


def test_defaults_of_the_command_are_those_of_the_library():
    parameters = inspect.signature(command).parameters
    assert parameters["threshold"].default == BOX_THRESHOLD
    assert parameters["maps_per_s"].default == MAPS_PER_S
    assert parameters["max_s"].default == MAX_S
    assert parameters["memory_mb"].default == MEMORY_MB
    assert parameters["time_s"].default == TIME_S


def test_json_has_the_seconds_and_the_files_and_nothing_else_is_printed(localize, video, tmp_path):
    done = localize(video, "--json", "--quiet")
    (result,) = json.loads(done.stdout)
    assert done.stderr == ""
    assert [row["start_s"] for row in result["localization"]["seconds"]] == [0, 1, 2]
    written = json.loads((tmp_path / result["files"]["json"]).read_text())
    assert result["localization"] == written
    assert all((tmp_path / file).is_file() for file in result["files"].values())
    assert result["files"].keys() == {"mp4", "png", "parquet", "json"}


def test_progress_counts_seconds_of_video_and_shows_the_time_left(localize, video):
    done = localize(video)
    last = done.stderr.replace("\r", "\n").strip().splitlines()[-1]
    assert re.search(r"localize: .*\b3 of 4 s of video \[\d\d:\d\d<\d\d:\d\d\]", last), done.stderr


def test_results_of_equal_names_are_kept_apart_and_no_video_is_replaced(localize, video, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.mp4").write_bytes(video.read_bytes())
    assert localize("a/x.mp4", "b/x.mp4", "--max-s", 1).returncode == 0
    written = {path.name for path in (tmp_path / "localized").glob("*.mp4")}
    assert written == {"a-x.mp4", "b-x.mp4"}
    done = localize("a/x.mp4", "--max-s", 1, "--out", "a")
    assert done.returncode == 1
    assert "would replace this file: name another folder with --out" in done.stderr
    assert (tmp_path / "a/x.mp4").read_bytes() == video.read_bytes()


def test_paths_may_have_spaces_and_characters_of_any_script(spm, localize, video, tmp_path):
    folder = tmp_path / "мои видео 動画" / "バイオリン"
    folder.mkdir(parents=True)
    path = folder / "Konzert № 1 – ヴァイオリン.mp4"
    path.write_bytes(video.read_bytes())
    listed = spm("manifest", folder.parent, "--json")
    assert json.loads(listed.stdout)[0]["categories"] == {"バイオリン": 1}
    done = localize(path, "--out", "итог 結果")
    assert done.returncode == 0, done.stderr
    boxes = folder / "рамки.csv"
    box = f"{path.stem},0.5,バイオリン,0.1,0.1,0.5,0.5"
    boxes.write_text(f"video_id,time_s,category,x,y,w,h\n{box}\n")
    maps = tmp_path / "итог 結果" / f"{path.stem}.parquet"
    scored = spm("score", maps, "--boxes", boxes, "--partial", "--json")
    rows = json.loads(scored.stdout)
    assert {row["system"] for row in rows} > {"maps"}, scored.stderr
    assert {row["frames"] for row in rows} == {1}
