import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.boxes import annotations
from spm.boxes.annotations import Annotations
from spm.corpus import clip_reader
from spm.fusion import mosaic_boxes, mosaics
from spm.fusion.mosaic_boxes import MosaicBoxes
from spm.fusion.mosaics import Mosaics, mix
from tests.support import corpora


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """A corpus of four categories."""
    folder = tmp_path_factory.mktemp("four")
    return corpora.write(folder, train=3, test=2, seconds=2, sounds=corpora.FOUR)


def make(corpus, folder, split="test", **changes):
    files = {
        "out_index": folder / "index.parquet",
        "out_clips": folder / "clips.parquet",
        "tiles": folder / "tiles",
    }
    config = Mosaics(**{"train": 20, "test": 20, "size": 64, **changes})
    mosaics.run(config, index=corpus.index, clips=corpus.clips, split=split, **files)
    return files


def test_each_mosaic_shows_four_categories_and_two_of_them_sound(four, tmp_path):
    files = make(four, tmp_path)
    tiles = tables.read(files["tiles"]).to_pandas()
    index = tables.read(files["out_index"]).to_pylist()
    assert len(index) == 20
    for row in index:
        own = tiles[tiles["mosaic_id"] == row["clip_id"]]
        assert sorted(own["category"]) == sorted(corpora.FOUR)
        assert sorted(own[own["sounding"]]["category"]) == row["categories"]
        assert len(row["categories"]) == 2
    assert tiles["gain_db"].between(-3, 3).all()
    assert tiles["gain_db"].std() > 1
    assert len({tuple(row["categories"]) for row in index}) > 3


def test_image_and_sound_are_those_of_the_tiles(four, tmp_path):
    files = make(four, tmp_path, jitter_db=0)
    tiles = tables.read(files["tiles"]).to_pylist()[:4]
    mosaic = tables.read(files["out_clips"]).to_pylist()[0]
    image = np.asarray(Image.open(io.BytesIO(mosaic["frames"][0])), int)
    index = tables.read(four.index)
    clip_ids = np.array(index["clip_id"].to_pylist())
    expected_sound = np.zeros(16_000)
    for tile in tiles:
        rows = index.filter(clip_ids == tile["clip_id"])
        assert rows["split"].to_pylist() == ["test"]
        jpeg = clip_reader.frames(rows, four.clips)[0][tile["frame"]]
        frame = Image.open(io.BytesIO(jpeg)).resize((32, 32), Image.Resampling.BILINEAR)
        y, x = int(tile["y"] * 64), int(tile["x"] * 64)
        assert abs(image[y : y + 32, x : x + 32] - np.asarray(frame, int)).mean() < 12
        if tile["sounding"]:
            pcm = clip_reader.take_column(rows, four.clips, "pcm")[0].as_py()
            expected_sound += np.frombuffer(pcm, "<i2")
    assert np.corrcoef(np.frombuffer(mosaic["pcm"], "<i2"), expected_sound)[0, 1] > 0.999


def test_loud_sounds_are_mixed_without_clipping():
    wave = (30_000 * np.sin(np.arange(16_000) / 5)).astype("<i2").tobytes()
    mixed = np.frombuffer(mix([wave, wave], [0, 0]), "<i2").astype(int)
    assert abs(mixed).max() == 32767
    assert (abs(mixed) == 32767).sum() < 100


def test_equal_seeds_give_equal_bytes_and_other_seeds_do_not(four, tmp_path):
    one = make(four, tmp_path / "one", seed=0)
    two = make(four, tmp_path / "two", seed=0)
    other = make(four, tmp_path / "other", seed=1)
    for name in one:
        assert one[name].read_bytes() == two[name].read_bytes()
        assert one[name].read_bytes() != other[name].read_bytes()


def test_training_mosaics_are_made_of_the_second_half_of_the_training_videos(four, tmp_path):
    tiles = tables.read(make(four, tmp_path, "train")["tiles"]).to_pandas()
    expected = {f"{name}-{number:02d}" for name in corpora.FOUR for number in (1, 2)}
    assert set(tiles["video_id"]) == expected
    assert Counter(tables.read(tmp_path / "index.parquet")["split"].to_pylist()) == {"train": 20}


def test_two_categories_are_too_few(squares, tmp_path):
    message = "a mosaic needs solos of 4 categories, but there are only 2: cello, flute"
    with pytest.raises(UserError, match=message):
        make(squares, tmp_path)


def test_boxes_lie_in_their_tiles_and_boxes_of_silent_tiles_are_silent(four, tmp_path):
    files = make(four, tmp_path)
    outputs = {name: tmp_path / name for name in ("out", "counts_table", "agreement")}
    inputs = {name: getattr(four, name) for name in ("manifest", "index", "clips", "boxes")}
    inputs |= dict.fromkeys(("detections", "detector", "reviews"))
    annotations.run(Annotations(), **inputs, **outputs)
    out = tmp_path / "boxes.parquet"
    mosaic_boxes.run(MosaicBoxes(), tiles=files["tiles"], annotations=outputs["out"], out=out)
    boxes = tables.read(out).to_pandas()
    assert Counter(boxes["status"]) == {"kept": 40, "silent": 40}
    assert (boxes["w"].round(6) == corpora.SIDE / 2).all()
    tiles = tables.read(files["tiles"]).to_pandas()
    pairs = tiles.merge(
        boxes,
        left_on=["mosaic_id", "category"],
        right_on=["clip_id", "category"],
        suffixes=("_tile", "_box"),
    )
    assert len(pairs) == 80
    assert (pairs["x_box"] >= pairs["x_tile"]).all()
    assert (pairs["x_box"] + pairs["w_box"] <= pairs["x_tile"] + 0.5 + 1e-9).all()
    assert ((pairs["status"] == "kept") == pairs["sounding"]).all()


def test_the_boxes_can_be_whole_tiles_which_need_no_boxes_of_frames(four, tmp_path):
    files, empty = make(four, tmp_path), tmp_path / "annotations.parquet"
    tables.write_rows(empty, schemas.ANNOTATIONS, [])
    out = tmp_path / "boxes.parquet"
    mosaic_boxes.run(MosaicBoxes(of="tiles"), tiles=files["tiles"], annotations=empty, out=out)
    expected, actual = {}, {}
    for tile in tables.read(files["tiles"]).to_pylist():
        corner = (tile["x"], tile["y"], 0.5, 0.5)
        expected[tile["mosaic_id"], tile["category"]] = (*corner, tile["sounding"])
    for box in tables.read(out).to_pylist():
        sides = (box["x"], box["y"], box["w"], box["h"])
        actual[box["clip_id"], box["category"]] = (*sides, box["status"] == "kept")
    assert actual == expected
