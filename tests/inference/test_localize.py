"""The library behind `spm localize`, on real files."""

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.cli import main
from spm.cli.score import EXAMPLES
from spm.inference import localize as library
from spm.inference.localize import Localizer, box, newest_weights, peak
from spm.score import map_files
from tests.support.project import ROOT


def test_a_video_has_four_maps_per_second_with_their_times(localization):
    assert localization.times_s.tolist() == [n / 4 for n in range(12)]
    assert localization.maps.shape == (12, 4, 4)
    assert ((localization.maps >= 0) & (localization.maps <= 1)).all()
    assert localization.audible().all()
    assert len(localization.frames) == 12


def test_the_maps_are_those_of_the_workflow(localization, network, video, tmp_path):
    """The stages clips, spectrograms and maps, one after the other, give the same numbers."""
    from spm.corpus import clips, spectrograms
    from spm.fusion import maps

    ledger, index = tmp_path / "ledger.parquet", tmp_path / "index.parquet"
    clip_table, mels = tmp_path / "clips/0000.parquet", tmp_path / "mels/0000.parquet"
    fetched = {"video_id": "film", "status": "ok", "reason": "", "path": str(video)}
    tables.write_rows(ledger, schemas.LEDGER, [fetched])
    videos = tmp_path / "videos.parquet"
    clips.run(clips.Clips(size=73), ledger=ledger, clips=clip_table, videos=videos, threads=1)
    spectrograms.run(spectrograms.Spectrograms(), clips=clip_table, out=mels)
    columns = ["clip_id", "video_id", "start_s", "rms_db"]
    about = {"kind": "solo", "split": "test", "categories": ["x"], "audible": True, "shard": 0}
    rows = tables.read(clip_table, columns).to_pylist()
    indexed = [{**row, "row": number, **about} for number, row in enumerate(rows)]
    tables.write_rows(index, schemas.INDEX, indexed)
    maps.run(
        maps.Maps(device="cpu"),
        network=network,
        index=index,
        clips=clip_table.parent,
        spectrograms=mels.parent,
        testset="solo",
        out=tmp_path / "maps.parquet",
    )
    expected = np.array(tables.read(tmp_path / "maps.parquet")["map"].to_pylist(), np.float32)
    np.testing.assert_allclose(localization.maps, expected.reshape(-1, 4, 4), atol=1e-5)


def test_batchnorm_layers_are_merged_into_convolutions(network):
    layers = {type(part).__name__ for part in Localizer(network, "cpu").network.modules()}
    assert "Conv2d" in layers
    assert "BatchNorm2d" not in layers


def test_a_second_has_the_peak_and_the_box_of_its_strongest_frame(localization):
    seconds = localization.seconds()
    assert seconds["start_s"].tolist() == [0, 1, 2]
    strength = localization.maps.max((1, 2)).reshape(3, 4)
    assert seconds["score"].tolist() == strength.max(1).tolist()
    assert seconds["time_s"].tolist() == [n + strength[n].argmax() / 4 for n in range(3)]
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


def test_the_files_can_be_scored_and_read(localization, tmp_path):
    localization.write(tmp_path / "maps.parquet")
    stored = map_files.read(tmp_path / "maps.parquet")
    assert stored.keys[:2] == ["a film/0.000", "a film/0.250"]
    assert (stored.maps == localization.maps).all()
    seconds = json.loads((tmp_path / "maps.json").read_text())
    assert [row["start_s"] for row in seconds] == [0, 1, 2]


def test_the_example_in_the_help_of_spm_score_works(localization, tmp_path, monkeypatch, capsys):
    """Its boxes are a few milliseconds off, and some are of a video without maps."""
    replace(localization, video=Path("concert.mp4")).write(tmp_path / "localized/concert.parquet")
    (tmp_path / "boxes.csv").write_text(
        "video_id,time_s,category,x,y,w,h\n"
        "concert,0.004,cello,0,0,0.5,1\n"
        "concert,1.246,cello,0,0,0.5,1\n"
        "other,1.0,cello,0,0,0.5,1\n"
    )
    (example,) = [line for line in EXAMPLES.splitlines() if "concert.parquet" in line]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", shlex.split(example))
    with pytest.raises(SystemExit) as end:
        main()
    printed = capsys.readouterr()
    assert end.value.code == 0, printed.err
    assert {row["frames"] for row in json.loads(printed.out)} == {2}
    assert "boxes: 2 kept, 1 rejected: 1 unmatched\n" in printed.err


def test_a_silent_second_is_marked(localization):
    quiet = np.where(np.arange(12) < 4, -90.0, -10.0)
    half = replace(localization, rms_db=quiet)
    assert half.seconds()["heard"].tolist() == [False, True, True]


def test_categories_have_maps_of_their_own(localization, tmp_path):
    two = {"cello": localization.maps / 2, "tuba": localization.maps / 4}
    class_aware = replace(localization, by_category=two)
    assert set(class_aware.seconds()["category"]) == {"cello"}
    class_aware.write(tmp_path / "maps.parquet")
    categories = tables.read(tmp_path / "maps.parquet")["category"].to_pylist()
    assert categories == [None] * 12 + ["cello"] * 12 + ["tuba"] * 12


def test_the_newest_weights_of_a_run_are_found(network, tmp_path):
    with pytest.raises(UserError, match="no trained network in results/ or demo/results/: run"):
        newest_weights(tmp_path)
    weights = tmp_path / "demo/results/fusion/train/spm/network.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(network.read_bytes())
    assert newest_weights(tmp_path) == weights


@pytest.mark.parametrize(
    "about", ["{}", '{"config": {"method": "spm", "crop": 64, "visual": "resnet18"}}', "[]"]
)
def test_weights_that_spm_did_not_train_are_an_error(about, network, tmp_path):
    (tmp_path / "other.safetensors").write_bytes(network.read_bytes())
    (tmp_path / "other.json").write_text(about)
    message = r"other\.safetensors: not a network trained by spm \(.+\): expected network\.safeten"
    with pytest.raises(UserError, match=message):
        Localizer(tmp_path / "other.safetensors", "cpu")


@pytest.mark.slow
def test_the_example_in_the_docstring_runs_in_the_folder_of_a_demo(network, video, tmp_path):
    run = tmp_path / "demo/results/fusion/train/spm"
    run.mkdir(parents=True)
    for suffix in (".safetensors", ".json"):
        (run / f"network{suffix}").write_bytes(network.with_suffix(suffix).read_bytes())
    (tmp_path / "concert.mp4").write_bytes(video.read_bytes())
    lines = re.search(r"\n\n((?:    .+\n){3})", library.__doc__)[1]
    command = [sys.executable, "-c", textwrap.dedent(lines)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )
    assert re.search(r"start_s +score +peak_x +peak_y\n0 +0 +0\.\d+", done.stdout), done.stderr
