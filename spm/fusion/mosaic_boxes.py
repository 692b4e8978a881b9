"""The boxes of mosaics: those of the frames that they are made of, at half the size.

python -m spm.fusion.mosaic_boxes --config '{}' --tiles tiles.parquet --annotations given.parquet --out given.parquet
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spm.base import stage, tables
from spm.base.config import Section

Row = dict[str, Any]


class MosaicBoxes(Section):
    """Nothing to set."""


def placed(box: Row, tile: Row) -> Row:
    """A frame's box where the frame lies in its mosaic; one that makes no sound there is `silent`."""
    sides = {"x": tile["x"] + box["x"] * tile["w"], "y": tile["y"] + box["y"] * tile["h"]}
    size = {"w": box["w"] * tile["w"], "h": box["h"] * tile["h"]}
    where = {"clip_id": tile["mosaic_id"], "video_id": tile["mosaic_id"], "frame": 0, "time_s": 0.0}
    return {**box, **where, **sides, **size, "status": "kept" if tile["sounding"] else "silent"}


def boxes(tiles: Sequence[Row], kept: Mapping[tuple[str, int], Sequence[Row]]) -> Iterator[Row]:
    """The kept boxes of every tile's frame."""
    for tile in tiles:
        for box in kept.get((tile["clip_id"], tile["frame"]), []):
            yield placed(box, tile)


def run(config: MosaicBoxes, *, tiles: Path, annotations: Path, out: Path) -> None:
    """Place every kept box of a frame that became a tile."""
    kept: dict[tuple[str, int], list[Row]] = {}
    for box in tables.read(annotations).to_pylist():
        if box["status"] == "kept":
            kept.setdefault((box["clip_id"], box["frame"]), []).append(box)
    rows = sorted(boxes(tables.read(tiles).to_pylist(), kept), key=lambda row: (row["clip_id"], row["x"], row["y"]))
    tables.write_rows(out, tables.ANNOTATIONS, rows)


if __name__ == "__main__":
    stage.main(run)
