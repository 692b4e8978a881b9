import pandas as pd
import pytest

from spm.base import tables
from spm.report.paper import Paper
from spm.report.paper_figures import FIGURES, FigureInputs, run
from tests.report.conftest import RUNS


def by_run(paths):
    return {path.parent.name: tables.read(path).to_pandas() for path in paths}


@pytest.fixture
def inputs(project):
    return FigureInputs(
        Paper(testset="solo", protocol="spm-paper"),
        project["index"],
        project["clips"],
        project["annotations"],
        by_run(project["histories"]),
        by_run(project["maps"]),
        [path for path in project["summaries"] if path.stem == "spm-paper"],
    )


def lines(figure):
    """The values of each line of a figure, by its label."""
    found = {}
    for axes in figure.axes:
        found |= {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    return found


@pytest.mark.slow
def test_each_figure_has_the_same_bytes_when_it_is_drawn_again(project, tmp_path):
    names = ("index", "clips", "histories", "maps", "annotations")
    files = {name: project[name] for name in names}
    files["summaries"] = project["summaries"][1::2]
    config = Paper(testset="solo", protocol="spm-paper")
    for figure in FIGURES:
        for folder in ("one", "two"):
            run(config, figure=figure, **files, out=tmp_path / folder / figure)
        for suffix in (".svg", ".png"):
            one = (tmp_path / "one" / figure).with_suffix(suffix).read_bytes()
            two = (tmp_path / "two" / figure).with_suffix(suffix).read_bytes()
            assert one == two
            assert len(one) > 5000


def test_fig2_shows_the_run_that_has_classifiers(inputs):
    rows = []
    for epoch in range(3):
        for side, value in (("image", 0.5), ("audio", 0.2)):
            name, value = f"{side} accuracy", round(value + epoch / 10, 1)
            rows.append({"epoch": epoch, "split": "train", "name": name, "value": value})
    histories = {**inputs.histories, "dsol": pd.DataFrame(rows)}
    figure = FIGURES["fig2"](inputs._replace(histories=histories))
    assert lines(figure) == {"image accuracy": [0.5, 0.6, 0.7], "audio accuracy": [0.2, 0.3, 0.4]}


def test_fig2_without_classifiers_shows_why(inputs):
    message = FIGURES["fig2"](inputs).axes[0].texts[0].get_text()
    assert "no run of paper.ablation has classifiers" in message


def test_fig3_shows_the_printed_accuracy_of_the_runs_in_the_paper(inputs):
    histories = dict(zip(("spm", "dsol-promoted"), inputs.histories.values(), strict=True))
    figure = FIGURES["fig3"](inputs._replace(histories=histories))
    drawn = lines(figure)
    assert drawn["spm"] == [1, 1 / 2, 1 / 3]
    assert [0.965, 0.965] in drawn.values()
    assert [text.get_text() for text in figure.axes[0].texts] == ["printed: dsol-promoted"]


@pytest.mark.slow
def test_fig4_shows_every_run_on_the_same_frames(inputs):
    figure = FIGURES["fig4"](inputs)
    rows = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    assert rows == ["frame", *RUNS]
    assert len(figure.axes) % len(rows) == 0


def test_fig6_counts_training_videos_by_category(inputs):
    axes = FIGURES["fig6"](inputs).axes[0]
    names = [text.get_text() for text in axes.get_yticklabels()]
    widths = [bar.get_width() for bar in axes.patches]
    assert dict(zip(names, widths, strict=True)) == {"cello": 13, "flute": 13}
    assert lines(axes.figure) == {"printed, of MUSIC": [names.index("cello")]}
    assert axes.lines[0].get_xdata().tolist() == [49]


def test_fig7_has_a_marker_for_each_class_and_augmentation(inputs):
    figure = FIGURES["fig7"](inputs)
    assert set(lines(figure)) == set(RUNS)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["cello"]
    for values in lines(figure).values():
        assert all(0 <= value <= 1 for value in values)
