import json
import subprocess
import sys

import pytest
from PIL import Image
from pycocotools.coco import COCO

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.boxes.formats import convert, csv, dsol
from spm.boxes.formats.convert import export, import_coco
from spm.boxes.formats.frames import COLUMNS
from spm.boxes.formats.image_names import parse_image_name
from spm.boxes.formats.openimages import CLASSES, read_boxes
from tests.support.project import ROOT

DSOL_IDS = {"cello": 1, "flute": 12, "guitar": 3, "accordion": 13, "horn": 14}


@pytest.fixture(scope="module")
def annotations(squares, tmp_path_factory):
    """Boxes on the squares, one of which was rejected."""
    path = tmp_path_factory.mktemp("export") / "a.parquet"
    rows = []
    for n, box in enumerate(csv.read(squares.boxes)[:12]):
        clip = f"{box['video_id']}_{int(box['time_s']) * 1000:07d}"
        frame = round(2 * (box["time_s"] % 1))
        status = "rejected" if n == 5 else "kept"
        rows.append({**box, "clip_id": clip, "frame": frame, "score": 0.95, "status": status})
    tables.write_rows(path, schemas.ANNOTATIONS, rows)
    return path


def test_boxes_exported_to_coco_with_frames_are_imported_again(squares, annotations, tmp_path):
    out, frames = tmp_path / "boxes.json", tmp_path / "frames"
    export(annotations, "coco", out, squares.index, squares.clips, frames)
    coco = COCO(out)
    assert len(coco.anns) == 11
    image = coco.loadImgs(coco.anns[1]["image_id"])[0]
    with Image.open(frames / image["file_name"]) as picture:
        assert picture.size == (image["width"], image["height"]) == (64, 64)
    import_coco(out, tmp_path / "imported.csv")
    imported = csv.read(tmp_path / "imported.csv")
    for row, kept in zip(imported, convert.kept_boxes(annotations), strict=True):
        assert [row[name] for name in COLUMNS[:3]] == [kept[name] for name in COLUMNS[:3]]
        sides = [kept[name] for name in "xywh"]
        assert [row[name] for name in "xywh"] == pytest.approx(sides, abs=1e-4)


def test_the_reader_of_published_open_images_tables_reads_exported_ones(annotations, tmp_path):
    export(annotations, "openimages", tmp_path / "b.csv")
    table = read_boxes(tmp_path / "b.csv", CLASSES)
    kept = convert.kept_boxes(annotations)
    assert table["category"].tolist() == [row["category"] for row in kept]
    assert table["w"].tolist() == pytest.approx([row["w"] for row in kept], abs=1e-5)
    assert not table[["group_of", "depiction"]].any().any()


def test_exported_dsol_files_have_the_form_of_the_published_one(annotations, shared, tmp_path):
    export(annotations, "dsol", tmp_path / "solo.json")
    exported = json.loads((tmp_path / "solo.json").read_text())
    published = json.loads((shared / "manifests/DSOL/solotest.json").read_text())
    frame = next(iter(exported.values()))
    published_frame = next(frame for frame in published.values() if frame["bbox"])
    assert frame.keys() == published_frame.keys()
    assert frame["bbox"][0].keys() == published_frame["bbox"][0].keys()
    assert frame["bbox"][0]["category_id"] == DSOL_IDS["cello"]
    for key in list(published)[:200]:
        video, second, number = key.split("/")[0][: -len("_0_1000")], *key.split("/")[1:]
        time_s = int(number[:-4]) / 30
        assert dsol.frame_key({"video_id": video, "time_s": time_s}) == key
        assert second == f"frame_{int(time_s):03d}"


def test_categories_get_dsols_ids_and_others_are_left_out():
    row = {"video_id": "v", "time_s": 1.0, "x": 0, "y": 0, "w": 0.5, "h": 0.5, "score": 1}
    frame = dsol.to_dsol([row | {"category": "xylophone"}, row | {"category": "acoustic_guitar"}])
    assert [box["category_id"] for box in frame["v_0_1000/frame_001/00030.jpg"]["bbox"]] == [3]


@pytest.fixture
def coco(annotations, tmp_path):
    """An export of boxes without frames."""
    export(annotations, "coco", tmp_path / "out/b.json")
    return tmp_path / "out/b.json"


def import_with_names(coco, change, folder, **options):
    """Import boxes whose images have other names; returns the rows."""
    content = json.loads(coco.read_text())
    for image in content["images"]:
        image["file_name"] = change(image["file_name"])
    (folder / "changed.json").write_text(json.dumps(content))
    import_coco(folder / "changed.json", folder / "o.csv", **options)
    return csv.read(folder / "o.csv")


def test_names_that_a_tool_changed_are_found_by_list_or_index(squares, annotations, coco, tmp_path):
    def prefixed(name):
        return f"../media/6f69a740-{name}"

    kept = convert.kept_boxes(annotations)
    expected = sorted((row["video_id"], row["time_s"], row["category"]) for row in kept)
    listed = coco.with_name("frames.csv")
    for folder, options in [
        (coco.parent, {}),
        (tmp_path, {"frames_list": listed}),
        (tmp_path, {"index": squares.index}),
    ]:
        rows = import_with_names(coco, prefixed, folder, **options)
        found = [(row["video_id"], row["time_s"], row["category"]) for row in rows]
        assert found == expected
    with pytest.raises(UserError, match=r"changed.json, annotation 1: image .*--frames-list"):
        import_with_names(coco, prefixed, tmp_path)


