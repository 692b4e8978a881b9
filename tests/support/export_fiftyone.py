"""FiftyOne's COCO exporter, run by the Python that has it: FRAMES BOXES OUT.

FRAMES is a folder of images, BOXES a CSV of file_name,category,x,y,w,h in fractions, OUT the
folder that FiftyOne writes. The exporter needs no database.
"""

import csv
import sys
from pathlib import Path


def main(frames: Path, boxes: Path, out: Path) -> None:
    import fiftyone
    from fiftyone.core.metadata import ImageMetadata
    from fiftyone.utils.coco import COCODetectionDatasetExporter

    rows = list(csv.DictReader(boxes.open(encoding="utf-8")))
    classes = sorted({row["category"] for row in rows})
    with COCODetectionDatasetExporter(export_dir=str(out), classes=classes) as exporter:
        for image in sorted(frames.glob("*.jpg")):
            detections = []
            for row in rows:
                if row["file_name"] == image.name:
                    sides = [float(row[name]) for name in "xywh"]
                    detections.append(fiftyone.Detection(label=row["category"], bounding_box=sides))
            metadata = ImageMetadata.build_for(str(image))
            exporter.export_sample(str(image), fiftyone.Detections(detections=detections), metadata)
    print(fiftyone.__version__)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
