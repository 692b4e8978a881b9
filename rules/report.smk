"""scores → tables, figures, pages, cards: what people read.

Needs: scores, maps, histories. Gives: tables, pictures and videos, a description of the data set
and of each network, and the cost of each stage.
"""

SCORES = "results/score/scores/{run}/{testset}/{box_source}/{protocol}"
HISTORY = "results/fusion/train/{run}/history.parquet"
FIGURES = ["heatmaps", "scores", "classes", "training", "coverage"]


rule tables:
    """Scores of every run and baseline under every protocol, differences, and verdicts."""
    input:
        summaries=expand("{scored}.json", scored=REPORT.scored),
        frames=expand("{scored}.parquet", scored=REPORT.scored),
        box_counts=REPORT.box_counts,
    output:
        csv="results/report/tables/scores.csv",
        csv_digest="results/report/tables/scores.json",
        pairs="results/report/tables/pairs.csv",
        negatives="results/report/tables/negatives.csv",
        verdict=VERDICT,
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
        " --box-counts {input.box_counts:q} --csv {output.csv:q} --pairs-table {output.pairs:q}"
        " --negatives-table {output.negatives:q}"
        " --verdict-file {output.verdict:q} --markdown-table {output.markdown:q} 2> >(tee {log:q} >&2)"


