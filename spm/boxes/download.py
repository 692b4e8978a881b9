"""Files from the web: continued where they broke off, and checked where the server says what they should be."""

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

CHUNK_BYTES = 1 << 20
BUSY = (429, 500, 502, 503, 504)
ABSENT = (403, 404, 410)  # a bucket answers 403 for what it doesn't hold
TOO_FAR = 416  # the part at hand is no beginning of what is served


class Refused(Exception):
    """A file that could not be had: `gone`, `bad` (not what it should be), or `retry`: it may come back."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


def connect(workers: int, retries: int, backoff_s: float) -> requests.Session:
    """A session whose connections several threads share; busy servers and broken lines are asked again."""
    again = Retry(retries, backoff_factor=backoff_s, status_forcelist=BUSY, allowed_methods=["GET"])
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=workers, max_retries=again))
    return session


def expected_md5(headers: Mapping[str, str]) -> str | None:
    """What the server says the content's MD5 is, in hexadecimal; None where it doesn't.

    Google's storage says it in `x-goog-hash`, in base64; Amazon's in the ETag of what was uploaded in one piece.
    """
    google = re.search(r"md5=([\w+/]+=*)", headers.get("x-goog-hash", ""))
    if google:
        return base64.b64decode(google[1]).hex()
    amazon = re.fullmatch(r'"([0-9a-f]{32})"', headers.get("ETag", ""))
    return amazon[1] if amazon else None


def digest_of(path: Path, algorithm: str = "sha256") -> str:
    """Digest of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def download(session: requests.Session, address: str, path: Path, timeout_s: float) -> None:
    """Download a file to `path`, which is there only when it is whole; its beginning lies beside it as `.part`.

    Raises
    ------
    Refused
        With the reason; after `retry` the part stays, and the next call continues it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        expected = _pour(session, address, part, timeout_s)
    except (requests.RequestException, HTTPError) as error:
        raise Refused("retry", f"{type(error).__name__}: {error}") from error
    if expected and digest_of(part, "md5") != expected:
        part.unlink()
        raise Refused(
            "retry",
            f"{address}: what arrived does not have the MD5 {expected} that the server names",
        )
    part.replace(path)


def _pour(session: requests.Session, address: str, part: Path, timeout_s: float) -> str | None:
    """Append what is missing to the part; the MD5 that the whole should have."""
    have = part.stat().st_size if part.exists() else 0
    asked = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with session.get(address, headers=asked, stream=True, timeout=timeout_s) as answer:
        if answer.status_code == TOO_FAR:
            part.unlink()
            return _pour(session, address, part, timeout_s)
        if answer.status_code in ABSENT:
            raise Refused("gone", f"HTTP {answer.status_code}")
        answer.raise_for_status()
        with part.open("ab" if answer.status_code == requests.codes.partial else "wb") as file:
            while chunk := answer.raw.read1(
                CHUNK_BYTES
            ):  # what has come is kept when the line breaks
                file.write(chunk)
        return expected_md5(answer.headers)
