"""From a list of videos to a scored sound localizer: snakemake --cores 8 --use-conda all"""

import sys
from pathlib import Path

from snakemake.utils import min_version

from spm.base import project_files
from spm.workflow import last_run, preemption

min_version("9.20")


configfile: str(project_files.CONFIG)


for file in project_files.own_config(Path(workflow.basedir)):

    configfile: str(file)


report: "workflow/report/workflow.rst"


include: "rules/common.smk"
include: "rules/corpus.smk"
include: "rules/boxes.smk"
include: "rules/audio.smk"
include: "rules/fusion.smk"
include: "rules/score.smk"
include: "rules/report.smk"


if config["cluster"]["cpu_rules"] == "local":
    workflow.localrules(*(rule.name for rule in workflow.rules if "gpu" not in rule.resources))


onstart:
    last_run.save(PLAN.config)
    preemption.requeue_lost_jobs()


onsuccess:
    # Whether the runs are better than networks that no run has trained.
    if any(job.rule.name == "tables" for job in workflow.dag.jobs):
        print("", *REPORT.verdicts(), sep="\n", file=sys.stderr)


# All stages are listed, not only the last: otherwise, after a failed rerun, the old results of
# later stages would look up to date.
rule all:
    default_target: True
    input:
        rules.index.output,
        expand(rules.fetch.output, shard=PLAN.shards),
        expand(rules.clips.output, shard=PLAN.shards),
        expand(rules.spectrograms.output, shard=PLAN.shards),
        expand(
            rules.detect.output,
            shard=PLAN.shards if "detector" in PLAN.box_sources else [],
        ),
        rules.openimages.output if PLAN.trains_on_openimages else [],
        rules.detector.output if PLAN.trains_detector else [],
        expand(rules.annotations.output, box_source=PLAN.box_sources),
        rules.quality.output if PLAN.compares_boxes else [],
        expand(rules.clusters.output, audio=PLAN.promoted),
        expand(rules.pretrain.output, audio=PLAN.promoted),
        [PLAN.mosaic_tables(split) for split in PLAN.mosaic_splits],
        expand(
            rules.mosaic_boxes.output,
            box_source=PLAN.box_sources if "test" in PLAN.mosaic_splits else [],
        ),
        expand(rules.train.output, run=PLAN.runs),
        expand(rules.negatives.output, testset=PLAN.testsets),
        expand(rules.maps.output, run=PLAN.runs, testset=PLAN.testsets),
        expand(
            rules.baseline_maps.output,
            testset=PLAN.testsets if PLAN.pretrained_networks else [],
        ),
        expand(
            rules.prior_maps.output,
            run=PLAN.mixed_runs,
            testset=PLAN.testsets,
        ),
        expand(
            rules.scores.output,
            run=PLAN.scored_runs,
            testset=PLAN.testsets,
            box_source=PLAN.box_sources,
        ),
        rules.tables.output,
        expand(rules.paper.output, table=REPORT.paper_tables),
        expand(rules.paper_figures.output, figure=REPORT.paper_figures),
        rules.figures.output,
        rules.samples.output,
        expand(rules.cluster_plot.output, audio=PLAN.promoted),
        rules.best_worst.output,
        rules.overlay_videos.output,
        rules.pages.output,
        rules.cards.output,
        rules.costs.output,
        rules.overview.output,


rule table1:
    """Table 1: each method, with the values that the paper printed."""
    input:
        "results/report/paper/table1.md",


rule table2:
    """Table 2: the three augmentations."""
    input:
        "results/report/paper/table2.md",


rule ablation:
    """Fig. 5: the effect of pretraining the audio network, and of freezing it."""
    input:
        "results/report/paper/ablation.md",


rule promotion:
    """Each method without and with the promoted audio network."""
    input:
        "results/report/paper/promotion.md",


rule drawings:
    """Figs. 2 to 7, those of which the config has the runs; Fig. 3 includes Fig. 5."""
    input:
        expand(rules.paper_figures.output, figure=REPORT.paper_figures),
