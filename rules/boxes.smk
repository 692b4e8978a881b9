"""openimages → detector → detect → annotations → quality

Needs: the clips; a file of drawn boxes, the weights of a detector, or Open Images. Gives: the boxes
that maps are scored against.
"""

DETECTOR_ENV = (
    "../envs/detectron2.yaml"
    if config["detector"]["backend"] == "detectron2"
    else "../envs/boxes.yaml"
)


localrules:
    openimages,


rule openimages:
    """Download pictures of Open Images with boxes of instruments to the store."""
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
        "python -m spm.boxes.openimages --config {params.config:q}"
        " --store {params.store:q}/openimages --images {output.images:q} --boxes {output.boxes:q}"
        " --counts-table {output.counts:q} 2> >(tee {log:q} >&2)"


rule detector:
    """Train a Faster R-CNN on Open Images or on given boxes; needed if detect.weights is null."""
    input:
        unpack(lambda wildcards: PLAN.detector_input()),
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
        source=PLAN.detector_option(),
        given_boxes=PLAN.detector_boxes_digest(),
        finished=untracked(config["state"]["finished"]),
    shell:
        "python -m spm.boxes.detector --config {params.config:q} {params.source}"
        " --boxes {input.boxes:q} --out {output.weights:q} --precision {output.precision:q}"
        " --history {output.history:q} --state state/boxes/detector --mapped state/mapped"
        " --finished state/finished/detector/detector --finished-number {params.finished}"
        " --tensorboard logs/boxes/detector.tensorboard 2> >(tee {log:q} >&2)"


rule detect:
    """All detections on the frames of one shard, at any score."""
    input:
        clips="results/corpus/clips/{shard}.parquet",
        weights=PLAN.detector_weights,
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
        detector=PLAN.named_detector_digest(),
    shell:
        "python -m spm.boxes.detect --config {params.config:q} --clips {input.clips:q}"
        " --weights {input.weights:q} --out {output.table:q} 2> >(tee {log:q} >&2)"


rule annotations:
    """The accepted boxes, given or detected; a rejected box is a row with the reason."""
    input:
        boxes=lambda wildcards: PLAN.boxes_input(wildcards.box_source),
        detector=lambda wildcards: PLAN.detector_classes(wildcards.box_source),
        reviews=PLAN.reviews,
        manifest=ancient(PLAN.manifest),
        index="results/corpus/index/clips.parquet",
        clips=PLAN.shard_tables("clips"),
    output:
        table="results/boxes/annotations/{box_source}.parquet",
        counts=report(
            "results/boxes/annotations/{box_source}.csv",
            caption="../workflow/report/annotations.rst",
            category="Boxes",
            labels={"boxes": "{box_source}"},
        ),
        counts_digest="results/boxes/annotations/{box_source}.json",
        agreement="results/boxes/annotations/{box_source}.agreement.csv",
    log:
        "logs/boxes/annotations/{box_source}.log",
    benchmark:
        "logs/boxes/annotations/{box_source}.jsonl"
    conda:
        "../envs/boxes.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        config=section("annotations"),
        code=code_of("spm.boxes.annotations"),
        source=lambda wildcards: PLAN.boxes_option(wildcards.box_source),
        given_boxes=lambda wildcards: PLAN.boxes_digest(wildcards.box_source),
        detector=lambda wildcards: PLAN.named_detector_digest(wildcards.box_source),
        manifest=PLAN.rows_digest,
        reviews=PLAN.reviews_digest,
    shell:
        "python -m spm.boxes.annotations --config {params.config:q} --manifest {input.manifest:q}"
        " --index {input.index:q} --clips results/corpus/clips {params.source}"
        " --detector {input.detector:q} --reviews {input.reviews:q} --out {output.table:q}"
        " --counts-table {output.counts:q} --agreement {output.agreement:q}"
        " 2> >(tee {log:q} >&2)"


rule quality:
    """Precision and recall per class of the detected boxes, measured against the given ones."""
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
        "python -m spm.boxes.quality --config {params.config:q} --given {input.given:q}"
        " --detected {input.detected:q} --index {input.index:q} --out {output.table:q}"
        " 2> >(tee {log:q} >&2)"
