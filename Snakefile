"""From a list of videos to a scored sound localizer: snakemake --cores 8 --use-conda all"""

from snakemake.utils import min_version

min_version("9.20")


configfile: f"{workflow.basedir}/config.yaml"


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


# Every stage is named, not only the last: after a failed rerun the old results of later stages would look up to date.
rule all:
    default_target: True
    input:
        rules.index.output,
        expand(rules.fetch.output, shard=SHARDS),
        expand(rules.clips.output, shard=SHARDS),
        expand(rules.spectrograms.output, shard=SHARDS),
        expand(rules.detect.output, shard=SHARDS if "detector" in BOXES else []),
        rules.openimages.output if TRAINS_DETECTOR and LEARNS_FROM == "openimages" else [],
        rules.detector.output if TRAINS_DETECTOR else [],
        expand(rules.annotations.output, boxes=BOXES),
        rules.quality.output if {"given", "detector"} <= set(BOXES) else [],
        PROMOTION,
        [MOSAICS[split] for split in MOSAIC_SPLITS],
        expand(rules.mosaic_boxes.output, boxes=BOXES if "test" in MOSAIC_SPLITS else []),
        expand(rules.train.output, run=RUNS),
        expand(rules.maps.output, run=RUNS, kind=KINDS),
        expand(rules.scores.output, run=RUNS, kind=KINDS, boxes=BOXES),
        rules.tables.output,
        PAPER,
        PAPER_FIGURES,
        rules.figures.output,
        rules.samples.output,
        expand(rules.cluster_plot.output, audio=PROMOTED),
        rules.best_worst.output,
        rules.overlay_videos.output,
        rules.pages.output,
        rules.cards.output,
        rules.costs.output,


rule table1:
    """Table 1: each method, printed and measured."""
    input:
        "results/report/paper/table1.md",


rule table2:
    """Table 2: the three augmentations."""
    input:
        "results/report/paper/table2.md",


rule ablation:
    """Fig. 5: what pretraining and freezing each do."""
    input:
        "results/report/paper/ablation.md",


rule promotion:
    """Each method without and with the promoted audio network."""
    input:
        "results/report/paper/promotion.md",


rule drawings:
    """Figs. 2, 3 with 5, 4, 6 and 7, as far as the config has their runs."""
    input:
        PAPER_FIGURES,
