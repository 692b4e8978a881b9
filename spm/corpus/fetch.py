"""Download the videos of one shard; every video becomes a row of the ledger with its status.

python -m spm.corpus.fetch --config '{}' --manifest music.csv --shard 3 --shards 16
    --store store --out 0003.parquet

A video is `ok`, `gone` (removed, private), `blocked` (age, country, login, payment), `bad` (no
media at the address) or `retry` (errors that may be temporary: time-outs, server errors, "not a
bot"). The store keeps the outcomes; later runs request only `retry` again, and with other cookies
the videos that need a login. Windows of one video share its download.
"""

import logging
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from io import StringIO
from pathlib import Path
from typing import Any

from tqdm import tqdm
from yt_dlp import YoutubeDL
from yt_dlp.cookies import YoutubeDLCookieJar

from spm.base import schemas, stage, tables
from spm.base.errors import UserError
from spm.base.progress import progress
from spm.base.shards import shard_of
from spm.base.statuses import FetchStatus
from spm.corpus.fetching import plugins, proxy
from spm.corpus.fetching.downloads import download
from spm.corpus.fetching.local import local_record
from spm.corpus.fetching.session import Session
from spm.corpus.fetching.settings import Fetch
from spm.corpus.fetching.sources import Source, group
from spm.corpus.fetching.store import MediaRecord, ledger_row, look_up, media_path, prepare
from spm.corpus.manifest import Video, is_remote, read

__all__ = ["Fetch", "run"]

LOG = logging.getLogger(__name__)


def fetch(source: Source, session: Session) -> list[dict[str, Any]]:
    """The rows of the videos of one source; a valid record in the store needs no request."""
    if is_remote(source.location):
        records = _stored_or_downloaded(source, session)
    else:
        records = [local_record(source.name, Path(source.location))]
    return [_row(video, records, session.store) for video in source.videos]


def _stored_or_downloaded(source: Source, session: Session) -> Sequence[MediaRecord]:
    """Records of the whole video or of the parts that its windows need."""
    wanted = session.new_record(source.name, source.location)
    parts = source.parts if session.config.windows_only else []
    stored = look_up(session.store, wanted, parts)
    return stored.records if stored.complete else download(wanted, session, parts)


def _row(video: Video, records: Sequence[MediaRecord], store: Path) -> dict[str, Any]:
    """The row of a video, of the record that has its window."""
    record = next(record for record in records if record.serves(video.window))
    if record.status is not FetchStatus.OK:
        return ledger_row(video, record, None)
    is_local = record.extractor == "local"
    path = Path(record.address) if is_local else media_path(store, record)
    return ledger_row(video, record, path)


def fetch_all(videos: Sequence[Video], manifest: Path, session: Session) -> list[dict[str, Any]]:
    """Rows of all videos, several at a time; any end of the run stops the current downloads."""
    rows = [_flawed_row(video) for video in videos if video.flaw]
    session.bar.update(len(rows))
    pool = ThreadPoolExecutor(session.config.workers)
    try:
        sources = group([video for video in videos if not video.flaw], manifest)
        jobs = [pool.submit(fetch, source, session) for source in sources]
        for job in as_completed(jobs):
            rows += job.result()
            session.bar.update(len(job.result()))
        return rows
    finally:
        session.stop.set()
        pool.shutdown(cancel_futures=True)


def _flawed_row(video: Video) -> dict[str, Any]:
    record = MediaRecord(video.video_id, video.url, "", FetchStatus.BAD, video.flaw)
    return ledger_row(video, record, None)


def read_cookies(config: Fetch) -> str | None:
    """The text of the cookie file, after a check of its format."""
    if config.cookies is None:
        return None
    try:
        text = Path(config.cookies).read_text(encoding="utf-8")
        YoutubeDLCookieJar(StringIO(text)).load()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"fetch.cookies {config.cookies!r}: {error}: expected a file in Netscape's format"
        ) from error
    return text


def check_format(config: Fetch) -> None:
    """Raise a `UserError` when yt-dlp can't parse the format selector."""
    plugins.load(config.plugins)
    try:
        YoutubeDL({"logger": LOG}).build_format_selector(config.format)
    except SyntaxError as error:
        raise UserError(
            f"fetch.format {config.format!r}: {error.msg}: expected a format selector of yt-dlp"
        ) from error


def run(config: Fetch, *, manifest: Path, shard: int, shards: int, store: Path, out: Path) -> None:
    """Fetch the videos of one shard into the store, and write the ledger."""
    if not 0 <= shard < shards:
        raise UserError(f"shard {shard}: expected 0 to {shards - 1}, as there are {shards} shards")
    videos = read(manifest, wanted=lambda key: shard_of(key, shards) == shard)
    prepare(store)
    check_format(config)
    cookies = read_cookies(config)
    bar: tqdm[Any] = progress([], "fetch", len(videos))
    filtered = proxy.running(config.private_hosts, config.timeout_s, config.give_up_s)
    try:
        with bar, filtered as proxy_url:
            rows = fetch_all(videos, manifest, Session(config, store, cookies, bar, proxy_url))
    except OSError as error:  # errors of a video are in its row: this one is the store's
        raise UserError(
            f"store {store}: {error}: expected a writable folder with free space"
        ) from error
    tables.write_rows(out, schemas.LEDGER, sorted(rows, key=lambda row: str(row["video_id"])))
    counts = sorted(Counter(row["status"] for row in rows).items())
    summary = ", ".join(f"{count} {status}" for status, count in counts)
    print("fetch:", summary or "no videos", file=sys.stderr)


if __name__ == "__main__":
    stage.main(run)
