"""The boxes of mosaics: those of the frames that they are made of, at half the size, or whole tiles.

python -m spm.fusion.mosaic_boxes --config '{}' --tiles tiles.parquet --annotations given.parquet --out given.parquet
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from spm.base import stage, tables
from spm.base.config import Section

Row = dict[str, Any]


class MosaicBoxes(Section):
    """What is to be found in a mosaic."""

    of: Literal["objects", "tiles"] = "objects"  # tiles: which quarter sounds, where few frames have boxes


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
    made = tables.read(tiles).to_pylist()
    found = boxes(made, kept) if config.of == "objects" else (placed(whole(tile), tile) for tile in made)
    tables.write_rows(out, tables.ANNOTATIONS, sorted(found, key=lambda row: (row["clip_id"], row["x"], row["y"])))


if __name__ == "__main__":
    stage.main(run)
