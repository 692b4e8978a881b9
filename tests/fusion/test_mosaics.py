import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from spm.base import tables
from spm.base.config import UserError
from spm.boxes import annotations
from spm.boxes.annotations import Annotations
from spm.corpus import clip_reader
from spm.fusion import mosaic_boxes, mosaics
from spm.fusion.mosaic_boxes import MosaicBoxes
from spm.fusion.mosaics import Mosaics, mix
from tests.support import corpora


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    return corpora.write(
        tmp_path_factory.mktemp("four"), train=3, test=2, seconds=2, sounds=corpora.FOUR
    )


def make(corpus, folder, split="test", **changes):
    files = {
        "out_index": folder / "index.parquet",
        "out_clips": folder / "clips.parquet",
        "tiles": folder / "tiles",
    }
    config = Mosaics(**{"train": 20, "test": 20, "size": 64, **changes})
    mosaics.run(config, index=corpus.index, clips=corpus.clips, split=split, **files)
    return files


def test_each_mosaic_shows_four_categories_and_sounds_like_two(four, tmp_path):
    files = make(four, tmp_path)
    tiles = tables.read(files["tiles"]).to_pandas()
    index = tables.read(files["out_index"]).to_pylist()
    assert len(index) == 20
    for row in index:
        mine = tiles[tiles["mosaic_id"] == row["clip_id"]]
        assert sorted(mine["category"]) == sorted(corpora.FOUR)
        assert sorted(mine[mine["sounding"]]["category"]) == row["categories"]
        assert len(row["categories"]) == 2
    assert tiles["gain_db"].between(-3, 3).all()
    assert tiles["gain_db"].std() > 1
    assert len(set(map(tuple, (row["categories"] for row in index)))) > 3


def test_the_picture_and_the_sound_are_those_of_its_tiles(four, tmp_path):
    files = make(four, tmp_path, jitter_db=0)
    first = tables.read(files["tiles"]).to_pylist()[:4]
    mosaic = tables.read(files["out_clips"]).to_pylist()[0]
    picture = np.asarray(Image.open(io.BytesIO(mosaic["frames"][0])), int)
    index = tables.read(four.index)
    sources = {row["clip_id"]: row for row in index.to_pylist()}
    total = np.zeros(16_000)
    for tile in first:
        rows = index.filter(np.array(index["clip_id"].to_pylist()) == tile["clip_id"])
        jpeg = clip_reader.frames(rows, four.clips)[0][tile["frame"]]
        small = np.asarray(
            Image.open(io.BytesIO(jpeg)).resize((32, 32), Image.Resampling.BILINEAR), int
        )
        y, x = int(tile["y"] * 64), int(tile["x"] * 64)
        assert abs(picture[y : y + 32, x : x + 32] - small).mean() < 12
        assert sources[tile["clip_id"]]["split"] == "test"
        if tile["sounding"]:
            total += np.frombuffer(
                clip_reader.take_column(rows, four.clips, "pcm")[0].as_py(), "<i2"
            )
    heard = np.frombuffer(mosaic["pcm"], "<i2")
    assert np.corrcoef(heard, total)[0, 1] > 0.999


def test_loud_sounds_are_mixed_without_clipping():
    wave = (30_000 * np.sin(np.arange(16_000) / 5)).astype("<i2").tobytes()
    heard = np.frombuffer(mix([wave, wave], [0, 0]), "<i2").astype(int)
    assert abs(heard).max() == 32767
    assert (abs(heard) == 32767).sum() < 100


def test_equal_seeds_give_equal_bytes_and_others_do_not(four, tmp_path):
    one, two, other = (make(four, tmp_path / str(n), seed=seed) for n, seed in enumerate((0, 0, 1)))
    for name in one:
        assert one[name].read_bytes() == two[name].read_bytes()
        assert one[name].read_bytes() != other[name].read_bytes()


def test_mosaics_to_learn_from_are_made_of_the_later_training_videos(four, tmp_path):
    tiles = tables.read(make(four, tmp_path, "train")["tiles"]).to_pandas()
    assert set(tiles["video_id"]) == {
        f"{name}-{number:02d}" for name in corpora.FOUR for number in (1, 2)
    }
    assert Counter(tables.read(tmp_path / "index.parquet")["split"].to_pylist()) == {"train": 20}


def test_two_categories_are_too_few(squares, tmp_path):
    with pytest.raises(
        UserError, match="a mosaic wants solos of 4 categories, there are 2: cello, flute"
    ):
        make(squares, tmp_path)


def test_boxes_lie_in_their_tiles_and_only_those_that_sound_count(four, tmp_path):
    files = make(four, tmp_path)
    kept = {name: tmp_path / name for name in ("out", "counts_table", "agreement")}
    sources = {"index": four.index, "clips": four.clips, "boxes": four.boxes}
    sources |= dict.fromkeys(("detections", "detector", "reviews"))
    annotations.run(Annotations(), **sources, **kept)
    mosaic_boxes.run(
        MosaicBoxes(), tiles=files["tiles"], annotations=kept["out"], out=tmp_path / "boxes.parquet"
    )
    boxes = tables.read(tmp_path / "boxes.parquet").to_pandas()
    assert Counter(boxes["status"]) == {"kept": 40, "silent": 40}
    assert (boxes["w"].round(6) == corpora.SIDE / 2).all()
    tiles = (
        tables.read(files["tiles"])
        .to_pandas()
        .merge(boxes, left_on=["mosaic_id", "category"], right_on=["clip_id", "category"])
    )
    assert len(tiles) == 80
    assert (
        (tiles["x_y"] >= tiles["x_x"]) & (tiles["x_y"] + tiles["w_y"] <= tiles["x_x"] + 0.5 + 1e-9)
    ).all()
    assert ((tiles["status"] == "kept") == tiles["sounding"]).all()


def test_where_few_frames_have_boxes_the_tiles_that_sound_are_to_be_found(four, tmp_path):
    files, nothing = make(four, tmp_path), tmp_path / "annotations.parquet"
    tables.write_rows(nothing, tables.ANNOTATIONS, [])
    out = tmp_path / "boxes.parquet"
    mosaic_boxes.run(MosaicBoxes(of="tiles"), tiles=files["tiles"], annotations=nothing, out=out)
    tiles, boxes = (tables.read(path).to_pylist() for path in (files["tiles"], out))
    where = {
        (row["mosaic_id"], row["category"]): (row["x"], row["y"], 0.5, 0.5, row["sounding"])
        for row in tiles
    }
    assert {
        (row["clip_id"], row["category"]): (
            *(row[side] for side in "xywh"),
            row["status"] == "kept",
        )
        for row in boxes
    } == where
