"""scores → tables, figures, cards: what people read.

Needs: scores, maps, histories. Gives: tables, pictures, and a description of the data set and of each network.
"""

FIGURES = ["heatmaps", "scores", "classes", "training", "coverage"]


rule tables:
    """Every run and baseline under every protocol, and how far runs differ."""
    input:
        summaries=expand("{scored}.json", scored=SCORED),
        frames=expand("{scored}.parquet", scored=SCORED),
    output:
        csv="results/report/tables/scores.csv",
        pairs="results/report/tables/pairs.csv",
        markdown=report(
            "results/report/tables/scores.md",
            caption="../workflow/report/scores.rst",
            category="Scores",
            labels={"table": "scores, as Markdown"},
        ),
    log:
        "logs/report/tables.log",
    benchmark:
        "logs/report/tables.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        config=section("tables"),
        code=code_of("spm.report.tables"),
    shell:
        "python -m spm.report.tables --config {params.config:q} --summaries {input.summaries:q}"
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
        audio_histories=expand(
            [rules.clusters.output.history, rules.pretrain.output.history], audio=PROMOTED
        ),
    output:
        svg=[
            report(
                f"results/report/figures/{figure}.svg",
                caption=f"../workflow/report/figures/{figure}.rst",
                category="Figures",
                labels={"figure": figure},
            )
            for figure in FIGURES
        ],
        png=expand("results/report/figures/{figure}.png", figure=FIGURES),
    log:
        "logs/report/figures.log",
    benchmark:
        "logs/report/figures.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        config=section("figures"),
        code=code_of("spm.report.figures"),
    shell:
        "python -m spm.report.figures --config {params.config:q} --index {input.index:q} --coverage {input.coverage:q}"
        " --manifest {input.manifest:q} --videos {input.videos:q}"
        " --clips results/corpus/clips --annotations {input.annotations:q} --maps {input.maps:q}"
        " --summaries {input.summaries:q} --histories {input.histories:q} --audio-histories {input.audio_histories:q}"
        " --out results/report/figures 2> >(tee {log:q} >&2)"


rule samples:
    """Training clips of each category: a frame and its log-mel spectrogram."""
    input:
        index="results/corpus/index/clips.parquet",
        clips=expand("results/corpus/clips/{shard}.parquet", shard=SHARDS),
        spectrograms=expand("results/corpus/spectrograms/{shard}.parquet", shard=SHARDS),
    output:
        svg=report(
            "results/report/samples/samples.svg",
            caption="../workflow/report/figures/samples.rst",
            category="Corpus",
            labels={"figure": "samples"},
        ),
        png="results/report/samples/samples.png",
    log:
        "logs/report/samples.log",
    benchmark:
        "logs/report/samples.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        config=section("samples"),
        code=code_of("spm.report.samples"),
    shell:
        "python -m spm.report.samples --config {params.config:q} --index {input.index:q} --clips results/corpus/clips"
        " --spectrograms results/corpus/spectrograms --out results/report/samples 2> >(tee {log:q} >&2)"


rule cluster_plot:
    """The training clips' sounds on two principal components, by pseudo-label and by class."""
    input:
        index="results/corpus/index/clips.parquet",
        labels="results/audio/clusters/{audio}/labels.parquet",
        about="results/audio/clusters/{audio}/centroids.json",
        spectrograms=expand("results/corpus/spectrograms/{shard}.parquet", shard=SHARDS),
    output:
        svg=report(
            "results/report/cluster_plot/{audio}.svg",
            caption="../workflow/report/figures/cluster_plot.rst",
            category="Clusters",
            labels={"figure": "sounds: {audio}"},
        ),
        png="results/report/cluster_plot/{audio}.png",
    log:
        "logs/report/cluster_plot/{audio}.log",
    benchmark:
        "logs/report/cluster_plot/{audio}.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        config=section("cluster_plot"),
        code=code_of("spm.report.cluster_plot"),
    shell:
        "python -m spm.report.cluster_plot --config {params.config:q} --index {input.index:q} --labels {input.labels:q}"
        " --about {input.about:q} --spectrograms results/corpus/spectrograms"
        " --out results/report/cluster_plot/{wildcards.audio} 2> >(tee {log:q} >&2)"


rule best_worst:
    """Each run's best, median and worst test frames, with their boxes."""
    input:
        **SHOWN,
        scores=expand("results/score/scores/{run}/{scored}.parquet", run=RUNS, scored=SHOWN_SCORES),
    output:
        svg=[
            report(
                f"results/report/best_worst/{run}.svg",
                caption="../workflow/report/figures/best_worst.rst",
                category="Heat maps",
                labels={"figure": f"{run}: best, median, worst"},
            )
            for run in RUNS
        ],
        png=expand("results/report/best_worst/{run}.png", run=RUNS),
    log:
        "logs/report/best_worst.log",
    benchmark:
        "logs/report/best_worst.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        config=section("best_worst"),
        code=code_of("spm.report.best_worst"),
    shell:
        "python -m spm.report.best_worst --config {params.config:q} --index {input.index:q}"
        " --clips $(dirname {input.clips[0]:q}) --annotations {input.annotations:q} --maps {input.maps:q}"
        " --scores {input.scores:q} --out results/report/best_worst 2> >(tee {log:q} >&2)"


rule overlay_videos:
    """A test video of each run under its maps, with its sound, in a page that plays them."""
    input:
        **SHOWN,
    output:
        page=report(
            "results/report/overlay_videos/films.html",
            caption="../workflow/report/figures/overlay_videos.rst",
            category="Heat maps",
            labels={"figure": "films of every run"},
        ),
    log:
        "logs/report/overlay_videos.log",
    benchmark:
        "logs/report/overlay_videos.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        config=section("overlay_videos"),
        code=code_of("spm.report.overlay_videos"),
    shell:
        "python -m spm.report.overlay_videos --config {params.config:q} --index {input.index:q}"
        " --clips $(dirname {input.clips[0]:q}) --annotations {input.annotations:q} --maps {input.maps:q}"
        " --out {output.page:q} 2> >(tee {log:q} >&2)"


