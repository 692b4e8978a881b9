"""`spm benchmark`: maps of any system on named sets."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from spm.base.errors import UserError
from spm.boxes import benchmarks
from spm.boxes.benchmark_sets import SETS
from spm.boxes.formats.frames import BenchmarkBoxes, Box, Frame
from spm.score import negatives, protocols, score_rows, silent_frames, suite, suite_table
from spm.score.evaluation import Predictions, Truth
from tests.support.command import run_command

CELLS = 8
LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)


def pictures():
    """Six pictures, each with two sounds, of two objects side by side."""
    return BenchmarkBoxes(
        {
            f"p{n}_{side}": Frame((Box(side, sides),), f"p{n}")
            for n in range(6)
            for side, sides in (("left", LEFT), ("right", RIGHT))
        },
        "xyxy",
    )


def silence():
    """Four positive frames and four negative ones."""
    frames = {f"v{n}": Frame((Box("cello", LEFT),), f"v{n}") for n in range(4)}
    frames |= {f"v{n}@w": Frame((), f"v{n}", sound="w") for n in range(4)}
    return BenchmarkBoxes(frames, "xyxy", silent=True)


SMALL = {"is3": pictures(), "vgg-ss-plus-silent": silence(), "vpo-ss": silence()}


@pytest.fixture
def sets(monkeypatch):
    """Three of the named sets have a few frames."""
    monkeypatch.setattr(benchmarks, "read", lambda name: SMALL[name])


def half(side, height):
    cells = np.zeros((CELLS, CELLS), np.float32)
    cells[:, :4] = height * (side == "left")
    cells[:, 4:] = height * (side == "right")
    return cells


@pytest.fixture
def folder(tmp_path):
    """Maps of the pictures that hear the left object only, and of the set with silence."""
    keys = list(SMALL["is3"].frames)
    wrong = {"p0_right", "p1_right"}
    maps = [half("left" if key in wrong else key.split("_")[1], 0.8) for key in keys]
    (tmp_path / "maps/vgg-ss-plus-silent").mkdir(parents=True)
    np.savez(tmp_path / "maps/is3.npz", keys=keys, maps=maps)
    for number, key in enumerate(SMALL["vgg-ss-plus-silent"].frames):
        cells = half("left", 0.9) if "@" not in key else half("left", 0.1 * number)
        np.save(tmp_path / f"maps/vgg-ss-plus-silent/{key}.npy", cells)
    return tmp_path / "maps"


def figures(path):
    """Values of the maps in scores.csv, by set, protocol and metric."""
    table = pd.read_csv(path)
    return table.set_index(["set", "protocol", "metric"])["value"].sort_index()


def test_sets_are_scored_with_pairs_silence_intervals_and_baselines(sets, folder, tmp_path):
    done = run_command("benchmark", folder, "--out", tmp_path / "out", "--bootstrap", "50")
    assert done.returncode == 0, done.stderr
    values = figures(tmp_path / "out/scores.csv")
    assert values["is3", "adaptive", "iou@0.5"] == pytest.approx(10 / 12)
    assert values["is3", "adaptive", "iiou"] == pytest.approx(4 / 6)
    assert values["is3", "adaptive", "whole-image iou@0.5"] == 1
    silent = values["vgg-ss-plus-silent"]
    (name,) = {name for name, _ in silent.index if name.startswith("silent>")}
    assert silent[name, "fpr"] == 0.25  # a quarter of the negative frames is above the threshold
    assert silent[name, "loc_acc"] == 1
    both = silent[name, "pia"]  # the IoU above the threshold is nearly 1: borders are blurred
    assert silent[name, "f"] == pytest.approx(2 * (1 - both) / (2 - both), abs=0.03)
    table = (tmp_path / "out/table.md").read_text()
    assert "| is3 | 12 | 0 | adaptive | iiou | 0.667 |" in table
    assert re.search(
        r"is3 & 12 & 0 & adaptive & iiou & 0.667 & 0.\d+ to \d.\d+",
        (tmp_path / "out/table.tex").read_text(),
    )
    assert "vpo-ss" not in table


def test_the_manifest_has_digests_parameters_and_no_time(sets, folder, tmp_path):
    words = ("benchmark", folder, "--suite", "is3,vgg-ss-plus-silent", "--bootstrap", "20")
    for name in ("one", "two"):
        done = run_command(*words, "--out", tmp_path / name, "--quiet")
        assert (done.returncode, done.stdout) == (0, "")
    for file in ("manifest.json", "scores.csv", "table.md", "table.tex"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    content = json.loads((tmp_path / "one/manifest.json").read_text())
    about = content["sets"]["is3"]
    assert about["boxes"][0]["sha256"] == SETS["is3"].files[0].sha256
    assert about["maps"] == {"name": "is3.npz", "sha256": suite.digest(folder / "is3.npz")}
    assert content["protocols"]["adaptive"]["rule"] == "truth-area"
    assert content["bootstrap"] == {"resamples": 20, "seed": 0}
    before = content["sets"]["vgg-ss-plus-silent"]["maps"]["sha256"]
    np.save(folder / "vgg-ss-plus-silent/v0.npy", half("right", 0.5))
    assert suite.digest(folder / "vgg-ss-plus-silent") != before


def test_missing_maps_are_counted_and_named(sets, folder, tmp_path):
    (folder / "vgg-ss-plus-silent/v2@w.npy").unlink()
    (folder / "vgg-ss-plus-silent/v1.npy").unlink()
    words = ("benchmark", folder, "--suite", "is3,vgg-ss-plus-silent,vpo-ss")
    done = run_command(*words, "--out", tmp_path / "out", "--bootstrap", "20")
    assert done.returncode == 0, done.stderr
    assert "vgg-ss-plus-silent: 2 of 8 frames have no map (v1, v2@w)" in done.stderr
    assert "vpo-ss: no maps; none of its 8 frames is scored" in done.stderr
    table = pd.read_csv(tmp_path / "out/scores.csv").groupby("set")["missing"].first()
    assert table.to_dict() == {"is3": 0, "vgg-ss-plus-silent": 2, "vpo-ss": 8}
    content = json.loads((tmp_path / "out/manifest.json").read_text())["sets"]
    assert content["vgg-ss-plus-silent"]["first_missing"] == ["v1", "v2@w"]
    assert content["vpo-ss"]["maps"] is None
    assert "| vpo-ss | 8 | 8 | no maps |" in (tmp_path / "out/table.md").read_text()


def test_maps_in_one_file_serve_every_set_and_a_subset_has_the_maps_of_its_set(tmp_path):
    (tmp_path / "all.npz").touch()
    assert suite.find_maps(tmp_path / "all.npz", "is3") == tmp_path / "all.npz"
    maps = tmp_path / "maps"
    maps.mkdir()
    with pytest.raises(UserError, match="maps: an empty folder; expected maps"):
        suite.find_maps(maps, "is3")
    (maps / "key.npy").touch()
    assert suite.find_maps(maps, "is3") == maps  # a folder of keys
    (maps / "key.npy").unlink()
    (maps / "vgg-ss.npz").touch()
    assert suite.find_maps(maps, "vgg-ss-heard") == maps / "vgg-ss.npz"
    assert suite.find_maps(maps, "is3") is None
    assert suite.default_names(maps) == ["vgg-ss", "vgg-ss-heard", "vgg-ss-unheard",
                                         "vgg-sound-single"]  # fmt: skip
    (maps / "vgg-ss-heard").mkdir()
    assert suite.find_maps(maps, "vgg-ss-heard") == maps / "vgg-ss-heard"
    (maps / "vgg-ss.npy").touch()
    with pytest.raises(UserError, match="are both maps of vgg-ss; keep one"):
        suite.find_maps(maps, "vgg-ss")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--suite", "vggss"), "vggss: no such set; expected one of dsol-solo, dsol-duet"),
        ((), "no maps of a set; expected files named by sets, as vgg-ss.npz"),
    ],
)
def test_a_wrong_name_and_a_folder_without_maps_are_one_line(words, message, tmp_path):
    (tmp_path / "is3-masks").mkdir()
    done = run_command("benchmark", tmp_path, *words)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unknown_folder_of_maps_is_one_line(tmp_path):
    done = run_command("benchmark", tmp_path / "nowhere", "--suite", "is3")
    assert "nowhere: no such file or folder of maps" in done.stderr


def test_figures_of_silent_frames_are_those_of_the_functions_on_arrays():
    rng = np.random.default_rng(0)
    maps = rng.random((40, CELLS, CELLS)).astype(np.float32)
    maps *= rng.random((40, 1, 1)).astype(np.float32)
    keys = [f"k{n}" for n in range(40)]
    truth = Truth({key: [Box("a", LEFT)] if n % 2 else [] for n, key in enumerate(keys)}, "xyxy")
    predictions = Predictions(keys, [(key,) for key in keys], maps)
    level, found = silent_frames.measure(predictions, truth, None)
    values = {name: value[0] for name, value in silent_frames.figures(found, level).items()}
    ious, confidences, sounding = found.iou, found.confidence, found.sounding
    assert sounding.tolist() == [False, True] * 20
    assert level == negatives.universal_threshold(maps[::2].max((1, 2)))
    assert values["ap"] == pytest.approx(negatives.average_precision(ious, confidences, sounding))
    assert values["max_f1"] == pytest.approx(negatives.max_f1(ious, confidences, sounding))
    assert values["loc_acc"] == negatives.loc_acc(ious[1::2])
    assert values["fpr"] == negatives.false_positive_rate(maps[::2].max((1, 2)), level)
    shares = negatives.foreground_share(maps[::2], level)
    assert values["pia"] == pytest.approx(shares.mean())
    assert values["auc_pia"] == pytest.approx(negatives.inactive_auc(shares))


def test_only_class_maps_leave_out_the_protocols_of_frames(sets, tmp_path):
    keys = list(SMALL["is3"].frames)
    maps = np.stack([[half("left", 1), half("right", 1)]] * len(keys))
    np.savez(tmp_path / "is3.npz", keys=keys, maps=maps, classes=["left", "right"])
    settings = suite.SuiteSettings([protocols.find("avgn")], resamples=20)
    (result,) = suite.score(tmp_path, ["is3"], settings)
    assert result.left_out == ("ez-vsl", "adaptive")
    assert {row.protocol for row in result.rows} == {"avgn"}
    assert "is3: protocol ez-vsl left out: it needs one map per frame" in suite_table.notes(
        [result]
    )
    assert all(row.value == 1 for row in result.rows if row.system == score_rows.MAPS
               and row.metric == "iou@0.5")  # fmt: skip
