import pandas as pd

from spm.report.curves import curves


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


def test_dashes_are_explained_only_where_there_are_validation_clips():
    both, train = curves({"spm": history(["train", "val"])}), curves({"spm": history(["train"])})
    assert legend(both, -1) == ["spm", "on training clips", "on validation clips"]
    assert legend(train, -1) == ["spm"]


def test_more_runs_than_colors_are_all_drawn():
    drawn = curves({f"run-{number}": history(["train"]) for number in range(20)})
    assert len([line for line in drawn.axes[0].lines if len(line.get_xdata())]) == 20


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
