"""The left-over part of an earlier download, which is continued only if it is of the same file.

Beside `NAME.part` lies `NAME.origin`, which keeps what the server said of the file: ETag or time of
the last change, and length. The download is continued a little before the end of the part, and the
bytes that come twice are compared.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from spm.base.statuses import FetchStatus
from spm.corpus.fetching.errors import FetchError

OVERLAP_BYTES = 4096


class OtherFile(FetchError):
    """The address serves another file than the one of the left-over part."""

    msg = "the address now serves another file"


class Incomplete(FetchError):
    """A file that is shorter or longer than the server said."""

    status = FetchStatus.RETRY


class Leftover:
    """The part of one file, `name` being that of the complete file."""

    def __init__(self, name: str) -> None:
        self.file = Path(name)
        self.part, self.origin = Path(f"{name}.part"), Path(f"{name}.origin")
        if Path(name).is_file():  # pictures whose sound is missing: both must be of one film
            Path(name).replace(self.part)
        self.tail = self._cut_tail()
        self.known = self._read()

    def _cut_tail(self) -> bytes:
        """Remove the last bytes of the part: the server sends them again."""
        if not self.part.is_file():
            self.origin.unlink(missing_ok=True)
            return b""
        with self.part.open("r+b") as file:
            size = file.seek(0, 2)
            file.seek(max(size - OVERLAP_BYTES, size // 2))
            start = file.tell()
            tail = file.read()
            file.truncate(start)
        return tail

    def _read(self) -> dict[str, str]:
        with suppress(OSError, ValueError):
            return dict(json.loads(self.origin.read_text(encoding="utf-8")))
        return {}

    def check(self, request: Any, response: Any) -> bytes:
        """Compare a response with the part; the bytes of its body that were read for that.

        Raises
        ------
        OtherFile
            When the response continues another file.
        """
        found = describe(response.headers, response.status)
        start = _range_start(request)
        if not start:
            self._write(found)
            self.tail = b""
            return b""
        if _differ(self.known, found):
            raise OtherFile
        self._write(self.known | found)
        tail, self.tail = self.tail, b""
        if response.status != 206 or not tail:
            return b""
        again: bytes = response.read(len(tail))
        if again != tail[: len(again)]:
            raise OtherFile
        return again

    def check_length(self) -> None:
        """Compare the length of the complete file with what the server said.

        Raises
        ------
        Incomplete
            When it differs.
        """
        received, stated = self.file.stat().st_size, self.known.get("length")
        if stated and received != int(stated):
            self.file.unlink()
            raise Incomplete(f"{received} bytes were received, of {stated}")

    def _write(self, found: dict[str, str]) -> None:
        self.known = found
        self.origin.parent.mkdir(parents=True, exist_ok=True)
        self.origin.write_text(json.dumps(found), encoding="utf-8")


def describe(headers: Mapping[str, str], status: int) -> dict[str, str]:
    """What a response says of the whole file.

    >>> describe({"ETag": '"a"', "Content-Range": "bytes 5-9/10"}, 206)
    {'ETag': '"a"', 'length': '10'}
    """
    found = {name: headers[name] for name in ("ETag", "Last-Modified") if headers.get(name)}
    if (headers.get("Content-Encoding") or "identity") != "identity":
        return found  # the lengths are those of what is sent
    whole = re.fullmatch(r"bytes \d+-\d+/(\d+)", headers.get("Content-Range") or "")
    length = whole[1] if whole else headers.get("Content-Length") if status == 200 else None
    return found | ({"length": length} if length else {})


def _differ(known: Mapping[str, str], found: Mapping[str, str]) -> bool:
    """Whether two descriptions are of different files; the ETag says more than the time."""
    names = [name for name in ("ETag", "Last-Modified") if name in known and name in found][:1]
    names += ["length"] if "length" in known and "length" in found else []
    return any(known[name] != found[name] for name in names)


def _range_start(request: Any) -> int:
    """First byte that a request asks for."""
    match = re.match(r"bytes=(\d+)-", request.headers.get("Range") or "")
    return int(match[1]) if match else 0


def remove_unfinished(folder: Path) -> None:
    """Remove what ffmpeg has not finished: the ffmpeg of a killed job may still write to it."""
    for path in folder.glob("*.temp.*"):
        path.unlink(missing_ok=True)


def remove_fragments(name: str) -> None:
    """Remove what is left of a download in fragments: it is not continued, but starts anew."""
    path = Path(name)
    for ending in ("", ".part", ".ytdl"):
        Path(f"{name}{ending}").unlink(missing_ok=True)
    for fragment in path.parent.glob("*.part-Frag*"):
        fragment.unlink(missing_ok=True)
