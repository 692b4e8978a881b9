"""What made the results of a project: settings, code and environment of each job.

Snakemake keeps a record per output file in `.snakemake/metadata`. A copy of the results alone has
none of them.
"""

import base64
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spm.base.errors import UserError

METADATA = Path(".snakemake/metadata")
DIGEST = re.compile(r"[0-9a-f]{16}( [0-9a-f]{16})*")  # of code: spm.base.digest.code_digest


@dataclass(frozen=True)
class Record:
    """How one output file was made."""

    rule: str
    settings: Mapping[str, Any]
    code: str  # digests of the stage's code
    environment: str  # the environment file of conda, in base64; empty without conda


def read(project: Path) -> dict[str, Record]:
    """The record of each output file of a project, by its path; none without `.snakemake`.

    Raises
    ------
    UserError
        If a record is damaged.
    """
    folder = project / METADATA
    if not folder.is_dir():
        return {}
    return dict(_records(folder))


def _records(folder: Path) -> Iterator[tuple[str, Record]]:
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        name = "".join(path.relative_to(folder).parts).replace("@", "")
        try:
            output = base64.b64decode(name, validate=True).decode()
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise UserError(
                f"{path}: a damaged record of Snakemake: delete it, and run the workflow again"
            ) from None
        params = [text.strip("'") for text in content.get("params") or []]
        yield (
            output,
            Record(
                rule=content.get("rule") or "",
                settings=_settings(content.get("shellcmd") or ""),
                code=" ".join(filter(DIGEST.fullmatch, params)),
                environment=content.get("conda_env") or "",
            ),
        )


def _settings(command: str) -> dict[str, Any]:
    """The value of --config in the command of a job."""
    words = shlex.split(command.split(" 2> ")[0])
    if "--config" not in words:
        return {}
    settings: dict[str, Any] = json.loads(words[words.index("--config") + 1])
    return settings
