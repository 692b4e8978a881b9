"""openimages → detector → detect → annotations → quality

Needs: the clips; boxes that somebody drew, a detector's weights, or Open Images. Gives: boxes to score maps against.
"""

DETECTOR_ENV = (
    "../envs/detectron2.yaml"
    if config["detector"]["backend"] == "detectron2"
    else "../envs/boxes.yaml"
)


localrules:
    openimages,


rule openimages:
    """Pictures of Open Images with boxes of instruments, in the store; one that can't be had is a row."""
    output:
        images="results/boxes/openimages/images.parquet",
        boxes="results/boxes/openimages/boxes.parquet",
        counts=report(
            "results/boxes/openimages/counts.csv",
            caption="../workflow/report/openimages.rst",
            category="Boxes",
        ),
    log:
        "logs/boxes/openimages.log",
    benchmark:
        "logs/boxes/openimages.jsonl"
    conda:
        "../envs/fetch.yaml"
    threads: 2
    resources:
        mem_mb=memory(4000),
        runtime="1d",
    params:
        config=section("openimages"),
        code=code_of("spm.boxes.openimages"),
        store=config["corpus"]["store"],
    shell:
        "python -m spm.boxes.openimages --config {params.config:q} --store {params.store:q}/openimages"
        " --images {output.images:q} --boxes {output.boxes:q} --counts-table {output.counts:q} 2> >(tee {log:q} >&2)"


rule detector:
    """A Faster R-CNN trained on Open Images or on given boxes, where no weights are named."""
    input:
        unpack(detector_input),
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
        DETECTOR_ENV
    threads: 8
    resources:
        gpu=1,
        mem_mb=memory(16000),
        runtime="1d",
    params:
        config=section("detector"),
        code=code_of("spm.boxes.detector"),
        source=detector_option,
        drawn=content(GIVEN) if TRAINS_DETECTOR and LEARNS_FROM == "given" else "",
    shell:
        "python -m spm.boxes.detector --config {params.config:q} {params.source}"
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
        DETECTOR_ENV
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
        detector=detector_classes,
        reviews=str(REVIEWS) if REVIEWS.is_file() else [],
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
        agreement="results/boxes/annotations/{boxes}.agreement.csv",
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
        decided=content(REVIEWS) if REVIEWS.is_file() else "",
    shell:
        "python -m spm.boxes.annotations --config {params.config:q} --index {input.index:q}"
        " --clips results/corpus/clips {params.source} --detector {input.detector:q} --reviews {input.reviews:q}"
        " --out {output.table:q} --counts-table {output.counts:q} --agreement {output.agreement:q} 2> >(tee {log:q} >&2)"


rule quality:
    """Precision and recall per class of a detector's boxes, where boxes were drawn too."""
    input:
        given="results/boxes/annotations/given.parquet",
        detected="results/boxes/annotations/detector.parquet",
        index="results/corpus/index/clips.parquet",
    output:
        table=report(
            "results/boxes/quality/quality.csv",
            caption="../workflow/report/quality.rst",
            category="Boxes",
        ),
    log:
        "logs/boxes/quality.log",
    benchmark:
        "logs/boxes/quality.jsonl"
    conda:
        "../envs/boxes.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        config=section("quality"),
        code=code_of("spm.boxes.quality"),
    shell:
        "python -m spm.boxes.quality --config {params.config:q} --given {input.given:q} --detected {input.detected:q}"
        " --index {input.index:q} --out {output.table:q} 2> >(tee {log:q} >&2)"
