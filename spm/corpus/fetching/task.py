"""One attempt to download a video, and its result, as they pass between two processes."""

from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter

from spm.corpus.fetching.settings import Fetch
from spm.corpus.fetching.store import MediaRecord
from spm.corpus.windows import Window


class Task(NamedTuple):
    """What an attempt needs to know."""

    record: MediaRecord  # as `Session.new_record` gives it
    parts: tuple[Window, ...]  # that suffice; none: all of the video
    config: Fetch
    store: Path
    cookies: str | None
    proxy: str | None
    in_fragments: tuple[str, ...]  # extractors without parts of videos


class Result(NamedTuple):
    """What came of an attempt."""

    records: tuple[MediaRecord, ...] = ()  # of the whole video or of its failure, or one per part
    throttled: bool = False  # the site refused this machine, whatever the video
    busy: bool = False  # another process downloads the video
    in_fragments: tuple[str, ...] = ()
    fault: str = ""  # of this machine; it ends the run


TASK, RESULT = TypeAdapter(Task), TypeAdapter(Result)
