"""Datumaro's COCO exporter, run by the Python that has it: FRAMES BOXES OUT.

The arguments are those of export_fiftyone.py. Boxes have the attributes that CVAT gives them: a
column `rotation` is the turn in degrees around the centre of the box.
"""

import csv
import sys
from pathlib import Path


def main(frames: Path, boxes: Path, out: Path) -> None:
    import datumaro

    rows = list(csv.DictReader(boxes.open(encoding="utf-8")))
    classes = sorted({row["category"] for row in rows})
    items = []
    for image in sorted(frames.glob("*.jpg")):
        media = datumaro.Image.from_file(path=str(image))
        height, width = media.size
        annotations = []
        for number, row in enumerate(rows, 1):
            x, y, w, h = (float(row[name]) for name in "xywh")
            if row["file_name"] == image.name:
                sides = (x * width, y * height, w * width, h * height)
                attributes = {"occluded": False, "rotation": float(row["rotation"])}
                label = classes.index(row["category"])
                box = datumaro.Bbox(*sides, label=label, id=number, attributes=attributes)
                annotations.append(box)
        items.append(datumaro.DatasetItem(image.stem, media=media, annotations=annotations))
    dataset = datumaro.Dataset.from_iterable(items, categories=classes, media_type=datumaro.Image)
    dataset.export(str(out), "coco_instances", save_media=True)
    print(datumaro.__version__)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
