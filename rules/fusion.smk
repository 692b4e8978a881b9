"""train → maps

Needs: clips, log-mels and, for promoted runs, the audio network. Gives: a localiser a run, and its heat maps.
"""


rule train:
    """Algorithm 1, step 3: one localiser; killed, it goes on where it stopped."""
    input:
        index="results/corpus/index/clips.parquet",
        clips=expand("results/corpus/clips/{shard}.parquet", shard=SHARDS),
        spectrograms=expand("results/corpus/spectrograms/{shard}.parquet", shard=SHARDS),
        pretrained=pretrained,
    output:
        network="results/fusion/train/{run}/network.safetensors",
        about="results/fusion/train/{run}/network.json",
        history="results/fusion/train/{run}/history.parquet",
    log:
        "logs/fusion/train/{run}.log",
    benchmark:
        "logs/fusion/train/{run}.jsonl"
    conda:
        "../envs/fusion.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=memory(24000),
        runtime="3d",
    params:
        config=run_section,
        code=code_of_run("spm.fusion.train"),
    shell:
        "python -m spm.fusion.train --config {params.config:q} --index {input.index:q}"
        " --clips results/corpus/clips --spectrograms results/corpus/spectrograms --pretrained {input.pretrained:q}"
        " --out {output.network:q} --history {output.history:q}"
        " --state state/fusion/train/{wildcards.run} 2> >(tee {log:q} >&2)"


rule maps:
    """Heat maps of one run for every frame of the test clips of one kind."""
    input:
        network="results/fusion/train/{run}/network.safetensors",
        index="results/corpus/index/clips.parquet",
        clips=expand("results/corpus/clips/{shard}.parquet", shard=SHARDS),
        spectrograms=expand("results/corpus/spectrograms/{shard}.parquet", shard=SHARDS),
    output:
        table="results/fusion/maps/{run}/{kind}.parquet",
    log:
        "logs/fusion/maps/{run}/{kind}.log",
    benchmark:
        "logs/fusion/maps/{run}/{kind}.jsonl"
    conda:
        "../envs/fusion.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=memory(8000),
        runtime="4h",
    params:
        config=section("maps", "kinds"),
        code=code_of_run("spm.fusion.maps"),
    shell:
        "python -m spm.fusion.maps --config {params.config:q} --network {input.network:q} --index {input.index:q}"
        " --clips results/corpus/clips --spectrograms results/corpus/spectrograms"
        " --kind {wildcards.kind} --out {output.table:q} 2> >(tee {log:q} >&2)"
