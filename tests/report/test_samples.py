import numpy as np
import pyarrow as pa
from PIL import Image

from spm.corpus import clip_reader
from spm.report.samples import Samples, chosen, log_mels, run


def test_categories_take_turns_and_the_seed_decides_which_clip():
    names = [["tuba"]] * 5 + [["cello"]] + [["flute"]] * 3
    rows = pa.table({"clip_id": [str(n) for n in range(9)], "categories": names})
    three = [chosen(rows, Samples(clips=3, seed=seed)) for seed in (0, 1, 2, 3)]
    assert all(part["categories"].to_pylist() == [["cello"], ["flute"], ["tuba"]] for part in three)
    assert len({tuple(part["clip_id"].to_pylist()) for part in three}) > 1
    assert chosen(rows, Samples(clips=30)).num_rows == 9


def test_a_high_tone_lies_above_a_low_one_in_the_spectrograms(squares):
    rows = chosen(clip_reader.select(squares.index, split="train"), Samples(clips=2))
    cello, flute = log_mels(rows, squares.spectrograms).mean(1).argmax(1)
    assert cello < flute


def test_the_sheet_is_drawn_and_drawn_again_has_the_same_bytes(squares, tmp_path):
    files = {"index": squares.index, "clips": squares.clips, "spectrograms": squares.spectrograms}
    for name in ("one", "two"):
        run(Samples(clips=3), **files, out=tmp_path / name)
    assert (tmp_path / "one/samples.svg").read_bytes() == (
        tmp_path / "two/samples.svg"
    ).read_bytes()
    assert "3 training clips" in (tmp_path / "one/samples.svg").read_text()
    with Image.open(tmp_path / "one/samples.png") as image:
        assert np.asarray(image.convert("L")).std() > 20
