"""The named benchmark sets: their files, numbers of frames, keys and boxes."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from spm.base.errors import UserError
from spm.base.file_digest import file_digest
from spm.boxes import benchmarks
from spm.boxes.benchmark_sets import SETS
from spm.boxes.formats import frame_lists, sslalignment, vggss
from spm.boxes.formats.frames import BenchmarkBoxes, Box, Frame, to_table
from spm.score import masks, protocols

NOT_HERE = {"vggsound_single_test.csv", "vggsound_duet_test.csv", "vgginstruments_test.csv"}


@pytest.fixture
def published(shared, tmp_path, monkeypatch):
    """Published files come from the folder of manifests instead of their address."""

    def find(source):
        name = source.url.rsplit("/", 1)[1]
        copies = list((shared / "manifests").rglob(name))
        return next(path for path in copies if file_digest(path) == source.sha256)

    monkeypatch.setattr(benchmarks, "download", find)
    return shared / "manifests/SSLalignment"


def test_the_pinned_digests_are_those_of_the_published_files(shared):
    for name, benchmark_set in SETS.items():
        for source in benchmark_set.files:
            file = source.url.rsplit("/", 1)[1]
            copies = [file_digest(path) for path in (shared / "manifests").rglob(file)]
            assert file in NOT_HERE or source.sha256 in copies, name


def test_every_set_has_protocols_and_perhaps_the_maps_of_another_set():
    for name, benchmark_set in SETS.items():
        assert all(protocols.find(each) for each in benchmark_set.protocols), name
        assert benchmark_set.maps_of in ("", *SETS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "frames", "boxed", "videos", "pairs"),
    [
        ("is3", 6_480, 6_480, 3_240, 0),
        ("vpo-ss", 890, 890, 890, 0),
        ("vpo-ms", 2_157, 2_155, 1_432, 0),
        ("avsbench-s4", 3_700, 3_694, 740, 0),
        ("avsbench-ms3", 320, 291, 64, 0),
        ("vgg-ss-heard", 2_564, 2_564, 2_564, 0),
        ("vgg-ss-unheard", 2_575, 2_575, 2_575, 0),
        ("vgg-ss-plus-silent", 10_316, 5_158, 5_537, 4_779),
    ],
)
def test_sets_have_the_published_numbers_of_frames(published, name, frames, boxed, videos, pairs):
    found = benchmarks.read(name).frames.values()
    assert len(found) == frames
    assert sum(bool(frame.boxes) for frame in found) == boxed
    assert len({frame.video_id for frame in found}) == videos
    assert sum(bool(frame.sound) for frame in found) == pairs


def test_boxes_in_px_are_drawn_on_the_pixels_that_their_authors_draw(published):
    content = json.loads((published / "synthetic3240_bbox.json").read_bytes())
    frames = sslalignment.read(published / "synthetic3240_bbox.json").frames
    for entry, frame in list(zip(content, frames.values(), strict=True))[:800]:
        expected = [int(side) for side in entry["gt_box"]]
        assert masks.edges(np.array([frame.boxes[0].sides]), 224, "xyxy")[0].tolist() == expected


def test_every_edge_of_224_px_stays_on_its_pixel(tmp_path):
    entries = [
        {"image": f"visual_frames/{px}_a.jpg", "gt_box": [px, 0, 224, px + 1]} for px in range(224)
    ]
    (tmp_path / "b.json").write_text(json.dumps(entries))
    for px, frame in enumerate(benchmarks.read(str(tmp_path / "b.json")).frames.values()):
        edges = masks.edges(np.array([frame.boxes[0].sides]), 224, "xyxy")[0]
        assert edges.tolist() == [px, 0, 224, px + 1]


@pytest.mark.slow
def test_keys_name_the_picture_the_video_the_category_and_the_time(published):
    is3 = benchmarks.read("is3").frames["accordion_female_10438_accordion"]
    assert (is3.video_id, is3.boxes[0].category) == ("accordion_female_10438", "accordion")
    s4 = benchmarks.read("avsbench-s4").frames["horse_clip-clop/0bISD6Q8cQs/0bISD6Q8cQs_2"]
    assert (s4.video_id, s4.boxes[0].category) == ("0bISD6Q8cQs", "horse_clip-clop")
    assert s4.time_s == 2 - 1 / 16
    ms3 = benchmarks.read("avsbench-ms3").frames["rq5RDUm2Hnk_1/rq5RDUm2Hnk_1.mp4_1"]
    assert (ms3.video_id, ms3.boxes) == ("rq5RDUm2Hnk_1", ())
    vpo = benchmarks.read("vpo-ss").frames["000000062491_432356"]
    assert vpo.video_id == "000000062491"


@pytest.mark.slow
def test_two_sounds_of_one_picture_stay_apart_as_given_boxes(published):
    table = to_table(benchmarks.read("is3"))
    assert len(table) == table["video_id"].nunique() == 6_480


def test_a_negative_is_a_pair_of_a_picture_and_another_sound(tmp_path):
    frames = {"v_000001": Frame((Box("cello", (0, 0, 1, 1)),), "v_1000", 6.0)}
    (tmp_path / "n.csv").write_text(
        "video,audio,label\nv_000001,w_000002,non-sounding\nu_000003,u_000003,non-sounding\n"
    )
    found = frame_lists.add_negatives(BenchmarkBoxes(frames), tmp_path / "n.csv")
    assert list(found.frames) == ["v_000001", "v_000001@w_000002", "u_000003"]
    assert found.frames["v_000001@w_000002"] == Frame((), "v_1000", 6.0, sound="w_000002")
    assert found.frames["u_000003"] == Frame((), "u_000003")
    assert found.silent
    (tmp_path / "n.csv").write_text("video,audio,label\na,b,sounding\n")
    with pytest.raises(UserError, match="label 'sounding'; expected non-sounding"):
        frame_lists.add_negatives(BenchmarkBoxes(frames), tmp_path / "n.csv")


def test_a_duet_is_two_pictures_side_by_side(tmp_path):
    boxes = [
        {"file": "a_000001", "class": "cello", "bbox": [[0.2, 0.1, 0.6, 0.9]]},
        {"file": "b_000002", "class": "dog barking", "bbox": [[0, 0.5, 1, 1]]},
    ]
    (tmp_path / "v.json").write_text(json.dumps(boxes))
    (tmp_path / "d.csv").write_text("a_000001,cello,b_000002,dog_barking\n")
    found = frame_lists.duets(vggss.read(tmp_path / "v.json"), tmp_path / "d.csv")
    assert list(found.frames) == ["a_000001"]
    left, right = found.frames["a_000001"].boxes
    assert left == Box("cello", (0.1, 0.1, 0.3, 0.9))
    assert right == Box("dog_barking", (0.5, 0.5, 1, 1))
    (tmp_path / "d.csv").write_text("a_000001,cello,c_000003,dog\n")
    with pytest.raises(UserError, match="c_000003 has no boxes; expected boxes of every listed"):
        frame_lists.duets(vggss.read(tmp_path / "v.json"), tmp_path / "d.csv")
    (tmp_path / "d.csv").write_text("a_000001,cello\n")
    with pytest.raises(UserError, match="line 1: 2 cells; expected 4"):
        frame_lists.duets(vggss.read(tmp_path / "v.json"), tmp_path / "d.csv")


FLICKR = "<r><bbox><label>1</label><a>0</a><b>0</b><c>128</c><d>256</d></bbox></r>"


def test_a_set_with_a_local_folder_names_it(published, tmp_path):
    with pytest.raises(UserError, match="flickr: expected flickr=FOLDER, a folder with the annot"):
        benchmarks.read("flickr")
    with pytest.raises(UserError, match="vpo-ss has no local files; expected vpo-ss alone"):
        benchmarks.read("vpo-ss=somewhere")
    with pytest.raises(UserError, match="no such folder; expected the annotations"):
        benchmarks.read(f"flickr={tmp_path / 'nowhere'}")
    names = [line.split(",")[0] for line in (published / "flickr_test.csv").read_text().split()]
    for name in names:
        (tmp_path / "xml").mkdir(exist_ok=True)
        (tmp_path / "xml" / f"{name}.xml").write_text(FLICKR)
    found = benchmarks.read(f"flickr-plus-silent={tmp_path / 'xml'}")
    assert (len(found.frames), found.annotators) == (500, 2)
    assert len(benchmarks.read(f"flickr-249={tmp_path / 'xml'}").frames) == 249
    (tmp_path / "xml" / f"{names[3]}.xml").unlink()
    with pytest.raises(UserError, match=f"{names[3]} has no boxes"):
        benchmarks.read(f"flickr={tmp_path / 'xml'}")


def test_masks_of_a_published_set_come_from_a_local_copy(published, tmp_path):
    for entry in json.loads((published / "ms3_seg.json").read_bytes()):
        path = tmp_path / "ms3" / entry["gt_box"].split("/ms3_data/")[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        if not (tmp_path / "mask.png").exists():
            Image.fromarray(np.eye(4, dtype=np.uint8) * 255).save(tmp_path / "mask.png")
        shutil.copy(tmp_path / "mask.png", path)
    found = benchmarks.read(f"avsbench-ms3-masks={tmp_path / 'ms3'}")
    assert found.frames.keys() == benchmarks.read("avsbench-ms3").frames.keys()
    assert all(frame.mask.read().sum() == 4 for frame in found.frames.values())
