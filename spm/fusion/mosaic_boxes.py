"""The boxes of mosaics: those of the frames that they are made of, at half the size, or whole tiles.

python -m spm.fusion.mosaic_boxes --config '{}' --tiles tiles.parquet --annotations given.parquet --out given.parquet
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from spm.base import stage, tables
from spm.base.config import Section
from spm.fusion.mosaics import video_of

Row = dict[str, Any]


class MosaicBoxes(Section):
    """What is to be found in a mosaic."""

    of: Literal["objects", "tiles"] = (
        "objects"  # tiles: which quarter sounds, where few frames have boxes
    )


def placed(box: Row, tile: Row, video: str) -> Row:
    """A frame's box where the frame lies in its mosaic; one that makes no sound there is `silent`."""
    sides = {"x": tile["x"] + box["x"] * tile["w"], "y": tile["y"] + box["y"] * tile["h"]}
    size = {"w": box["w"] * tile["w"], "h": box["h"] * tile["h"]}
    where = {"clip_id": tile["mosaic_id"], "video_id": video, "frame": 0, "time_s": 0.0}
    return {**box, **where, **sides, **size, "status": "kept" if tile["sounding"] else "silent"}


def boxes(tiles: Sequence[Row], found: Callable[[Row], Sequence[Row]]) -> Iterator[Row]:
    """What is found in every tile, where it lies in its mosaic."""
    made: dict[str, list[Row]] = {}
    for tile in tiles:
        made.setdefault(tile["mosaic_id"], []).append(tile)
    for four in made.values():
        video = video_of(four)
        yield from (placed(box, tile, video) for tile in four for box in found(tile))


def whole(tile: Row) -> Row:
    """The box of a tile's frame that holds all of it."""
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
    """Place every kept box of a frame that became a tile, or every tile."""
    kept: dict[tuple[str, int], list[Row]] = {}
    for box in tables.read(annotations).to_pylist():
        if box["status"] == "kept":
            kept.setdefault((box["clip_id"], box["frame"]), []).append(box)

    def found(tile: Row) -> list[Row]:
        return (
            [whole(tile)]
            if config.of == "tiles"
            else kept.get((tile["clip_id"], tile["frame"]), [])
        )

    rows = boxes(tables.read(tiles).to_pylist(), found)
    tables.write_rows(
        out, tables.ANNOTATIONS, sorted(rows, key=lambda row: (row["clip_id"], row["x"], row["y"]))
    )


if __name__ == "__main__":
    stage.main(run)
