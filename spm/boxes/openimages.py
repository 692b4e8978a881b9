"""Pictures of Open Images with boxes of the instrument classes; each that can't be had or isn't wanted is a row.

python -m spm.boxes.openimages --config '{}' --store store/openimages --images images.parquet --boxes boxes.parquet
    --counts-table counts.csv

Tables and pictures lie in the store and are asked for once; a killed run goes on where it stopped. `mirror` names an
address or a folder that holds the same under the published names: NAME.csv, train/ID.jpg, validation/ID.jpg, …
"""

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, cast

import pandas as pd
import requests
from PIL import Image
from pydantic import Field

from spm.base import stage, tables
from spm.base.config import Section, UserError
from spm.base.progress import progress
from spm.boxes import openimages_tables as published
from spm.boxes.download import Refused, connect, digest_of, download
from spm.boxes.openimages_tables import FLAGS, Subset, Treatment

Row = dict[str, Any]
CLASSES = {
    "accordion": "/m/0mkg", "banjo": "/m/018j2", "cello": "/m/01xqw", "drum": "/m/026t6", "flute": "/m/0l14j_",
    "guitar": "/m/0342h", "harmonica": "/m/03qjg", "harp": "/m/03m5k", "horn": "/m/0319l", "oboe": "/m/05kms",
    "piano": "/m/05r5c", "saxophone": "/m/06ncr", "trombone": "/m/07c6l", "trumpet": "/m/07gql", "violin": "/m/07y_7",
}  # fmt: skip


class OpenImages(Section):
    """Which pictures are wanted, and how they are asked for."""

    mirror: str | None = (
        None  # address or folder with tables and pictures under their published names; null: the web
    )
    subsets: tuple[Subset, ...] = (
        "train",
        "test",
    )  # precision is measured on test, the others are learnt from
    classes: dict[str, str] = CLASSES  # category → Open Images' label
    max_per_class: int | None = Field(None, ge=1)  # pictures of each subset; null: all
    group_of: Treatment = "drop-picture"  # one box around more than five instruments
    depiction: Treatment = "drop-picture"  # a drawing or a figurine
    inside: Treatment = "drop-picture"  # taken from within
    truncated: Treatment = "keep"  # by the picture's edge
    occluded: Treatment = "keep"  # partly behind something
    sha256: dict[str, str] = Field(
        {}
    )  # published table → digest that it must have; the log says what it has
    workers: int = Field(16, ge=1)  # downloads at once
    retries: int = Field(4, ge=0)  # further attempts at what may come back
    backoff_s: float = Field(1.0, ge=0)  # before the second of them; doubles with each further one
    timeout_s: float = Field(30.0, gt=0)  # of a silent connection

    @property
    def remote(self) -> bool:
        """Whether anything is asked of a server."""
        return self.mirror is None or self.mirror.startswith(("http://", "https://"))


def address(config: OpenImages, name: str, root: str) -> str:
    """Where something of this published name is: at its root, or in the mirror by the last parts of its name."""
    if config.mirror is None:
        return root + name
    return (
        f"{config.mirror.rstrip('/')}/{name if name.endswith('.jpg') else PurePosixPath(name).name}"
    )


def table_at(name: str, config: OpenImages, store: Path, session: requests.Session) -> Path:
    """A published table as a file here.

    Raises
    ------
    UserError
        When it can't be had, or is not the one pinned.
    """
    place, file = address(config, name, published.PUBLISHED), PurePosixPath(name).name
    path = store / file if config.remote else Path(place)
    try:
        if config.remote and not path.is_file():
            download(session, place, path, config.timeout_s)
    except Refused as refusal:
        raise UserError(
            f"openimages: {place}: {refusal.reason}: expected a table of Open Images; name a mirror with"
            " openimages.mirror where the web can't be reached"
        ) from refusal
    if not path.is_file():
        raise UserError(f"openimages.mirror: there is no file {path}")
    _check_pin(path, config.sha256.get(file))
    return path


def _check_pin(path: Path, pin: str | None) -> None:
    found = digest_of(path)
    print(f"openimages: {path.name} sha256 {found}", file=sys.stderr)
    if pin is not None and found != pin:
        raise UserError(
            f"openimages.sha256: {path} has {found}, expected {pin}: delete it, or pin this one"
        )


def choose(
    subset: Subset, config: OpenImages, store: Path, session: requests.Session
) -> tuple[list[Row], list[Row]]:
    """Pictures and boxes of one subset by the published tables, judged; nothing is downloaded but those."""
    boxes = published.read_boxes(
        table_at(published.BOXES[subset], config, store, session), config.classes
    )
    treatment = cast(
        Mapping[str, Treatment], {setting: getattr(config, setting) for setting in FLAGS.values()}
    )
    judged = published.judge_boxes(boxes, treatment).assign(subset=subset)
    listed = table_at(published.PICTURES[subset], config, store, session)
    about = (
        published.read_pictures(listed, set(boxes.image_id))
        .drop_duplicates("image_id")
        .set_index("image_id")
    )
    rotation = {
        str(image_id): float(degrees) for image_id, degrees in about.rotation.dropna().items()
    }
    verdicts = published.judge_pictures(judged, rotation, config.max_per_class)
    said = cast(dict[str, Row], about[["license", "author"]].to_dict("index"))
    pictures: list[Row] = [
        {
            "image_id": name,
            "subset": subset,
            "status": status,
            "reason": reason,
            **said.get(name, {}),
        }
        for name, (status, reason) in verdicts.items()
    ]
    kept = [*tables.OPENIMAGES_BOXES.names]
    return pictures, cast(list[Row], judged[kept].to_dict("records"))


