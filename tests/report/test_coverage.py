import pandas as pd

from spm.report.coverage import MOST_BARS, count_statuses, coverage_bars


def test_the_bars_of_a_category_stack_the_splits_to_all_its_clips():
    columns = ["kind", "categories", "split", "audible"]
    rows = [
        ("duet", "acoustic_guitar cello", "test", 1),
        ("solo", "tuba", "train", 5),
        ("solo", "tuba", "test", 2),
    ]
    axes = coverage_bars(pd.DataFrame(rows, columns=columns)).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["solo: tuba", "duet: acoustic guitar + cello"]
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["train: 5 clips", "test: 3 clips"]
    ends = {(bar.get_y() > 0.5, bar.get_x() + bar.get_width()) for bar in axes.patches}
    assert {(False, 7.0), (True, 1.0)} <= ends


def test_videos_are_counted_by_status_and_the_missing_ones_by_reason(project):
    counts = count_statuses(project["manifest"], project["videos"])
    assert counts.columns.tolist() == ["ok", "gone", "no-audio"]
    assert counts.loc["solo: cello"].tolist() == [1, 1, 0]
    assert counts.loc["solo: flute"].tolist() == [0, 0, 1]


def test_of_many_categories_those_with_the_fewest_clips_are_drawn():
    names = [f"c{number:03d}" for number in range(MOST_BARS + 20)]
    rows = [("solo", name, "test", 3 if name < "c020" else 1) for name in names]
    coverage = pd.DataFrame(rows, columns=["kind", "categories", "split", "audible"])
    figure = coverage_bars(coverage)
    drawn = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert drawn == [f"solo: {name}" for name in names[20:]]
    assert f"test: {MOST_BARS + 60} clips" in figure.axes[0].get_legend_handles_labels()[1]
