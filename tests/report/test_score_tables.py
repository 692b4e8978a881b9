"""The score tables of spm/report/tables.py."""

import re
from dataclasses import asdict

import pandas as pd
import pytest

from spm.base import csv_file, json_file
from spm.base.errors import UserError
from spm.report.summaries import SummaryKey, summary_key
from spm.report.tables import Tables, run
from spm.score.protocols import PROTOCOLS

SCORES = {"auc": 0.5, "iou@0.5": 0.25}
GROUP = ["testset", "box_source", "protocol"]


def scores(scale=1.0, interval=True, empty=False):
    """The scores of a run or baseline in a summary."""
    values = {name: None if empty else scale * value for name, value in SCORES.items()}
    bounds = dict.fromkeys(values)
    if interval and not empty:
        bounds = {name: [value - 0.1, value + 0.1] for name, value in values.items()}
    return {**values, "interval_95": bounds, "per_class": {}}


def difference(scale, interval=True, empty=False):
    """The differences between a run and a baseline in a summary."""
    found = {}
    for name, value in scores(scale, interval, empty).items():
        if name in SCORES:
            low, high = (value - 0.1, value + 0.1) if interval and not empty else (None, None)
            found[name] = {"value": value, "low": low, "high": high}
    return found


def summary(scale=1.0, interval=True, empty=False, shape=(7, 7)):
    """A summary with two baselines."""
    counts = {"frames": 20, "videos": 2 if interval else 1}
    return {
        **({"frames": 0, "videos": 0} if empty else counts),
        "protocol": asdict(PROTOCOLS["sspl"]),
        "bootstrap": {"resamples": 100, "seed": 0},
        "map_shape": shape,
        "run": scores(scale, interval, empty),
        "baselines": {
            "whole-image": scores(0.4, interval, empty),
            "oracle": scores(1.6, interval, empty),
        },
        "differences": {"whole-image": difference(scale - 0.4, interval, empty)},
        "negatives": None,
    }


@pytest.fixture
def gather(tmp_path):
    """Write summaries by their paths and gather them: the table in the CSV, and the Markdown."""

    def write(summaries, box_counts=(), **config):
        paths = []
        for name, content in summaries.items():
            path = tmp_path / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            json_file.write(path, content)
            columns = ["clip_id", "video_id", "frame", "iou"]
            frames = pd.DataFrame(content.get("ious", []), columns=columns)
            frames.to_parquet(path.with_suffix(".parquet"))
            paths.append(path)
        files = {"csv": tmp_path / "scores.csv", "pairs_table": tmp_path / "pairs.csv"}
        files["negatives_table"] = tmp_path / "negatives.csv"
        files["verdict_file"] = tmp_path / "verdict.txt"
        files["markdown_table"] = tmp_path / "scores.md"
        run(Tables(**config), summaries=paths, box_counts=list(box_counts), **files)
        return pd.read_csv(tmp_path / "scores.csv"), (tmp_path / "scores.md").read_text()

    return write


def test_the_path_of_a_summary_says_what_it_is_about(tmp_path):
    key = summary_key(tmp_path / "spm/duet/given/spm-paper.json")
    assert key == SummaryKey("spm", "duet", "given", "spm-paper")


def test_runs_come_first_and_the_best_of_each_group_comes_first(gather):
    scales = {"a": 0.8, "b": 1.2, "c": 1.0}
    table, _ = gather({f"{run}/solo/given/p": summary(scale) for run, scale in scales.items()})
    assert table["run"].tolist() == ["b", "c", "a", "oracle 7×7", "whole-image"]
    assert table["trained"].tolist() == [True] * 3 + [False] * 2


def test_runs_with_equal_scores_are_in_alphabetical_order(gather):
    table, _ = gather({f"{run}/solo/given/p": summary() for run in "cab"})
    assert table["run"].tolist()[:3] == ["a", "b", "c"]


def test_baselines_appear_once_per_test_set_box_source_and_protocol(gather):
    groups = ["solo/given/p", "solo/given/q", "solo/detector/p", "duet/given/p"]
    summaries = {}
    for run_name in "ab":
        summaries |= {f"{run_name}/{group}": summary() for group in groups}
    table, _ = gather(summaries)
    counts = table[~table["trained"]].groupby([*GROUP, "run"]).size()
    assert len(counts) == 4 * 2
    assert set(counts) == {1}