rule paper:
    """One of the paper's tables: what it printed beside what was measured here."""
    input:
        summaries=paper_inputs("results/score/scores/{run}/{kind}/{boxes}/{protocol}.json"),
        frames=paper_inputs("results/score/scores/{run}/{kind}/{boxes}/{protocol}.parquet"),
        histories=paper_inputs("results/fusion/train/{run}/history.parquet"),
    output:
        csv="results/report/paper/{table}.csv",
        markdown=report(
            "results/report/paper/{table}.md",
            caption="../workflow/report/paper.rst",
            category="The paper",
            labels={"table": "{table}, as Markdown"},
        ),
    log:
        "logs/report/paper/{table}.log",
    benchmark:
        "logs/report/paper/{table}.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        config=section("paper"),
        code=code_of("spm.report.paper"),
    shell:
        "python -m spm.report.paper --config {params.config:q} --table {wildcards.table} --summaries {input.summaries:q}"
        " --histories {input.histories:q} --csv {output.csv:q} --markdown-table {output.markdown:q}"
        " 2> >(tee {log:q} >&2)"


PAPER_TABLES = ["table1", "table2", "ablation", "promotion"]
WHOLE_TABLES = [name for name in PAPER_TABLES if paper_whole(name)]
PAPER = expand(rules.paper.output, table=WHOLE_TABLES)
DRAWN_OF = {
    "fig2": "ablation",
    "fig3": "ablation",
    "fig4": "table1",
    "fig6": None,
    "fig7": "table2",
}


rule paper_figures:
    """One of the paper's figures, drawn of the runs that the config names."""
    input:
        index=lambda wildcards: tested_on(
            config["paper"]["kind"] if wildcards.figure == "fig4" else "solo", "index"
        ),
        clips=lambda wildcards: (
            test_shards(config["paper"]["kind"], "clips") if wildcards.figure == "fig4" else []
        ),
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
            "results/report/paper/{figure}.svg",
            caption="../workflow/report/figures/paper.rst",
            category="The paper",
            labels={"figure": "{figure}"},
        ),
        png="results/report/paper/{figure}.png",
    log:
        "logs/report/paper/{figure}.log",
    benchmark:
        "logs/report/paper/{figure}.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        config=section("paper"),
        clips=lambda wildcards, input: Path(input.clips[0]).parent if input.clips else ".",
        code=code_of("spm.report.paper_figures"),
    shell:
        "python -m spm.report.paper_figures --config {params.config:q} --figure {wildcards.figure} --index {input.index:q}"
        " --clips {params.clips:q} --annotations {input.annotations:q} --histories {input.histories:q}"
        " --maps {input.maps:q} --summaries {input.summaries:q} --out results/report/paper/{wildcards.figure}"
        " 2> >(tee {log:q} >&2)"


PAPER_FIGURES = expand(
    rules.paper_figures.output,
    figure=[name for name, table in DRAWN_OF.items() if table is None or paper_whole(table)],
)
PAGED = {
    "scores": "results/report/tables/scores.md",
    **{table: f"results/report/paper/{table}.md" for table in WHOLE_TABLES},
}


rule pages:
    """The tables as pages, which a browser shows within the report."""
    input:
        markdown=PAGED.values(),
    output:
        html=[
            report(
                f"results/report/pages/{page}.html",
                caption=f"../workflow/report/{'scores' if page == 'scores' else 'paper'}.rst",
                category="Scores" if page == "scores" else "The paper",
                labels={"table": page},
            )
            for page in PAGED
        ],
    log:
        "logs/report/pages.log",
    benchmark:
        "logs/report/pages.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        code=code_of("spm.report.pages"),
    shell:
        "python -m spm.report.pages --config '{{}}' --markdown {input.markdown:q} --out results/report/pages"
        " 2> >(tee {log:q} >&2)"


# The tables that this config has made: a card lists no other.
MADE = [
    *("fetch", "videos", "clips", "spectrograms", "index", "history", "maps"),
    *(
        ["openimages", "openimages_boxes"]
        if TRAINS_DETECTOR and LEARNS_FROM == "openimages"
        else []
    ),
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
        scores="results/report/tables/scores.csv",
        networks=expand("results/fusion/train/{run}/network.json", run=RUNS),
    output:
        dataset="results/README.md",
        croissant="results/croissant.json",
        models=expand("results/fusion/train/{run}/README.md", run=RUNS),
    log:
        "logs/report/cards.log",
    benchmark:
        "logs/report/cards.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        config=section("cards"),
        code=code_of("spm.report.cards"),
        names=MADE,
    shell:
        "python -m spm.report.cards --config {params.config:q} --index {input.index:q} --coverage {input.coverage:q}"
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
            rules.best_worst.output,
            rules.overlay_videos.output,
            rules.cards.output,
            PAPER_FIGURES,
            expand(rules.cluster_plot.output, audio=PROMOTED),
            rules.quality.output if {"given", "detector"} <= set(BOXES) else [],
        ],
    output:
        markdown="logs/costs.md",
        html=report("logs/costs.html", caption="../workflow/report/costs.rst", category="Costs"),
    log:
        "logs/report/costs.log",
    benchmark:
        "logs/report/costs.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        code=code_of("spm.report.costs"),
    shell:
        "python -m spm.report.costs --config '{{}}' --logs logs --index {input.index:q}"
        " --markdown-table {output.markdown:q} --page {output.html:q} 2> >(tee {log:q} >&2)"