def obtain(picture: Row, config: OpenImages, store: Path, session: requests.Session) -> Row:
    """A wanted picture's row: where it is, or why it isn't. One here already is looked at again, not asked for."""
    name = f"{picture['subset']}/{picture['image_id']}.jpg"
    place = address(config, name, published.BUCKET)
    path = store / name if config.remote else Path(place)
    try:
        if config.remote and not path.is_file():
            download(session, place, path, config.timeout_s)
        return picture | {"status": "ok", "path": str(path)} | inspect(path)
    except Refused as refusal:
        return picture | {"status": refusal.status, "reason": refusal.reason}


def inspect(path: Path) -> Row:
    """Digest, bytes and size in pixels of a picture that can be decoded to its end.

    Raises
    ------
    Refused
        When there is none: the file is deleted nowhere, so that it can be looked at.
    """
    try:
        with Image.open(path, formats=["JPEG"]) as image:
            image.load()
            width, height = image.size
    except FileNotFoundError as error:
        raise Refused("gone", "no such file") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Refused(
            "bad", f"not a whole JPEG: {str(error).replace(str(path), path.name)}"
        ) from error
    return {
        "sha256": digest_of(path),
        "bytes": path.stat().st_size,
        "width": width,
        "height": height,
    }


def obtain_all(pictures: list[Row], get: Callable[[Row], Row], workers: int) -> list[Row]:
    """Rows of all pictures, several at a time; what isn't wanted stays as it is."""
    wanted = [picture for picture in pictures if picture["status"] == "wanted"]
    with ThreadPoolExecutor(workers) as pool:
        try:
            found = list(progress(pool.map(get, wanted), "openimages", len(wanted)))
        finally:
            pool.shutdown(cancel_futures=True)
    return found + [picture for picture in pictures if picture["status"] != "wanted"]


def settle(boxes: list[Row], pictures: list[Row]) -> list[Row]:
    """Boxes whose picture isn't there fall with it, as `no-picture`."""
    there = {(p["subset"], p["image_id"]) for p in pictures if p["status"] == "ok"}
    falls = [
        box["status"] == "kept" and (box["subset"], box["image_id"]) not in there for box in boxes
    ]
    return [
        box | {"status": "no-picture"} if fell else box
        for box, fell in zip(boxes, falls, strict=True)
    ]


def counts(boxes: list[Row]) -> pd.DataFrame:
    """Boxes and pictures per category, subset and status."""
    by = pd.DataFrame(boxes, columns=tables.OPENIMAGES_BOXES.names).groupby(
        ["category", "subset", "status"]
    )
    return by["image_id"].agg(boxes="size", pictures="nunique").reset_index()


def _check(config: OpenImages, pictures: list[Row]) -> None:
    """Stop where a subset has no picture at all: a detector would learn from nothing."""
    for subset in config.subsets:
        rows = [picture for picture in pictures if picture["subset"] == subset]
        if not any(picture["status"] == "ok" for picture in rows):
            reason = next(
                (f"{p['image_id']}: {p['reason']}" for p in rows if p["reason"]),
                "its table names none",
            )
            raise UserError(
                f"openimages: no picture of {subset} could be had, of {len(rows)} listed ({reason})"
            )


def run(config: OpenImages, *, store: Path, images: Path, boxes: Path, counts_table: Path) -> None:
    """Choose by the published tables, download what is wanted, leave what came of each picture and box."""
    session = connect(config.workers, config.retries, config.backoff_s)
    chosen = [choose(subset, config, store, session) for subset in config.subsets]
    listed, drawn = (
        [row for part in several for row in part] for several in zip(*chosen, strict=True)
    )
    try:
        pictures = obtain_all(
            listed, lambda row: obtain(row, config, store, session), config.workers
        )
    except OSError as error:  # what befalls a picture is in its row: this is the store's
        raise UserError(
            f"store {store}: {error}: expected a folder that can be written, with room"
        ) from error
    _check(config, pictures)
    judged = settle(drawn, pictures)
    tables.write_rows(
        images,
        tables.OPENIMAGES,
        sorted(pictures, key=lambda row: (row["subset"], row["image_id"])),
    )
    order = ["subset", "image_id", "category", "x", "y", "w", "h"]
    tables.write_rows(
        boxes, tables.OPENIMAGES_BOXES, sorted(judged, key=lambda row: [row[key] for key in order])
    )
    with tables.atomic_write(counts_table) as part:
        counts(judged).to_csv(part, index=False)
    said = sorted(Counter(row["status"] for row in pictures).items())
    print("openimages:", ", ".join(f"{n} {status}" for status, n in said), file=sys.stderr)


if __name__ == "__main__":
    stage.main(run)
