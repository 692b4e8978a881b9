"""detector → detect → annotations

Needs: the clips; boxes that somebody drew, or a detector's weights. Gives: the boxes that maps are scored against.
"""


rule detector:
    """A Faster R-CNN trained on the boxes given for the training videos, where no weights are named."""
    input:
        index="results/corpus/index/clips.parquet",
        clips=expand("results/corpus/clips/{shard}.parquet", shard=SHARDS),
        boxes=GIVEN,
    output:
        weights="results/boxes/detector/weights.safetensors",
        about="results/boxes/detector/weights.json",
        precision=report(
            "results/boxes/detector/precision.csv",
            caption="../workflow/report/precision.rst",
            category="Boxes",
        ),
        history="results/boxes/detector/history.parquet",
    log:
        "logs/boxes/detector.log",
    benchmark:
        "logs/boxes/detector.jsonl"
    conda:
        "../envs/boxes.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=memory(16000),
        runtime="1d",
    params:
        config=section("detector"),
        code=code_of("spm.boxes.detector"),
        drawn=content(GIVEN) if TRAINS_DETECTOR else "",
    shell:
        "python -m spm.boxes.detector --config {params.config:q} --index {input.index:q} --clips results/corpus/clips"
        " --boxes {input.boxes:q} --out {output.weights:q} --precision {output.precision:q}"
        " --history {output.history:q} --state state/boxes/detector 2> >(tee {log:q} >&2)"


rule detect:
    """Every detection on the frames of one shard, whatever its score."""
    input:
        clips="results/corpus/clips/{shard}.parquet",
        weights=DETECTOR_WEIGHTS,
    output:
        table="results/boxes/detect/{shard}.parquet",
    log:
        "logs/boxes/detect/{shard}.log",
    benchmark:
        "logs/boxes/detect/{shard}.jsonl"
    conda:
        "../envs/boxes.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=memory(8000),
        runtime="4h",
    params:
        config=section("detect"),
        code=code_of("spm.boxes.detect"),
    shell:
        "python -m spm.boxes.detect --config {params.config:q} --clips {input.clips:q}"
        " --weights {input.weights:q} --out {output.table:q} 2> >(tee {log:q} >&2)"


rule annotations:
    """The boxes that count, given or detected, and why each other one fell."""
    input:
        boxes=boxes_input,
        index="results/corpus/index/clips.parquet",
        clips=expand("results/corpus/clips/{shard}.parquet", shard=SHARDS),
    output:
        table="results/boxes/annotations/{boxes}.parquet",
        counts=report(
            "results/boxes/annotations/{boxes}.csv",
            caption="../workflow/report/annotations.rst",
            category="Boxes",
            labels={"boxes": "{boxes}"},
        ),
    log:
        "logs/boxes/annotations/{boxes}.log",
    benchmark:
        "logs/boxes/annotations/{boxes}.jsonl"
    conda:
        "../envs/boxes.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        config=section("annotations"),
        code=code_of("spm.boxes.annotations"),
        source=boxes_option,
        drawn=boxes_content,
    shell:
        "python -m spm.boxes.annotations --config {params.config:q} --index {input.index:q}"
        " --clips results/corpus/clips {params.source}"
        " --out {output.table:q} --counts-table {output.counts:q} 2> >(tee {log:q} >&2)"
