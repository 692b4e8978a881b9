"""What the downloads of one shard share."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import Any

from tqdm import tqdm

from spm.base.statuses import FetchStatus
from spm.corpus.fetching.settings import Fetch
from spm.corpus.fetching.store import MediaRecord, partial_folder
from spm.corpus.fetching.task import Task
from spm.corpus.windows import Window

NOT_REQUESTED = "not requested: the site refuses automatic access from this machine"


@dataclass
class Session:
    """The state that the downloads of one shard share."""

    config: Fetch
    store: Path
    cookies: str | None  # text of the cookie file
    bar: "tqdm[Any]"
    proxy: str | None = None  # URL of the proxy; None: the environment's
    stop: Event = field(default_factory=Event)  # set at the end of the run: it ends all downloads
    lock: Lock = field(default_factory=Lock)
    refusals: int = 0  # of automatic access, consecutive
    started: int = 0  # downloads
    in_fragments: set[str] = field(default_factory=set)  # extractors without parts of videos

    @property
    def throttled(self) -> bool:
        """Whether the site has refused automatic access often enough to stop."""
        return self.refusals >= self.config.bot_limit

    def new_record(self, name: str, location: str) -> MediaRecord:
        """The record of a download that was not tried yet."""
        config, cookies = self.config, self.cookies
        hosts = ",".join(config.private_hosts)
        terms = f"{config.format} max_mb={config.max_mb:g} hosts={hosts}"
        digest = hashlib.sha256(cookies.encode()).hexdigest()[:16] if cookies else ""
        return MediaRecord(name, location, terms, FetchStatus.RETRY, NOT_REQUESTED, cookies=digest)

    def task(self, record: MediaRecord, parts: Sequence[Window]) -> Task:
        """An attempt to download a video, or the `parts` of it that suffice."""
        fragmented = tuple(sorted(self.in_fragments))
        return Task(
            record, tuple(parts), self.config, self.store, self.cookies, self.proxy, fragmented
        )

    def count_refusal(self, *, throttled: bool) -> None:
        """Count consecutive refusals of automatic access."""
        with self.lock:
            self.refusals = self.refusals + 1 if throttled else 0

    def pause(self) -> None:
        """Wait between two videos."""
        with self.lock:
            self.started += 1
            first = self.started == 1
        self.stop.wait(0 if first else self.config.sleep_s)

    def show(self, record: MediaRecord) -> bool:
        """Show how much of a video is there; whether the run goes on."""
        folder = partial_folder(self.store, record.video_id)
        received = sum(file.stat().st_size for file in folder.glob("*") if file.is_file())
        self.bar.set_postfix_str(f"{received / 1e6:.1f} MB", refresh=False)
        return not self.stop.is_set()
