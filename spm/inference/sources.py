"""Videos for `spm localize`: files, and addresses that are downloaded; their length and size."""

from pathlib import Path

import av

from spm.base.errors import UserError
from spm.base.progress import progress
from spm.base.statuses import FetchStatus, Kind
from spm.corpus.fetch import fetch
from spm.corpus.fetching.session import Session
from spm.corpus.fetching.settings import Fetch
from spm.corpus.fetching.sources import Source
from spm.corpus.fetching.store import prepare
from spm.corpus.ids import sanitize_id
from spm.corpus.manifest import Video, address, is_remote
from spm.corpus.media.contents import Unusable
from spm.corpus.media.probe import probe


def local_copy(video: str, folder: Path) -> Path:
    """The path of a video; a video at an address is downloaded into `folder`/store.

    Raises
    ------
    UserError
        When the download fails, with the reason.
    """
    name = sanitize_id(video.rsplit("/", 1)[-1])
    listed = Video(name, video, Kind.SOLO, ("any",), None, 0)
    location = address(listed, Path("manifest.csv").absolute())
    if not is_remote(location):
        return Path(location)
    prepare(folder / "store")
    with progress(range(1), "fetch") as bar:
        session = Session(Fetch.model_validate({}), folder / "store", None, bar)
        (row,) = fetch(Source(name, location, (listed,)), session)
    if row["status"] != FetchStatus.OK:
        raise UserError(f"{video}: {row['status']}: {row['reason']}")
    return Path(row["path"])


def duration_s(path: Path) -> float:
    """The length of a video as its file states it; 0 where it states none or can't be read."""
    try:
        return probe(path).length_s or 0.0
    except (Unusable, UserError):
        return 0.0


def display_size(path: Path) -> tuple[int, int]:
    """Width and height of a video in px, as players show it.

    Players turn a phone's video upright, and stretch pixels that are not square to squares.
    """
    pictures = probe(path).pictures
    assert pictures is not None
    with av.open(f"file:{path}", options={"protocol_whitelist": "file"}) as container:
        tracks = {track.index: track for track in container.streams.video}
        ratio = tracks[pictures.stream].sample_aspect_ratio or 1
    width, height = round(pictures.width * ratio), pictures.height
    return (height, width) if pictures.rotation_deg % 180 else (width, height)
