import json
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from spm.base import csv_file, json_file, schemas, tables
from spm.base.statuses import PretrainedBaseline
from spm.report.figures import (
    MOST_CLASSES,
    MOST_RUNS,
    NETWORKS,
    Figures,
    best_runs,
    by_class,
    choose,
    class_points,
    extreme_classes,
    run,
    score_bars,
)
from spm.report.tables import ordered, rows
from tests.report.conftest import RUNS, annotation

NAMES = ("heatmaps", "scores", "classes", "training", "coverage")


def texts(figure):
    """All texts in the panels of a figure."""
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def text_of(path):
    """Text of an SVG, which matplotlib keeps as comments beside the glyphs."""
    return path.read_text(encoding="utf-8")


def contrast(path):
    """Standard deviation of the pixels of a picture; 0 for an empty page."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).std()


@pytest.fixture(scope="module")
def drawn(project, tmp_path_factory):
    """Folder of the figures."""
    folder = tmp_path_factory.mktemp("drawn")
    run(Figures(examples=3), **project, out=folder)
    return folder


@pytest.mark.slow
def test_figures_are_svg_and_png_with_the_same_bytes_when_drawn_again(project, drawn, tmp_path):
    run(Figures(examples=3), **project, out=tmp_path)
    files = sorted(path.name for path in drawn.iterdir())
    assert files == sorted(f"{name}.{suffix}" for name in NAMES for suffix in ("svg", "png"))
    for name in files:
        assert (drawn / name).read_bytes() == (tmp_path / name).read_bytes(), name
    assert contrast(drawn / "heatmaps.png") > 20


@pytest.mark.slow
def test_the_scores_are_those_of_the_papers_protocol(drawn):
    text = text_of(drawn / "scores.svg")
    assert "protocol spm-paper" in text
    assert "protocol ez-vsl" not in text


def assert_only_these_lack_data(folder, messages):
    """Whether each of these figures shows its message, and the others are drawn."""
    for name, message in messages.items():
        assert message in text_of(folder / f"{name}.svg")
    for name in set(NAMES) - set(messages):
        assert contrast(folder / f"{name}.png") > 5, name


NO_SCORES = {
    "scores": "no scores: corpus.boxes is empty",
    "classes": "no scores of classes",
    "training": "no training",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("missing", "messages"),
    [
        (["annotations", "summaries", "histories"], NO_SCORES),
        (["maps", "baseline_maps"], {"heatmaps": "no maps of audible test clips"}),
    ],
)
def test_a_figure_without_data_shows_why_and_the_others_are_drawn(
    project, tmp_path, missing, messages
):
    run(Figures(examples=2), **{**project, **{key: [] for key in missing}}, out=tmp_path)
    assert_only_these_lack_data(tmp_path, messages)


@pytest.mark.slow
def test_tables_without_rows_count_as_no_data(project, tmp_path):
    empty = tmp_path / "maps/spm/solo.parquet"
    tables.write_rows(empty, schemas.MAPS, [])
    coverage = tmp_path / "coverage.csv"
    csv_file.write_text(coverage, "kind,categories,split,listed,available,clips,audible\n")
    changes = {"maps": [empty], "baseline_maps": [], "coverage": coverage}
    run(Figures(), **{**project, **changes}, out=tmp_path)
    messages = {"heatmaps": "no maps of audible test clips", "coverage": "no videos listed"}
    assert_only_these_lack_data(tmp_path, messages)


VIDEOS = ("cello-0", "cello-1", "cello-2", "tuba-0", "tuba-1", "flute-0")


class TestChoose:
    """The choice of frames."""

    def choose(self, kept=(), silent=(), **config):
        index, maps = [], []
        for video in VIDEOS:
            category = video.split("-")[0]
            for number in (0, 1):
                clip = {"clip_id": f"{video}_{number:07d}"}
                audible = video not in silent
                index.append({**clip, "categories": [category], "audible": audible})
                maps += [{**clip, "video_id": video, "frame": frame} for frame in (0, 1)]
        boxes = [annotation(*key) for key in kept]
        annotations = pa.Table.from_pylist(boxes, schemas.ANNOTATIONS.schema)
        listed = pa.Table.from_pylist(index, schemas.INDEX.schema)
        return choose(listed, annotations.to_pandas(), pd.DataFrame(maps), Figures(**config))

    def test_one_frame_of_each_video(self):
        assert sorted(self.choose()["video_id"]) == sorted(VIDEOS)

    def test_the_frame_with_a_box_is_chosen(self):
        boxed = [(f"{video}_0000001", 1) for video in VIDEOS]
        chosen = self.choose(boxed)
        assert set(zip(chosen["clip_id"], chosen["frame"], strict=True)) == set(boxed)
        assert chosen["boxed"].all()

    def test_frames_with_boxes_come_before_others(self):
        boxed = [("cello-2_0000000", 0), ("tuba-1_0000001", 1)]
        for seed in range(5):
            assert set(self.choose(boxed, seed=seed)["video_id"][:2]) == {"cello-2", "tuba-1"}

    def test_categories_take_turns(self):
        for seed in range(5):
            names = [names[0] for names in self.choose(seed=seed)["categories"]]
            assert set(names[:3]) == {"cello", "tuba", "flute"}
            assert sorted(names[3:5]) == ["cello", "tuba"]

    def test_as_many_as_wanted_and_the_same_with_the_same_seed(self):
        assert len(self.choose(examples=4)) == 4
        pd.testing.assert_frame_equal(self.choose(seed=3), self.choose(seed=3))
        orders = Counter(tuple(self.choose(seed=seed)["clip_id"]) for seed in range(5))
        assert len(orders) > 1

    def test_silent_clips_are_not_chosen(self):
        assert "flute-0" not in set(self.choose(silent=["flute-0"])["video_id"])


def papers_protocol(project):
    """The summaries of the paper's protocol."""
    return [path for path in project["summaries"] if path.stem == "spm-paper"]


