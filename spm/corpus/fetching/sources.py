"""What is downloaded: a video of the manifest, or a video of which the manifest lists windows."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spm.corpus import windows
from spm.corpus.ids import sanitize_id
from spm.corpus.manifest import Video, address
from spm.corpus.windows import Window

GAP_S = 20.0  # windows that are as near as this are one part: a part starts with a request
MOST_PARTS = 4
MOST_SHARE = 0.5  # of the length of a video: of longer parts, the whole video costs little more
ASSUMED_S = 60.0  # length of a video where the site states none


@dataclass(frozen=True)
class Source:
    """Rows of the manifest that one download serves."""

    name: str  # of its files in the store
    location: str  # what `manifest.address` gives
    videos: tuple[Video, ...]

    @property
    def parts(self) -> list[Window]:
        """The parts that its windows need; none for a whole video."""
        listed = [video.window for video in self.videos if video.window]
        return windows.merge(listed, GAP_S)


def group(videos: Iterable[Video], manifest: Path) -> list[Source]:
    """The sources of videos without flaws, in the order of their first rows."""
    groups: dict[tuple[bool, str], list[Video]] = {}
    for video in videos:
        groups.setdefault((video.window is None, video.shard_key), []).append(video)
    sources = []
    for (is_whole, key), rows in groups.items():
        location = address(rows[0], manifest)
        if not is_whole and key.startswith(windows.YOUTUBE):
            location = key
        sources.append(Source(key if is_whole else _name(location), location, tuple(rows)))
    return sources


def _name(location: str) -> str:
    """A name that no id of a video is likely to have."""
    digest = hashlib.sha256(location.encode()).hexdigest()[:8]
    return f"source-{sanitize_id(location[-60:], 60)}-{digest}"


def is_worth(parts: Sequence[Window], duration_s: float | None) -> bool:
    """Whether parts of a video are downloaded, and not all of it."""
    length_s = sum(part.end_s - part.start_s for part in parts)
    return 0 < len(parts) <= MOST_PARTS and length_s <= MOST_SHARE * (duration_s or ASSUMED_S)
