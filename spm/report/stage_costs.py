"""What each stage cost, from the benchmark file that every job leaves.

python -m spm.report.stage_costs logs
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from spm.base.config import UserError

SHORTEST_S = 0.1  # what a benchmark can tell from nothing


class Cost(NamedTuple):
    """Of all jobs of a stage."""

    jobs: int
    wall_s: float  # summed
    longest_s: float
    processor_s: float  # summed
    peak_mb: float  # of the largest


def _number(value: object) -> float:
    """A figure of a benchmark; what Snakemake could not measure, as of a job of half a second, counts as 0."""
    return float(value) if isinstance(value, int | float) else 0.0


def of_stage(runs: list[Mapping[str, object]]) -> Cost:
    """Sums and maxima over the benchmarks of one stage's jobs."""
    walls, processor, memory = (
        [_number(run.get(name)) for run in runs] for name in ("s", "cpu_time", "max_rss")
    )
    return Cost(len(runs), sum(walls), max(walls), sum(processor), max(memory))


def read(logs: Path) -> dict[str, Cost]:
    """The cost of every stage that has run, by room and stage, of each job the latest."""
    found: dict[str, list[Mapping[str, object]]] = defaultdict(list)
    for file in sorted(logs.rglob("*.jsonl")):
        room, stage, *_ = file.relative_to(logs).with_suffix("").parts
        found[f"{room}/{stage}"].append(json.loads(file.read_text().splitlines()[-1]))
    if not found:
        raise UserError(f"{logs}: no benchmarks there: expected the folder of logs beside results")
    return {stage: of_stage(runs) for stage, runs in found.items()}


def table(costs: Mapping[str, Cost], clips: int | None = None) -> Iterator[str]:
    """Lines of Markdown; with the number of clips that there are, also how many of them a second a stage did."""
    more = [] if clips is None else ["clips a second"]
    yield f"| {' | '.join(['stage', 'jobs', 's, all jobs', 's, longest', 's of processors', 'peak MB', *more])} |"
    yield "|---|" + "---:|" * (5 + len(more))
    for stage, cost in costs.items():
        times = " | ".join(f"{seconds:,.1f}" for seconds in cost[1:4])
        rate = "" if clips is None else f" {clips / max(cost.wall_s, SHORTEST_S):,.1f} |"
        yield f"| {stage} | {cost.jobs} | {times} | {cost.peak_mb:,.0f} |{rate}"


if __name__ == "__main__":
    try:
        print("\n".join(table(read(Path(sys.argv[1])))))
    except (UserError, IndexError) as error:
        sys.exit(f"costs: error: {error}: expected one folder")
