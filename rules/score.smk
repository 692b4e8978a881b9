"""scores → tables, figures, cards

Needs: maps and the boxes that count. Gives: scores under each protocol beside trivial baselines, pictures, and
a description of the data set and of each network.
"""

FIGURES = ["heatmaps", "scores", "training", "coverage"]
SCORED = expand(
    "results/score/scores/{run}/{kind}/{boxes}/{protocol}",
    run=RUNS,
    kind=KINDS,
    boxes=BOXES,
    protocol=config["scores"]["protocols"],
)
SCORES = expand("{scored}.{suffix}", scored=SCORED, suffix=["parquet", "json"])


rule scores:
    """One run's maps under one protocol, a score a frame; the summary has intervals and baselines."""
    input:
        maps="results/fusion/maps/{run}/{kind}.parquet",
        annotations=lambda wildcards: tested_on(wildcards.kind, "annotations"),
        index=lambda wildcards: tested_on(wildcards.kind, "index"),
    output:
        frames="results/score/scores/{run}/{kind}/{boxes}/{protocol}.parquet",
        summary="results/score/scores/{run}/{kind}/{boxes}/{protocol}.json",
    log:
        "logs/score/scores/{run}/{kind}/{boxes}/{protocol}.log",
    benchmark:
        "logs/score/scores/{run}/{kind}/{boxes}/{protocol}.jsonl"
    conda:
        "../envs/score.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        config=section("scores", "protocols"),
        code=code_of("spm.score.scores"),
    shell:
        "python -m spm.score.scores --config {params.config:q} --maps {input.maps:q} --annotations {input.annotations:q}"
        " --index {input.index:q} --protocol {wildcards.protocol}"
        " --frames {output.frames:q} --summary {output.summary:q} 2> >(tee {log:q} >&2)"


rule tables:
    """Every run and baseline under every protocol, and how far runs differ."""
    input:
        summaries=expand("{scored}.json", scored=SCORED),
        frames=expand("{scored}.parquet", scored=SCORED),
    output:
        csv="results/score/tables/scores.csv",
        pairs="results/score/tables/pairs.csv",
        markdown=report(
            "results/score/tables/scores.md",
            caption="../workflow/report/scores.rst",
            category="Scores",
        ),
    log:
        "logs/score/tables.log",
    benchmark:
        "logs/score/tables.jsonl"
    conda:
        "../envs/score.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        config=section("tables"),
        code=code_of("spm.score.tables"),
    shell:
        "python -m spm.score.tables --config {params.config:q} --summaries {input.summaries:q}"
        " --csv {output.csv:q} --pairs-table {output.pairs:q} --markdown-table {output.markdown:q} 2> >(tee {log:q} >&2)"


rule figures:
    """Heat maps on their frames, scores beside baselines, training curves, coverage."""
    input:
        index="results/corpus/index/clips.parquet",
        coverage="results/corpus/index/coverage.csv",
        clips=expand("results/corpus/clips/{shard}.parquet", shard=SHARDS),
        annotations=expand("results/boxes/annotations/{boxes}.parquet", boxes=BOXES),
        maps=expand("results/fusion/maps/{run}/{kind}.parquet", run=RUNS, kind=KINDS),
        summaries=expand("{scored}.json", scored=SCORED),
        histories=expand("results/fusion/train/{run}/history.parquet", run=RUNS),
    output:
        svg=report(
            expand("results/score/figures/{figure}.svg", figure=FIGURES),
            caption="../workflow/report/figures.rst",
            category="Figures",
        ),
        png=expand("results/score/figures/{figure}.png", figure=FIGURES),
    log:
        "logs/score/figures.log",
    benchmark:
        "logs/score/figures.jsonl"
    conda:
        "../envs/score.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        config=section("figures"),
        code=code_of("spm.score.figures"),
    shell:
        "python -m spm.score.figures --config {params.config:q} --index {input.index:q} --coverage {input.coverage:q}"
        " --clips results/corpus/clips --annotations {input.annotations:q} --maps {input.maps:q}"
        " --summaries {input.summaries:q} --histories {input.histories:q}"
        " --out results/score/figures 2> >(tee {log:q} >&2)"


rule paper:
    """One of the paper's tables: what it printed beside what was measured here."""
    input:
        summaries=paper_inputs("results/score/scores/{run}/{kind}/{boxes}/{protocol}.json"),
        frames=paper_inputs("results/score/scores/{run}/{kind}/{boxes}/{protocol}.parquet"),
        histories=paper_inputs("results/fusion/train/{run}/history.parquet"),
    output:
        csv="results/score/paper/{table}.csv",
        markdown=report(
            "results/score/paper/{table}.md",
            caption="../workflow/report/paper.rst",
            category="The paper",
        ),
    log:
        "logs/score/paper/{table}.log",
    benchmark:
        "logs/score/paper/{table}.jsonl"
    conda:
        "../envs/score.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        config=section("paper"),
        code=code_of("spm.score.paper"),
    shell:
        "python -m spm.score.paper --config {params.config:q} --table {wildcards.table} --summaries {input.summaries:q}"
        " --histories {input.histories:q} --csv {output.csv:q} --markdown-table {output.markdown:q}"
        " 2> >(tee {log:q} >&2)"


PAPER_TABLES = ["table1", "table2", "ablation", "promotion"]
PAPER = expand(rules.paper.output, table=[name for name in PAPER_TABLES if paper_whole(name)])


# The tables that this config has made: a card lists no other.
MADE = [
    *("fetch", "videos", "clips", "spectrograms", "index", "history", "maps"),
    *(["openimages", "openimages_boxes"] if TRAINS_DETECTOR and LEARNS_FROM == "openimages" else []),
    *(["detect"] if "detector" in BOXES else []),
    *(["annotations", "scores"] if BOXES else []),
    *(["clusters"] if PROMOTES else []),
    *(["tiles", "mosaic_clips", "mosaic_spectrograms", "mosaic_index"] if MOSAIC_SPLITS else []),
    *(["mosaic_boxes"] if BOXES and "test" in MOSAIC_SPLITS else []),
]


rule cards:
    """A card and Croissant metadata of what was made, and a card beside each network."""
    input:
        index="results/corpus/index/clips.parquet",
        coverage="results/corpus/index/coverage.csv",
        ledgers=expand("results/corpus/fetch/{shard}.parquet", shard=SHARDS),
        videos=expand("results/corpus/videos/{shard}.parquet", shard=SHARDS),
        scores="results/score/tables/scores.csv",
        networks=expand("results/fusion/train/{run}/network.json", run=RUNS),
    output:
        dataset="results/README.md",
        croissant="results/croissant.json",
        models=expand("results/fusion/train/{run}/README.md", run=RUNS),
    log:
        "logs/score/cards.log",
    benchmark:
        "logs/score/cards.jsonl"
    conda:
        "../envs/score.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        config=section("cards"),
        code=code_of("spm.score.cards"),
        names=MADE,
    shell:
        "python -m spm.score.cards --config {params.config:q} --index {input.index:q} --coverage {input.coverage:q}"
        " --ledgers {input.ledgers:q} --videos {input.videos:q} --names {params.names:q} --scores {input.scores:q}"
        " --networks {input.networks:q} --out {output.dataset:q} --croissant-file {output.croissant:q}"
        " 2> >(tee {log:q} >&2)"
