"""The plan of the report: the results that its stages show, and the paper's tables."""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

from spm.base import csv_file, project_files
from spm.base.errors import UserError
from spm.boxes import status_counts
from spm.workflow.plan import Plan

VERDICT = "results/report/tables/verdict.txt"
PAPER_TABLES = ("table1", "table2", "ablation", "promotion")
MUSIC = ("workflow/manifests/music.csv", "workflow/manifests/music21.csv")  # its published lists
# A figure of the paper: the table whose runs it shows; None: it counts the videos of MUSIC.
FIGURE_TABLES = {
    "fig2": "ablation",
    "fig3": "ablation",
    "fig4": "table1",
    "fig6": None,
    "fig7": "table2",
}


@dataclass(frozen=True)
class ReportPlan:
    """What the report of a project shows."""

    plan: Plan

    @cached_property
    def scored(self) -> list[str]:
        """Paths, without their suffix, of every score: run × test set × box source × protocol."""
        plan = self.plan
        combinations = product(plan.scored_runs, plan.testsets, plan.box_sources, plan.protocols)
        return [f"results/score/scores/{'/'.join(names)}" for names in combinations]

    @property
    def maps(self) -> list[str]:
        """The maps of every run on every test set."""
        combinations = product(self.plan.runs, self.plan.testsets)
        return [f"results/fusion/maps/{run}/{testset}.parquet" for run, testset in combinations]

    @property
    def baseline_maps(self) -> list[str]:
        """The maps of the networks that are baselines on the first test set, which is shown."""
        return self.plan.baseline_maps(self.plan.testsets[0])

    @property
    def box_counts(self) -> list[str]:
        """Tables of the number of kept and rejected boxes, one per box source."""
        return [f"results/boxes/annotations/{source}.csv" for source in self.plan.box_sources]

    def verdicts(self) -> list[str]:
        """Sentences on how the runs compare with the baselines, if the runs are scored."""
        path = Path(VERDICT)
        return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []

    def box_warnings(self) -> list[str]:
        """Sentences on the box sources of which many boxes are rejected, if they are counted."""
        found = []
        for path in map(Path, self.box_counts):
            if csv_file.has_digest(path):
                found.append(status_counts.warning(path.stem, status_counts.read(path)))
        return [sentence for sentence in found if sentence]

    # Pictures of single frames show the first test set, the first box source, the first protocol.

    @property
    def shown(self) -> dict[str, str | list[str]]:
        """Inputs of a stage that shows frames of the first test set under the maps of each run."""
        plan, testset = self.plan, self.plan.testsets[0]
        return {
            "index": plan.test_index(testset),
            "clips": plan.test_tables(testset, "clips"),
            "annotations": [plan.test_annotations(testset, box) for box in plan.box_sources[:1]],
            "maps": [f"results/fusion/maps/{run}/{testset}.parquet" for run in plan.runs],
        }

    @property
    def shown_scores(self) -> list[str]:
        """Scores of the frames of `shown`, one table per run; none if there are no boxes."""
        plan = self.plan
        firsts = (plan.testsets[:1], plan.box_sources[:1], plan.protocols[:1])
        combinations = product(plan.runs, *firsts)
        return [f"results/score/scores/{'/'.join(names)}.parquet" for names in combinations]

    # The paper's tables and figures

    def paper_runs(self, table: str) -> list[str]:
        """Runs of one of the paper's tables.

        Raises
        ------
        UserError
            If the config lacks something that the table needs.
        """
        lacking = list(self._lacking(table))
        if lacking:
            raise UserError(
                f"{table} needs {', '.join(lacking)}, which the config does not have: add"
                " --configfile workflow/configs/paper.yaml, or list other runs in its section paper"
            )
        return list(self.plan.config["paper"][table])

    def _lacking(self, table: str) -> Iterator[str]:
        paper, plan = self.plan.config["paper"], self.plan
        yield from (f"runs.{run}" for run in paper[table] if run not in plan.runs)
        if paper["testset"] not in plan.testsets:
            yield f"maps.testsets: {paper['testset']}"
        if paper["protocol"] not in plan.protocols:
            yield f"scores.protocols: {paper['protocol']}"
        if not plan.box_sources:
            yield "corpus.boxes"
        if not paper[table]:
            yield f"paper.{table}"

    def is_complete(self, table: str) -> bool:
        """Whether the config has all that one of the paper's tables needs."""
        return not list(self._lacking(table))

    @cached_property
    def paper_tables(self) -> list[str]:
        """The paper's tables for which the config has all that they need."""
        return [table for table in PAPER_TABLES if self.is_complete(table)]

    @cached_property
    def paper_figures(self) -> list[str]:
        """The paper's figures for which the config has all that they need."""
        return [
            figure
            for figure, table in FIGURE_TABLES.items()
            if (self.is_complete(table) if table else self.plan.manifest.endswith(MUSIC))
        ]

    def paper_files(self, table: str, pattern: str) -> list[str]:
        """One file per run of a table of the paper.

        Parameters
        ----------
        table : str
            One of PAPER_TABLES.
        pattern : str
            A path with any of the fields {run}, {testset}, {box_source}, {protocol}.

        Raises
        ------
        UserError
            If the config lacks something that the table needs.
        """
        runs, paper = self.paper_runs(table), self.plan.config["paper"]
        names = {
            "testset": paper["testset"],
            "box_source": self.plan.box_sources[0],
            "protocol": paper["protocol"],
        }
        return [pattern.format(run=run, **names) for run in runs]

    def figure_files(self, figure: str, pattern: str, figures: Collection[str]) -> list[str]:
        """One file per run of a figure of the paper, if it is one of the figures that read them."""
        table = FIGURE_TABLES[figure]
        return self.paper_files(table, pattern) if table and figure in figures else []

    def figure_index(self, figure: str) -> str:
        """The index that a figure of the paper reads."""
        testset = self.plan.config["paper"]["testset"] if figure == "fig4" else "solo"
        return self.plan.test_index(testset)

    def figure_clips(self, figure: str) -> list[str]:
        """The clips that a figure of the paper shows: Fig. 4 has frames of the test set."""
        testset = self.plan.config["paper"]["testset"]
        return self.plan.test_tables(testset, "clips") if figure == "fig4" else []

    def figure_annotations(self, figure: str) -> list[str]:
        """The boxes on the frames of Fig. 4, from the first box source."""
        if figure != "fig4":
            return []
        testset = self.plan.config["paper"]["testset"]
        return [self.plan.test_annotations(testset, box) for box in self.plan.box_sources[:1]]

    # Pages and cards

    @property
    def pages(self) -> dict[str, str]:
        """Tables that the report shows as pages: the name of the page, and its Markdown."""
        paper = {table: f"results/report/paper/{table}.md" for table in self.paper_tables}
        return {"scores": "results/report/tables/scores.md", **paper}

    @property
    def captions_digest(self) -> str:
        """Digest of the captions, which the overview shows."""
        folder = project_files.FOLDER / "workflow" / "report"
        texts = [path.read_bytes() for path in sorted(folder.rglob("*.rst"))]
        return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]

    @property
    def overview_files(self) -> list[str]:
        """What the overview shows, as far as this config makes it."""
        plan, report = self.plan, "results/report"
        figures = ("heatmaps", "scores", "classes", "training", "coverage")
        files = [f"{report}/figures/{figure}.png" for figure in figures]
        files += [f"{report}/samples/samples.png", *self.box_counts]
        files += ["results/boxes/quality/quality.csv"] * plan.compares_boxes
        files += ["results/boxes/detector/precision.csv"] * plan.trains_detector
        files += [f"{report}/cluster_plot/{audio}.png" for audio in plan.promoted]
        files += [f"{report}/best_worst/{run}.png" for run in plan.runs]
        files += [f"{report}/overlay_videos/overlay_videos.html", *self.pages.values()]
        return files + [f"{report}/paper/{figure}.png" for figure in self.paper_figures]

    @property
    def job_names(self) -> list[str]:
        """The values that the wildcards of jobs have."""
        plan = self.plan
        fixed = [*plan.testsets, *plan.box_sources, *plan.mosaic_splits]
        shown = [*self.paper_tables, *self.paper_figures]
        return sorted({*plan.shards, *plan.scored_runs, *plan.promoted, *fixed, *shown})

    @property
    def card_tables(self) -> list[str]:
        """Names of the tables that this config makes; the card of the data set lists no other."""
        plan = self.plan
        names = ["fetch", "videos", "clips", "spectrograms", "index", "history", "maps"]
        if plan.negative_testsets:
            names += ["negatives", "negative_maps"]
        if plan.trains_on_openimages:
            names += ["openimages", "openimages_boxes"]
        if "detector" in plan.box_sources:
            names += ["detect"]
        if plan.box_sources:
            names += ["annotations", "scores"]
        if plan.promoted:
            names += ["clusters"]
        if plan.mosaic_splits:
            names += ["tiles", "mosaic_clips", "mosaic_spectrograms", "mosaic_index"]
        if plan.box_sources and "test" in plan.mosaic_splits:
            names += ["mosaic_boxes"]
        return names
