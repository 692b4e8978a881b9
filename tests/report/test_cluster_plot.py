import json

import numpy as np
import pytest

from spm.base import tables
from spm.corpus import clip_reader
from spm.report.cluster_plot import ClusterPlot, principal, run, statistics
from spm.report.samples import log_mels


def test_the_first_component_is_the_direction_in_which_points_differ_most():
    random = np.random.default_rng(0)
    along = random.normal(size=200)
    points = np.outer(along, [3, 4]) + random.normal(0, 0.1, (200, 2))
    places, shares = principal(points.astype(np.float32))
    assert abs(np.corrcoef(places[:, 0], along)[0, 1]) > 0.999
    assert shares[0] > 0.99
    assert sum(shares) == pytest.approx(1)
    np.testing.assert_allclose(
        places, principal(points[::-1].astype(np.float32))[0][::-1], atol=1e-3
    )  # no other sign


def test_two_tones_are_two_clouds(squares):
    rows = clip_reader.select(squares.index, split="train")
    places, _ = principal(statistics(log_mels(rows, squares.spectrograms)))
    high = np.array([names == ["flute"] for names in rows["categories"].to_pylist()])
    assert (
        max(
            places[high, 0].min() - places[~high, 0].max(),
            places[~high, 0].min() - places[high, 0].max(),
        )
        > 0
    )


def test_the_figure_says_purity_and_counts_every_class_in_every_cluster(squares, tmp_path):
    rows = clip_reader.select(squares.index, split="train")
    high = [int(names == ["flute"]) for names in rows["categories"].to_pylist()]
    labelled = [
        {"clip_id": clip, "pseudo_label": label, "similarity": 1.0}
        for clip, label in zip(rows["clip_id"].to_pylist(), high, strict=True)
    ]
    tables.write_rows(tmp_path / "labels.parquet", tables.CLUSTERS, labelled)
    about = {"purity": 0.75, "nmi": 0.5, "solo_clips": len(high), "sizes": [48, 48]}
    (tmp_path / "about.json").write_text(json.dumps(about))
    files = {"labels": tmp_path / "labels.parquet", "about": tmp_path / "about.json"}
    run(
        ClusterPlot(points=20),
        index=squares.index,
        spectrograms=squares.spectrograms,
        **files,
        out=tmp_path / "main",
    )
    drawn = (tmp_path / "main.svg").read_text()
    for said in (
        "2 clusters; purity 0.75, NMI 0.50",
        "20 clips by class",
        "flute, n = 48",
        "principal component 1",
    ):
        assert said in drawn
