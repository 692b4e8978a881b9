"""MUSIC-Synthetic's boxes: a folder of `<key>.npy` with the rows x, y, w, h, category.

Source: Hu et al., NeurIPS 2020.
"""

from pathlib import Path

import numpy as np

from spm.boxes.formats import checks, dsol
from spm.boxes.formats.frames import BenchmarkBoxes, Box, Frame


def read(folder: Path) -> BenchmarkBoxes:
    """Boxes by the name of the file."""
    files = sorted(folder.glob("*.npy"))
    if not files:
        raise ValueError("the folder has no .xml and no .npy file")
    frames = {}
    for path in files:
        with checks.named(str(path)):
            rows = np.load(path, allow_pickle=False)
            if rows.size and rows.shape[1:] != (5,):
                raise ValueError(f"shape {rows.shape}: expected (boxes, 5)")
            boxes = [
                Box(dsol.category_name(number), checks.parse_sides(sides))
                for *sides, number in rows.reshape(-1, 5).tolist()
            ]
        frames[path.stem] = Frame(tuple(boxes), path.stem)
    return BenchmarkBoxes(frames)
