"""Images of Open Images with boxes of the instrument classes, and the reason for each unused image.

python -m spm.boxes.openimages --config '{}' --store store/openimages --images images.parquet
    --boxes boxes.parquet --counts-table counts.csv

Tables and images are downloaded into the store once; after an interruption the next run continues.
`mirror` names an address or a folder with the same files under their published names: NAME.csv,
train/ID.jpg, validation/ID.jpg, …
"""

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, cast

import pandas as pd
import requests
from PIL import Image
from pydantic import Field

from spm.base import schemas, stage, tables
from spm.base.config import UNIQUE, Section, Text
from spm.base.errors import UserError
from spm.base.file_digest import file_digest
from spm.base.pictures import open_picture
from spm.base.progress import progress
from spm.boxes import openimages_policy as policy
from spm.boxes.download import DownloadError, connect, download
from spm.boxes.formats import openimages as published
from spm.boxes.formats.openimages import CLASSES, FLAGS
from spm.boxes.openimages_policy import Treatment
from spm.boxes.statuses import ImageBoxStatus, ImageStatus

Subset = Literal["train", "validation", "test"]
ImageRow = dict[str, Any]  # of schemas.OPENIMAGES
ImageBoxRow = dict[str, Any]  # of schemas.OPENIMAGES_BOXES

TABLES_URL = "https://storage.googleapis.com/openimages/"
IMAGES_URL = "https://open-images-dataset.s3.amazonaws.com/"  # {subset}/{image_id}.jpg
# Open Images V7 has the boxes of V6 for train, and those of V5 for validation and test.
BOX_TABLES = {
    "train": "v6/oidv6-train-annotations-bbox.csv",
    "validation": "v5/validation-annotations-bbox.csv",
    "test": "v5/test-annotations-bbox.csv",
}
IMAGE_TABLES = {
    "train": "2018_04/train/train-images-boxable-with-rotation.csv",
    "validation": "2018_04/validation/validation-images-with-rotation.csv",
    "test": "2018_04/test/test-images-with-rotation.csv",
}


