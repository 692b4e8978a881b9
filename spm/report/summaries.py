"""The summaries of the stage `scores`, by their paths."""

import json
from pathlib import Path
from typing import Any, NamedTuple

KEY = ["testset", "box_source", "protocol"]
COUNTS = ["frames", "videos"]
ORACLE = "oracle"  # knows the truth: no run is compared with it


class SummaryKey(NamedTuple):
    """The parts of a summary's path: …/<run>/<testset>/<box_source>/<protocol>.json."""

    run: str
    testset: str
    box_source: str
    protocol: str


def summary_key(path: Path) -> SummaryKey:
    """Read the path of a summary."""
    run, testset, box_source = path.parts[-4:-1]
    return SummaryKey(run, testset, box_source, path.stem)


def read(path: Path) -> dict[str, Any]:
    """The content of a summary."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
