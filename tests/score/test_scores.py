import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.base.statuses import PretrainedBaseline
from spm.boxes.formats.frames import Box
from spm.score.evaluation import targets
from spm.score.protocols import PROTOCOLS
from spm.score.scores import Scores, run

BOX = {"x": 0.25, "y": 0.25, "w": 0.5, "h": 0.5}
CLIPS = [  # clip, video, kind, split
    ("a_0", "a", "solo", "test"),
    ("a_1", "a", "solo", "test"),
    ("b_0", "b", "solo", "test"),
    ("t_0", "t", "solo", "train"),
    ("d_0", "d", "duet", "test"),
]


def map_row(clip_id, frame=0, box=BOX, size=8, category=None):
    """A map that is 1 exactly in the cells of a box on the grid."""
    cells = np.zeros((size, size), np.float32)
    top, left = int(box["y"] * size), int(box["x"] * size)
    cells[top : top + int(box["h"] * size), left : left + int(box["w"] * size)] = 1
    return {
        "clip_id": clip_id, "video_id": clip_id[0], "frame": frame, "time_s": 0.0,
        "category": category, "height": size, "width": size, "map": cells.ravel(),
    }  # fmt: skip


def box_row(clip_id, category="cello", frame=0, box=BOX, status="kept"):
    return {
        "clip_id": clip_id, "video_id": clip_id[0], "frame": frame, "time_s": 0.0,
        "category": category, "score": 1.0, **box, "status": status,
    }  # fmt: skip


class Stage:
    """The tables that the stage reads, in one folder, and those that it writes."""

    def __init__(self, folder):
        self.files = {name: folder / f"{name}.parquet" for name in ("maps", "annotations", "index")}
        self.files["out"] = folder / "scores"
        self.networks = {name: folder / f"{name}.parquet" for name in PretrainedBaseline}

    def write(self, maps, annotations):
        columns = ("clip_id", "video_id", "kind", "split")
        clips = [dict(zip(columns, clip, strict=True)) for clip in CLIPS]
        tables.write_rows(self.files["maps"], schemas.MAPS, maps)
        tables.write_rows(self.files["annotations"], schemas.ANNOTATIONS, annotations)
        tables.write_rows(self.files["index"], schemas.INDEX, clips)

    def results(self, protocol="spm-paper"):
        return [self.files["out"] / f"{protocol}.{suffix}" for suffix in ("json", "parquet")]

    def result_bytes(self, protocol="spm-paper"):
        return [path.read_bytes() for path in self.results(protocol)]

    def run(self, *protocols, networks=()):
        """Run the stage; `networks` has rows of maps by the name of their baseline."""
        for name, maps in dict(networks).items():
            tables.write_rows(self.networks[name], schemas.MAPS, maps)
        baseline_maps = [self.networks[name] for name in dict(networks)]
        config = Scores(bootstrap=50, protocols=protocols)
        run(config, **self.files, baseline_maps=baseline_maps, baseline_negatives=[])
        summary, frames = self.results(protocols[0])
        return json.loads(summary.read_text()), pq.read_table(frames).to_pylist()

    def __call__(self, maps, annotations, *protocols):
        self.write(maps, annotations)
        return self.run(*(protocols or ["spm-paper"]))


@pytest.fixture
def score(tmp_path):
    return Stage(tmp_path)


