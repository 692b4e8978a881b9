import pandas as pd
import pytest

from spm.base import tables
from spm.report.paper import Paper
from spm.report.paper_figures import FIGURES, Sources, run
from tests.score.conftest import RUNS


@pytest.fixture
def sources(project):
    def of_runs(paths):
        return {path.parent.name: tables.read(path).to_pandas() for path in paths}

    summaries = [path for path in project["summaries"] if path.stem == "spm-paper"]
    paper = Paper(kind="solo", protocol="spm-paper")
    given = (of_runs(project["histories"]), of_runs(project["maps"]), summaries)
    return Sources(paper, project["index"], project["clips"], project["annotations"], *given)


def lines(figure):
    """What each line of a figure shows, by its label."""
    return {line.get_label(): list(line.get_ydata()) for axes in figure.axes for line in axes.lines}


def test_each_is_drawn_with_the_same_bytes_each_time(project, tmp_path):
    given = {name: project[name] for name in ("index", "clips", "histories", "maps")}
    given |= {"annotations": project["annotations"], "summaries": project["summaries"][1::2]}
    for figure in FIGURES:
        for folder in ("one", "two"):
            run(
                Paper(kind="solo", protocol="spm-paper"),
                figure=figure,
                **given,
                out=tmp_path / folder / figure,
            )
        for suffix in (".svg", ".png"):
            one, two = (
                (tmp_path / folder / figure).with_suffix(suffix).read_bytes()
                for folder in ("one", "two")
            )
            assert one == two
            assert len(one) > 5000


def test_classifiers_are_those_of_the_run_that_has_them(sources):
    epochs = [
        {"epoch": n, "split": "train", "name": f"{side} accuracy", "value": round(value + n / 10, 1)}
        for n in range(3) for side, value in (("image", 0.5), ("audio", 0.2))
    ]  # fmt: skip
    figure = FIGURES["fig2"](
        sources._replace(histories={**sources.histories, "dsol": pd.DataFrame(epochs)})
    )
    assert lines(figure) == {"image accuracy": [0.5, 0.6, 0.7], "audio accuracy": [0.2, 0.3, 0.4]}
    assert (
        "no run of paper.ablation has classifiers"
        in FIGURES["fig2"](sources).axes[0].texts[0].get_text()
    )


def test_matching_stands_beside_what_was_printed_for_the_run_of_that_name(sources):
    histories = dict(zip(("spm", "dsol-promoted"), sources.histories.values(), strict=True))
    figure = FIGURES["fig3"](sources._replace(histories=histories))
    drawn = lines(figure)
    assert drawn["spm"] == [1, 1 / 2, 1 / 3]
    assert [0.965, 0.965] in drawn.values()
    assert [text.get_text() for text in figure.axes[0].texts] == ["printed: dsol-promoted"]


def test_every_run_is_shown_on_the_same_frames(sources):
    figure = FIGURES["fig4"](sources)
    rows = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    assert rows == ["frame", *RUNS]
    assert len(figure.axes) % len(rows) == 0


def test_videos_to_learn_from_are_counted_by_category(sources):
    axes = FIGURES["fig6"](sources).axes[0]
    named = [text.get_text() for text in axes.get_yticklabels()]
    assert dict(zip(named, [bar.get_width() for bar in axes.patches], strict=True)) == {
        "cello": 13,
        "flute": 13,
    }
    assert lines(axes.figure) == {"printed, of MUSIC": [named.index("cello")]}
    assert axes.lines[0].get_xdata().tolist() == [49]


def test_each_augmentation_has_a_mark_for_each_class(sources):
    figure = FIGURES["fig7"](sources)
    assert set(lines(figure)) == set(RUNS)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["cello"]
    assert all(0 <= value <= 1 for values in lines(figure).values() for value in values)
