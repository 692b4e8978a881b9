"""What a file is by its first bytes, for messages about files of a wrong kind."""

import re
from pathlib import Path

HEAD_BYTES = 4096
TEXT, WEB_PAGE, SAFETENSORS = "a text", "a web page", "a safetensors file"
PICKLE = "a pickle"  # of Python objects; torch.save wrote such files until 2020
TORCH = "a file of torch.save"
LFS = "a pointer of Git LFS instead of the file itself (git lfs pull gets it)"
# A regular expression for the first bytes, and a name; the first that matches counts.
DOCUMENTS = (
    (rb"version https://git-lfs", LFS),
    (rb"%PDF-", "a PDF"),
    (rb"PK\x03\x04.*(\[Content_Types\]|xl/|word/)", "a document of Excel or Word"),
    (rb"PK\x03\x04.{26}mimetypeapplication/vnd\.oasis", "a document of LibreOffice"),
    (rb"\xd0\xcf\x11\xe0", "a document of Excel or Word"),
    (rb"PK\x03\x04.*data\.pkl", TORCH),
    (rb"\x80[\x02-\x05]", PICKLE),
    (rb"PK\x03\x04.*\.npy", "a NumPy archive (.npz)"),
    (rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!|BZh|\xfd7zXZ", "a compressed archive"),
    (rb"\x93NUMPY", "a NumPy array (.npy)"),
    (rb"PAR1", "a Parquet table"),
    (rb"\x89HDF", "an HDF5 file"),
    (rb".{6}\x00\x00\{\"", SAFETENSORS),
    (rb"(?i)\s*<!doctype html|\s*<html", WEB_PAGE),
    (rb"\s*<", "a text in XML or HTML"),
    (rb"\xff\xd8\xff|\x89PNG|GIF8|BM.{4}\x00{4}", "a picture"),
    (rb"[\t\n\r\x20-\x7e]+\Z", TEXT),
)
MEDIA = (
    (rb".{4}ftyp|\x1aE\xdf\xa3|RIFF.{4}AVI ", "a video"),
    (rb"RIFF.{4}WAVE|ID3|OggS|fLaC|\xff[\xfb\xf3\xf2]", "a sound file"),
)


def kind_of(head: bytes, kinds: tuple[tuple[bytes, str], ...] = DOCUMENTS + MEDIA) -> str:
    r"""What a file with these first bytes is; empty if nothing is known.

    >>> kind_of(b"%PDF-1.7\n")
    'a PDF'
    """
    head = head[:HEAD_BYTES].removeprefix(b"\xef\xbb\xbf")
    return next((name for start, name in kinds if re.match(start, head, re.DOTALL)), "")


def unless_text(content: bytes) -> str:
    """What a file is that should be a text; empty if it can be one."""
    kind = kind_of(content)
    return "" if kind == TEXT else kind


def read_kind(path: Path) -> str:
    """What a file is; empty if nothing is known, or it can't be read."""
    try:
        with path.open("rb") as file:
            return kind_of(file.read(HEAD_BYTES))
    except OSError:
        return ""
