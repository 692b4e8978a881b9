"""Boxes of mosaics: the boxes of their frames at half the size, or whole tiles.

python -m spm.fusion.mosaic_boxes --config '{}' --tiles tiles.parquet --annotations given.parquet
    --out given.parquet
"""

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import Field

from spm.base import schemas, stage, tables
from spm.base.config import Section
from spm.boxes.statuses import BoxStatus
from spm.fusion.mosaics import video_of

TableRow = dict[str, Any]


class BoxesOf(StrEnum):
    """What the boxes of a mosaic are drawn around."""

    OBJECTS = "objects"
    TILES = "tiles"


class MosaicBoxes(Section):
    """Ground truth of the mosaics."""

    of: BoxesOf = Field(
        BoxesOf.OBJECTS,
        description="objects: the boxes of the mosaic's frames. tiles: the whole tiles that sound,"
        " for corpora where few frames have boxes.",
    )


def place_box(box: TableRow, tile: TableRow, video: str) -> TableRow:
    """A frame's box in the mosaic; it is `silent` if the mosaic does not contain its sound."""
    return {
        **box,
        "clip_id": tile["mosaic_id"],
        "video_id": video,
        "frame": 0,
        "time_s": 0.0,
        "x": tile["x"] + box["x"] * tile["w"],
        "y": tile["y"] + box["y"] * tile["h"],
        "w": box["w"] * tile["w"],
        "h": box["h"] * tile["h"],
        "status": BoxStatus.KEPT if tile["sounding"] else BoxStatus.SILENT,
    }


def mosaic_boxes(
    tiles: Sequence[TableRow], boxes_of: Callable[[TableRow], Sequence[TableRow]]
) -> Iterator[TableRow]:
    """Boxes of all mosaics; `boxes_of` gives the boxes of a tile's frame."""
    mosaics: dict[str, list[TableRow]] = {}
    for tile in tiles:
        mosaics.setdefault(tile["mosaic_id"], []).append(tile)
    for mosaic in mosaics.values():
        video = video_of(mosaic)
        for tile in mosaic:
            for box in boxes_of(tile):
                yield place_box(box, tile, video)


def whole_frame(tile: TableRow) -> TableRow:
    """A box that covers the whole frame of a tile."""
    return {
        "category": tile["category"],
        "score": 1.0,
        "x": 0.0,
        "y": 0.0,
        "w": 1.0,
        "h": 1.0,
        "box": "",
        "reviewer": "",
    }


def run(config: MosaicBoxes, *, tiles: Path, annotations: Path, out: Path) -> None:
    """Write the kept boxes of the tiles' frames, or the tiles, as boxes of the mosaics."""
    kept: dict[tuple[str, int], list[TableRow]] = {}
    for box in tables.read(annotations).to_pylist():
        if box["status"] == BoxStatus.KEPT:
            kept.setdefault((box["clip_id"], box["frame"]), []).append(box)

    def boxes_of(tile: TableRow) -> list[TableRow]:
        if config.of is BoxesOf.TILES:
            return [whole_frame(tile)]
        return kept.get((tile["clip_id"], tile["frame"]), [])

    rows = mosaic_boxes(tables.read(tiles).to_pylist(), boxes_of)
    ordered = sorted(rows, key=lambda row: (row["clip_id"], row["x"], row["y"]))
    tables.write_rows(out, schemas.ANNOTATIONS, ordered)


if __name__ == "__main__":
    stage.main(run)
