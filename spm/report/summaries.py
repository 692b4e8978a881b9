"""The summaries of the stage `scores`, by their paths."""

from pathlib import Path
from typing import Any, NamedTuple

from spm.base import json_file

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
    """The content of a summary; an error if it is not as the stage has written it."""
    return json_file.read(path)
