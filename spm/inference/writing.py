"""Files of a localization: all maps as Parquet, and a JSON file with a header and the seconds."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spm.base import schemas, tables
from spm.base.version import VERSION
from spm.inference.drawing import class_text
from spm.inference.localization import (
    BOX_EXTENT,
    RELATIVE_METHODS,
    SILENT_DB,
    Localization,
    Maps,
)

SCORE = (
    "confidence of the network, from 0 to 1, that the sound comes from this place: the maximum of"
    " the frame's heat map, on the scale of the maps and colors; 0 in silent seconds"
)
RELATIVE_SCORE = (
    "maximum of the frame's heat map; this method scales each map to its own maximum, so that the"
    " score tells nothing about confidence"
)
UNITS = {
    "start_s": "start of the second in the video, in s",
    "time_s": "time of the frame with the highest score of the second, in s; the row is about it",
    "rms_db": "level of the second's sound, in dB relative to full scale",
    "audible": f"whether the level is at least {SILENT_DB:.0f} dB",
    "peak_x, peak_y": "center of the hottest cell, as fractions of the frame's width and height;"
    " null in silent seconds",
    "x, y, w, h": "left edge, top edge, width and height of the box, as fractions of the frame's"
    " width and height: the cells above"
    f" {100 * BOX_EXTENT:.0f} % of the score that are connected with the hottest cell; null where"
    " the score is below the threshold",
    "heard": "AudioSet classes of the second's sound with the audio tagger's scores, from 0 to 1",
    "category": "category that explains the heat best; null if none does",
    "objects": "all categories that explain the heat, with score and box of their own maps",
}


def document(localization: Localization) -> dict[str, Any]:
    """The content of the JSON file: what made the maps, what was heard, and a row per second."""
    network, (height, width) = localization.network, localization.maps.shape[1:]
    rows = localization.rows()
    score = RELATIVE_SCORE if network.method in RELATIVE_METHODS else SCORE
    columns = {key: text for key, text in UNITS.items() if key.split(", ")[0] in rows[0]}
    return {
        "spm": VERSION,
        "network": {"name": network.name, "method": network.method, "sha256": network.digest},
        "video": {
            "file": localization.video.name,
            "width": localization.size[0],
            "height": localization.size[1],
            "seconds": len(rows),
        },
        "maps": {
            "per_s": localization.maps_per_s,
            "height": height,
            "width": width,
            "categories": sorted(localization.by_category),
        },
        "threshold": localization.threshold,
        "units": {"score": score, **columns},
        "heard": localization.audio_classes(),
        "seconds": rows,
    }


def summary(document: dict[str, Any]) -> str:
    """What was heard in a video, in how many seconds, and the place of the highest score."""
    rows = document["seconds"]
    parts = [class_text(document["heard"])] if "heard" in rows[0] else []
    counts = Counter(row.get("category", "a source") for row in rows if row["x"] is not None)
    counts.pop(None, None)
    parts += [f"{name} in {count} of {len(rows)} s" for name, count in counts.most_common()]
    best = max(rows, key=lambda row: row["score"])
    if best["x"] is not None:
        right, bottom = best["x"] + best["w"], best["y"] + best["h"]
        place = f"x {best['x']:.2f}–{right:.2f}, y {best['y']:.2f}–{bottom:.2f}"
        parts.append(f"highest score {best['score']:.2f} at {best['time_s']:g} s: {place}")
    else:
        parts.append(f"no score reaches {document['threshold']:g}")
    return f"{document['video']['file']}: {'; '.join(parts)}"


def write(localization: Localization, path: Path) -> dict[str, Any]:
    """Write all maps as Parquet, as the workflow does, and the document as JSON beside it.

    The document is returned.
    """
    rows = [*_map_rows(localization, None, localization.maps)]
    for name, maps in localization.by_category.items():
        rows += _map_rows(localization, name, maps)
    schema = schemas.MAPS.schema.with_metadata({"network": str(localization.network)})
    with tables.atomic_write(path) as part:
        pq.write_table(pa.Table.from_pylist(rows, schema), part, **tables.PARQUET_OPTIONS)
    content = document(localization)
    with tables.atomic_write(path.with_suffix(".json")) as part:
        part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return content


def _map_rows(
    localization: Localization, category: str | None, maps: Maps
) -> Iterator[dict[str, Any]]:
    """Rows of the table of maps."""
    name, (height, width) = localization.name or localization.video.stem, maps.shape[1:]
    for frame, time_s in enumerate(localization.times_s.tolist()):
        yield {
            "clip_id": f"{name}_{1000 * int(time_s):07d}",
            "video_id": name,
            "frame": frame,
            "time_s": time_s,
            "category": category,
            "height": height,
            "width": width,
            "map": maps[frame].ravel(),
        }
