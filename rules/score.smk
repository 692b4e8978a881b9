"""scores → tables, figures, cards

Needs: maps and the boxes that count. Gives: scores under each protocol beside trivial baselines, pictures, and
a description of the data set and of each network.
"""

FIGURES = ["heatmaps", "scores", "classes", "training", "coverage"]
SCORED = expand(
    "results/score/scores/{run}/{kind}/{boxes}/{protocol}",
    run=RUNS,
    kind=KINDS,
    boxes=BOXES,
    protocol=config["scores"]["protocols"],
)

# What pictures of single frames show: the first test set, the first source of boxes, the first protocol.
SHOWN = {
    "index": tested_on(KINDS[0], "index"),
    "clips": test_shards(KINDS[0], "clips"),
    "annotations": expand(tested_on(KINDS[0], "annotations"), boxes=BOXES[:1]),
    "maps": expand("results/fusion/maps/{run}/{kind}.parquet", run=RUNS, kind=KINDS[:1]),
}
SHOWN_SCORES = expand(
    "{kind}/{boxes}/{protocol}", kind=KINDS[:1], boxes=BOXES[:1], protocol=config["scores"]["protocols"][:1]
)


rule scores:
    """One run's maps under each protocol, a score a frame; summaries have intervals and baselines."""
    input:
        maps="results/fusion/maps/{run}/{kind}.parquet",
        annotations=lambda wildcards: tested_on(wildcards.kind, "annotations"),
        index=lambda wildcards: tested_on(wildcards.kind, "index"),
    output:
        expand(
            "results/score/scores/{{run}}/{{kind}}/{{boxes}}/{protocol}.{suffix}",
            protocol=config["scores"]["protocols"],
            suffix=["parquet", "json"],
        ),
    log:
        "logs/score/scores/{run}/{kind}/{boxes}.log",
    benchmark:
        "logs/score/scores/{run}/{kind}/{boxes}.jsonl"
    conda:
        "../envs/score.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        config=section("scores"),
        code=code_of("spm.score.scores"),
    shell:
        "python -m spm.score.scores --config {params.config:q} --maps {input.maps:q} --annotations {input.annotations:q}"
        " --index {input.index:q} --out results/score/scores/{wildcards.run}/{wildcards.kind}/{wildcards.boxes}"
        " 2> >(tee {log:q} >&2)"


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
            labels={"table": "scores, as Markdown"},
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
    """Heat maps on their frames, scores beside baselines and by class, training curves, coverage."""
    input:
        index="results/corpus/index/clips.parquet",
        manifest=MANIFEST,
        videos=expand("results/corpus/videos/{shard}.parquet", shard=SHARDS),
        coverage="results/corpus/index/coverage.csv",
        clips=expand("results/corpus/clips/{shard}.parquet", shard=SHARDS),
        annotations=expand("results/boxes/annotations/{boxes}.parquet", boxes=BOXES),
        maps=expand("results/fusion/maps/{run}/{kind}.parquet", run=RUNS, kind=KINDS),
        summaries=expand("{scored}.json", scored=SCORED),
        histories=expand("results/fusion/train/{run}/history.parquet", run=RUNS),
        audio_histories=expand([rules.clusters.output.history, rules.pretrain.output.history], audio=PROMOTED),
    output:
        svg=[
            report(
                f"results/score/figures/{figure}.svg",
                caption=f"../workflow/report/figures/{figure}.rst",
                category="Figures",
                labels={"figure": figure},
            )
            for figure in FIGURES
        ],
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
        " --manifest {input.manifest:q} --videos {input.videos:q}"
        " --clips results/corpus/clips --annotations {input.annotations:q} --maps {input.maps:q}"
        " --summaries {input.summaries:q} --histories {input.histories:q} --audio-histories {input.audio_histories:q}"
        " --out results/score/figures 2> >(tee {log:q} >&2)"