def test_names_of_the_older_form_are_read(annotations, coco, tmp_path):
    def older(name):
        video_id, time_s = parse_image_name(name)
        return f"{video_id}@{time_s:.3f}.jpg"

    assert len(import_with_names(coco, older, tmp_path)) == len(convert.kept_boxes(annotations))


def run_convert(*options):
    command = [sys.executable, "-m", "spm.boxes.formats.convert", *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.slow
def test_a_file_that_is_not_coco_is_an_error_of_one_line(tmp_path):
    (tmp_path / "c.json").write_text("{}")
    done = run_convert("import", "--coco", tmp_path / "c.json", "--out", tmp_path / "o.csv")
    assert done.returncode == 1
    assert "'images' is missing: expected images, categories and annotations of COCO" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "o.csv").exists()


@pytest.mark.slow
def test_the_commands_say_what_they_wrote(squares, tmp_path):
    out, frames = tmp_path / "b.json", tmp_path / "frames"
    folders = ["--index", squares.index, "--clips", squares.clips, "--frames", frames]
    done = run_convert("export", "--form", "coco", "--empty", "2", "--out", out, *folders)
    assert done.stdout == f"{out}: 0 boxes, and 8 frames without a box\n", done.stderr
    coco = json.loads(out.read_text())
    box = {"id": 1, "image_id": 1, "category_id": 2, "bbox": [8, 8, 16, 16]}
    out.write_text(json.dumps({**coco, "annotations": [box, {**box, "category_id": 1}]}))
    done = run_convert("import", "--coco", out, "--out", tmp_path / "o.csv")
    summary = "2 boxes on 1 frames of 1 videos (cello 1, flute 1)"
    assert done.stdout == f"{tmp_path}/o.csv: {summary}\n", done.stderr


def test_frames_to_draw_on_are_spread_over_each_test_video(squares, annotations, tmp_path):
    frames = tmp_path / "frames"
    export(None, "coco", tmp_path / "b.json", squares.index, squares.clips, frames, empty=2)
    coco = json.loads((tmp_path / "b.json").read_text())
    names = [image["file_name"] for image in coco["images"]]
    assert names == sorted(path.name for path in frames.iterdir())
    # Two test videos of each category, of four clips with frames at 0 and 0.5 s.
    found = [parse_image_name(name) for name in names]
    videos = ["cello-13", "cello-14", "flute-13", "flute-14"]
    assert found == [(video, time_s) for video in videos for time_s in (1, 3)]
    assert [category["name"] for category in coco["categories"]] == ["cello", "flute"]
    assert coco["annotations"] == []
    assert {Image.open(path).size for path in frames.iterdir()} == {(64, 64)}


def test_frames_with_a_box_are_not_drawn_on_again(squares, tmp_path):
    rows = [row for row in csv.read(squares.boxes) if row["video_id"] == "cello-13"]
    boxed = [
        {**row, "clip_id": f"cello-13_{int(row['time_s']) * 1000:07d}",
         "frame": round(2 * (row["time_s"] % 1)), "score": 1.0, "status": "kept"}
        for row in rows[1:]
    ]  # fmt: skip
    tables.write_rows(tmp_path / "a.parquet", schemas.ANNOTATIONS, boxed)
    out, frames = tmp_path / "b.json", tmp_path / "frames"
    export(tmp_path / "a.parquet", "coco", out, squares.index, squares.clips, frames, empty=99)
    coco = json.loads(out.read_text())
    assert len(coco["annotations"]) == 7
    assert len(coco["images"]) == len(list(frames.iterdir())) == 4 * 8


def test_an_export_without_boxes_or_without_index_is_an_error(tmp_path, annotations, squares):
    tables.write_rows(tmp_path / "none.parquet", schemas.ANNOTATIONS, [])
    out, places = tmp_path / "o", (squares.index, squares.clips, tmp_path / "frames")
    with pytest.raises(UserError, match=r"none.parquet: there is nothing to export; expected --an"):
        export(tmp_path / "none.parquet", "coco", out)
    with pytest.raises(UserError, match="export: there is nothing to export; expected --annotatio"):
        export(None, "coco", out)
    with pytest.raises(UserError, match="--frames, --empty: expected --frames, --index and --clip"):
        export(annotations, "coco", out, frames=tmp_path)
    with pytest.raises(UserError, match="--frames, --empty: expected --frames, --index and --clip"):
        export(annotations, "coco", out, empty=1)
    with pytest.raises(UserError, match="--form dsol has no images without boxes; expected coco"):
        export(None, "dsol", out, *places, empty=1)
    with pytest.raises(UserError, match=r"--empty is -1: expected 0 or more"):
        export(None, "coco", out, *places, empty=-1)
    with pytest.raises(UserError, match=r"there is no .*nowhere.parquet: expected a result of the"):
        export(tmp_path / "nowhere.parquet", "coco", out)
    with pytest.raises(UserError, match=r"--out is frames.csv, the list of the frames: expected"):
        export(annotations, "openimages", tmp_path / "frames.csv", *places)
    assert not out.exists()


def test_another_table_is_an_error_that_names_it(annotations, squares, coco, tmp_path):
    with pytest.raises(UserError, match=r"index.parquet: 'status' is missing"):
        export(squares.index, "coco", tmp_path / "o")
    with pytest.raises(UserError, match=r"a.parquet: 'start_s' is missing"):
        import_coco(coco, tmp_path / "o", index=annotations)
