"""JSON files that one stage writes and another reads: complete, and as they were written."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spm.base.errors import UserError
from spm.base.files import atomic_write

DIGEST = "digest"  # key of the SHA-256 of all other keys
REMEDY = "delete it and run again"


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping with the digest of its content; equal content gives equal bytes."""
    about = json.loads(json.dumps({**content, DIGEST: None}))  # keys become text, tuples lists
    del about[DIGEST]
    text = json.dumps({**about, DIGEST: content_digest(about)}, indent=1, sort_keys=True)
    with atomic_write(path) as part:
        part.write_text(text + "\n", encoding="utf-8")


def read(path: Path, *, signed: bool = True) -> dict[str, Any]:
    """Read what `write` wrote, without the digest.

    Parameters
    ----------
    path : Path
        The file.
    signed : bool
        Whether the digest must be there. False: a file of other origin may have none.

    Raises
    ------
    UserError
        If the file is missing or no JSON object, or if it was changed.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UserError(f"{path}: {error.strerror}: run again") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a complete JSON file ({error}): {REMEDY}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a JSON object: {REMEDY}")
    digest = content.pop(DIGEST, None)
    if signed and digest is None:
        raise UserError(f"{path} has no digest: an earlier version of spm wrote it: {REMEDY}")
    if digest is not None and digest != content_digest(content):
        remedy = REMEDY if signed else f"{REMEDY}, or delete its key {DIGEST!r} to keep the change"
        raise UserError(f"{path} was changed after it was written (its digest differs): {remedy}")
    return content


def content_digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of a mapping, whatever the order of its keys."""
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