def test_oracles_of_different_map_sizes_are_different_baselines(gather):
    table, _ = gather({"a/solo/given/p": summary(), "b/solo/given/p": summary(shape=(14, 14))})
    assert table["run"].tolist() == ["a", "b", "oracle 14×14", "oracle 7×7", "whole-image"]


def test_the_groups_keep_the_order_of_the_summaries(gather):
    groups = [("solo", "q"), ("solo", "p"), ("duet", "q"), ("duet", "p")]
    summaries = {}
    for run_name in "ab":
        for testset, protocol in groups:
            summaries[f"{run_name}/{testset}/given/{protocol}"] = summary()
    table, text = gather(summaries)
    sizes = table.groupby(["testset", "protocol"], sort=False).size()
    assert sizes.to_dict() == dict.fromkeys(groups, 4)
    assert table.drop_duplicates(["testset", "protocol"]).index.tolist() == [0, 4, 8, 12]
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings[1:-1] == [f"## {testset}, given boxes, protocol {p}" for testset, p in groups]


def test_the_csv_has_all_digits_and_the_ends_of_intervals(gather):
    table, _ = gather({"a/solo/given/p": summary(1 / 3)})
    first = table.iloc[0]
    assert (first["run"], first["frames"], first["videos"]) == ("a", 20, 2)
    assert first["auc"] == 0.5 / 3
    assert (first["auc low"], first["auc high"]) == (0.5 / 3 - 0.1, 0.5 / 3 + 0.1)


def test_the_markdown_has_runs_in_bold_with_intervals_and_counts(gather):
    _, text = gather({"a/solo/given/p": summary()}, digits=2)
    assert text == (
        "## Verdict\n\n"
        "- solo, given boxes, p: `a` is better than the best trivial baseline, whole-image"
        " (Δ AUC +0.30 [+0.20, +0.40]); 20 frames of 2 videos.\n\n"
        "## solo, given boxes, protocol p\n\n"
        "20 frames of 2 videos; 95 % bootstrap over videos in brackets.\n\n"
        "| | auc | iou@0.5 |\n"
        "|---|---|---|\n"
        "| **a** | 0.50 [0.40, 0.60] | 0.25 [0.15, 0.35] |\n"
        "| oracle 7×7 | 0.80 [0.70, 0.90] | 0.40 [0.30, 0.50] |\n"
        "| whole-image | 0.20 [0.10, 0.30] | 0.10 [0.00, 0.20] |\n\n"
        "## Differences from the baselines\n\n"
        "AUC of the run minus AUC of the baseline, with paired 95 % bootstrap intervals over"
        " videos; bold: the interval excludes 0.\n\n"
        "| | whole-image |\n"
        "|---|---|\n"
        "| a: solo, given boxes, p | **+0.30 [+0.20, +0.40]** |\n"
    )


def test_the_verdicts_are_in_a_file_too(gather, tmp_path):
    _, text = gather({f"{run}/solo/given/p": summary() for run in "ab"})
    lines = (tmp_path / "verdict.txt").read_text().splitlines()
    assert [line.split("` ")[0] for line in lines] == [f"solo, given boxes, p: `{r}" for r in "ab"]
    assert all(f"- {line}\n" in text for line in lines)


def test_differences_from_baselines_are_in_the_table_of_pairs(gather, tmp_path):
    gather({"a/solo/given/p": summary(), "a/solo/given/q": summary(interval=False)})
    table = pd.read_csv(tmp_path / "pairs.csv")
    assert set(table["against"]) == {"whole-image"}
    first = table.set_index(["protocol", "metric"]).loc[("p", "auc")]
    assert first[["run", "frames", "videos"]].tolist() == ["a", 20, 2]
    assert first[["difference", "low", "high"]].tolist() == pytest.approx([0.3, 0.2, 0.4])
    assert table[table["protocol"] == "q"]["low"].isna().all()


def test_a_score_that_a_run_does_not_have_is_a_dash(gather):
    class_aware = summary()
    class_aware["run"]["nsa"] = 0.9
    class_aware["run"]["interval_95"]["nsa"] = [0.8, 1.0]
    _, text = gather({"a/solo/given/p": summary(), "b/solo/given/p": class_aware}, digits=1)
    assert "| **a** | 0.5 [0.4, 0.6] | 0.2 [0.1, 0.3] | – |" in text
    assert "| **b** | 0.5 [0.4, 0.6] | 0.2 [0.1, 0.3] | 0.9 [0.8, 1.0] |" in text


