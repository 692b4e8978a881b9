"""clusters → pretrain

Needs: the log-mel spectrograms of the training clips, and their sound for YAMNet. Gives: for each
row of `audio` from which a run starts, pseudo-labels and the audio network that is trained on them.
"""


rule clusters:
    """Algorithm 1, step 1: spherical k-means of the sounds of the training clips."""
    input:
        index="results/corpus/index/clips.parquet",
        spectrograms=PLAN.shard_tables("spectrograms"),
        clips=lambda wildcards: PLAN.audio_clips(wildcards.audio, "clusters"),
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
        mem_mb=memory(10000),
        runtime="4h",
    params:
        config=lambda wildcards: PLAN.audio_section(wildcards.audio, "clusters"),
        clips=lambda wildcards, input: "results/corpus/clips" if input.clips else "",
        code=code_of("spm.audio.clusters"),
        finished=untracked(config["state"]["finished"]),
    shell:
        "python -m spm.audio.clusters --config {params.config:q} --index {input.index:q}"
        " --spectrograms results/corpus/spectrograms --clips {params.clips} --out {output.table:q}"
        " --centroids {output.centroids:q} --history {output.history:q} --mapped state/mapped"
        " --finished state/finished/clusters/{wildcards.audio} --finished-number {params.finished}"
        " 2> >(tee {log:q} >&2)"


rule pretrain:
    """Algorithm 1, step 2: train the audio network on the pseudo-labels."""
    input:
        index="results/corpus/index/clips.parquet",
        clusters="results/audio/clusters/{audio}/labels.parquet",
        spectrograms=PLAN.shard_tables("spectrograms"),
        clips=lambda wildcards: PLAN.audio_clips(wildcards.audio, "pretrain"),
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
        mem_mb=memory(4000),
        runtime="1d",
    params:
        config=lambda wildcards: PLAN.audio_section(wildcards.audio, "pretrain"),
        clips=lambda wildcards, input: "results/corpus/clips" if input.clips else "",
        code=code_of("spm.audio.pretrain"),
        finished=untracked(config["state"]["finished"]),
    shell:
        "python -m spm.audio.pretrain --config {params.config:q} --index {input.index:q}"
        " --clusters {input.clusters:q} --spectrograms results/corpus/spectrograms"
        " --clips {params.clips}"
        " --out {output.weights:q} --history {output.history:q}"
        " --state state/audio/pretrain/{wildcards.audio} --mapped state/mapped"
        " --finished state/finished/pretrain/{wildcards.audio} --finished-number {params.finished}"
        " --tensorboard logs/audio/pretrain/{wildcards.audio}.tensorboard 2> >(tee {log:q} >&2)"