def command(score, config):
    options = []
    for name, path in score.files.items():
        options += [f"--{name}", str(path)]
    options.append("--baseline-maps")  # none, as the rule writes it
    return subprocess.run(
        [sys.executable, "-m", "spm.score.scores", "--config", config, *options],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_map_on_its_box_scores_high_and_a_map_outside_it_scores_zero(score):
    aside = {"x": 0.0, "y": 0.0, "w": 0.125, "h": 0.125}
    summary, frames = score(
        [map_row("b_0", box=aside), map_row("a_0")], [box_row("a_0"), box_row("b_0")], "sspl"
    )
    assert [row["clip_id"] for row in frames] == ["a_0", "b_0"]
    assert frames[0]["iou"] > 0.9
    assert frames[1]["iou"] == 0
    assert summary["run"]["iou@0.5"] == summary["run"]["ciou@0.3"] == 0.5
    assert summary["run"]["mean_iou"] == pytest.approx(frames[0]["iou"] / 2)


def test_the_summary_has_the_protocol_and_its_parameters(score):
    summary, _ = score([map_row("a_0")], [box_row("a_0")], "ez-vsl")
    assert summary["protocol"]["name"] == "ez-vsl"
    assert (summary["protocol"]["rule"], summary["protocol"]["level"]) == ("rank", 0.5)


def test_every_baseline_has_the_same_figures_as_the_run(score):
    summary, _ = score(
        [map_row("a_0"), map_row("b_0")], [box_row("a_0"), box_row("b_0"), box_row("t_0")]
    )
    assert set(summary["baselines"]) == {
        "whole-image", "centre-square-25%", "centre-square-35%", "centre-square-50%",
        "mean-box", "oracle",
    }  # fmt: skip
    for figures in summary["baselines"].values():  # regions have no hottest pixel
        assert summary["run"].keys() - figures.keys() <= {"pointing_game"}
    assert summary["baselines"]["whole-image"]["mean_iou"] == 0.25
    assert summary["baselines"]["centre-square-25%"]["mean_iou"] == 1
    assert summary["baselines"]["oracle"]["auc"] >= summary["run"]["auc"]


@pytest.mark.slow
def test_maps_of_a_network_are_scored_like_those_of_the_run(score):
    maps, boxes = [map_row("a_0"), map_row("b_0", box=LEFT)], [box_row("a_0"), box_row("b_0")]
    score.write(maps, boxes)
    networks = {"object-prior": maps, "zero-shot": [map_row("b_0"), map_row("a_0", box=LEFT)]}
    for protocol in PROTOCOLS:
        summary, _ = score.run(protocol, networks=networks)
        assert summary["baselines"]["object-prior"] == summary["run"]
        swapped = summary["baselines"]["zero-shot"]
        assert swapped["auc"] == pytest.approx(summary["run"]["auc"])
        assert swapped["pointing_game"] == summary["run"]["pointing_game"]


def test_class_aware_protocols_score_the_class_maps_of_a_network(score):
    score.write([map_row("d_0", box=LEFT)], DUET)
    classes = [
        map_row("d_0", box=LEFT, category="cello"),
        map_row("d_0", box=RIGHT, category="tuba"),
    ]
    whole = map_row("d_0", box={"x": 0.0, "y": 0.25, "w": 1.0, "h": 0.5})
    networks = {"object-prior": [whole], "zero-shot": [whole, *classes]}
    summary, _ = score.run("dsol-duet", networks=networks)
    systems = {"run": summary["run"], **summary["baselines"]}
    names = ("run", "object-prior", "zero-shot")
    run_iou, prior_iou, zero_shot_iou = (systems[name]["mean_iou"] for name in names)
    assert zero_shot_iou > 0.6
    assert prior_iou < zero_shot_iou
    assert run_iou < zero_shot_iou
    assert score.run("dsol-solo", networks=networks)[0]["baselines"]["zero-shot"]["mean_iou"] > 0.7


def test_a_network_without_a_map_of_a_frame_is_an_error(score):
    score.write([map_row("a_0"), map_row("b_0")], [box_row("a_0")])
    with pytest.raises(
        UserError, match=r"zero-shot\.parquet: no map of clip 'b_0', frame 0; expect"
    ):
        score.run("sspl", networks={"zero-shot": [map_row("a_0")]})


def test_differences_from_each_baseline_are_paired_and_the_oracle_has_none(score):
    """The run gains the same in both videos: its interval has no width."""
    maps, boxes = [map_row("a_0"), map_row("b_0")], [box_row("a_0"), box_row("b_0")]
    score.write(maps, boxes)
    nowhere = [map_row("a_0", box=NOWHERE), map_row("b_0", box=NOWHERE)]
    summary, _ = score.run("sspl", networks={"object-prior": nowhere})
    gains = summary["differences"]
    assert gains.keys() == summary["baselines"].keys() - {"oracle"}
    for name, figures in gains.items():
        assert figures.keys() >= {"auc", "iou@0.5", "ciou@0.3", "mean_iou"}
        for figure, gain in figures.items():
            expected = summary["run"][figure] - summary["baselines"][name][figure]
            assert gain["value"] == pytest.approx(expected)
            assert gain["low"] == gain["high"] == pytest.approx(expected)
    assert "pointing_game" in gains["object-prior"]
    assert "pointing_game" not in gains["whole-image"]


def test_without_frames_or_with_one_video_a_difference_has_no_interval(score):
    summary, _ = score([map_row("a_0"), map_row("a_1")], [box_row("a_0"), box_row("a_1")])
    gain = summary["differences"]["whole-image"]["auc"]
    assert gain["value"] > 0
    assert gain["low"] is gain["high"] is None
    summary, _ = score([map_row("a_0")], [])
    assert summary["differences"]["whole-image"]["auc"] == dict.fromkeys(("value", "low", "high"))


def test_the_pointing_game_counts_frames_whose_hottest_pixel_lies_in_a_box(score):
    aside = {"x": 0.0, "y": 0.0, "w": 0.125, "h": 0.125}
    maps, boxes = [map_row("a_0"), map_row("b_0", box=aside)], [box_row("a_0"), box_row("b_0")]
    summary, frames = score(maps, boxes)
    assert [row["pointing_game"] for row in frames] == [1, 0]
    assert summary["run"]["pointing_game"] == 0.5
    assert summary["run"]["interval_95"]["pointing_game"] == [0, 1]


def test_the_mean_box_comes_only_from_kept_boxes_of_training_clips(score):
    aside = {"x": 0.0, "y": 0.0, "w": 0.25, "h": 0.25}
    corner = {"x": 0.5, "y": 0.5, "w": 0.5, "h": 0.5}
    rejected = box_row("t_0", frame=1, box=corner, status="low-score")
    summary, _ = score([map_row("a_0")], [box_row("a_0"), box_row("t_0", box=aside), rejected])
    assert summary["training_boxes"] == 1
    assert summary["baselines"]["mean-box"]["mean_iou"] == 0
    assert summary["baselines_left_out"] == {}


def test_without_training_boxes_the_mean_box_is_left_out_with_a_reason(score):
    summary, _ = score([map_row("a_0")], [box_row("a_0")])
    assert "mean-box" not in summary["baselines"]
    assert summary["baselines_left_out"] == {"mean-box": "no kept box in a training clip"}


def test_left_out_frames_are_counted_per_reason(score):
    maps = [map_row("a_0"), map_row("a_0", 1), map_row("a_0", 2), map_row("a_1"), map_row("b_0")]
    sliver = {"x": 0.5, "y": 0.5, "w": 1e-4, "h": 1e-4}
    annotations = [
        box_row("a_0"),
        box_row("a_0", frame=2, box=sliver),
        box_row("a_1", status="low-score"),
        box_row("a_1", status="silent"),
        box_row("b_0", frame=3),
        box_row("d_0"),
        box_row("t_0"),
    ]
    summary, frames = score(maps, annotations)
    assert len(frames) == summary["frames"] == 1
    assert summary["left_out"] == {
        "no box": 2,  # a_0 frame 1, b_0 frame 0
        "box smaller than a pixel": 1,
        "no box kept: low-score, silent": 1,
        "no map": 1,  # b_0 frame 3; duets and training clips are other sets
    }


def test_a_duet_is_a_mean_over_its_classes_or_one_union_depending_on_the_protocol(score):
    left, right = {**BOX, "x": 0.0}, {**BOX, "x": 0.5}
    annotations = [box_row("d_0", "cello", box=left), box_row("d_0", "tuba", box=right)]
    per_class_summary, frames = score([map_row("d_0", box=left)], annotations, "spm-paper")
    per_class = {
        name: figures["mean_iou"] for name, figures in per_class_summary["run"]["per_class"].items()
    }
    assert frames[0]["iou"] == pytest.approx((per_class["cello"] + per_class["tuba"]) / 2)
    assert per_class["cello"] > 0.6 > 0.2 > per_class["tuba"]
    assert frames[0]["categories"] == ["cello", "tuba"]
    union, _ = score([map_row("d_0", box=left)], annotations, "dsol-solo")
    assert union["run"]["per_class"]["cello"] == union["run"]["per_class"]["tuba"]
    assert per_class_summary["boxes"] == union["boxes"] == 2


LEFT, RIGHT, NOWHERE = {**BOX, "x": 0.0}, {**BOX, "x": 0.5}, {**BOX, "w": 0.0}
DUET = [box_row("d_0", "cello", box=LEFT), box_row("d_0", "tuba", box=RIGHT)]


def test_each_class_map_is_compared_with_its_own_class(score):
    own = [map_row("d_0", box=LEFT, category="cello"), map_row("d_0", box=RIGHT, category="tuba")]
    silent = [map_row("d_0", box=NOWHERE, category="flute")]
    right, frames = score([*own, *silent], DUET, "dsol-duet")
    assert frames[0]["iou"] > 0.6
    assert frames[0]["nsa"] == right["run"]["nsa"] == 1
    swapped = [
        map_row("d_0", box=RIGHT, category="cello"),
        map_row("d_0", box=LEFT, category="tuba"),
    ]
    wrong, _ = score([*swapped, map_row("d_0", box=LEFT, category="flute")], DUET, "dsol-duet")
    assert wrong["run"]["mean_iou"] < 0.2
    assert 0.5 < wrong["run"]["nsa"] < 0.9


def test_protocols_without_classes_score_the_map_of_the_whole_frame(score):
    maps = [map_row("d_0", box=LEFT, category="cello"), map_row("d_0", box=RIGHT, category="tuba")]
    with pytest.raises(
        UserError, match="dsol-solo needs one map per frame, but there are only maps of classes"
    ):
        score(maps, DUET, "dsol-solo")
    both = {"x": 0.0, "y": 0.25, "w": 1.0, "h": 0.5}
    summary, _ = score([*maps, map_row("d_0", box=both)], DUET, "dsol-solo")
    assert summary["run"]["mean_iou"] > 0.7
    assert "nsa" not in summary["run"]


def test_errors_name_a_class_without_a_map_and_a_frame_that_lacks_a_map(score):
    with pytest.raises(
        UserError, match="no map of the sounding class 'tuba': there are maps of cello, flute"
    ):
        score([map_row("d_0", category="cello"), map_row("d_0", category="flute")], DUET)
    with pytest.raises(
        UserError, match="clip 'd_0', frame 0: no map of cello; expected one of each"
    ):
        score([map_row("d_0", category="flute"), map_row("a_0", category="cello")], DUET)


def test_pixel_ap_is_given_if_the_protocol_defines_it(score):
    summary, frames = score([map_row("a_0")], [box_row("a_0")], "avgn")
    assert frames[0]["pixel_ap"] == summary["run"]["pixel_ap"] > 0.95
    assert frames[0]["nsa"] is None


def test_categories_without_a_box_are_listed_as_not_scorable(score):
    score.write([map_row("a_0"), map_row("b_0")], [box_row("a_0")])
    clips = [
        {
            "clip_id": f"{video}_0",
            "video_id": video,
            "kind": "solo",
            "split": "test",
            "categories": [category],
        }
        for video, category in (("a", "cello"), ("b", "erhu"))
    ]
    tables.write_rows(score.files["index"], schemas.INDEX, clips)
    assert score.run("spm-paper")[0]["not_scorable"] == ["erhu"]


def test_targets_are_sorted_by_class():
    boxes = [Box(category, (0.25, 0.25, 0.5, 0.5)) for category in ("tuba", "cello", "flute")]
    found = targets(PROTOCOLS["spm-paper"], 7, boxes)
    assert [(target.frame, sorted(target.categories)) for target in found] == [
        (7, ["cello"]), (7, ["flute"]), (7, ["tuba"]),
    ]  # fmt: skip


def test_in_means_over_videos_and_classes_each_counts_once(score):
    aside = {"x": 0.0, "y": 0.0, "w": 0.125, "h": 0.125}
    maps = [map_row("a_0"), map_row("a_1"), map_row("b_0", box=aside)]
    summary, frames = score(maps, [box_row("a_0"), box_row("a_1"), box_row("b_0", "tuba")], "sspl")
    ious = [row["iou"] for row in frames]
    assert summary["run"]["mean_iou"] == pytest.approx(np.mean(ious))
    assert summary["run"]["video_mean"]["mean_iou"] == pytest.approx((ious[0] + ious[2]) / 2)
    assert summary["run"]["class_mean"]["iou@0.5"] == 0.5
    assert summary["videos"] == 2
    assert summary["run"]["interval_95"]["iou@0.5"] == [0, 1]


def test_one_video_gives_no_interval(score):
    summary, _ = score([map_row("a_0"), map_row("a_1")], [box_row("a_0"), box_row("a_1")])
    assert set(summary["run"]["interval_95"].values()) == {None}


@pytest.mark.parametrize("maps", [[], [map_row("a_0")]])
def test_without_any_boxed_frame_the_figures_are_null(score, maps):
    summary, frames = score(maps, [])
    assert frames == []
    assert summary["frames"] == summary["boxes"] == 0
    assert summary["run"]["auc"] is None
    assert summary["run"]["interval_95"]["auc"] is None
    assert summary["run"]["video_mean"]["ciou@0.3"] is None
    assert summary["left_out"] == ({"no box": 1} if maps else {})


def test_the_order_of_the_input_rows_changes_no_byte(score):
    maps = [map_row("a_0"), map_row("b_0"), map_row("a_1", box={**BOX, "x": 0.375})]
    annotations = [box_row("a_0"), box_row("a_1"), box_row("b_0"), box_row("t_0")]
    score(maps, annotations)
    first = score.result_bytes()
    score(maps[::-1], annotations[::-1])
    assert score.result_bytes() == first


@pytest.mark.slow
def test_every_protocol_gives_the_same_files_alone_and_with_others(score):
    """Left-out frames and frames without a map are counted for each protocol separately."""
    maps = [map_row("a_0"), map_row("b_0"), map_row("d_0", box=LEFT)]
    sliver = {"x": 0.5, "y": 0.5, "w": 1e-4, "h": 1e-4}
    boxes = [box_row("a_0"), box_row("b_0", box=sliver), box_row("a_1"), box_row("t_0"), *DUET]
    score(maps, boxes, *PROTOCOLS)
    at_once = {name: score.result_bytes(name) for name in PROTOCOLS}
    for name in PROTOCOLS:
        score.run(name)
        assert score.result_bytes(name) == at_once[name], name
    assert {json.loads(summary)["left_out"]["no map"] for summary, _ in at_once.values()} == {1}


def test_the_frames_table_has_its_schema(score):
    score([map_row("a_0")], [box_row("a_0")])
    assert pq.read_schema(score.results()[1]).equals(schemas.SCORES.schema)


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ([map_row("a_0"), map_row("a_0")], "'a_0', frame 0: two maps"),
        (
            [map_row("a_0"), map_row("b_0", size=4)],
            r"'b_0', frame 0: 16 values for \(4, 4\); expected a map of \(8, 8\)",
        ),
        ([map_row("a_0") | {"map": np.ones(63)}], r"63 values for \(8, 8\)"),
        ([map_row("a_0") | {"map": np.full(64, np.nan)}], "'a_0', frame 0: NaN"),
        ([map_row("x_9")], "clip 'x_9' is not in"),
    ],
)
def test_maps_that_cannot_be_scored_raise_an_error_with_their_frame(score, maps, message):
    with pytest.raises(UserError, match=message):
        score(maps, [box_row("a_0")])
    assert not any(path.exists() for path in score.results())


