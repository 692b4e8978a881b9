"""Resumable downloads over HTTP, checked against the MD5 that the server announces."""

import base64
import re
from collections.abc import Mapping
from pathlib import Path

import requests
from filelock import Timeout
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from spm.base.file_digest import file_digest
from spm.base.locks import locked
from spm.base.masking import mask_passwords
from spm.boxes.statuses import ImageStatus

CHUNK_BYTES = 1 << 20
LOCKED_S = 600.0  # that a file which another process downloads is waited for
BUSY = (429, 500, 502, 503, 504)
ABSENT = (403, 404, 410)  # a storage bucket answers 403 for a file that it does not have
RANGE_NOT_SATISFIABLE = 416  # the partial file is longer than the served file


class DownloadError(Exception):
    """A file that can't be used: `gone`, `bad` (wrong content), or `retry` (may succeed later)."""

    def __init__(self, status: ImageStatus, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, mask_passwords(reason)


def connect(workers: int, retries: int, backoff_s: float) -> requests.Session:
    """A session for several threads; it repeats requests to busy servers and broken connections."""
    retry = Retry(retries, backoff_factor=backoff_s, status_forcelist=BUSY, allowed_methods=["GET"])
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=workers, max_retries=retry))
    return session


def expected_md5(headers: Mapping[str, str]) -> str | None:
    """The MD5 of the content that the server announces, in hexadecimal; None if it does not.

    Google Storage announces it in `x-goog-hash`, in base64; Amazon S3 in the ETag of files that
    were uploaded in one part.
    """
    google = re.search(r"md5=([\w+/]+=*)", headers.get("x-goog-hash", ""))
    if google:
        return base64.b64decode(google[1]).hex()
    amazon = re.fullmatch(r'"([0-9a-f]{32})"', headers.get("ETag", ""))
    return amazon[1] if amazon else None


def download(session: requests.Session, url: str, path: Path, timeout_s: float) -> None:
    """Download a file; `path` exists only when it is complete, until then `<path>.part` grows.

    It is locked meanwhile. What another process has downloaded is used.

    Raises
    ------
    DownloadError
        With status and reason. After `retry` the partial file stays, and the next call resumes it.
    """
    try:
        with locked(path.with_name(path.name + ".lock"), LOCKED_S):
            if not path.exists():
                _download(session, url, path, timeout_s)
    except Timeout as error:
        reason = f"another process downloads {path.name}"
        raise DownloadError(ImageStatus.RETRY, reason) from error


def _download(session: requests.Session, url: str, path: Path, timeout_s: float) -> None:
    part = path.with_name(path.name + ".part")
    try:
        md5 = _append_missing(session, url, part, timeout_s)
    except (requests.RequestException, HTTPError) as error:
        raise DownloadError(ImageStatus.RETRY, f"{type(error).__name__}: {error}") from error
    if md5 and file_digest(part, "md5") != md5:
        part.unlink()
        raise DownloadError(
            ImageStatus.RETRY,
            f"{url}: the content does not have the MD5 {md5} that the server announced",
        )
    part.replace(path)


def _append_missing(
    session: requests.Session, url: str, part: Path, timeout_s: float
) -> str | None:
    """Append the missing bytes to the partial file; returns the announced MD5 of the whole file."""
    size = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if size:
        headers["Range"] = f"bytes={size}-"
    with session.get(url, headers=headers, stream=True, timeout=timeout_s) as response:
        if response.status_code == RANGE_NOT_SATISFIABLE:
            part.unlink()
            return _append_missing(session, url, part, timeout_s)
        if response.status_code in ABSENT:
            raise DownloadError(ImageStatus.GONE, f"HTTP {response.status_code}")
        response.raise_for_status()
        is_rest = response.status_code == requests.codes.partial
        with part.open("ab" if is_rest else "wb") as file:
            # read1 returns bytes as they arrive, so that a broken connection loses none of them.
            while chunk := response.raw.read1(CHUNK_BYTES):
                file.write(chunk)
        return expected_md5(response.headers)