rule samples:
    """Training clips of each category: a frame and its log-mel spectrogram."""
    input:
        index="results/corpus/index/clips.parquet",
        clips=expand("results/corpus/clips/{shard}.parquet", shard=SHARDS),
        spectrograms=expand("results/corpus/spectrograms/{shard}.parquet", shard=SHARDS),
    output:
        svg=report(
            "results/score/samples/samples.svg",
            caption="../workflow/report/figures/samples.rst",
            category="Corpus",
            labels={"figure": "samples"},
        ),
        png="results/score/samples/samples.png",
    log:
        "logs/score/samples.log",
    benchmark:
        "logs/score/samples.jsonl"
    conda:
        "../envs/score.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        config=section("samples"),
        code=code_of("spm.score.samples"),
    shell:
        "python -m spm.score.samples --config {params.config:q} --index {input.index:q} --clips results/corpus/clips"
        " --spectrograms results/corpus/spectrograms --out results/score/samples 2> >(tee {log:q} >&2)"


rule scatter:
    """The training clips' sounds on two principal components, by pseudo-label and by class."""
    input:
        index="results/corpus/index/clips.parquet",
        labels="results/audio/clusters/{audio}/labels.parquet",
        about="results/audio/clusters/{audio}/centroids.json",
        spectrograms=expand("results/corpus/spectrograms/{shard}.parquet", shard=SHARDS),
    output:
        svg=report(
            "results/score/scatter/{audio}.svg",
            caption="../workflow/report/figures/scatter.rst",
            category="Clusters",
            labels={"figure": "sounds: {audio}"},
        ),
        png="results/score/scatter/{audio}.png",
    log:
        "logs/score/scatter/{audio}.log",
    benchmark:
        "logs/score/scatter/{audio}.jsonl"
    conda:
        "../envs/score.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        config=section("scatter"),
        code=code_of("spm.score.scatter"),
    shell:
        "python -m spm.score.scatter --config {params.config:q} --index {input.index:q} --labels {input.labels:q}"
        " --about {input.about:q} --spectrograms results/corpus/spectrograms"
        " --out results/score/scatter/{wildcards.audio} 2> >(tee {log:q} >&2)"


rule extremes:
    """Each run's best, median and worst test frames, with their boxes."""
    input:
        **SHOWN,
        scores=expand("results/score/scores/{run}/{scored}.parquet", run=RUNS, scored=SHOWN_SCORES),
    output:
        svg=[
            report(
                f"results/score/extremes/{run}.svg",
                caption="../workflow/report/figures/extremes.rst",
                category="Heat maps",
                labels={"figure": f"{run}: best, median, worst"},
            )
            for run in RUNS
        ],
        png=expand("results/score/extremes/{run}.png", run=RUNS),
    log:
        "logs/score/extremes.log",
    benchmark:
        "logs/score/extremes.jsonl"
    conda:
        "../envs/score.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        config=section("extremes"),
        code=code_of("spm.score.extremes"),
    shell:
        "python -m spm.score.extremes --config {params.config:q} --index {input.index:q}"
        " --clips $(dirname {input.clips[0]:q}) --annotations {input.annotations:q} --maps {input.maps:q}"
        " --scores {input.scores:q} --out results/score/extremes 2> >(tee {log:q} >&2)"


rule films:
    """A test video of each run under its maps, with its sound, in a page that plays them."""
    input:
        **SHOWN,
    output:
        page=report(
            "results/score/films/films.html",
            caption="../workflow/report/figures/films.rst",
            category="Heat maps",
            labels={"figure": "films of every run"},
        ),
    log:
        "logs/score/films.log",
    benchmark:
        "logs/score/films.jsonl"
    conda:
        "../envs/score.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        config=section("films"),
        code=code_of("spm.score.films"),
    shell:
        "python -m spm.score.films --config {params.config:q} --index {input.index:q}"
        " --clips $(dirname {input.clips[0]:q}) --annotations {input.annotations:q} --maps {input.maps:q}"
        " --out {output.page:q} 2> >(tee {log:q} >&2)"


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
            labels={"table": "{table}, as Markdown"},
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
WHOLE_TABLES = [name for name in PAPER_TABLES if paper_whole(name)]
PAPER = expand(rules.paper.output, table=WHOLE_TABLES)
DRAWN_OF = {"fig2": "ablation", "fig3": "ablation", "fig4": "table1", "fig6": None, "fig7": "table2"}