def changed(project, folder, scores, counts):
    """The table of one summary with some of its content changed."""
    summary = json_file.read(project["summaries"][0])
    path = folder / "spm/solo/given/spm-paper.json"
    path.parent.mkdir(parents=True)
    for part in (summary["run"], *summary["baselines"].values()):
        part.update(scores)
    json_file.write(path, {**summary, **counts})
    return ordered(list(rows([path])))


def interval_names(project):
    """Names of the scores with intervals that the run and every baseline have."""
    summary = json_file.read(project["summaries"][0])
    return summary["baselines"]["whole-image"]["interval_95"]


def test_each_run_and_baseline_has_a_bar_of_the_length_of_its_auc(project):
    table = ordered(list(rows(papers_protocol(project))))
    axes = score_bars(table).axes[0]
    assert [bar.get_width() for bar in axes.patches] == table["auc"].tolist()[::-1]
    colors = dict(
        zip(table["run"][::-1], [bar.get_facecolor() for bar in axes.patches], strict=True)
    )
    assert colors["spm"] == colors["no-promotion"]
    assert colors["object-prior"] == colors["zero-shot"]
    assert len({colors[name] for name in ("spm", "zero-shot", "whole-image")}) == 3
    assert [label.get_text() for label in axes.get_yticklabels()] == table["run"].tolist()[::-1]
    assert axes.get_title() == "solo, given boxes, protocol spm-paper: 16 frames of 4 videos"
    assert axes.get_xlabel() == "AUC, with 95 % interval"


def test_a_run_with_the_name_of_a_baseline_has_a_bar_of_its_own(project):
    table = ordered(list(rows(papers_protocol(project)))).replace("spm", "zero-shot")
    bars = score_bars(table).axes[0].patches
    assert len({bar.get_y() for bar in bars}) == len(bars) == len(table)


def test_bars_of_a_single_video_have_no_interval(project, tmp_path):
    no_intervals = {"interval_95": dict.fromkeys(interval_names(project))}
    table = changed(project, tmp_path, no_intervals, {"videos": 1})
    axes = score_bars(table).axes[0]
    assert len(axes.patches) == len(table)
    assert axes.get_xlabel() == "AUC"


def test_a_panel_without_a_frame_shows_why(project, tmp_path):
    none = dict.fromkeys(interval_names(project))
    scores, counts = {**none, "interval_95": none}, {"frames": 0, "videos": 0}
    table = changed(project, tmp_path, scores, counts)
    assert texts(score_bars(table)) == ["no test frame has a kept box"]


def test_the_table_of_classes_has_the_best_baseline_without_the_oracle(project):
    table = by_class(papers_protocol(project))
    summary = json.loads(project["summaries"][1].read_text())
    cello = table[(table["category"] == "cello") & (table["run"] == "no-promotion")].iloc[0]
    assert cello["truths"] == 16
    assert cello["auc"] == summary["run"]["per_class"]["cello"]["auc"]
    aucs = {
        name: scores["per_class"]["cello"]["auc"] for name, scores in summary["baselines"].items()
    }
    oracle, prior, _ = (aucs.pop(name) for name in ("oracle", *PretrainedBaseline))
    assert cello["trivial"] == max(aucs.values()) < oracle
    assert table[table["run"] == "object-prior"]["auc"].tolist() == [prior]  # once, not per run


def test_each_class_has_its_number_of_truths_and_a_marker_per_run(project):
    axes = class_points(by_class(papers_protocol(project))).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cello, n = 16"]
    assert [line.get_label() for line in axes.lines] == [*RUNS, *PretrainedBaseline]
    assert axes.lines[0].get_marker() != axes.lines[1].get_marker()  # also differ in gray


def test_of_many_runs_the_best_are_drawn_with_the_networks():
    names = [f"run{number}" for number in range(MOST_RUNS + 2)]
    ranked = pd.DataFrame({"run": [*reversed(names), "zero-shot"]})
    assert best_runs([*names, *NETWORKS], ranked) == [*names[2:], *NETWORKS]
    assert best_runs(names[2:], ranked) == names[2:]
    assert best_runs(names, ranked[:0]) == names[:MOST_RUNS]  # nothing is scored


def test_of_many_classes_the_extreme_ones_are_drawn():
    names = [f"c{number:02d}" for number in range(MOST_CLASSES + 10)]
    group = pd.DataFrame({"category": names, "auc": np.linspace(0, 1, len(names)), "trivial": 0.5})
    half = MOST_CLASSES // 2
    assert list(extreme_classes(group)["category"]) == [*names[:half], *names[-half:]]
    assert len(extreme_classes(group[:MOST_CLASSES])) == MOST_CLASSES