@pytest.mark.parametrize("others", [{}, {"a/solo/given/q": summary()}])
def test_a_single_video_has_scores_without_intervals(gather, others):
    table, text = gather({"a/solo/given/p": summary(interval=False), **others})
    assert table[table["protocol"] == "p"]["auc low"].isna().all()
    single = text.split("## solo")[1]
    assert "20 frames of 1 video, too few for an interval." in single
    assert "| **a** | 0.500 | 0.250 |" in single
    assert "[" not in single
    assert "nan" not in text.lower()


@pytest.mark.parametrize("others", [{}, {"a/solo/given/q": summary()}])
def test_a_test_set_without_a_kept_box_has_a_sentence_in_place_of_a_table(gather, others):
    table, text = gather({"a/solo/given/p": summary(empty=True), **others})
    assert table[table["protocol"] == "p"]["auc"].isna().all()
    assert "protocol p\n\nNo scores: no frame of this test set has a kept box.\n" in text
    assert "nan" not in text.lower()


def negative_figures(fpr):
    """Figures of a system on own sounds and silence."""
    other = {"fpr": fpr, "pia": fpr / 2, "f": 0.5, "ap": 0.6, "max_f1": 0.7, "same": 0.1}
    figures = {"own": {"ciou": 0.4, "loc_acc": 0.3}, "silence": {**other}, "all": {**other}}
    for values in figures.values():
        values["interval_95"] = {name: [value - 0.1, value + 0.1] for name, value in values.items()}
    about = {"threshold": 0.7, "threshold_from": "threshold", "frames": 20, "videos": 2}
    return about | {"sounds": figures}


def test_figures_on_negative_sounds_have_a_table_and_a_sentence(gather, tmp_path):
    found = {"run": negative_figures(0.2), "baselines": {"zero-shot": negative_figures(0.1)}}
    content = summary() | {"negatives": found}
    paths = ["spm/solo/given/sspl", "spm/solo/given/adaptive", "spm/solo/detector/sspl"]
    _, markdown = gather(dict.fromkeys(paths, content))
    table = pd.read_csv(tmp_path / "negatives.csv")
    assert len(table) == 2 * 2 * 3  # sources of boxes, systems, sounds; protocols do not matter
    assert set(table.query("sound == 'silence' and run == 'spm'")["fpr"]) == {0.2}
    assert "### solo, given boxes" in markdown
    head = "| | threshold | mean IoU | LocAcc | silence | pIA | F | AP | max-F1 | same as own |"
    assert head in markdown
    own = "0.400 [0.300, 0.500] | 0.300 [0.200, 0.400]"
    assert f"| **spm** | 0.700 | {own} | 0.200 [0.100, 0.300] | 0.100 [" in markdown
    assert markdown.count(f"| zero-shot | 0.700 | {own} |") == 2
    assert "solo: `spm` finds a source in 20 % of frames with silence" in markdown


def test_without_summaries_the_csv_has_a_header_only(gather):
    table, text = gather({})
    assert list(table.columns) == ["run", *GROUP, "trained", "frames", "videos"]
    assert table.empty
    assert text == "No scores: corpus.boxes is empty.\n"


def scored(*ious):
    """A summary with scores per frame, each frame of another video."""
    return summary() | {"ious": [(f"v{n}_0", f"v{n}", 0, iou) for n, iou in enumerate(ious)]}


def pairs_of_runs(folder):
    """The differences between runs in the table of pairs."""
    table = pd.read_csv(folder / "pairs.csv")
    return table[table["against"] != "whole-image"]


def test_the_interval_of_a_difference_is_paired(gather, tmp_path):
    theirs = [0.1, 0.3, 0.5, 0.7, 0.9]
    ours = [iou + 0.06 for iou in theirs]
    _, text = gather({"a/solo/given/p": scored(*ours), "b/solo/given/p": scored(*theirs)})
    row = pairs_of_runs(tmp_path).set_index("metric").loc["mean_iou"]
    assert row[["run", "against", "frames", "videos"]].tolist() == ["a", "b", 5, 5]
    assert row["difference"] == pytest.approx(0.06)
    assert row["low"] == pytest.approx(0.06)  # every video gains the same
    assert "**+0.060 [+0.060, +0.060]**" in text
    assert "| a − b: solo, given boxes, p | " in text


