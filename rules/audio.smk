"""clusters → pretrain

Needs: the log-mels of the training clips. Gives: pseudo-labels, and the audio network that learnt them, for each row of
`audio` that a run starts from.
"""


rule clusters:
    """Algorithm 1, step 1: spherical k-means of the training clips' sounds."""
    input:
        index="results/corpus/index/clips.parquet",
        spectrograms=expand("results/corpus/spectrograms/{shard}.parquet", shard=SHARDS),
    output:
        table="results/audio/clusters/{audio}/labels.parquet",
        centroids="results/audio/clusters/{audio}/centroids.safetensors",
        about="results/audio/clusters/{audio}/centroids.json",
        history="results/audio/clusters/{audio}/history.parquet",
    log:
        "logs/audio/clusters/{audio}.log",
    benchmark:
        "logs/audio/clusters/{audio}.jsonl"
    conda:
        "../envs/audio.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=memory(16000),
        runtime="4h",
    params:
        config=audio_section("clusters"),
        code=code_of("spm.audio.clusters"),
    shell:
        "python -m spm.audio.clusters --config {params.config:q} --index {input.index:q}"
        " --spectrograms results/corpus/spectrograms"
        " --out {output.table:q} --centroids {output.centroids:q} --history {output.history:q} 2> >(tee {log:q} >&2)"


rule pretrain:
    """Algorithm 1, step 2: the audio network learns the pseudo-labels."""
    input:
        index="results/corpus/index/clips.parquet",
        clusters="results/audio/clusters/{audio}/labels.parquet",
        spectrograms=expand("results/corpus/spectrograms/{shard}.parquet", shard=SHARDS),
    output:
        weights="results/audio/pretrain/{audio}/audio.safetensors",
        about="results/audio/pretrain/{audio}/audio.json",
        history="results/audio/pretrain/{audio}/history.parquet",
    log:
        "logs/audio/pretrain/{audio}.log",
    benchmark:
        "logs/audio/pretrain/{audio}.jsonl"
    conda:
        "../envs/audio.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=memory(16000),
        runtime="1d",
    params:
        config=audio_section("pretrain"),
        code=code_of("spm.audio.pretrain"),
    shell:
        "python -m spm.audio.pretrain --config {params.config:q} --index {input.index:q}"
        " --clusters {input.clusters:q} --spectrograms results/corpus/spectrograms"
        " --out {output.weights:q} --history {output.history:q} --state state/audio/pretrain/{wildcards.audio}"
        " 2> >(tee {log:q} >&2)"


PROMOTION = expand([*rules.clusters.output, *rules.pretrain.output], audio=PROMOTED)
