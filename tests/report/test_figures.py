import json
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from spm.base import tables
from spm.report.figures import (  # fmt: skip
    Figures,
    by_class,
    chosen,
    class_points,
    coverage_bars,
    curves,
    reasons,
    run,
    score_bars,
)
from spm.report.tables import ordered, rows
from tests.score.conftest import RUNS, annotation

NAMES = ("heatmaps", "scores", "classes", "training", "coverage")


def texts(figure):
    """All that is written in a figure's panels."""
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def text_of(path):
    """Text of an SVG, which matplotlib keeps as comments beside the glyphs."""
    return path.read_text(encoding="utf-8")


def test_every_figure_is_there_as_svg_and_png_and_drawn_again_has_the_same_bytes(project, tmp_path):
    for name in ("one", "two"):
        run(Figures(examples=3), **project, out=tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == sorted(f"{name}.{suffix}" for name in NAMES for suffix in ("svg", "png"))
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), (
            name
        )
    with Image.open(tmp_path / "one/heatmaps.png") as image:
        assert np.asarray(image.convert("RGB")).std() > 20  # there is a picture on it


def test_scores_are_those_of_the_papers_protocol(project, tmp_path):
    run(Figures(examples=1), **project, out=tmp_path)
    drawn = text_of(tmp_path / "scores.svg")
    assert "protocol spm-paper" in drawn
    assert "protocol ez-vsl" not in drawn


@pytest.mark.parametrize(
    ("missing", "figure", "said"),
    [
        (["annotations", "summaries"], "scores", "no scores: corpus.boxes names no truth"),
        (["annotations", "summaries"], "classes", "no scores of classes"),
        (["maps"], "heatmaps", "no maps of audible test clips"),
        (["histories"], "training", "no training"),
    ],
)
def test_a_figure_with_nothing_to_show_says_so_and_the_others_are_drawn(
    project, tmp_path, missing, figure, said
):
    run(Figures(examples=2), **{**project, **{key: [] for key in missing}}, out=tmp_path)
    assert said in text_of(tmp_path / f"{figure}.svg")
    others = set(NAMES) - {figure} - ({"scores", "classes"} if "summaries" in missing else set())
    for name in others:
        with Image.open(tmp_path / f"{name}.png") as image:
            assert np.asarray(image.convert("RGB")).std() > 5, name


def test_tables_without_a_row_are_nothing_to_show_either(project, tmp_path):
    empty = tmp_path / "maps/spm/solo.parquet"
    tables.write_rows(empty, tables.MAPS, [])
    coverage = tmp_path / "coverage.csv"
    coverage.write_text("kind,categories,split,listed,available,clips,audible\n")
    run(Figures(), **{**project, "maps": [empty], "coverage": coverage}, out=tmp_path)
    assert "no maps of audible test clips" in text_of(tmp_path / "heatmaps.svg")
    assert "no videos listed" in text_of(tmp_path / "coverage.svg")


VIDEOS = ("cello-0", "cello-1", "cello-2", "tuba-0", "tuba-1", "flute-0")


class TestChosen:
    """Which frames are shown."""

    def choose(self, kept=(), silent=(), **config):
        index = [
            {
                "clip_id": f"{video}_{n:07d}",
                "categories": [video.split("-")[0]],
                "audible": video not in silent,
            }
            for video in VIDEOS
            for n in (0, 1)
        ]
        maps = [
            {"clip_id": clip["clip_id"], "video_id": clip["clip_id"][:-8], "frame": f}
            for clip in index
            for f in (0, 1)
        ]
        annotations = pa.Table.from_pylist([annotation(*key) for key in kept], tables.ANNOTATIONS)
        listed = pa.Table.from_pylist(index, tables.INDEX)
        return chosen(listed, annotations.to_pandas(), pd.DataFrame(maps), Figures(**config))

    def test_one_frame_of_each_video(self):
        assert sorted(self.choose()["video_id"]) == sorted(VIDEOS)

    def test_the_boxed_frame_of_a_video_is_the_one_shown(self):
        boxed = [(f"{video}_0000001", 1) for video in VIDEOS]
        shown = self.choose(boxed)
        assert set(zip(shown["clip_id"], shown["frame"], strict=True)) == set(boxed)
        assert shown["boxed"].all()

    def test_boxed_frames_come_before_others(self):
        boxed = [("cello-2_0000000", 0), ("tuba-1_0000001", 1)]
        for seed in range(5):
            assert set(self.choose(boxed, seed=seed)["video_id"][:2]) == {"cello-2", "tuba-1"}

    def test_categories_take_turns(self):
        for seed in range(5):
            names = [names[0] for names in self.choose(seed=seed)["categories"]]
            assert set(names[:3]) == {"cello", "tuba", "flute"}
            assert sorted(names[3:5]) == ["cello", "tuba"]

    def test_as_many_as_asked_for_and_the_same_with_the_same_seed(self):
        assert len(self.choose(examples=4)) == 4
        pd.testing.assert_frame_equal(self.choose(seed=3), self.choose(seed=3))
        orders = Counter(tuple(self.choose(seed=seed)["clip_id"]) for seed in range(5))
        assert len(orders) > 1

    def test_silent_clips_are_not_shown(self):
        assert "flute-0" not in set(self.choose(silent=["flute-0"])["video_id"])


def changed(project, folder, **content):
    """The table of one summary with some of its content changed."""
    summary = json.loads(project["summaries"][0].read_text())
    path = folder / "spm/solo/given/spm-paper.json"
    path.parent.mkdir(parents=True)
    for part in (summary["run"], *summary["baselines"].values()):
        part.update(content.get("scores", {}))
    path.write_text(json.dumps({**summary, **content.get("counts", {})}))
    return ordered(list(rows([path])))