rule figures:
    """Heat maps on their frames, scores with baselines, per class, training curves, coverage."""
    input:
        index="results/corpus/index/clips.parquet",
        manifest=ancient(PLAN.manifest),
        videos=PLAN.shard_tables("videos"),
        coverage="results/corpus/index/coverage.csv",
        clips=PLAN.shard_tables("clips"),
        annotations=expand(
            "results/boxes/annotations/{box_source}.parquet",
            box_source=PLAN.box_sources,
        ),
        maps=REPORT.maps,
        baseline_maps=REPORT.baseline_maps,
        summaries=expand("{scored}.json", scored=REPORT.scored),
        histories=expand(HISTORY, run=PLAN.runs),
        audio_histories=expand(
            [rules.clusters.output.history, rules.pretrain.output.history],
            audio=PLAN.promoted,
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
        manifest=PLAN.rows_digest,
        code=code_of("spm.report.figures"),
    shell:
        "python -m spm.report.figures --config {params.config:q} --index {input.index:q}"
        " --coverage {input.coverage:q} --manifest {input.manifest:q} --videos {input.videos:q}"
        " --clips results/corpus/clips --annotations {input.annotations:q} --maps {input.maps:q}"
        " --baseline-maps {input.baseline_maps:q}"
        " --summaries {input.summaries:q} --histories {input.histories:q}"
        " --audio-histories {input.audio_histories:q}"
        " --out results/report/figures 2> >(tee {log:q} >&2)"


rule samples:
    """Random training clips of each category: a frame and the log-mel spectrogram."""
    input:
        index="results/corpus/index/clips.parquet",
        clips=PLAN.shard_tables("clips"),
        spectrograms=PLAN.shard_tables("spectrograms"),
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
        "python -m spm.report.samples --config {params.config:q} --index {input.index:q}"
        " --clips results/corpus/clips --spectrograms results/corpus/spectrograms"
        " --out results/report/samples 2> >(tee {log:q} >&2)"


rule cluster_plot:
    """Sounds of the training clips on two principal components, by pseudo-label and by class."""
    input:
        index="results/corpus/index/clips.parquet",
        labels="results/audio/clusters/{audio}/labels.parquet",
        about="results/audio/clusters/{audio}/centroids.json",
        spectrograms=PLAN.shard_tables("spectrograms"),
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
        "python -m spm.report.cluster_plot --config {params.config:q} --index {input.index:q}"
        " --labels {input.labels:q} --about {input.about:q}"
        " --spectrograms results/corpus/spectrograms"
        " --out results/report/cluster_plot/{wildcards.audio} 2> >(tee {log:q} >&2)"


rule best_worst:
    """The best, median and worst test frames of each run, with their boxes."""
    input:
        **REPORT.shown,
        scores=REPORT.shown_scores,
    output:
        svg=[
            report(
                f"results/report/best_worst/{run}.svg",
                caption="../workflow/report/figures/best_worst.rst",
                category="Heat maps",
                labels={"figure": f"{run}: best, median, worst"},
            )
            for run in PLAN.runs
        ],
        png=expand("results/report/best_worst/{run}.png", run=PLAN.runs),
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
        " --clips $(dirname {input.clips[0]:q}) --annotations {input.annotations:q}"
        " --maps {input.maps:q} --scores {input.scores:q} --out results/report/best_worst"
        " 2> >(tee {log:q} >&2)"


rule overlay_videos:
    """One test video under the maps of each run and network, with its sound, as a page."""
    input:
        **REPORT.shown,
        baseline_maps=REPORT.baseline_maps,
    output:
        page=report(
            "results/report/overlay_videos/overlay_videos.html",
            caption="../workflow/report/figures/overlay_videos.rst",
            category="Heat maps",
            labels={"figure": "videos of every run"},
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
        " --clips $(dirname {input.clips[0]:q}) --annotations {input.annotations:q}"
        " --maps {input.maps:q} --baseline-maps {input.baseline_maps:q}"
        " --out {output.page:q} 2> >(tee {log:q} >&2)"


rule paper:
    """One of the paper's tables: printed values next to those measured here."""
    input:
        summaries=lambda wildcards: REPORT.paper_files(wildcards.table, f"{SCORES}.json"),
        frames=lambda wildcards: REPORT.paper_files(wildcards.table, f"{SCORES}.parquet"),
        histories=lambda wildcards: REPORT.paper_files(wildcards.table, HISTORY),
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
        "python -m spm.report.paper --config {params.config:q} --table {wildcards.table}"
        " --summaries {input.summaries:q} --histories {input.histories:q} --csv {output.csv:q}"
        " --markdown-table {output.markdown:q} 2> >(tee {log:q} >&2)"


rule paper_figures:
    """One of the paper's figures, drawn for the runs that the config names."""
    input:
        index=lambda wildcards: REPORT.figure_index(wildcards.figure),
        clips=lambda wildcards: REPORT.figure_clips(wildcards.figure),
        annotations=lambda wildcards: REPORT.figure_annotations(wildcards.figure),
        histories=lambda wildcards: REPORT.figure_files(wildcards.figure, HISTORY, {"fig2", "fig3"}),
        maps=lambda wildcards: REPORT.figure_files(
            wildcards.figure, "results/fusion/maps/{run}/{testset}.parquet", {"fig4"}
        ),
        summaries=lambda wildcards: REPORT.figure_files(
            wildcards.figure, f"{SCORES}.json", {"fig7"}
        ),
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
        clips=lambda wildcards, input: (Path(input.clips[0]).parent if input.clips else "."),
        code=code_of("spm.report.paper_figures"),
    shell:
        "python -m spm.report.paper_figures --config {params.config:q} --figure {wildcards.figure}"
        " --index {input.index:q} --clips {params.clips:q} --annotations {input.annotations:q}"
        " --histories {input.histories:q} --maps {input.maps:q} --summaries {input.summaries:q}"
        " --out results/report/paper/{wildcards.figure} 2> >(tee {log:q} >&2)"


rule pages:
    """The tables as HTML pages, which the report shows."""
    input:
        markdown=REPORT.pages.values(),
    output:
        html=[
            report(
                f"results/report/pages/{page}.html",
                caption=f"../workflow/report/{'scores' if page == 'scores' else 'paper'}.rst",
                category="Scores" if page == "scores" else "The paper",
                labels={"table": page},
            )
            for page in REPORT.pages
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
        "python -m spm.report.pages --config '{{}}' --markdown {input.markdown:q}"
        " --out results/report/pages 2> >(tee {log:q} >&2)"


rule cards:
    """Cards of the data set (README and Croissant metadata) and of each network."""
    input:
        index="results/corpus/index/clips.parquet",
        coverage="results/corpus/index/coverage.csv",
        ledgers=PLAN.shard_tables("fetch"),
        videos=PLAN.shard_tables("videos"),
        scores="results/report/tables/scores.csv",
        networks=expand("results/fusion/train/{run}/network.json", run=PLAN.runs),
    output:
        dataset="results/README.md",
        croissant="results/croissant.json",
        models=expand("results/fusion/train/{run}/README.md", run=PLAN.runs),
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
        names=REPORT.card_tables,
    shell:
        "python -m spm.report.cards --config {params.config:q} --index {input.index:q}"
        " --coverage {input.coverage:q} --ledgers {input.ledgers:q} --videos {input.videos:q}"
        " --names {params.names:q} --scores {input.scores:q} --networks {input.networks:q}"
        " --out {output.dataset:q} --croissant-file {output.croissant:q} 2> >(tee {log:q} >&2)"


rule costs:
    """Time and memory of each stage, after all have run; in logs/, as no two runs are equal."""
    input:
        index="results/corpus/index/clips.parquet",
        last=[
            rules.pages.output,
            rules.figures.output,
            rules.samples.output,
            rules.best_worst.output,
            rules.overlay_videos.output,
            rules.cards.output,
            expand(rules.paper_figures.output, figure=REPORT.paper_figures),
            expand(rules.cluster_plot.output, audio=PLAN.promoted),
            rules.quality.output if PLAN.compares_boxes else [],
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
        names=REPORT.job_names,
    shell:
        "python -m spm.report.costs --config '{{}}' --logs logs --index {input.index:q}"
        " --markdown-table {output.markdown:q} --page {output.html:q} --names {params.names:q}"
        " 2> >(tee {log:q} >&2)"


rule overview:
    """The report as one page that opens on the answer; it needs no other file."""
    input:
        files=REPORT.overview_files,
        scores="results/report/tables/scores.csv",
        verdict=VERDICT,
        costs=rules.costs.output.markdown,
    output:
        page=report(
            "overview.html",  # not in results/: no two runs have equal costs
            caption="../workflow/report/overview.rst",
            category="At a glance",
            labels={"page": "the whole report"},
        ),
    log:
        "logs/report/overview.log",
    benchmark:
        "logs/report/overview.jsonl"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        code=code_of("spm.report.overview"),
        captions=lambda wildcards: REPORT.captions_digest,
    shell:
        "python -m spm.report.overview --config '{{}}' --files {input.files:q}"
        " --scores {input.scores:q} --verdict {input.verdict:q} --costs {input.costs:q}"
        " --out {output.page:q} 2> >(tee {log:q} >&2)"
