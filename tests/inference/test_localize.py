"""`spm localize` and the library behind it, on real files."""

import json
import os
import re
import subprocess
import sys
import textwrap

import av
import matplotlib as mpl
import numpy as np
import pytest
import torch
from PIL import Image

from spm.base import tables
from spm.base.config import UserError
from spm.fusion import methods
from spm.fusion.settings import Row
from spm.inference import localize as library
from spm.inference import overlay
from spm.inference.localize import Localization, Localizer, box, found_weights, peak
from spm.learn import weights
from tests.support.media import make_video, turn
from tests.support.web import film


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A network of the right form, that has learnt nothing."""
    torch.manual_seed(0)
    row = Row(method="spm", visual="mobilenet_v2", start="none", crop=64, epsilon=0.0, tau=0.5)
    settings = methods.settings_of(row)
    path = tmp_path_factory.mktemp("results") / "network.safetensors"
    weights.save(
        path,
        methods.build(settings).state_dict(),
        {"config": settings.model_dump(), "categories": {}},
    )
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return film(tmp_path_factory.mktemp("videos") / "a film.mp4", 3.4)


@pytest.fixture(scope="module")
def seen(network, video):
    return Localizer(network, "cpu", maps_per_s=4).locate(video)


def test_a_video_has_four_maps_a_second_at_their_times(seen):
    assert seen.times_s.tolist() == [n / 4 for n in range(12)]
    assert seen.maps.shape == (12, 4, 4)
    assert ((seen.maps >= 0) & (seen.maps <= 1)).all()
    assert seen.heard().all()
    assert len(seen.frames) == 12


def test_the_maps_are_those_of_the_workflow(network, video, tmp_path):
    """The same numbers as the stages clips, spectrograms and maps leave, one after the other."""
    from spm.corpus import clips, spectrograms
    from spm.fusion import maps

    ledger = [{"video_id": "film", "status": "ok", "reason": "", "path": str(video)}]
    tables.write_rows(tmp_path / "ledger.parquet", tables.LEDGER, ledger)
    cut, mels = tmp_path / "clips/0000.parquet", tmp_path / "mels/0000.parquet"
    size = clips.Clips(size=73)
    clips.run(
        size,
        ledger=tmp_path / "ledger.parquet",
        clips=cut,
        videos=tmp_path / "v.parquet",
        threads=1,
    )
    spectrograms.run(spectrograms.Spectrograms(), clips=cut, out=mels)
    table = tables.read(cut, ["clip_id", "video_id", "start_s", "rms_db"]).to_pylist()
    rows = [{**row, "shard": 0, "row": n, "kind": "solo", "split": "test", "categories": ["x"], "audible": True}
            for n, row in enumerate(table)]  # fmt: skip
    tables.write_rows(tmp_path / "index.parquet", tables.INDEX, rows)
    folders = {
        "clips": cut.parent,
        "spectrograms": mels.parent,
        "index": tmp_path / "index.parquet",
    }
    maps.run(
        maps.Maps(device="cpu"), network=network, kind="solo", out=tmp_path / "m.parquet", **folders
    )
    drawn = np.array(tables.read(tmp_path / "m.parquet")["map"].to_pylist(), np.float32).reshape(
        -1, 4, 4
    )
    np.testing.assert_allclose(
        Localizer(network, "cpu", maps_per_s=4).locate(video).maps, drawn, atol=1e-5
    )


def test_no_time_is_spent_on_batchnorm_once_nothing_is_learnt(network):
    kinds = {type(part).__name__ for part in Localizer(network, "cpu").network.modules()}
    assert "Conv2d" in kinds
    assert "BatchNorm2d" not in kinds


def test_a_second_has_its_strongest_frame_with_peak_and_box(seen):
    seconds = seen.seconds()
    assert seconds["start_s"].tolist() == [0, 1, 2]
    strongest = seen.maps.max((1, 2)).reshape(3, 4)
    assert seconds["score"].tolist() == strongest.max(1).tolist()
    assert seconds["time_s"].tolist() == [n + strongest[n].argmax() / 4 for n in range(3)]
    inside = seconds.eval("x <= peak_x <= x + w and y <= peak_y <= y + h")
    assert inside.all()


def test_peak_and_box_are_fractions_of_the_frame():
    heat = np.zeros((4, 8), np.float32)
    heat[1, 6] = 1
    heat[2, 5:7] = 0.6
    heat[3, 0] = 0.4
    assert peak(heat) == {"peak_x": 6.5 / 8, "peak_y": 1.5 / 4}
    assert box(heat) == {"x": 5 / 8, "y": 1 / 4, "w": 2 / 8, "h": 2 / 4}
    assert box(np.zeros((2, 2), np.float32)) == {"x": 0, "y": 0, "w": 0, "h": 0}


def test_what_is_written_can_be_scored_and_read(seen, tmp_path):
    from spm.score import external_maps

    seen.write(tmp_path / "maps.parquet")
    stored = external_maps.read(tmp_path / "maps.parquet")
    assert stored.keys[:2] == ["a film/0.000", "a film/0.250"]
    assert (stored.maps == seen.maps).all()
    assert [row["start_s"] for row in json.loads((tmp_path / "maps.json").read_text())] == [0, 1, 2]


def streams(path):
    with av.open(str(path)) as container:
        pictures, sound = container.streams.video[0], container.streams.audio[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(pictures)]
        return (
            pictures.codec.name,
            sound.codec.name,
            frames,
            float(container.duration / av.time_base),
        )


def test_the_overlay_plays_in_a_browser_keeps_its_sound_and_is_hot_where_the_map_is(
    video, seen, tmp_path
):
    corner = np.zeros_like(seen.maps)
    corner[:, 0, 0] = 1
    hot = Localization(seen.video, seen.times_s, corner, {}, seen.frames, seen.rms_db)
    cold = Localization(seen.video, seen.times_s, 0 * corner, {}, seen.frames, seen.rms_db)
    for name, one in (("hot", hot), ("cold", cold)):
        overlay.film(one, tmp_path / f"{name}.mp4")
    pictures, sound, frames, length_s = streams(tmp_path / "hot.mp4")
    _, _, plain, _ = streams(tmp_path / "cold.mp4")
    assert (pictures, sound) == ("h264", "aac")
    assert length_s == pytest.approx(3.4, abs=0.1)
    assert len(frames) == len(plain) == 34
    changed = np.abs(
        np.mean([f.astype(float) - p for f, p in zip(frames[5:25], plain[5:25], strict=True)], 0)
    ).sum(2)
    height, width = changed.shape
    assert (
        changed[: height // 4, : width // 4].mean()
        > 20 * changed[height // 2 :, width // 2 :].mean()
    )


def test_a_phones_film_stays_upright(network, tmp_path):
    path = turn(make_video(tmp_path / "phone.mp4"), 90)
    overlay.film(Localizer(network, "cpu").locate(path, max_s=2), tmp_path / "out.mp4", max_s=2)
    _, _, frames, length_s = streams(tmp_path / "out.mp4")
    assert frames[0].shape[:2] == (192, 96)
    assert length_s == pytest.approx(2, abs=0.1)


def test_silent_seconds_are_dark_and_said(seen, tmp_path):
    quiet = np.where(np.arange(12) < 4, -90.0, -10.0)
    half = Localization(seen.video, seen.times_s, np.ones_like(seen.maps), {}, seen.frames, quiet)
    assert overlay.strength(half)[:4].max() == 0 < overlay.strength(half)[4:].min()
    assert half.seconds()["heard"].tolist() == [False, True, True]
    overlay.sheet(half, tmp_path / "sheet.png")
    page = np.asarray(Image.open(tmp_path / "sheet.png")).astype(int)
    first, second = (
        page[: overlay.TILE, : overlay.TILE],
        page[: overlay.TILE, overlay.TILE : 2 * overlay.TILE],
    )
    assert np.ptp(first, axis=2).max() == 0  # gray
    assert np.ptp(second, axis=2).max() > 50


def test_categories_have_maps_of_their_own(seen, tmp_path):
    two = {"cello": seen.maps / 2, "tuba": seen.maps / 4}
    aware = Localization(seen.video, seen.times_s, seen.maps, two, seen.frames, seen.rms_db)
    assert set(aware.seconds()["category"]) == {"cello"}
    aware.write(tmp_path / "maps.parquet")
    table = tables.read(tmp_path / "maps.parquet")
    assert table["category"].to_pylist() == [None] * 12 + ["cello"] * 12 + ["tuba"] * 12


def localize(*words, cwd):
    return spm("localize", *words, cwd=cwd)


def spm(*words, cwd):
    command = [sys.executable, "-m", "spm.cli", *map(str, words)]
    here = {**os.environ, "PYTHONPATH": os.getcwd()}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=here)


def test_the_command_makes_all_there_is_and_one_bad_file_holds_up_no_other(
    network, video, tmp_path
):
    (tmp_path / "text.mp4").write_text("no video")
    done = localize("text.mp4", video, "--weights", network, "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 1
    assert "text.mp4: unreadable: " in done.stderr
    assert "1 of 2 videos in localized" in done.stdout
    made = {path.name for path in (tmp_path / "localized").iterdir()}
    assert made == {"a film.mp4", "a film.png", "a film.parquet", "a film.json"}


def test_an_address_is_fetched_first(network, site, tmp_path):
    site.answers["/clip.mp4"] = ["media"]
    done = localize(
        f"{site.root}/clip.mp4", "--weights", network, "--device", "cpu", "--max-s", 1, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "localized").glob("*.mp4"))) == 1
    gone = localize(f"{site.root}/none.mp4", "--weights", network, cwd=tmp_path)
    assert "none.mp4: gone: " in gone.stderr


def test_weights_are_found_where_a_run_left_them_and_asked_for_where_none_did(network, tmp_path):
    with pytest.raises(UserError, match="no network here: run `make demo` or the workflow first"):
        found_weights(tmp_path)
    left = tmp_path / "demo/results/fusion/train/spm/network.safetensors"
    left.parent.mkdir(parents=True)
    left.write_bytes(network.read_bytes())
    assert found_weights(tmp_path) == left


@pytest.mark.parametrize(
    "about", ["{}", '{"config": {"method": "spm", "crop": 64, "visual": "resnet18"}}', "[]"]
)
def test_weights_of_something_else_are_said_to_be_so(about, network, tmp_path):
    (tmp_path / "other.safetensors").write_bytes(network.read_bytes())
    (tmp_path / "other.json").write_text(about)
    with pytest.raises(
        UserError,
        match=r"other\.safetensors: not a network that spm has trained \(.+\): name a run's",
    ):
        Localizer(tmp_path / "other.safetensors", "cpu")


def test_machines_get_the_seconds_and_the_files_and_nothing_else_is_said(network, video, tmp_path):
    done = localize(
        video, "--weights", network, "--device", "cpu", "--json", "--quiet", cwd=tmp_path
    )
    (found,) = json.loads(done.stdout)
    assert done.stderr == ""
    assert [row["start_s"] for row in found["seconds"]] == [0, 1, 2]
    assert all((tmp_path / file).is_file() for file in found["files"].values())
    assert found["files"].keys() == {"mp4", "png", "parquet", "json"}


def test_progress_counts_seconds_of_video_with_the_time_that_is_left(network, video, tmp_path):
    done = localize(video, "--weights", network, "--device", "cpu", cwd=tmp_path)
    last = done.stderr.replace("\r", "\n").strip().splitlines()[-1]
    assert re.search(r"localize: .*\b3 of 4 s of video \[\d\d:\d\d<\d\d:\d\d\]", last), done.stderr


def test_two_files_of_one_name_do_not_take_each_others_place_nor_a_file_its_own(
    network, video, tmp_path
):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.mp4").write_bytes(video.read_bytes())
    options = ["--weights", network, "--device", "cpu", "--max-s", 1]
    assert localize("a/x.mp4", "b/x.mp4", *options, cwd=tmp_path).returncode == 0
    assert {path.name for path in (tmp_path / "localized").glob("*.mp4")} == {"a-x.mp4", "b-x.mp4"}
    own = localize("a/x.mp4", *options, "--out", "a", cwd=tmp_path)
    assert own.returncode == 1
    assert "would take its place: name another folder with --out" in own.stderr
    assert (tmp_path / "a/x.mp4").read_bytes() == video.read_bytes()


def test_the_three_lines_of_the_library_run_where_a_demo_was_made(network, video, tmp_path):
    left = tmp_path / "demo/results/fusion/train/spm"
    left.mkdir(parents=True)
    for suffix in (".safetensors", ".json"):
        (left / f"network{suffix}").write_bytes(network.with_suffix(suffix).read_bytes())
    (tmp_path / "concert.mp4").write_bytes(video.read_bytes())
    lines = re.search(r"\n\n((?:    .+\n){3})", library.__doc__)[1]
    here = {**os.environ, "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "-c", textwrap.dedent(lines)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, env=here
    )
    assert re.search(r"start_s +score +peak_x +peak_y\n0 +0 +0\.\d+", done.stdout), done.stderr


def test_paths_with_spaces_and_of_other_scripts_go_through_manifest_localize_and_score(
    network, video, tmp_path
):
    folder = tmp_path / "мои видео 動画" / "バイオリン"
    folder.mkdir(parents=True)
    film = folder / "Konzert № 1 – ヴァイオリン.mp4"
    film.write_bytes(video.read_bytes())
    listed = spm("manifest", folder.parent, "--json", cwd=tmp_path)
    assert json.loads(listed.stdout)[0]["categories"] == {"バイオリン": 1}
    made = localize(
        film, "--weights", network, "--device", "cpu", "--out", "итог 結果", cwd=tmp_path
    )
    assert made.returncode == 0, made.stderr
    boxes = folder / "рамки.csv"
    boxes.write_text(
        f"video_id,time_s,category,x,y,w,h\n{film.stem},0.5,バイオリン,0.1,0.1,0.5,0.5\n"
    )
    maps = tmp_path / "итог 結果" / f"{film.stem}.parquet"
    scored = spm("score", maps, "--boxes", boxes, "--partial", "--json", cwd=tmp_path)
    assert {row["system"] for row in json.loads(scored.stdout)} > {"maps"}, scored.stderr
    assert {row["frames"] for row in json.loads(scored.stdout)} == {1}


# Machado, Oliveira and Fernandes, TVCG 2009, severity 1: what the color-blind see, in linear RGB.
SEEN_AS = {
    "everybody": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize("who", SEEN_AS)
def test_hotter_is_lighter_to_everybody_and_in_gray(who):
    colors = mpl.colormaps[overlay.HEAT](np.linspace(0, 1, 64))[:, :3]
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    luminance = (linear @ np.transpose(SEEN_AS[who])).clip(0, 1) @ [0.2126, 0.7152, 0.0722]
    lightness = np.where(
        luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance
    )  # CIE L*
    assert (np.diff(lightness) > 0.3).all()
    assert np.ptp(lightness) > 75