def interval_names(project):
    """Names of the scores that have intervals."""
    return json.loads(project["summaries"][0].read_text())["run"]["interval_95"]


def test_one_bar_a_run_and_baseline_as_long_as_its_auc(project):
    table = ordered(list(rows([path for path in project["summaries"] if path.stem == "spm-paper"])))
    axes = score_bars(table).axes[0]
    assert [bar.get_width() for bar in axes.patches] == table["auc"].tolist()[::-1]
    assert [label.get_text() for label in axes.get_yticklabels()] == table["run"].tolist()[::-1]
    assert axes.get_title() == "solo, given boxes, protocol spm-paper: 16 frames of 4 videos"
    assert axes.get_xlabel() == "AUC, with 95 % interval"


def test_bars_of_a_single_video_have_no_interval(project, tmp_path):
    alone = dict.fromkeys(interval_names(project))
    table = changed(project, tmp_path, scores={"interval_95": alone}, counts={"videos": 1})
    axes = score_bars(table).axes[0]
    assert len(axes.patches) == len(table)
    assert axes.get_xlabel() == "AUC"


def test_a_panel_without_a_boxed_frame_says_so(project, tmp_path):
    none = dict.fromkeys(interval_names(project))
    table = changed(
        project, tmp_path, scores={**none, "interval_95": none}, counts={"frames": 0, "videos": 0}
    )
    assert texts(score_bars(table)) == ["no frame has a box that counts"]


def history(splits):
    values = [
        (epoch, split, name, 0.5)
        for epoch in range(2)
        for split in splits
        for name in ("loss", "accuracy")
    ]
    return pd.DataFrame(values, columns=["epoch", "split", "name", "value"])


def test_curves_count_epochs_from_one_and_explain_dashes_only_where_there_are_some():
    both, one = (curves({"spm": history(splits)}) for splits in (("train", "val"), ("train",)))
    assert both.axes[0].lines[0].get_xdata().tolist() == [1, 2]
    named = [
        [text.get_text() for text in figure.subfigs[-1].legends[0].get_texts()]
        for figure in (both, one)
    ]
    assert named == [["spm", "on training clips", "on validation clips"], ["spm"]]


def test_more_runs_than_colors_are_all_drawn():
    drawn = curves({f"run-{n}": history(["train"]) for n in range(20)})
    assert len([line for line in drawn.axes[0].lines if len(line.get_xdata())]) == 20


def test_coverage_stacks_the_splits_of_each_category_to_all_its_clips():
    listed = [
        SimpleNamespace(kind=kind, categories=names, split=split, audible=clips)
        for kind, names, split, clips in [
            ("duet", "acoustic_guitar cello", "test", 1), ("solo", "tuba", "train", 5), ("solo", "tuba", "test", 2),
        ]
    ]  # fmt: skip
    figure = coverage_bars(pd.DataFrame(map(vars, listed)))
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "solo: tuba",
        "duet: acoustic guitar + cello",
    ]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "train: 5 clips",
        "test: 3 clips",
    ]
    ends = {(bar.get_y() > 0.5, bar.get_x() + bar.get_width()) for bar in axes.patches}
    assert {(False, 7.0), (True, 1.0)} <= ends


def test_each_class_has_its_truths_a_marker_a_run_and_the_best_baseline_that_hears_nothing(project):
    table = by_class([path for path in project["summaries"] if path.stem == "spm-paper"])
    summary = json.loads(project["summaries"][1].read_text())
    cello = table[(table["category"] == "cello") & (table["run"] == "no-promotion")].iloc[0]
    assert cello["truths"] == 16
    assert cello["auc"] == summary["run"]["per_class"]["cello"]["auc"]
    deaf = [
        one["per_class"]["cello"]["auc"]
        for name, one in summary["baselines"].items()
        if name != "oracle"
    ]
    assert (
        cello["trivial"] == max(deaf) < summary["baselines"]["oracle"]["per_class"]["cello"]["auc"]
    )
    axes = class_points(table).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cello, n = 16"]
    assert [line.get_label() for line in axes.lines] == list(RUNS)
    assert axes.lines[0].get_marker() != axes.lines[1].get_marker()  # told apart in gray too


def test_the_audio_networks_curves_stand_above_the_localizers_where_there_are_some():
    similarity, learnt = history(["train"]).assign(name="similarity"), history(["train", "val"])
    steps = {
        "clusters": {"main": similarity, "many": similarity},
        "pretrain": {"main": learnt, "many": learnt},
    }
    figure = curves({"spm": history(["train"])}, steps)
    assert [axes.get_title() for axes in figure.axes[:3]] == ["clusters", "pretrain", "pretrain"]
    assert [len(axes.lines) for axes in figure.axes[:3]] == [
        4,
        4,
        4,
    ]  # two networks, training and validation clips
    assert [text.get_text() for text in figure.subfigs[0].legends[0].texts] == ["main", "many"]
    assert len(curves({"spm": history(["train"])}, {}).axes) == 2


def test_videos_are_counted_by_what_became_of_them_and_the_missing_by_why(project):
    counts = reasons(project["manifest"], project["videos"])
    assert counts.columns.tolist() == ["ok", "gone", "no-audio"]
    assert counts.loc["solo: cello"].tolist() == [1, 1, 0]
    assert counts.loc["solo: flute"].tolist() == [0, 0, 1]
