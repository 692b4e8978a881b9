import pyarrow as pa
import pytest
import torch

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.corpus import clip_reader
from spm.learn.dataloading import log_mels, make_generator, prefetch, shuffled_batches


def test_rows_in_any_order_get_their_own_frames_and_sounds(squares):
    rows = tables.read(squares.index)
    reversed_rows = rows.take(list(range(rows.num_rows))[::-1])
    frames = clip_reader.frames(rows, squares.clips)
    assert clip_reader.frames(reversed_rows, squares.clips) == frames[::-1]
    mels = log_mels(rows, squares.spectrograms)
    assert torch.equal(log_mels(reversed_rows, squares.spectrograms), mels.flip(0))
    assert mels.shape == (rows.num_rows, 201, 64)


def test_tables_that_do_not_belong_together_are_refused(squares):
    rows = tables.read(squares.index)
    other = rows.set_column(0, "clip_id", pa.array(["other"] * rows.num_rows))
    with pytest.raises(UserError, match="its clips are not those of the index"):
        clip_reader.frames(other, squares.clips)


def test_select_takes_one_split_and_leaves_out_quiet_clips(squares, tmp_path):
    rows = tables.read(squares.index)
    audible = pa.array([n % 3 > 0 for n in range(rows.num_rows)])
    changed = rows.set_column(rows.column_names.index("audible"), "audible", audible)
    index = tmp_path / "index.parquet"
    tables.write_rows(index, schemas.INDEX, changed.to_pylist())
    all_clips = clip_reader.select(index, split="train", audible=False)
    assert set(all_clips["split"].to_pylist()) == {"train"}
    selected = clip_reader.select(index, split="train")
    assert 0 < selected.num_rows < all_clips.num_rows
    duets = clip_reader.select(index, split="train", kind="duet")
    with pytest.raises(UserError, match="the index has no duet clips"):
        clip_reader.require_rows(duets, "duet")


def test_every_item_comes_once_and_no_batch_has_a_single_item():
    batches = list(shuffled_batches(33, 8, make_generator(0, 1)))
    assert [len(batch) for batch in batches] == [8, 8, 8, 8]
    assert len(set(torch.cat(batches).tolist())) == 32
    items = torch.cat(list(shuffled_batches(32, 8, make_generator(0))))
    assert sorted(items.tolist()) == list(range(32))


def test_a_generator_depends_on_every_number():
    draws = set()
    for numbers in [(0,), (0, 0), (0, 1), (1, 0)]:
        draws.add(tuple(torch.randperm(99, generator=make_generator(*numbers)).tolist()))
    assert len(draws) == 4


def test_prefetch_keeps_the_order():
    assert list(prefetch(range(1, 9))) == list(range(1, 9))
