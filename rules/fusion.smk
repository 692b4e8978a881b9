"""mosaics → train → maps

Needs: clips, log-mels and, for promoted runs, the audio network. Gives: a localizer a run, and its heat maps.
"""


rule mosaics:
    """2 × 2 mosaics of solos, two of the four sounding, as clips of one frame."""
    input:
        index="results/corpus/index/clips.parquet",
        clips=expand("results/corpus/clips/{shard}.parquet", shard=SHARDS),
    output:
        index="results/fusion/mosaics/{split}/index.parquet",
        clips="results/fusion/mosaics/{split}/clips/0000.parquet",
        tiles="results/fusion/mosaics/{split}/tiles.parquet",
    log:
        "logs/fusion/mosaics/{split}.log",
    benchmark:
        "logs/fusion/mosaics/{split}.jsonl"
    conda:
        "../envs/fusion.yaml"
    threads: 1
    resources:
        mem_mb=memory(8000),
        runtime="2h",
    params:
        config=lambda wildcards: section("mosaics", *{"train", "test"} - {wildcards.split}),
        code=code_of("spm.fusion.mosaics"),
    shell:
        "python -m spm.fusion.mosaics --config {params.config:q} --index {input.index:q} --clips results/corpus/clips"
        " --split {wildcards.split} --out-index {output.index:q} --out-clips {output.clips:q} --tiles {output.tiles:q}"
        " 2> >(tee {log:q} >&2)"


rule mosaic_spectrograms:
    """Log-mel spectrograms of the mixed sounds."""
    input:
        clips="results/fusion/mosaics/{split}/clips/0000.parquet",
    output:
        table="results/fusion/mosaics/{split}/spectrograms/0000.parquet",
    log:
        "logs/fusion/mosaic_spectrograms/{split}.log",
    benchmark:
        "logs/fusion/mosaic_spectrograms/{split}.jsonl"
    conda:
        "../envs/corpus.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        config=section("spectrograms"),
        code=code_of("spm.corpus.spectrograms"),
    shell:
        "python -m spm.corpus.spectrograms --config {params.config:q} --clips {input.clips:q}"
        " --out {output.table:q} 2> >(tee {log:q} >&2)"


rule mosaic_boxes:
    """The boxes of mosaics: those of their tiles."""
    input:
        tiles="results/fusion/mosaics/test/tiles.parquet",
        annotations="results/boxes/annotations/{boxes}.parquet",
    output:
        table="results/fusion/mosaics/test/boxes/{boxes}.parquet",
    log:
        "logs/fusion/mosaic_boxes/{boxes}.log",
    benchmark:
        "logs/fusion/mosaic_boxes/{boxes}.jsonl"
    conda:
        "../envs/fusion.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        config=section("mosaic_boxes"),
        code=code_of("spm.fusion.mosaic_boxes"),
    shell:
        "python -m spm.fusion.mosaic_boxes --config {params.config:q} --tiles {input.tiles:q}"
        " --annotations {input.annotations:q} --out {output.table:q} 2> >(tee {log:q} >&2)"


rule train:
    """Algorithm 1, step 3: one localizer; killed, it goes on where it stopped."""
    input:
        index="results/corpus/index/clips.parquet",
        clips=expand("results/corpus/clips/{shard}.parquet", shard=SHARDS),
        spectrograms=expand("results/corpus/spectrograms/{shard}.parquet", shard=SHARDS),
        mosaics=mosaics_input,
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
        gpu=config["cluster"]["gpus"],
        processes=config["cluster"]["gpus"],  # also where a profile asks for gres, and gpu: 0
        mem_mb=memory(24000),
        runtime="3d",
    params:
        config=run_section,
        mosaics=lambda wildcards, input: "results/fusion/mosaics/train" if input.mosaics else "",
        code=code_of_run("spm.fusion.train"),
    shell:
        "$([ {resources.processes} -gt 1 ] && echo torchrun --standalone --nproc-per-node {resources.processes}"
        " || echo python)"
        " -m spm.fusion.train --config {params.config:q} --index {input.index:q}"
        " --clips results/corpus/clips --spectrograms results/corpus/spectrograms --pretrained {input.pretrained:q}"
        " --mosaics {params.mosaics}"
        " --out {output.network:q} --history {output.history:q}"
        " --state state/fusion/train/{wildcards.run} 2> >(tee {log:q} >&2)"


rule maps:
    """Heat maps of one run for every frame of the test clips of one kind."""
    input:
        network="results/fusion/train/{run}/network.safetensors",
        index=lambda wildcards: tested_on(wildcards.kind, "index"),
        clips=lambda wildcards: test_shards(wildcards.kind, "clips"),
        spectrograms=lambda wildcards: test_shards(wildcards.kind, "spectrograms"),
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
        " --clips $(dirname {input.clips[0]:q}) --spectrograms $(dirname {input.spectrograms[0]:q})"
        " --kind {wildcards.kind} --out {output.table:q} 2> >(tee {log:q} >&2)"
