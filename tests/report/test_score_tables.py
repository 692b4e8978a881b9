import json
from dataclasses import asdict

import pandas as pd
import pytest

from spm.report.tables import Source, Tables, run, source_of
from spm.score.protocols import PROTOCOLS

SCORES = {"auc": 0.5, "iou@0.5": 0.25}


def figures(scale=1.0, interval=True, empty=False):
    """What a summary says of one run or baseline."""
    scores = {name: None if empty else scale * value for name, value in SCORES.items()}
    bounds = {
        name: [value - 0.1, value + 0.1] if interval and not empty else None
        for name, value in scores.items()
    }
    return {**scores, "interval_95": bounds, "per_class": {}}


def summary(ours=1.0, interval=True, empty=False, shape=(7, 7)):
    """A summary with two baselines."""
    sizes = {"frames": 0, "videos": 0} if empty else {"frames": 20, "videos": 2 if interval else 1}
    baselines = {
        "whole-image": figures(0.4, interval, empty),
        "oracle": figures(1.6, interval, empty),
    }
    about = {"protocol": asdict(PROTOCOLS["sspl"]), "bootstrap": {"resamples": 100, "seed": 0}}
    return {
        **sizes,
        **about,
        "map_shape": shape,
        "run": figures(ours, interval, empty),
        "baselines": baselines,
    }


@pytest.fixture
def gather(tmp_path):
    """Write summaries by their place, and gather them: the CSV, and the Markdown."""

    def write(summaries, **config):
        paths = []
        for place, content in summaries.items():
            paths.append(tmp_path / f"{place}.json")
            paths[-1].parent.mkdir(parents=True, exist_ok=True)
            paths[-1].write_text(json.dumps(content))
            frames = pd.DataFrame(
                content.get("ious", []), columns=["clip_id", "video_id", "frame", "iou"]
            )
            frames.to_parquet(paths[-1].with_suffix(".parquet"))
        files = {"csv": tmp_path / "scores.csv", "pairs_table": tmp_path / "pairs.csv"}
        run(Tables(**config), summaries=paths, markdown_table=tmp_path / "scores.md", **files)
        return pd.read_csv(tmp_path / "scores.csv"), (tmp_path / "scores.md").read_text()

    return write


def test_a_path_says_what_a_summary_is_about(tmp_path):
    assert source_of(tmp_path / "spm/duet/given/spm-paper.json") == Source(
        "spm", "duet", "given", "spm-paper"
    )


def test_runs_come_first_and_each_group_best_first(gather):
    table, _ = gather(
        {f"{run}/solo/given/p": summary(ours) for run, ours in (("a", 0.8), ("b", 1.2), ("c", 1.0))}
    )
    assert table["run"].tolist() == ["b", "c", "a", "oracle 7×7", "whole-image"]
    assert table["trained"].tolist() == [True] * 3 + [False] * 2


def test_equal_runs_stand_in_alphabetical_order(gather):
    table, _ = gather({f"{run}/solo/given/p": summary() for run in "cab"})
    assert table["run"].tolist()[:3] == ["a", "b", "c"]


def test_baselines_come_once_for_each_test_set_source_of_boxes_and_protocol(gather):
    groups = ["solo/given/p", "solo/given/q", "solo/detector/p", "duet/given/p"]
    table, _ = gather({f"{run}/{group}": summary() for run in "ab" for group in groups})
    count = table[~table["trained"]].groupby(["kind", "boxes", "protocol", "run"]).size()
    assert len(count) == 4 * 2
    assert set(count) == {1}


def test_oracles_on_other_grids_are_other_baselines(gather):
    table, _ = gather({"a/solo/given/p": summary(), "b/solo/given/p": summary(shape=(14, 14))})
    assert table["run"].tolist() == ["a", "b", "oracle 14×14", "oracle 7×7", "whole-image"]


def test_groups_stay_together_in_the_order_they_came(gather):
    table, text = gather(
        {
            f"{run}/{kind}/given/{p}": summary()
            for run in "ab"
            for kind in ("solo", "duet")
            for p in "qp"
        }
    )
    assert table.groupby(["kind", "protocol"], sort=False).size().to_dict() == {
        ("solo", "q"): 4, ("solo", "p"): 4, ("duet", "q"): 4, ("duet", "p"): 4,
    }  # fmt: skip
    assert table.drop_duplicates(["kind", "protocol"]).index.tolist() == [0, 4, 8, 12]
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        f"## {kind}, given boxes, protocol {p}" for kind in ("solo", "duet") for p in "qp"
    ]


