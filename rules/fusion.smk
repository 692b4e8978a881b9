"""mosaics → train → negatives → maps

Needs: clips, log-mel spectrograms and, for promoted runs, the audio network. Gives: one trained
localizer per run, its heat maps, and those of pretrained networks that are baselines.
"""


rule mosaics:
    """Mosaics of 2 × 2 solo clips, two of which sound, as clips of one frame."""
    input:
        index="results/corpus/index/clips.parquet",
        clips=PLAN.shard_tables("clips"),
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
        config=lambda wildcards: section("mosaics", without={"train", "test"} - {wildcards.split}),
        code=code_of("spm.fusion.mosaics"),
    shell:
        "python -m spm.fusion.mosaics --config {params.config:q} --index {input.index:q}"
        " --clips results/corpus/clips --split {wildcards.split} --out-index {output.index:q}"
        " --out-clips {output.clips:q} --tiles {output.tiles:q} 2> >(tee {log:q} >&2)"


rule mosaic_spectrograms:
    """Log-mel spectrograms of the mixed sounds of the mosaics."""
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
    threads: 2  # one computes, one reads and writes
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        config=section("spectrograms"),
        code=code_of("spm.corpus.spectrograms"),
    shell:
        "OMP_NUM_THREADS=1 python -m spm.corpus.spectrograms --config {params.config:q}"
        " --clips {input.clips:q} --out {output.table:q} 2> >(tee {log:q} >&2)"


rule mosaic_boxes:
    """The boxes of the mosaics, made from the boxes of their tiles."""
    input:
        tiles="results/fusion/mosaics/test/tiles.parquet",
        annotations="results/boxes/annotations/{box_source}.parquet",
    output:
        table="results/fusion/mosaics/test/boxes/{box_source}.parquet",
    log:
        "logs/fusion/mosaic_boxes/{box_source}.log",
    benchmark:
        "logs/fusion/mosaic_boxes/{box_source}.jsonl"
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
    """Algorithm 1, step 3: train one localizer; a stopped job resumes at its last checkpoint."""
    input:
        index="results/corpus/index/clips.parquet",
        clips=PLAN.shard_tables("clips"),
        spectrograms=PLAN.shard_tables("spectrograms"),
        mosaics=lambda wildcards: PLAN.training_mosaics(wildcards.run),
        pretrained=lambda wildcards: PLAN.pretrained_audio(wildcards.run),
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
    threads: 8 * GPUS
    resources:
        **torchrun.resources(config["cluster"]),
        mem_mb=memory(8000 * GPUS),
        runtime="3d",
    params:
        launch=lambda wildcards, threads, resources: torchrun.command(
            config["cluster"], threads, resources.get("gres", "")
        ),
        config=lambda wildcards: PLAN.run_section(wildcards.run),
        mosaics=lambda wildcards, input: ("results/fusion/mosaics/train" if input.mosaics else ""),
        code=lambda wildcards: PLAN.run_code(wildcards.run, "spm.fusion.train"),
        finished=untracked(config["state"]["finished"]),
    shell:
        "{params.launch} -m spm.fusion.train --config {params.config:q} --index {input.index:q}"
        " --clips results/corpus/clips --spectrograms results/corpus/spectrograms"
        " --pretrained {input.pretrained:q} --mosaics {params.mosaics}"
        " --out {output.network:q} --history {output.history:q}"
        " --state state/fusion/train/{wildcards.run} --mapped state/mapped"
        " --finished state/finished/train/{wildcards.run} --finished-number {params.finished}"
        " --tensorboard logs/fusion/train/{wildcards.run}.tensorboard 2> >(tee {log:q} >&2)"


rule negatives:
    """Which clips of a test set are shown with silence, noise, or the sound of another clip."""
    input:
        index=lambda wildcards: PLAN.test_index(wildcards.testset),
    output:
        table="results/fusion/negatives/{testset}.parquet",
    log:
        "logs/fusion/negatives/{testset}.log",
    benchmark:
        "logs/fusion/negatives/{testset}.jsonl"
    conda:
        "../envs/fusion.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1h",
    params:
        config=section("negatives"),
        code=code_of("spm.fusion.negatives"),
    shell:
        "python -m spm.fusion.negatives --config {params.config:q} --index {input.index:q}"
        " --testset {wildcards.testset} --out {output.table:q} 2> >(tee {log:q} >&2)"


