"""The verdicts of spm/report/verdict.py."""

import pytest

from spm.base import json_file
from spm.report import verdict
from spm.report.summaries import SummaryKey
from spm.report.verdict import Judgment

KEY = SummaryKey("spm", "solo", "given", "adaptive")


def delta(value, low=None, high=None):
    return {"auc": {"value": value, "low": low, "high": high}}


def summary(frames=24, videos=16, baselines=None, **differences):
    """A summary: AUC of the trivial baselines, and differences from all (dashes as underscores)."""
    named = {name.replace("_", "-"): gain for name, gain in differences.items()}
    figures = {name: {"auc": auc} for name, auc in (baselines or {}).items()}
    return {"frames": frames, "videos": videos, "baselines": figures, "differences": named}


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        ((0.03, 0.01, 0.05), Judgment.BETTER),
        ((-0.03, -0.05, -0.01), Judgment.WORSE),
        ((0.03, -0.01, 0.07), Judgment.UNCLEAR),
        ((0.03, 0.0, 0.07), Judgment.UNCLEAR),
        ((-0.03, -0.07, 0.0), Judgment.UNCLEAR),
        ((0.3, None, None), Judgment.UNCLEAR),
        ((0.0, 0.0, 0.0), Judgment.SAME),
    ],
)
def test_a_difference_is_judged_by_its_interval(difference, expected):
    assert verdict.judge(*difference) is expected


def test_a_run_is_compared_with_both_networks():
    found = summary(object_prior=delta(0.03, -0.01, 0.07), zero_shot=delta(-0.05, -0.08, -0.02))
    assert verdict.sentence(KEY, found, digits=2) == (
        "solo, given boxes, adaptive: `spm` is not distinguishable from the object prior"
        " (Δ AUC +0.03 [-0.01, +0.07]) and worse than zero-shot (Δ AUC -0.05 [-0.08, -0.02]);"
        " 24 frames of 16 videos."
    )


def test_the_best_trivial_baseline_is_named_if_the_run_is_not_better_than_it():
    aucs = {"whole-image": 0.2, "mean-box": 0.4}
    gains = {"whole_image": delta(0.1, 0.05, 0.2), "mean_box": delta(-0.1, -0.2, 0.1)}
    found = summary(baselines=aucs, object_prior=delta(0.2, 0.1, 0.3), **gains)
    text = verdict.sentence(KEY, found)
    assert "better than the object prior" in text
    assert "and not distinguishable from the best trivial baseline, mean-box (" in text
    better = summary(
        baselines=aucs, object_prior=delta(0.2, 0.1, 0.3), mean_box=delta(0.1, 0.1, 0.2)
    )
    assert "trivial" not in verdict.sentence(KEY, better)


def test_without_networks_a_run_is_compared_with_the_best_trivial_baseline():
    found = summary(baselines={"mean-box": 0.4}, mean_box=delta(0.1, 0.05, 0.2))
    assert "`spm` is better than the best trivial baseline, mean-box" in verdict.sentence(
        KEY, found
    )


def test_a_run_of_a_network_is_the_same_as_that_network():
    found = summary(object_prior=delta(0.2, 0.1, 0.3), zero_shot=delta(0.0, 0.0, 0.0))
    text = verdict.sentence(KEY, found)
    assert "and the same as zero-shot (Δ AUC +0.000 [+0.000, +0.000]); 24 frames" in text


def test_a_run_with_the_name_of_its_network_is_not_compared_with_itself():
    key, same = KEY._replace(run="zero-shot"), delta(0.0, 0.0, 0.0)
    text = verdict.sentence(key, summary(object_prior=delta(0.2, 0.1, 0.3), zero_shot=same))
    assert "`zero-shot` is better than the object prior (Δ AUC +0.200 [+0.100, +0.300]); 24" in text
    alone = verdict.sentence(key, summary(zero_shot=same))
    assert "`zero-shot` is a baseline itself; 24 frames of 16 videos." in alone


def test_a_single_video_gives_no_interval_and_the_sentence_says_so():
    text = verdict.sentence(KEY, summary(frames=1, videos=1, object_prior=delta(0.3)))
    assert "not distinguishable from the object prior (Δ AUC +0.300)" in text
    assert text.endswith("; 1 frame of 1 video, too few for an interval.")


def test_a_test_set_without_a_kept_box_has_no_verdict():
    text = verdict.sentence(KEY, summary(frames=0, videos=0, object_prior=delta(None)))
    assert "`spm` has no score, as no frame of this test set has a kept box." in text


def test_each_run_and_test_set_has_one_verdict_under_the_first_protocol_and_box_source(tmp_path):
    paths = []
    for run in ("b", "a+prior"):
        for testset in ("solo", "duet"):
            for place in ("given/sspl", "given/adaptive", "detector/sspl"):
                path = tmp_path / run / testset / f"{place}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                json_file.write(path, summary(object_prior=delta(0.2, 0.1, 0.3)))
                paths.append(path)
    found = verdict.sentences(paths)
    starts = [text.split("` ")[0] for text in found]
    sets = ("solo, given boxes, sspl", "duet, given boxes, sspl")
    assert starts == [f"{place}: `{run}" for run in ("b", "a+prior") for place in sets]
    assert verdict.markdown(found).startswith("## Verdict\n\n- solo, given boxes, sspl: `b` is")
    assert verdict.markdown([]) == ""
