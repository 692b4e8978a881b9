"""maps → scores

Needs: maps and the accepted boxes. Gives: scores of each run under each protocol, with baselines.
"""


rule scores:
    """Scores of one run on one test set: per frame, and summaries with intervals and baselines."""
    input:
        maps=lambda wildcards: PLAN.run_maps(wildcards.run, wildcards.testset),
        baseline_maps=lambda wildcards: PLAN.baseline_maps(wildcards.testset),
        negatives=lambda wildcards: PLAN.negative_maps(wildcards.run, wildcards.testset),
        baseline_negatives=lambda wildcards: PLAN.baseline_negative_maps(wildcards.testset),
        annotations=lambda wildcards: PLAN.test_annotations(wildcards.testset, wildcards.box_source),
        index=lambda wildcards: PLAN.test_index(wildcards.testset),
    output:
        expand(
            "results/score/scores/{{run}}/{{testset}}/{{box_source}}/{protocol}.{suffix}",
            protocol=PLAN.protocols,
            suffix=["parquet", "json"],
        ),
    log:
        "logs/score/scores/{run}/{testset}/{box_source}.log",
    benchmark:
        "logs/score/scores/{run}/{testset}/{box_source}.jsonl"
    wildcard_constraints:
        run=r"[\w-]+(\+prior)?",
    conda:
        "../envs/score.yaml"
    threads: 1
    resources:
        mem_mb=memory(6000),
        runtime="1h",
    params:
        config=section("scores"),
        code=code_of("spm.score.scores"),
    shell:
        "python -m spm.score.scores --config {params.config:q} --maps {input.maps:q}"
        " --annotations {input.annotations:q} --index {input.index:q}"
        " --baseline-maps {input.baseline_maps:q} --negatives {input.negatives:q}"
        " --baseline-negatives {input.baseline_negatives:q}"
        " --out results/score/scores/{wildcards.run}/{wildcards.testset}/{wildcards.box_source}"
        " 2> >(tee {log:q} >&2)"
