"""Time and memory per stage, from the benchmark file of each job; and the speed of each training.

python -m spm.report.costs --config '{}' --logs logs
python -m spm.report.costs --config '{}' --logs logs --index clips.parquet
    --markdown-table costs.md --page costs.html

The first form prints the table (`make costs`); the second writes it for the report.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from spm.base import stage, tables
from spm.base.config import Section
from spm.base.constants import SPEEDS
from spm.base.errors import UserError
from spm.report import html

SHORTEST_S = 0.1  # the resolution of a benchmark; shorter times count as this in a rate
COLUMNS = ["stage", "jobs", "s, all jobs", "s, longest", "s of processors", "peak MB"]
RATE = "clips per second"
TRAINING_COLUMNS = [
    "training", "epochs", "pictures", "pictures per second", "waiting for the loader", "GPU peak GB"
]  # fmt: skip


class Cost(NamedTuple):
    """Time and memory of all jobs of one stage."""

    jobs: int
    wall_s: float  # sum
    longest_s: float
    processor_s: float  # sum
    peak_mb: float  # of the largest job


def _number(value: object) -> float:
    """A number of a benchmark; 0 where Snakemake could not measure it (jobs of half a second)."""
    return float(value) if isinstance(value, int | float) else 0.0


def total(benchmarks: list[Mapping[str, object]]) -> Cost:
    """Sums and maxima over the benchmarks of the jobs of one stage."""
    walls = [_number(benchmark.get("s")) for benchmark in benchmarks]
    processors = [_number(benchmark.get("cpu_time")) for benchmark in benchmarks]
    memory = [_number(benchmark.get("max_rss")) for benchmark in benchmarks]
    return Cost(len(benchmarks), sum(walls), max(walls), sum(processors), max(memory))


def read(logs: Path, names: Collection[str] | None = None) -> dict[str, Cost]:
    """The cost of each stage by `<section>/<stage>`; the last attempt of each job counts.

    Parameters
    ----------
    logs : Path
        The folder of the logs of a workflow.
    names : collection of str, optional
        Shards, runs and other parts of the names of jobs that there are; None: all that have logs.
    """
    found: dict[str, list[Mapping[str, object]]] = defaultdict(list)
    for file in sorted(logs.rglob("*.jsonl")):
        section, stage_, *job = file.relative_to(logs).with_suffix("").parts
        if names is None or set(job) <= set(names):
            found[f"{section}/{stage_}"].append(_last_line(file))
    if not found:
        raise UserError(f"{logs}: no benchmarks (*.jsonl): expected the folder logs/ of a workflow")
    return {name: total(benchmarks) for name, benchmarks in found.items()}


def _last_line(file: Path) -> dict[str, Any]:
    content = _json(file, file.read_text(encoding="utf-8").splitlines()[-1:])
    if not isinstance(content, dict):
        raise UserError(f"{file} is not a benchmark of Snakemake: delete it and run again")
    return content


def _json(file: Path, lines: Sequence[str]) -> Any:
    try:
        return json.loads("\n".join(lines))
    except ValueError as error:
        raise UserError(
            f"{file} is not complete ({error}): delete it; its time is then not counted"
        ) from error


def table(costs: Mapping[str, Cost], clips: int | None = None) -> Iterator[str]:
    """Lines of a Markdown table; with the number of clips in the corpus also a rate per stage."""
    columns = COLUMNS if clips is None else [*COLUMNS, RATE]
    yield f"| {' | '.join(columns)} |"
    yield "|---|" + "---:|" * (len(columns) - 1)
    for name, cost in costs.items():
        times = " | ".join(f"{seconds:,.1f}" for seconds in cost[1:4])
        rate = "" if clips is None else f" {clips / max(cost.wall_s, SHORTEST_S):,.1f} |"
        yield f"| {name} | {cost.jobs} | {times} | {cost.peak_mb:,.0f} |{rate}"


def trainings(logs: Path, names: Collection[str] | None = None) -> Iterator[str]:
    """Lines of a Markdown table of the trainings that wrote the speeds of their epochs, if any."""
    files = [
        file
        for file in sorted(logs.rglob(SPEEDS))
        if names is None or file.parent.stem in {*names, "detector"}
    ]
    if files:
        yield f"| {' | '.join(TRAINING_COLUMNS)} |"
        yield "|---|" + "---:|" * (len(TRAINING_COLUMNS) - 1)
    for file in files:
        epochs = _json(file, file.read_text(encoding="utf-8").splitlines())
        pictures = sum(epoch["pictures"] for epoch in epochs)
        seconds = max(sum(epoch["seconds"] for epoch in epochs), SHORTEST_S)
        waiting = sum(epoch["seconds"] * epoch["wait_share"] for epoch in epochs) / seconds
        peak_gb = max(epoch.get("gpu_peak_gb", 0) for epoch in epochs)
        numbers = f"{len(epochs)} | {pictures:,} | {pictures / seconds:,.1f} | {waiting:.1%}"
        name = file.parent.relative_to(logs).with_suffix("")
        yield f"| {name} | {numbers} | {peak_gb:.1f} |"


def run(
    config: Section,
    *,
    logs: Path,
    index: Path | None,
    markdown_table: Path | None,
    page: Path | None,
    names: list[str],
) -> None:
    """Write the table as Markdown and as a page; without `markdown_table`, print it.

    With `names`, jobs with other names, such as those of a removed run, do not count.
    Times differ between runs of a workflow, and so do the bytes of the table.
    """
    clips = pq.read_metadata(index).num_rows if index else None
    counted = names or None
    text = "\n".join(table(read(logs, counted), clips)) + "\n"
    if speeds := "\n".join(trainings(logs, counted)):
        text += f"\n{speeds}\n"
    if markdown_table is None:
        print(text, end="")
    else:
        with tables.atomic_write(markdown_table) as part:
            part.write_text(text, encoding="utf-8")
    if page is not None:
        with tables.atomic_write(page) as part:
            part.write_text(html.page("costs", html.from_markdown(text)), encoding="utf-8")


if __name__ == "__main__":
    stage.main(run)
