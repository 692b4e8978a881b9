import json
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from spm.base import tables
from spm.corpus import reading
from spm.score import scores
from spm.score.figures import Figures, chosen, coverage_bars, curves, run, score_bars
from spm.score.tables import ordered, rows

NAMES = ("heatmaps", "scores", "training", "coverage")
RUNS = ("no-promotion", "spm")


def annotation(clip_id, frame, status="kept"):
    box = {"x": 0.1, "y": 0.2, "w": 0.4, "h": 0.3}
    return {"clip_id": clip_id, "video_id": clip_id[:-8], "frame": frame, "category": "cello", **box, "status": status}


def write_maps(path, clips):
    """A map for both frames of each clip."""
    heat = np.random.default_rng(0).random((len(clips), 2, 16), np.float32)
    found = [
        {**clip, "frame": frame, "time_s": 0.0, "height": 4, "width": 4, "map": heat[n, frame]}
        for n, clip in enumerate(clips)
        for frame in (0, 1)
    ]
    tables.write_rows(path, tables.MAPS, found)


@pytest.fixture(scope="module")
def project(squares, tmp_path_factory):
    """Tables of two runs on the two squares, as the stages would leave them: `run`'s arguments but for `out`."""
    folder = tmp_path_factory.mktemp("project")
    clips = reading.select(squares.index, split="test").select(["clip_id", "video_id"]).to_pylist()
    boxes = folder / "given.parquet"
    tables.write_rows(boxes, tables.ANNOTATIONS, [annotation(clip["clip_id"], 1) for clip in clips])
    histories, maps, summaries = [], [], []
    for name in RUNS:
        histories.append(folder / name / "history.parquet")
        epochs = [
            {"epoch": epoch, "split": split, "name": figure, "value": 1 / (1 + epoch)}
            for epoch in range(3) for split in ("train", "val") for figure in ("loss", "accuracy")
        ]  # fmt: skip
        tables.write_rows(histories[-1], tables.HISTORY, epochs)
        maps.append(folder / "maps" / name / "solo.parquet")
        write_maps(maps[-1], clips)
        for protocol in ("ez-vsl", "spm-paper"):
            summaries.append(folder / "scores" / name / f"solo/given/{protocol}.json")
            scores.run(
                scores.Scores(bootstrap=20), maps=maps[-1], annotations=boxes, index=squares.index,
                protocol=protocol, frames=folder / "frames.parquet", summary=summaries[-1],
            )  # fmt: skip
    listed = [("solo", name, split, 3) for name in ("cello", "flute") for split in ("test", "train")]
    coverage = folder / "coverage.csv"
    pd.DataFrame(listed, columns=["kind", "categories", "split", "audible"]).to_csv(coverage, index=False)
    return {
        "index": squares.index, "clips": squares.clips, "coverage": coverage, "annotations": [boxes],
        "maps": maps, "summaries": summaries, "histories": histories,
    }  # fmt: skip


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
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
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
        (["maps"], "heatmaps", "no maps of audible test clips"),
        (["histories"], "training", "no training"),
    ],
)
def test_a_figure_with_nothing_to_show_says_so_and_the_others_are_drawn(project, tmp_path, missing, figure, said):
    run(Figures(examples=2), **{**project, **{key: [] for key in missing}}, out=tmp_path)
    assert said in text_of(tmp_path / f"{figure}.svg")
    for name in set(NAMES) - {figure}:
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
            {"clip_id": f"{video}_{n:07d}", "categories": [video.split("-")[0]], "audible": video not in silent}
            for video in VIDEOS
            for n in (0, 1)
        ]
        maps = [
            {"clip_id": clip["clip_id"], "video_id": clip["clip_id"][:-8], "frame": f} for clip in index for f in (0, 1)
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
    table = changed(project, tmp_path, scores={**none, "interval_95": none}, counts={"frames": 0, "videos": 0})
    assert texts(score_bars(table)) == ["no frame has a box that counts"]


def history(splits):
    values = [(epoch, split, name, 0.5) for epoch in range(2) for split in splits for name in ("loss", "accuracy")]
    return pd.DataFrame(values, columns=["epoch", "split", "name", "value"])


def test_curves_count_epochs_from_one_and_explain_dashes_only_where_there_are_some():
    both, one = (curves({"spm": history(splits)}) for splits in (("train", "val"), ("train",)))
    assert both.axes[0].lines[0].get_xdata().tolist() == [1, 2]
    named = [[text.get_text() for text in figure.legends[0].get_texts()] for figure in (both, one)]
    assert named == [["spm", "on training clips", "on validation clips"], ["spm"]]


def test_more_runs_than_colours_are_all_drawn():
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
    assert [label.get_text() for label in axes.get_yticklabels()] == ["solo: tuba", "duet: acoustic guitar + cello"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["train: 5 clips", "test: 3 clips"]
    ends = {(bar.get_y() > 0.5, bar.get_x() + bar.get_width()) for bar in axes.patches}
    assert {(False, 7.0), (True, 1.0)} <= ends
