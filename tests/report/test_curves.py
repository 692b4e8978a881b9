import pandas as pd
import pytest

from spm.report.curves import BEST, MOST_TOGETHER, curves


def history(splits):
    rows = []
    for epoch in range(2):
        for split in splits:
            rows += [(epoch, split, name, 0.5) for name in ("loss", "accuracy")]
    return pd.DataFrame(rows, columns=["epoch", "split", "name", "value"])


def legend(figure, part):
    """The texts of a part's legend."""
    return [text.get_text() for text in figure.subfigs[part].legends[0].get_texts()]


def test_epochs_are_counted_from_1():
    figure = curves({"spm": history(["train"])})
    assert figure.axes[0].lines[0].get_xdata().tolist() == [1, 2]


def test_a_training_of_one_epoch_has_one_tick():
    table = history(["train"])
    axes = curves({"spm": table[table["epoch"] == 0]}).axes[0]
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]


def test_dashes_are_explained_only_where_there_are_validation_clips():
    both, train = curves({"spm": history(["train", "val"])}), curves({"spm": history(["train"])})
    assert legend(both, -1) == ["spm", "on training clips", "on validation clips", BEST]
    assert legend(train, -1) == ["spm"]


@pytest.mark.slow
def test_many_runs_have_a_panel_each():
    names = [f"run-{number}" for number in range(MOST_TOGETHER + 1)]
    drawn = curves({name: history(["train"]) for name in names})
    assert [axes.get_title() for axes in drawn.axes if axes.axison] == names
    few = curves({name: history(["train"]) for name in names[1:]})
    assert len([line for line in few.axes[0].lines if len(line.get_xdata())]) == MOST_TOGETHER


def test_the_epoch_with_the_smallest_validation_loss_is_marked():
    table = history(["train", "val"])
    table.loc[(table["split"] == "val") & (table["epoch"] == 1), "value"] = 0.1
    for names in (["spm"], [f"run-{number}" for number in range(MOST_TOGETHER + 1)]):
        mark = curves(dict.fromkeys(names, table)).axes[0].lines[-1]
        assert (list(mark.get_xdata()), list(mark.get_ydata())) == ([2], [0.1])


def test_the_curves_of_audio_networks_are_above_those_of_the_runs():
    similarity, trained = history(["train"]).assign(name="similarity"), history(["train", "val"])
    audio = {
        "clusters": {"main": similarity, "many": similarity},
        "pretrain": {"main": trained, "many": trained},
    }
    figure = curves({"spm": history(["train"])}, audio)
    panels = figure.axes[:3]
    assert [axes.get_title() for axes in panels] == ["clusters", "pretrain", "pretrain"]
    assert [len(axes.lines) for axes in panels] == [4, 4, 4]  # two networks, two splits
    assert legend(figure, 0) == ["main", "many"]
    assert len(curves({"spm": history(["train"])}, {}).axes) == 2


def test_a_run_without_training_is_left_out():
    empty = history([])
    figure = curves({"spm": history(["train"]), "zero-shot": empty})
    assert legend(figure, -1) == ["spm"]
    (axes,) = curves({"zero-shot": empty}).axes
    assert [text.get_text() for text in axes.texts] == ["no training"]