@pytest.mark.slow
def test_an_unknown_protocol_is_an_error_in_the_section_and_on_the_command_line(score):
    with pytest.raises(ValidationError, match="unknown protocol 'dsol'"):
        Scores.model_validate({"protocols": ["spm-paper", "dsol"]})
    done = command(score, '{"protocols": ["dsol"]}')
    assert done.returncode == 2
    assert "unknown protocol 'dsol': expected one of spm-paper" in done.stderr


@pytest.mark.slow
def test_the_command_line_writes_the_same_bytes_as_run(score):
    score.write([map_row("a_0")], [box_row("a_0")])
    assert command(score, '{"bootstrap": 50, "protocols": ["spm-paper"]}').returncode == 0
    printed = score.result_bytes()
    score([map_row("a_0")], [box_row("a_0")])
    assert score.result_bytes() == printed


@pytest.mark.slow
def test_scoring_needs_no_torch():
    code = "import sys, spm.score.scores; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_maps_stored_as_any_list_of_floats_are_read(score):
    score.write([map_row("a_0")], [box_row("a_0")])
    table = pq.read_table(score.files["maps"])
    halves = table.set_column(
        table.column_names.index("map"), "map", table["map"].cast(pa.list_(pa.float16()))
    )
    pq.write_table(halves, score.files["maps"])
    assert score.run("spm-paper")[0]["frames"] == 1
