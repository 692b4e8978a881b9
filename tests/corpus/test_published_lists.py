"""Published lists of windows of videos become manifests."""

import json
from pathlib import Path

import pytest

from spm.base.errors import UserError
from spm.boxes import benchmarks
from spm.corpus import published_lists
from spm.corpus.manifest import read
from spm.corpus.manifest_sources import write_list

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "manifests" / "VGGSS"
HEADER = "video_id,url,kind,categories,split,start_s,end_s"
YOUTUBE = "https://www.youtube.com/watch?v="
VGGSOUND = """\
---g-f_I2yQ,1,"people marching",test
--0PQM4-hqg,30,"waterfall burbling",train
--0PQM4-hqg,50,"female speech, woman speaking",train
"""
AUDIOSET = """\
# Segments csv created Sun Mar  5 10:54:25 2017
# num_ytids=20371, num_segs=20371, num_unique_labels=527, num_positive_labels=51804
# YTID, start_seconds, end_seconds, positive_labels
--4gqARaEJE, 0.000, 10.000, "/m/068hy,/m/07q6cd_,/m/0bt9lr"
--BfvyPmVMo, 20.500, 30.500, "/m/03l9g"
"""
AVE = """\
Category&VideoID&Quality&StartTime&EndTime
Church bell&RUhOCu3LNXM&good&0&10
Frying (food)&RUhOCu3LNXM&good&0&10
Male speech, man speaking&-5BrRVe64w0&good&1&10
"""


def rows_of(path: Path, text: str) -> list[str]:
    path.write_text(text)
    listing = write_list(path, path.parent / "out")
    assert listing is not None
    lines = listing.path.read_text().splitlines()
    assert lines[0] == HEADER
    assert len(read(listing.path)) == len(listing.added)
    return lines[1:]


def test_vggsounds_list_has_windows_of_ten_seconds_with_splits(tmp_path):
    assert rows_of(tmp_path / "vggsound.csv", VGGSOUND) == [
        f"---g-f_I2yQ_1000,{YOUTUBE}---g-f_I2yQ,solo,people_marching,test,1,11",
        f"--0PQM4-hqg_30000,{YOUTUBE}--0PQM4-hqg,solo,waterfall_burbling,train,30,40",
        f"--0PQM4-hqg_50000,{YOUTUBE}--0PQM4-hqg,solo,female_speech_woman_speaking,train,50,60",
    ]


def test_audiosets_labels_have_names_where_the_file_with_them_is_beside_the_list(tmp_path):
    second = f"--BfvyPmVMo_20500,{YOUTUBE}--BfvyPmVMo,solo,m_03l9g,train,20.5,30.5"
    path = tmp_path / "balanced_train_segments.csv"
    first = f"--4gqARaEJE_0,{YOUTUBE}--4gqARaEJE,ensemble,m_068hy m_07q6cd_ m_0bt9lr,train,0,10"
    assert rows_of(path, AUDIOSET) == [first, second]
    names = 'index,mid,display_name\n0,/m/068hy,"Domestic animals, pets"\n1,/m/03l9g,Hammer\n'
    (tmp_path / "class_labels_indices.csv").write_text(names)
    named = rows_of(tmp_path / "eval_segments.csv", AUDIOSET)
    assert "ensemble,Domestic_animals_pets m_07q6cd_ m_0bt9lr,test,0,10" in named[0]
    assert "solo,Hammer,test,20.5" in named[1]


def test_aves_windows_are_those_of_its_files_and_labels_of_one_window_are_joined(tmp_path):
    (tmp_path / "testSet.txt").write_text("Male speech, man speaking&-5BrRVe64w0&good&1&10")
    first, second = rows_of(tmp_path / "Annotations.txt", AVE)
    assert first == (
        f"RUhOCu3LNXM_0,{tmp_path}/AVE/RUhOCu3LNXM.mp4,duet,Church_bell Frying_food,,0,10"
    )
    assert second.endswith("-5BrRVe64w0.mp4,solo,Male_speech_man_speaking,test,1,10")


@pytest.mark.slow
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published lists are not here")
def test_the_boxes_of_vgg_ss_lie_in_its_windows(tmp_path):
    listing = write_list(PUBLISHED / "vggss.json", tmp_path)
    videos = {video.video_id: video for video in read(listing.path)}
    frames = benchmarks.read(str(PUBLISHED / "vggss.json")).frames.values()
    assert len(videos) == 5_158
    for frame in frames:
        video = videos[frame.video_id]
        assert video.start_s < frame.time_s < video.end_s
        assert {box.category for box in frame.boxes} == set(video.categories)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published lists are not here")
@pytest.mark.parametrize(("name", "count"), [("vggss_test.csv", 5_158), ("flickr_test.csv", 249)])
def test_lists_without_labels_have_no_categories(tmp_path, name, count):
    videos = read(write_list(PUBLISHED / name, tmp_path).path)
    assert len(videos) == count
    assert {(video.kind, video.categories, video.split) for video in videos} == {
        ("solo", (), "test")
    }


def test_entries_are_added_to_a_manifest_and_its_rows_stay(tmp_path):
    rows_of(tmp_path / "vggsound.csv", "\n".join(VGGSOUND.splitlines()[:2]))
    path = tmp_path / "out/vggsound.csv"
    mine = path.read_text().replace("people_marching", "people")
    path.write_text(mine)
    (tmp_path / "vggsound.csv").write_text(VGGSOUND)
    assert write_list(tmp_path / "vggsound.csv", tmp_path / "out").added == ["--0PQM4-hqg_50000"]
    assert path.read_text().startswith(mine)


def test_a_manifest_is_no_published_list_and_a_wrong_entry_is_named(tmp_path):
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("video_id,url,kind,categories\na,a.mp4,solo,violin\n")
    assert published_lists.rows(manifest) is None
    (tmp_path / "vggsound.csv").write_text(VGGSOUND + "--0PQM4-hqg,x\n")
    with pytest.raises(UserError, match=r"vggsound\.csv: an entry can't be read"):
        published_lists.rows(tmp_path / "vggsound.csv")
    (tmp_path / "vggss.json").write_text(json.dumps([{"file": "a", "class": "b", "bbox": []}]))
    with pytest.raises(UserError, match="'a': expected the id of a video"):
        published_lists.rows(tmp_path / "vggss.json")