rule paper_figures:
    """One of the paper's figures, drawn of the runs that the config names."""
    input:
        index=lambda wildcards: tested_on(config["paper"]["kind"] if wildcards.figure == "fig4" else "solo", "index"),
        clips=lambda wildcards: test_shards(config["paper"]["kind"], "clips") if wildcards.figure == "fig4" else [],
        annotations=lambda wildcards: (
            expand(tested_on(config["paper"]["kind"], "annotations"), boxes=BOXES[:1])
            if wildcards.figure == "fig4"
            else []
        ),
        histories=figure_inputs("results/fusion/train/{run}/history.parquet", "fig2", "fig3"),
        maps=figure_inputs("results/fusion/maps/{run}/{kind}.parquet", "fig4"),
        summaries=figure_inputs("results/score/scores/{run}/{kind}/{boxes}/{protocol}.json", "fig7"),
    output:
        svg=report(
            "results/score/paper/{figure}.svg",
            caption="../workflow/report/figures/paper.rst",
            category="The paper",
            labels={"figure": "{figure}"},
        ),
        png="results/score/paper/{figure}.png",
    log:
        "logs/score/paper/{figure}.log",
    benchmark:
        "logs/score/paper/{figure}.jsonl"
    conda:
        "../envs/score.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        config=section("paper"),
        clips=lambda wildcards, input: Path(input.clips[0]).parent if input.clips else ".",
        code=code_of("spm.score.paper_figures"),
    shell:
        "python -m spm.score.paper_figures --config {params.config:q} --figure {wildcards.figure} --index {input.index:q}"
        " --clips {params.clips:q} --annotations {input.annotations:q} --histories {input.histories:q}"
        " --maps {input.maps:q} --summaries {input.summaries:q} --out results/score/paper/{wildcards.figure}"
        " 2> >(tee {log:q} >&2)"


PAPER_FIGURES = expand(
    rules.paper_figures.output, figure=[name for name, table in DRAWN_OF.items() if table is None or paper_whole(table)]
)
PAGED = {
    "scores": "results/score/tables/scores.md",
    **{table: f"results/score/paper/{table}.md" for table in WHOLE_TABLES},
}


rule pages:
    """The tables as pages, which a browser shows within the report."""
    input:
        markdown=PAGED.values(),
    output:
        html=[
            report(
                f"results/score/pages/{page}.html",
                caption=f"../workflow/report/{'scores' if page == 'scores' else 'paper'}.rst",
                category="Scores" if page == "scores" else "The paper",
                labels={"table": page},
            )
            for page in PAGED
        ],
    log:
        "logs/score/pages.log",
    benchmark:
        "logs/score/pages.jsonl"
    conda:
        "../envs/score.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        code=code_of("spm.score.pages"),
    shell:
        "python -m spm.score.pages --config '{{}}' --markdown {input.markdown:q} --out results/score/pages"
        " 2> >(tee {log:q} >&2)"


# The tables that this config has made: a card lists no other.
MADE = [
    *("fetch", "videos", "clips", "spectrograms", "index", "history", "maps"),
    *(["openimages", "openimages_boxes"] if TRAINS_DETECTOR and LEARNS_FROM == "openimages" else []),
    *(["detect"] if "detector" in BOXES else []),
    *(["annotations", "scores"] if BOXES else []),
    *(["clusters"] if PROMOTED else []),
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


rule costs:
    """What each stage cost, when all have run; beside the logs that say it, since its bytes differ from run to run."""
    input:
        index="results/corpus/index/clips.parquet",
        last=[
            rules.pages.output,
            rules.figures.output,
            rules.samples.output,
            rules.extremes.output,
            rules.films.output,
            rules.cards.output,
            PAPER_FIGURES,
            expand(rules.scatter.output, audio=PROMOTED),
            rules.quality.output if {"given", "detector"} <= set(BOXES) else [],
        ],
    output:
        markdown="logs/costs.md",
        html=report("logs/costs.html", caption="../workflow/report/costs.rst", category="Costs"),
    log:
        "logs/score/costs.log",
    benchmark:
        "logs/score/costs.jsonl"
    conda:
        "../envs/score.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        code=code_of("spm.score.costs"),
    shell:
        "python -m spm.score.costs --config '{{}}' --logs logs --index {input.index:q}"
        " --markdown-table {output.markdown:q} --page {output.html:q} 2> >(tee {log:q} >&2)"
