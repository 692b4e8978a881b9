import pandas as pd
import pyarrow as pa
import pytest

from spm.base import tables
from spm.report.best_worst import BestWorst, chosen, run


def test_best_median_and_worst_are_of_different_videos_each():
    rows = [
        {
            "clip_id": f"{video}_{n}",
            "video_id": video,
            "frame": 0,
            "categories": ["tuba"],
            "iou": iou,
        }
        for video, ious in {"a": (0.9, 0.8), "b": (0.5, 0.85), "c": (0.1, 0.4)}.items()
        for n, iou in enumerate(ious)
    ]
    shown = chosen(pd.DataFrame(rows), 2)
    found = {sort: group["iou"].tolist() for sort, group in shown.groupby("sort")}
    assert found == {"best": [0.9, 0.85], "median": [0.8, 0.5], "worst": [0.1, 0.5]}


@pytest.fixture
def files(project):
    wanted = [path for path in project["summaries"] if path.stem == "spm-paper"]
    return {
        **{name: project[name] for name in ("index", "clips", "annotations", "maps")},
        "scores": [path.with_suffix(".parquet") for path in wanted],
    }


def test_each_run_has_a_sheet_that_says_the_iou_of_what_it_shows(files, tmp_path):
    run(BestWorst(each=2), **files, out=tmp_path)
    for scored in files["scores"]:
        name = scored.parts[-4]
        drawn, best = (
            (tmp_path / f"{name}.svg").read_text(),
            max(tables.read(scored)["iou"].to_pylist()),
        )
        assert f"{name}: of 16 test frames" in drawn
        assert f"IoU {best:.2f}: cello" in drawn or f"IoU {best:.2f}: flute" in drawn


def test_without_boxes_it_says_that_there_are_no_scores(files, tmp_path):
    run(BestWorst(), **{**files, "scores": [], "annotations": []}, out=tmp_path)
    assert "no scores: corpus.boxes names no truth" in (tmp_path / "spm.svg").read_text()


def test_a_run_that_tells_classes_apart_shows_its_one_map_of_the_frame(files, tmp_path):
    """The maps of categories come first here, and are all nought."""
    table = tables.read(files["maps"][1]).to_pylist()
    dark = [{**row, "category": "cello", "map": [0.0] * 16} for row in table]
    both = tmp_path / "spm/solo.parquet"
    tables.write_rows(both, tables.MAPS, [*dark, *table])
    run(BestWorst(), **files, out=tmp_path / "one")
    run(BestWorst(), **{**files, "maps": [both]}, out=tmp_path / "both")
    assert (tmp_path / "one/spm.svg").read_bytes() == (tmp_path / "both/spm.svg").read_bytes()
    assert pa.compute.any(pa.compute.is_null(tables.read(both)["category"])).as_py()
