"""scores → tables, figures, cards

Needs: maps and the boxes that count. Gives: scores under each protocol beside trivial baselines, pictures, and
a description of the data set and of each network.
"""

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
    "{kind}/{boxes}/{protocol}",
    kind=KINDS[:1],
    boxes=BOXES[:1],
    protocol=config["scores"]["protocols"][:1],
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