def test_the_csv_has_all_digits_and_bounds(gather):
    table, _ = gather({"a/solo/given/p": summary(1 / 3)})
    first = table.iloc[0]
    assert (first["run"], first["frames"], first["videos"]) == ("a", 20, 2)
    assert first["auc"] == 0.5 / 3
    assert (first["auc low"], first["auc high"]) == (0.5 / 3 - 0.1, 0.5 / 3 + 0.1)


def test_markdown_has_runs_in_bold_with_intervals_and_counts(gather):
    _, text = gather({"a/solo/given/p": summary()}, digits=2)
    assert text == (
        "## solo, given boxes, protocol p\n\n"
        "20 frames of 2 videos; 95 % bootstrap over videos in brackets.\n\n"
        "| | auc | iou@0.5 |\n"
        "|---|---|---|\n"
        "| **a** | 0.50 [0.40, 0.60] | 0.25 [0.15, 0.35] |\n"
        "| oracle 7×7 | 0.80 [0.70, 0.90] | 0.40 [0.30, 0.50] |\n"
        "| whole-image | 0.20 [0.10, 0.30] | 0.10 [0.00, 0.20] |\n"
    )


def test_a_score_that_a_run_does_not_have_is_a_dash(gather):
    of_classes = summary()
    of_classes["run"]["nsa"], of_classes["run"]["interval_95"]["nsa"] = 0.9, [0.8, 1.0]
    _, text = gather({"a/solo/given/p": summary(), "b/solo/given/p": of_classes}, digits=1)
    assert "| **a** | 0.5 [0.4, 0.6] | 0.2 [0.1, 0.3] | – |" in text
    assert "| **b** | 0.5 [0.4, 0.6] | 0.2 [0.1, 0.3] | 0.9 [0.8, 1.0] |" in text


@pytest.mark.parametrize("others", [{}, {"a/solo/given/q": summary()}])
def test_one_video_has_scores_without_intervals_and_none_are_announced(gather, others):
    table, text = gather({"a/solo/given/p": summary(interval=False), **others})
    assert table[table["protocol"] == "p"]["auc low"].isna().all()
    one = text.split("protocol q")[0]
    assert "20 frames of 1 video, too few for an interval." in one
    assert "| **a** | 0.500 | 0.250 |" in one
    assert "[" not in one
    assert "nan" not in text.lower()


@pytest.mark.parametrize("others", [{}, {"a/solo/given/q": summary()}])
def test_a_test_set_without_a_boxed_frame_says_so(gather, others):
    table, text = gather({"a/solo/given/p": summary(empty=True), **others})
    assert table[table["protocol"] == "p"]["auc"].isna().all()
    assert (
        "protocol p\n\nNo frame of this test set has a box that counts: nothing to score.\n" in text
    )
    assert "nan" not in text.lower()


def test_no_summaries_give_a_csv_of_its_head_alone_and_say_why(gather):
    table, text = gather({})
    assert list(table.columns) == [
        "run",
        "kind",
        "boxes",
        "protocol",
        "trained",
        "frames",
        "videos",
    ]
    assert table.empty
    assert text == "Nothing to score: corpus.boxes names no truth.\n"


def scored(*ious):
    """A summary with the scores of its frames, each of a video of its own."""
    return summary() | {"ious": [(f"v{n}_0", f"v{n}", 0, iou) for n, iou in enumerate(ious)]}


def test_two_runs_differ_by_what_their_frames_do_and_the_interval_is_paired(gather, tmp_path):
    base = [0.1, 0.3, 0.5, 0.7, 0.9]
    ours, theirs = scored(*(iou + 0.06 for iou in base)), scored(*base)
    _, text = gather({"a/solo/given/p": ours, "b/solo/given/p": theirs})
    pairs = pd.read_csv(tmp_path / "pairs.csv").set_index("metric")
    assert pairs.loc["mean_iou", ["run", "against", "frames", "videos"]].tolist() == [
        "a",
        "b",
        5,
        5,
    ]
    assert pairs.loc["mean_iou", "difference"] == pytest.approx(0.06)
    assert pairs.loc["mean_iou", "low"] == pytest.approx(0.06)  # every video gains the same
    assert "**+0.060 [+0.060, +0.060]**" in text
    assert "| a − b: solo, given boxes, p | " in text


def test_runs_are_compared_on_the_frames_that_both_have(gather, tmp_path):
    gather({"a/solo/given/p": scored(0.2, 0.4, 0.9), "b/solo/given/p": scored(0.2, 0.4)})
    pairs = pd.read_csv(tmp_path / "pairs.csv")
    assert set(pairs["frames"]) == {2}
    assert (pairs["difference"] == 0).all()


def test_one_run_has_nobody_to_differ_from(gather, tmp_path):
    _, text = gather({"a/solo/given/p": scored(0.2, 0.4)})
    assert pd.read_csv(tmp_path / "pairs.csv").empty
    assert "Between runs" not in text