class OpenImages(Section):
    """Images that the detector is trained on, and their download.

    Used only if `detector.source` is openimages. `drop-box` removes boxes with the flag,
    `drop-picture` removes their images too: an instrument without a box would be learned as
    background.
    """

    mirror: Text | None = Field(
        None,
        description="Address or folder with the tables (NAME.csv) and images (train/ID.jpg, …)"
        " under their published names; null: the published addresses.",
    )
    subsets: tuple[Subset, ...] = Field(
        ("train", "test"),
        min_length=1,
        json_schema_extra=UNIQUE,
        description="Subsets to download: train, validation, test. Average precision is measured"
        " on test; the detector is trained on the others.",
    )
    classes: dict[Text, Text] = Field(
        CLASSES,
        min_length=1,
        description="Classes to download, as category: label of Open Images. The classes in your"
        " config file replace all of these.",
    )
    max_per_class: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="Images per class and subset; null: all, more than 30,000.",
    )
    group_of: Treatment = Field(
        "drop-picture",
        description="Treatment of one box around more than five instruments: keep, drop-box or"
        " drop-picture.",
    )
    depiction: Treatment = Field(
        "drop-picture", description="Treatment of drawings and figurines; as group_of."
    )
    inside: Treatment = Field(
        "drop-picture", description="Treatment of images taken from inside; as group_of."
    )
    truncated: Treatment = Field(
        "keep", description="Treatment of instruments cut by the image's edge; as group_of."
    )
    occluded: Treatment = Field(
        "keep", description="Treatment of partly hidden instruments; as group_of."
    )
    sha256: dict[Text, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(
        {},
        description="Required sha256 of published tables, by file name."
        " logs/boxes/openimages.log lists the digests of the downloaded ones.",
    )
    workers: int = Field(16, ge=1, le=256, description="Simultaneous downloads.")
    retries: int = Field(
        4,
        ge=0,
        le=100,
        description="Further attempts per file after a failure that may be temporary.",
    )
    backoff_s: float = Field(
        1.0,
        ge=0,
        le=3_600,
        description="Waiting time before the second of these attempts, in s; it doubles with each"
        " further one.",
    )
    timeout_s: float = Field(
        30.0,
        gt=0,
        le=3_600,
        description="Time without data after which a connection is closed, in s.",
    )

    @property
    def remote(self) -> bool:
        """Whether files come from a server."""
        return self.mirror is None or self.mirror.startswith(("http://", "https://"))


def location(config: OpenImages, name: str, root: str) -> str:
    """Address or path of a published file: below its root, or in the mirror."""
    if config.mirror is None:
        return root + name
    # A mirror holds images in a folder per subset, and all tables in one folder.
    in_mirror = name if name.endswith(".jpg") else PurePosixPath(name).name
    return f"{config.mirror.rstrip('/')}/{in_mirror}"


def obtain_table(name: str, config: OpenImages, store: Path, session: requests.Session) -> Path:
    """Path of a published table, downloaded if it is not in the store.

    Raises
    ------
    UserError
        If it can't be downloaded, or its digest is not the configured one.
    """
    source, file = location(config, name, TABLES_URL), PurePosixPath(name).name
    path = store / file if config.remote else Path(source)
    try:
        if config.remote and not path.is_file():
            download(session, source, path, config.timeout_s)
    except DownloadError as error:
        raise UserError(
            f"openimages: {source}: {error.reason}: expected a table of Open Images; set"
            " openimages.mirror if this machine can't reach the published addresses"
        ) from error
    if not path.is_file():
        raise UserError(f"openimages.mirror: there is no file {path}")
    _check_digest(path, config.sha256.get(file))
    return path


def _check_digest(path: Path, expected: str | None) -> None:
    digest = file_digest(path)
    print(f"openimages: {path.name} sha256 {digest}", file=sys.stderr)
    if expected is not None and digest != expected:
        raise UserError(
            f"openimages.sha256: {path} has {digest}, expected {expected}: delete the file,"
            " or change the setting"
        )


def select(
    subset: Subset, config: OpenImages, store: Path, session: requests.Session
) -> tuple[list[ImageRow], list[ImageBoxRow]]:
    """Images and boxes of one subset with their statuses; only tables are downloaded."""
    box_table = obtain_table(BOX_TABLES[subset], config, store, session)
    treatment = cast(
        Mapping[str, Treatment], {setting: getattr(config, setting) for setting in FLAGS.values()}
    )
    boxes = policy.select_boxes(published.read_boxes(box_table, config.classes), treatment)
    image_table = obtain_table(IMAGE_TABLES[subset], config, store, session)
    info = published.read_images(image_table, set(boxes.image_id))
    info = info.drop_duplicates("image_id").set_index("image_id")
    rotation = {
        str(image_id): float(degrees) for image_id, degrees in info.rotation.dropna().items()
    }
    credits = cast(dict[str, ImageRow], info[["license", "author"]].to_dict("index"))
    images: list[ImageRow] = [
        {"image_id": image_id, "subset": subset, **decision._asdict(), **credits.get(image_id, {})}
        for image_id, decision in policy.select_images(
            boxes, rotation, config.max_per_class
        ).items()
    ]
    columns = [*schemas.OPENIMAGES_BOXES.names]
    rows = boxes.assign(subset=subset)[columns].to_dict("records")
    return images, cast(list[ImageBoxRow], rows)


def obtain_image(
    image: ImageRow, config: OpenImages, store: Path, session: requests.Session
) -> ImageRow:
    """The row of an image after its download: its path, or the reason why it is not used.

    An image that is already in the store is checked, not downloaded again.
    """
    name = f"{image['subset']}/{image['image_id']}.jpg"
    source = location(config, name, IMAGES_URL)
    path = store / name if config.remote else Path(source)
    try:
        if config.remote and not path.is_file():
            download(session, source, path, config.timeout_s)
        return image | {"status": ImageStatus.OK, "path": str(path)} | inspect_image(path)
    except DownloadError as error:
        return image | {"status": error.status, "reason": error.reason}


def inspect_image(path: Path) -> dict[str, Any]:
    """Digest, bytes, width and height (px) of a JPEG that can be decoded completely.

    Raises
    ------
    DownloadError
        If it can't be; the file stays, so that the user can look at it.
    """
    try:
        with open_picture(path, formats=["JPEG"]) as image:
            width, height = image.size
            image.draft(None, (width // 8, height // 8))  # all bytes are read, few pixels kept
            image.load()
    except FileNotFoundError as error:
        raise DownloadError(ImageStatus.GONE, "no such file") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        message = str(error).replace(str(path), path.name)
        raise DownloadError(ImageStatus.BAD, f"not a whole JPEG: {message}") from error
    size = {"bytes": path.stat().st_size, "width": width, "height": height}
    return {"sha256": file_digest(path), **size}


def obtain_images(
    images: list[ImageRow], obtain: Callable[[ImageRow], ImageRow], workers: int
) -> list[ImageRow]:
    """Download the wanted images in several threads; the other rows stay as they are."""
    wanted = [image for image in images if image["status"] == ImageStatus.WANTED]
    with ThreadPoolExecutor(workers) as pool:
        try:
            obtained = list(progress(pool.map(obtain, wanted), "openimages", len(wanted)))
        finally:
            pool.shutdown(cancel_futures=True)
    return obtained + [image for image in images if image["status"] != ImageStatus.WANTED]


def drop_boxes_without_image(boxes: list[ImageBoxRow], images: list[ImageRow]) -> list[ImageBoxRow]:
    """Give kept boxes whose image is not used the status `no-picture`."""
    usable = {
        (image["subset"], image["image_id"])
        for image in images
        if image["status"] == ImageStatus.OK
    }
    rows = []
    for box in boxes:
        is_kept = box["status"] == ImageBoxStatus.KEPT
        if is_kept and (box["subset"], box["image_id"]) not in usable:
            box = box | {"status": ImageBoxStatus.NO_IMAGE}
        rows.append(box)
    return rows


def counts(boxes: list[ImageBoxRow]) -> pd.DataFrame:
    """Number of boxes and images per category, subset and status."""
    table = pd.DataFrame(boxes, columns=schemas.OPENIMAGES_BOXES.names)
    groups = table.groupby(["category", "subset", "status"])
    return groups["image_id"].agg(boxes="size", pictures="nunique").reset_index()


def _require_images(config: OpenImages, images: list[ImageRow]) -> None:
    """Stop if a subset has no usable image: nothing could be trained or measured."""
    for subset in config.subsets:
        rows = [image for image in images if image["subset"] == subset]
        if any(image["status"] == ImageStatus.OK for image in rows):
            continue
        reasons = (f"{row['image_id']}: {row['reason']}" for row in rows if row["reason"])
        reason = next(reasons, "its table lists no image of these classes")
        raise UserError(
            f"openimages: no picture of {subset} is usable, of {len(rows)} listed ({reason})"
        )


def run(config: OpenImages, *, store: Path, images: Path, boxes: Path, counts_table: Path) -> None:
    """Select images by the published tables, download them, write one row per image and box."""
    session = connect(config.workers, config.retries, config.backoff_s)
    listed: list[ImageRow] = []
    selected: list[ImageBoxRow] = []
    for subset in config.subsets:
        subset_images, subset_boxes = select(subset, config, store, session)
        listed += subset_images
        selected += subset_boxes

    def obtain(image: ImageRow) -> ImageRow:
        return obtain_image(image, config, store, session)

    try:
        image_rows = obtain_images(listed, obtain, config.workers)
    except OSError as error:  # errors of a single image are in its row; this one is of the disk
        raise UserError(
            f"store {store}: {error}: expected a writable folder with free space"
        ) from error
    _require_images(config, image_rows)
    box_rows = drop_boxes_without_image(selected, image_rows)
    _write(image_rows, box_rows, images, boxes)
    with tables.atomic_write(counts_table) as part:
        counts(box_rows).to_csv(part, index=False)
    numbers = sorted(Counter(row["status"] for row in image_rows).items())
    print("openimages:", ", ".join(f"{n} {status}" for status, n in numbers), file=sys.stderr)


def _write(
    image_rows: list[ImageRow], box_rows: list[ImageBoxRow], images: Path, boxes: Path
) -> None:
    """Write both tables, sorted."""
    image_rows = sorted(image_rows, key=lambda row: (row["subset"], row["image_id"]))
    tables.write_rows(images, schemas.OPENIMAGES, image_rows)
    order = ["subset", "image_id", "category", "x", "y", "w", "h"]
    box_rows = sorted(box_rows, key=lambda row: [row[name] for name in order])
    tables.write_rows(boxes, schemas.OPENIMAGES_BOXES, box_rows)


if __name__ == "__main__":
    stage.main(run)
