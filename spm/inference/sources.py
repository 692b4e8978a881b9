"""Videos for `spm localize`: files, and addresses that are downloaded; their length and size."""

import hashlib
import stat
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from spm.base.errors import UserError
from spm.base.progress import progress
from spm.base.statuses import FetchStatus, Kind
from spm.corpus import windows
from spm.corpus.fetch import fetch
from spm.corpus.fetching import plugins, proxy
from spm.corpus.fetching.session import Session
from spm.corpus.fetching.settings import Fetch
from spm.corpus.fetching.sources import Source
from spm.corpus.fetching.store import prepare
from spm.corpus.ids import sanitize_id
from spm.corpus.manifest import Video, address, is_remote
from spm.corpus.media.contents import Media, Unusable
from spm.corpus.media.limits import Bounds
from spm.corpus.media.probe import probe_in_subprocess

__all__ = ["display_size", "download", "inspect", "is_remote", "locate", "name_of"]

PROBE_S = 60  # longest time to read a file without decoding it
REMEDY = "Pass --private-host with its name to allow it."


def locate(video: str) -> str:
    """The address of a video on the web, or the path of its file.

    Raises
    ------
    UserError
        When the address is not valid.
    """
    listed = Video("video", video, Kind.SOLO, ("any",), None, 0)
    return windows.source_of(address(listed, Path("manifest.csv").absolute()))


def name_of(location: str) -> str:
    """The name of a video on the web, which differs for each address.

    >>> name_of("https://www.youtube.com/watch?v=jW_AuF6dQYY")
    'jW_AuF6dQYY'
    >>> name_of("https://a.example/1/concert.mp4"), name_of("https://a.example/2/concert.mp4")
    ('a.example-concert-38591c8c', 'a.example-concert-5781fd4e')
    """
    if youtube := windows.YOUTUBE_ADDRESS.match(location):
        return youtube["id"]
    parts = urlsplit(location)
    name = sanitize_id("-".join(filter(None, [parts.hostname, Path(parts.path).stem])), 60)
    return f"{name}-{hashlib.sha256(location.encode()).hexdigest()[:8]}"


def download(location: str, folder: Path, private_hosts: Sequence[str] = ()) -> Path:
    """Download a video on the web into `folder`/store; the path of its file.

    The download passes through the same proxy as those of the workflow. Of private hosts, it may
    ask `private_hosts`, and the one that `location` itself names by a number or as localhost.

    Raises
    ------
    UserError
        When the download fails, with the reason.
    """
    store = folder / "store"
    config = Fetch.model_validate({"private_hosts": tuple(private_hosts)})
    listed = Video(name_of(location), location, Kind.SOLO, ("any",), None, 0)
    hosts = [*private_hosts, *_own_host(location)]
    prepare(store)
    plugins.load(config.plugins)
    with (
        proxy.running(hosts, config.timeout_s, config.give_up_s, REMEDY) as proxy_url,
        progress(range(1), "fetch") as bar,
    ):
        session = Session(config, store, None, bar, proxy_url)
        (row,) = fetch(Source(listed.video_id, location, (listed,)), session)
    if row["status"] != FetchStatus.OK:
        raise UserError(f"{location}: {row['status']}: {row['reason']}")
    return Path(row["path"])


def _own_host(location: str) -> list[str]:
    """Host and port of an address that shows by itself that it is private."""
    host = urlsplit(location).hostname or ""
    try:
        shows = host == "localhost" or not proxy.is_public(str(ip_address(host)))
    except ValueError:
        return []
    parts = urlsplit(location)
    return [f"{host}:{parts.port or proxy.PORTS[parts.scheme]}"] if shows else []


def inspect(path: Path, memory_mb: int) -> Media:
    """The tracks of a file, which is read in a process with limits.

    Raises
    ------
    UserError
        When the file can't be used, with the reason.
    """
    try:
        about = path.stat()
        if stat.S_ISDIR(about.st_mode):
            raise UserError(f"{path}: a folder; expected a video, such as {path / '*.mp4'}")
        if not stat.S_ISREG(about.st_mode):  # a pipe that nobody writes to
            raise UserError(f"{path}: not a file")
        return _inspect(path.absolute(), memory_mb, about.st_size, about.st_mtime_ns)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except Unusable as error:
        raise UserError(f"{path}: {error.status}: {error.reason}") from error


@lru_cache(maxsize=16)
def _inspect(path: Path, memory_mb: int, *version: int) -> Media:
    """Read a file once per version of it."""
    return probe_in_subprocess(path, Bounds(memory_mb, PROBE_S))


def display_size(media: Media) -> tuple[int, int]:
    """Width and height of a video in px, as players show it.

    Players turn a phone's video upright, and stretch pixels that are not square to squares.
    """
    pictures = media.pictures
    assert pictures is not None
    width, height = round(pictures.width * pictures.pixel_aspect), pictures.height
    return (height, width) if pictures.rotation_deg % 180 else (width, height)
