import numpy as np
import pyarrow as pa
import pytest
import torch

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.corpus import clip_reader
from spm.learn.dataloading import (
    collect,
    empty_tensor,
    make_generator,
    shuffled_batches,
)


def test_rows_in_any_order_get_their_own_frames_and_sounds(squares):
    rows = tables.read(squares.index)
    reversed_rows = rows.take(list(range(rows.num_rows))[::-1])
    frames = clip_reader.frames(rows, squares.clips)
    assert clip_reader.frames(reversed_rows, squares.clips) == frames[::-1]
    mels = clip_reader.log_mels(rows, squares.spectrograms)
    assert np.array_equal(clip_reader.log_mels(reversed_rows, squares.spectrograms), mels[::-1])
    assert mels.shape == (rows.num_rows, 201 * 64)


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


@pytest.mark.parametrize("in_file", [True, False])
def test_batches_become_one_tensor_in_a_file_without_a_name_or_in_memory(tmp_path, in_file):
    folder = tmp_path / "state" if in_file else None
    batches = [torch.arange(6.0).view(3, 2).half(), torch.full((1, 2), 9.0).half()]
    rows = collect(iter(batches), 4, folder)
    assert torch.equal(rows, torch.cat(batches))
    assert rows.dtype == torch.float16
    assert not in_file or list(folder.iterdir()) == []
    assert len(collect(iter([]), 0, folder)) == 0


def test_a_full_disk_is_an_error_when_the_file_is_made(tmp_path):
    with pytest.raises(OSError, match=r"No space left|File too large"):
        empty_tensor(tmp_path, (2**50,), torch.float64)
    assert list(tmp_path.iterdir()) == []