rule maps:
    """Heat maps of one run, one for every frame of a test set, and with other sounds."""
    input:
        network="results/fusion/train/{run}/network.safetensors",
        index=lambda wildcards: PLAN.test_index(wildcards.testset),
        clips=lambda wildcards: PLAN.test_tables(wildcards.testset, "clips"),
        spectrograms=lambda wildcards: PLAN.test_tables(wildcards.testset, "spectrograms"),
        negatives="results/fusion/negatives/{testset}.parquet",
    output:
        table="results/fusion/maps/{run}/{testset}.parquet",
        negatives="results/fusion/maps/{run}/negatives/{testset}.parquet",
    log:
        "logs/fusion/maps/{run}/{testset}.log",
    benchmark:
        "logs/fusion/maps/{run}/{testset}.jsonl"
    conda:
        "../envs/fusion.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=memory(8000),
        runtime="4h",
    params:
        config=section("maps", without=["testsets", "prior_alpha", "prior", "prior_mean"]),
        preset=config["spectrograms"]["preset"],
        code=lambda wildcards: PLAN.run_code(wildcards.run, "spm.fusion.maps"),
    shell:
        "python -m spm.fusion.maps --config {params.config:q} --network {input.network:q}"
        " --index {input.index:q} --clips $(dirname {input.clips[0]:q})"
        " --spectrograms $(dirname {input.spectrograms[0]:q}) --testset {wildcards.testset}"
        " --mapped state/mapped --negatives {input.negatives:q} --preset {params.preset}"
        " --out {output.table:q} --out-negatives {output.negatives:q} 2> >(tee {log:q} >&2)"


rule baseline_maps:
    """Heat maps of pretrained networks, which no run has trained, for every frame of a test set."""
    input:
        index=lambda wildcards: PLAN.test_index(wildcards.testset),
        clips=lambda wildcards: PLAN.test_tables(wildcards.testset, "clips"),
        negatives="results/fusion/negatives/{testset}.parquet",
    output:
        tables=expand(
            "results/fusion/baseline_maps/{{testset}}/{network}.parquet",
            network=PLAN.pretrained_networks or ["none"],  # which nothing reads
        ),
        negatives=expand(
            "results/fusion/baseline_maps/{{testset}}/negatives/{network}.parquet",
            network=PLAN.pretrained_networks or ["none"],
        ),
    log:
        "logs/fusion/baseline_maps/{testset}.log",
    benchmark:
        "logs/fusion/baseline_maps/{testset}.jsonl"
    conda:
        "../envs/fusion.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=memory(8000),
        runtime="4h",
    params:
        config=section("baseline_maps"),
        code=code_of("spm.fusion.baseline_maps"),
    shell:
        "python -m spm.fusion.baseline_maps --config {params.config:q} --index {input.index:q}"
        " --clips $(dirname {input.clips[0]:q}) --testset {wildcards.testset}"
        " --mapped state/mapped --negatives {input.negatives:q} --out {output.tables:q}"
        " --out-negatives {output.negatives:q} 2> >(tee {log:q} >&2)"


rule prior_maps:
    """Heat maps of one run mixed with a pretrained network's, scored as a run of its own."""
    input:
        maps=lambda wildcards: PLAN.unmixed_maps(wildcards.run, wildcards.testset),
        prior=f"results/fusion/baseline_maps/{{testset}}/{config['maps']['prior']}.parquet",
    output:
        table="results/fusion/prior_maps/{run}/{testset}.parquet",
    log:
        "logs/fusion/prior_maps/{run}/{testset}.log",
    benchmark:
        "logs/fusion/prior_maps/{run}/{testset}.jsonl"
    wildcard_constraints:
        run=r"[\w-]+\+prior",
    conda:
        "../envs/fusion.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        alpha=config["maps"]["prior_alpha"],
        mean=config["maps"]["prior_mean"],
        code=code_of("spm.fusion.prior_maps"),
    shell:
        "python -m spm.fusion.prior_maps --config '{{}}' --alpha {params.alpha}"
        " --mean {params.mean} --maps {input.maps:q} --prior {input.prior:q} --out {output.table:q}"
        " 2> >(tee {log:q} >&2)"
