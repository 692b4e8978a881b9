import pandas as pd
import pyarrow as pa
import pytest

from spm.base import schemas, tables
from spm.report.best_worst import BestWorst, choose, run

IOUS = {"a": (0.9, 0.8), "b": (0.5, 0.85), "c": (0.1, 0.4)}  # of two frames of three videos


def test_the_frames_of_a_group_are_of_different_videos():
    rows = []
    for video, ious in IOUS.items():
        for number, iou in enumerate(ious):
            about = {"clip_id": f"{video}_{number}", "video_id": video, "frame": 0}
            rows.append({**about, "categories": ["tuba"], "iou": iou})
    chosen = choose(pd.DataFrame(rows), 2)
    groups = {name: group["iou"].tolist() for name, group in chosen.groupby("group")}
    assert groups == {"best": [0.9, 0.85], "median": [0.8, 0.5], "worst": [0.1, 0.5]}


@pytest.fixture
def files(project):
    summaries = [path for path in project["summaries"] if path.stem == "spm-paper"]
    return {
        **{name: project[name] for name in ("index", "clips", "annotations", "maps")},
        "scores": [path.with_suffix(".parquet") for path in summaries],
    }


@pytest.mark.slow
def test_the_sheet_of_each_run_shows_the_iou_of_its_frames(files, tmp_path):
    run(BestWorst(frames=2), **files, out=tmp_path)
    for path in files["scores"]:
        name = path.parts[-4]
        drawn = (tmp_path / f"{name}.svg").read_text()
        best = max(tables.read(path)["iou"].to_pylist())
        assert f"{name}: of 16 test frames" in drawn
        assert f"IoU {best:.2f}: cello" in drawn or f"IoU {best:.2f}: flute" in drawn


@pytest.mark.slow
def test_without_boxes_the_sheet_shows_why_there_are_no_scores(files, tmp_path):
    run(BestWorst(), **{**files, "scores": [], "annotations": []}, out=tmp_path)
    assert "no scores: corpus.boxes is empty" in (tmp_path / "spm.svg").read_text()


@pytest.mark.slow
def test_maps_of_categories_are_not_shown(files, tmp_path):
    """The maps of categories come first in this table, and are zero everywhere."""
    table = tables.read(files["maps"][1]).to_pylist()
    zero = [{**row, "category": "cello", "map": [0.0] * 16} for row in table]
    both = tmp_path / "spm/solo.parquet"
    tables.write_rows(both, schemas.MAPS, [*zero, *table])
    run(BestWorst(), **files, out=tmp_path / "one")
    run(BestWorst(), **{**files, "maps": [both]}, out=tmp_path / "both")
    assert (tmp_path / "one/spm.svg").read_bytes() == (tmp_path / "both/spm.svg").read_bytes()
    assert pa.compute.any(pa.compute.is_null(tables.read(both)["category"])).as_py()
