"""MUSIC-Synthetic's boxes: a folder of `<key>.npy` with the rows x, y, w, h, category.

Source: Hu et al., NeurIPS 2020.
"""

from pathlib import Path

import numpy as np

from spm.boxes.formats import dsol
from spm.boxes.formats.frames import BenchmarkBoxes, Box, Frame, parse_sides


def read(folder: Path) -> BenchmarkBoxes:
    """Boxes by the name of the file."""
    files = sorted(folder.glob("*.npy"))
    if not files:
        raise ValueError("the folder has no .xml and no .npy file")
    frames = {}
    for path in files:
        rows = np.load(path, allow_pickle=False).reshape(-1, 5)  # (boxes, 5)
        boxes = [Box(dsol.CATEGORIES[int(row[4])], parse_sides(row[:4].tolist())) for row in rows]
        frames[path.stem] = Frame(tuple(boxes), path.stem)
    return BenchmarkBoxes(frames)
