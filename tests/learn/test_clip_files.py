import pickle
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.base.shards import table_of
from spm.corpus import clip_reader
from spm.learn.clip_files import PreparedSounds, open_column

FOLDERS = {"frames": "clips", "pcm": "clips", "log_mel": "spectrograms"}

STATUS = Path("/proc/self/status")


def mapped_mb():
    """Mapped files that are in the memory of this process."""
    (kb,) = re.findall(r"RssFile:\s+(\d+) kB", STATUS.read_text())
    return int(kb) / 1000


def open_squares(squares, column, mapped, rows=None):
    rows = tables.read(squares.index) if rows is None else rows
    return open_column(rows, getattr(squares, FOLDERS[column]), column, mapped)


def expected(squares, rows, column):
    if column == "frames":
        return clip_reader.frames(rows, squares.clips)
    if column == "pcm":
        sounds = clip_reader.take_column(rows, squares.clips, "pcm").to_pylist()
        return np.stack([np.frombuffer(sound, "<i2") for sound in sounds])
    return clip_reader.log_mels(rows, squares.spectrograms).reshape(-1, 201, 64)


@pytest.mark.parametrize("is_mapped", [True, False])
@pytest.mark.parametrize("column", FOLDERS)
def test_rows_in_any_order_get_their_own_values(squares, tmp_path, column, is_mapped):
    rows = tables.read(squares.index)
    rows = rows.take(np.random.default_rng(0).permutation(rows.num_rows)[:30])
    values = open_squares(squares, column, tmp_path if is_mapped else None, rows)
    assert len(values) == 30
    for value, other in zip(values, expected(squares, rows, column), strict=True):
        assert np.array_equal(value, other)


@pytest.mark.parametrize("is_mapped", [True, False])
def test_a_copy_for_another_process_reads_the_same(squares, tmp_path, is_mapped):
    sounds = open_squares(squares, "log_mel", tmp_path if is_mapped else None)
    data = pickle.dumps(sounds)
    assert len(data) < 20_000  # paths and places; the log-mels have 6 MB
    assert torch.equal(pickle.loads(data).sounds([5, 0]), sounds.sounds(torch.tensor([5, 0])))


@pytest.mark.skipif(not STATUS.exists(), reason="the system does not show it in /proc")
def test_what_is_read_does_not_stay_in_the_memory_of_the_process(squares, tmp_path):
    clips = tables.read(table_of(squares.clips, 0)).slice(0, 1)
    many, folder = 1000, tmp_path / "corpus/clips"
    tables.write_rows(table_of(folder, 0), schemas.CLIPS, clips.to_pylist() * many)
    row = tables.read(squares.index).to_pylist()[0]
    rows = pa.Table.from_pylist(
        [row | {"clip_id": clips["clip_id"][0].as_py(), "shard": 0, "row": n} for n in range(many)]
    )
    sounds = open_column(rows, folder, "pcm", tmp_path / "mapped")
    before = mapped_mb()
    assert all(np.array_equal(sounds[0], sound) for sound in sounds)  # 32 MB
    assert mapped_mb() < before + 8


def test_a_sound_of_another_length_is_an_error_and_not_filled_from_the_next(squares, tmp_path):
    folder = tmp_path / "corpus/clips"
    rows = tables.read(squares.index)
    rows = rows.filter(pc.equal(rows["shard"], 0))
    clips = tables.read(table_of(squares.clips, 0)).to_pylist()
    clips[0]["pcm"] = clips[0]["pcm"][:-2]
    tables.write_rows(table_of(folder, 0), schemas.CLIPS, clips)
    for mapped in (tmp_path / "mapped", None):
        with pytest.raises(ValueError, match="15999"):
            open_column(rows, folder, "pcm", mapped).sounds(range(len(rows)))


def test_a_frame_is_chosen_by_a_draw(squares, tmp_path):
    frames = open_squares(squares, "frames", tmp_path)
    assert frames.frame_counts().tolist() == [2] * len(frames)
    chosen = [frames.drawn_frame(3, draw) for draw in (0.0, 0.49, 0.5, 0.99)]
    assert chosen == [frames.frame(3, number) for number in (0, 0, 1, 1)]


def test_files_are_written_once_and_replaced_when_their_table_changes(squares, tmp_path):
    folder, mapped = tmp_path / "corpus/clips", tmp_path / "mapped"
    rows = tables.read(squares.index)
    rows = rows.filter(pc.equal(rows["shard"], 0))
    clips = tables.read(table_of(squares.clips, 0)).to_pylist()
    tables.write_rows(table_of(folder, 0), schemas.CLIPS, clips)
    before = open_column(rows, folder, "pcm", mapped)
    (first,) = (mapped / "corpus-clips").iterdir()
    written = first.stat().st_mtime_ns
    open_column(rows, folder, "pcm", mapped)
    assert first.stat().st_mtime_ns == written
    reversed_sounds = [{**row, "pcm": row["pcm"][::-1]} for row in clips]
    tables.write_rows(table_of(folder, 0), schemas.CLIPS, reversed_sounds)
    after = open_column(rows, folder, "pcm", mapped)
    (second,) = (mapped / "corpus-clips").iterdir()
    assert second != first
    assert before[0].tobytes() == after[0].tobytes()[::-1]


def test_clips_of_another_index_are_refused(squares, tmp_path):
    rows = tables.read(squares.index)
    other = rows.set_column(0, "clip_id", pa.array(["other"] * rows.num_rows))
    with pytest.raises(UserError, match="its clips are not those of the index"):
        open_squares(squares, "pcm", tmp_path, other)
    outside = rows.set_column(
        rows.column_names.index("row"), "row", pa.array([9999] * rows.num_rows)
    )
    with pytest.raises(UserError, match="its clips are not those of the index"):
        open_squares(squares, "pcm", tmp_path, outside)


def test_no_clips_are_an_empty_column(squares, tmp_path):
    rows = tables.read(squares.index).slice(0, 0)
    column = open_squares(squares, "log_mel", tmp_path, rows)
    assert len(column) == 0
    assert column.sounds([]).shape == (0, 201, 64)


def test_sounds_are_prepared_when_they_are_read(squares, tmp_path):
    column = open_squares(squares, "pcm", tmp_path)
    sounds = PreparedSounds(column, lambda pcm: pcm[:, :2])
    assert len(sounds) == len(column)
    samples = column.sounds([4, 2])[:, :2] / 32768
    assert torch.equal(sounds.sounds([4, 2]), samples.half())
