import numpy as np
import pandas as pd
import pytest

from spm.base import json_file, schemas, tables
from spm.corpus import clip_reader
from spm.report.cluster_plot import (
    MOST_CLASSES,
    MOST_NAMES,
    ClusterPlot,
    clouds,
    mel_features,
    principal,
    run,
)
from spm.report.samples import log_mels


def test_the_first_component_is_the_direction_in_which_points_differ_most():
    generator = np.random.default_rng(0)
    along = generator.normal(size=200)
    features = np.outer(along, [3, 4]) + generator.normal(0, 0.1, (200, 2))
    points, shares = principal(features.astype(np.float32))
    assert abs(np.corrcoef(points[:, 0], along)[0, 1]) > 0.999
    assert shares[0] > 0.99
    assert sum(shares) == pytest.approx(1)
    reversed_points, _ = principal(features[::-1].astype(np.float32))
    np.testing.assert_allclose(points, reversed_points[::-1], atol=1e-3)  # the same signs


def test_two_tones_are_two_separate_clouds(squares):
    rows = clip_reader.select(squares.index, split="train")
    points, _ = principal(mel_features(log_mels(rows, squares.spectrograms)))
    high = np.array([names == ["flute"] for names in rows["categories"].to_pylist()])
    flute, cello = points[high, 0], points[~high, 0]
    assert flute.min() > cello.max() or cello.min() > flute.max()


@pytest.mark.slow
def test_the_figure_shows_purity_and_counts_each_class_in_each_cluster(squares, tmp_path):
    rows = clip_reader.select(squares.index, split="train")
    high = [int(names == ["flute"]) for names in rows["categories"].to_pylist()]
    labels = [
        {"clip_id": clip, "pseudo_label": label, "similarity": 1.0}
        for clip, label in zip(rows["clip_id"].to_pylist(), high, strict=True)
    ]
    tables.write_rows(tmp_path / "labels.parquet", schemas.CLUSTERS, labels)
    about = {"purity": 0.75, "nmi": 0.5, "solo_clips": len(high), "sizes": [48, 48]}
    json_file.write(tmp_path / "about.json", about)
    run(
        ClusterPlot(points=20),
        index=squares.index,
        spectrograms=squares.spectrograms,
        labels=tmp_path / "labels.parquet",
        about=tmp_path / "about.json",
        out=tmp_path / "main",
    )
    drawn = (tmp_path / "main.svg").read_text()
    assert "2 clusters; purity 0.75, NMI 0.50" in drawn
    assert "20 clips by class" in drawn
    assert "flute, n = 48" in drawn
    assert "principal component 1" in drawn


@pytest.mark.slow
def test_200_classes_and_clusters_are_drawn_as_a_few_that_can_be_read():
    names = [f"class{number:03d}" for number in range(200)]
    labels = [*range(200), *([0] * 10), *range(10, 199)]
    clips = pd.DataFrame({"class": [*names, *names[1:]], "label": labels})
    points = np.zeros((len(clips), 2), np.float32)
    figure = clouds(points, [0.5, 0.1], clips, clips, {"clusters": 200})
    for axes in figure.axes[:2]:
        assert len(axes.get_legend().get_texts()) == MOST_NAMES + 1
        assert axes.get_legend().get_texts()[0].get_text() == "188 others"
    table = figure.axes[2]
    assert len(table.get_yticklabels()) == MOST_CLASSES
    assert "class000, n = 1" not in {label.get_text() for label in table.get_yticklabels()}
