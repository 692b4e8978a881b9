import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from spm.corpus import clip_reader
from spm.report.samples import Samples, choose, log_mels, run


def test_categories_take_turns_and_the_seed_decides_which_clip():
    names = [["tuba"]] * 5 + [["cello"]] + [["flute"]] * 3
    rows = pa.table({"clip_id": [str(n) for n in range(9)], "categories": names})
    samples = [choose(rows, Samples(clips=3, seed=seed)) for seed in (0, 1, 2, 3)]
    for sample in samples:
        assert sample["categories"].to_pylist() == [["cello"], ["flute"], ["tuba"]]
    assert len({tuple(sample["clip_id"].to_pylist()) for sample in samples}) > 1
    assert choose(rows, Samples(clips=30)).num_rows == 9


def test_a_high_tone_has_its_maximum_in_a_higher_mel_band(squares):
    rows = choose(clip_reader.select(squares.index, split="train"), Samples(clips=2))
    cello, flute = log_mels(rows, squares.spectrograms).mean(1).argmax(1)
    assert cello < flute


@pytest.mark.slow
def test_the_sheet_has_the_same_bytes_when_it_is_drawn_again(squares, tmp_path):
    files = {"index": squares.index, "clips": squares.clips, "spectrograms": squares.spectrograms}
    for name in ("one", "two"):
        run(Samples(clips=3), **files, out=tmp_path / name)
    one, two = (tmp_path / name / "samples.svg" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert "3 training clips" in one.read_text()
    with Image.open(tmp_path / "one/samples.png") as image:
        assert np.asarray(image.convert("L")).std() > 20