def test_runs_are_compared_on_the_frames_that_both_have(gather, tmp_path):
    gather({"a/solo/given/p": scored(0.2, 0.4, 0.9), "b/solo/given/p": scored(0.2, 0.4)})
    pairs = pairs_of_runs(tmp_path)
    assert set(pairs["frames"]) == {2}
    assert (pairs["difference"] == 0).all()


@pytest.mark.slow
def test_of_many_runs_only_those_of_one_name_are_compared_in_the_markdown(gather, tmp_path):
    names = ["spm", "spm-silence", "spmx", *"abcdef"]
    _, text = gather({f"{name}/solo/given/p": scored(0.2, 0.4) for name in names})
    rows = re.findall(r"^\| (\S+ − \S+): ", text, re.MULTILINE)
    assert rows == ["spm − spm-silence"]
    assert "pairs.csv has all" in text
    assert pairs_of_runs(tmp_path)[["run", "against"]].drop_duplicates().shape[0] == 36


def test_a_single_run_has_no_differences(gather, tmp_path):
    _, text = gather({"a/solo/given/p": scored(0.2, 0.4)})
    assert pairs_of_runs(tmp_path).empty
    assert "Differences between runs" not in text


def counts(path, **boxes):
    """Write the table of counts of a box source: number of boxes by status."""
    rows = [f"cello,{status.replace('_', '-')},{number}" for status, number in boxes.items()]
    lines = ["category,status,boxes", *rows, "tuba,not-scorable,0", ""]
    csv_file.write_text(path, "\n".join(lines))
    return path


def test_the_first_lines_say_how_many_boxes_are_kept_and_rejected_per_reason(gather, tmp_path):
    box_counts = [
        counts(tmp_path / "given.csv", kept=96, unmatched=1, other_category=3),
        counts(tmp_path / "detector.csv", kept=50, low_score=4000, surplus=20, overlap=7),
    ]
    _, text = gather({"a/solo/given/p": summary()}, box_counts)
    assert text.startswith(
        "Boxes of the source given: 96 kept, 4 rejected: 3 other-category, 1 unmatched.\n\n"
        "Boxes of the source detector: 50 kept, 4027 rejected: 4000 low-score, 20 surplus,"
        " 7 overlap.\n\n## Verdict\n\n- solo"
    )


@pytest.mark.parametrize(
    ("boxes", "warned"),
    [
        ({"kept": 90, "other_category": 10}, False),
        ({"kept": 89, "other_category": 10, "unknown_video": 1}, True),
        ({"kept": 89, "rejected": 11}, True),
        ({"unmatched": 3}, True),
        ({"kept": 9, "low_score": 900}, False),
        ({"kept": 9, "low_score": 900, "silent": 2}, True),
        ({}, False),
    ],
)
def test_a_warning_appears_where_more_than_a_tenth_of_the_boxes_is_rejected(
    boxes, warned, gather, tmp_path
):
    _, text = gather({"a/solo/given/p": summary()}, [counts(tmp_path / "given.csv", **boxes)])
    assert ("**Warning:** " in text) == warned


def test_the_warning_says_which_boxes_it_does_not_count(gather, tmp_path):
    path = counts(tmp_path / "detector.csv", kept=9, low_score=900, silent=2, other_category=3)
    _, text = gather({"a/solo/detector/p": summary()}, [path])
    assert (
        "**Warning:** 5 of 14 detector boxes are rejected (low scores, overlaps and surplus not"
        " counted): 3 other-category, 2 silent.\n" in text
    )


@pytest.mark.parametrize(
    "content", ["a,b\n1,2\n", "status,boxes\nkept,many\n", "status,boxes\nkept\n"]
)
def test_a_file_that_is_no_table_of_counts_is_one_line(content, gather, tmp_path):
    csv_file.write_text(tmp_path / "given.csv", content)
    with pytest.raises(UserError, match=r"given\.csv.+: delete it and run again"):
        gather({"a/solo/given/p": summary()}, [tmp_path / "given.csv"])
