import pyarrow as pa
import pytest
import torch

from spm.base import tables
from spm.base.config import UserError
from spm.corpus import clip_reader
from spm.learn.dataloading import log_mels, make_generator, shuffled_batches


def test_rows_in_any_order_get_their_own_frames_and_sounds(squares):
    rows = tables.read(squares.index)
    upside_down = rows.take(list(range(rows.num_rows))[::-1])
    assert (
        clip_reader.frames(upside_down, squares.clips)
        == clip_reader.frames(rows, squares.clips)[::-1]
    )
    mels = log_mels(rows, squares.spectrograms)
    assert torch.equal(log_mels(upside_down, squares.spectrograms), mels.flip(0))
    assert mels.shape == (rows.num_rows, 201, 64)


def test_tables_that_do_not_belong_together_are_refused(squares):
    rows = tables.read(squares.index)
    other = rows.set_column(0, "clip_id", pa.array(["other"] * rows.num_rows))
    with pytest.raises(UserError, match="do not belong together"):
        clip_reader.frames(other, squares.clips)


def test_selecting_takes_one_split_and_leaves_out_quiet_clips(squares, tmp_path):
    rows = tables.read(squares.index)
    quiet = [n % 3 > 0 for n in range(rows.num_rows)]
    place = rows.column_names.index("audible")
    tables.write_rows(
        tmp_path / "i", tables.INDEX, rows.set_column(place, "audible", pa.array(quiet)).to_pylist()
    )
    everything = clip_reader.select(tmp_path / "i", split="train", audible=False)
    assert set(everything["split"].to_pylist()) == {"train"}
    audible = clip_reader.select(tmp_path / "i", split="train")
    assert 0 < audible.num_rows < everything.num_rows
    with pytest.raises(UserError, match="the index has no duet clips"):
        clip_reader.require_rows(
            clip_reader.select(tmp_path / "i", split="train", kind="duet"), "duet"
        )


def test_every_item_comes_once_and_no_batch_has_a_single_item():
    parts = list(shuffled_batches(33, 8, make_generator(0, 1)))
    assert [len(part) for part in parts] == [8, 8, 8, 8]
    assert len(set(torch.cat(parts).tolist())) == 32
    assert sorted(torch.cat(list(shuffled_batches(32, 8, make_generator(0)))).tolist()) == list(
        range(32)
    )


def test_seeds_depend_on_every_number():
    draws = {
        tuple(torch.randperm(99, generator=make_generator(*numbers)).tolist())
        for numbers in [(0,), (0, 0), (0, 1), (1, 0)]
    }
    assert len(draws) == 4
