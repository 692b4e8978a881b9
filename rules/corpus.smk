"""manifest → fetch → clips → spectrograms → index

Needs: the manifest named by corpus.manifest. Gives: one row a clip, with frames, sound and log-mels, by shard.
"""


localrules:
    fetch,


# How politely media are asked for changes when they come, not what comes.
POLITENESS = [
    "retries",
    "backoff_s",
    "timeout_s",
    "sleep_s",
    "rate_limit",
    "workers",
    "bot_limit",
    "give_up_s",
]


rule fetch:
    """Media of one shard's videos, in the store; a video that can't be had is a row with its reason."""
    input:
        manifest=ancient(MANIFEST),
    output:
        ledger="results/corpus/fetch/{shard}.parquet",
    log:
        "logs/corpus/fetch/{shard}.log",
    benchmark:
        "logs/corpus/fetch/{shard}.jsonl"
    conda:
        "../envs/fetch.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime="1d",
    params:
        config=untracked("fetch"),
        media=section("fetch", *POLITENESS),
        code=code_of("spm.corpus.fetch"),
        members=members,
        shards=COUNT,
        store=config["corpus"]["store"],
    shell:
        "python -m spm.corpus.fetch --config {params.config:q} --manifest {input.manifest:q}"
        " --shard $((10#{wildcards.shard})) --shards {params.shards} --store {params.store:q}"
        " --out {output.ledger:q} 2> >(tee {log:q} >&2)"


rule clips:
    """One-second clips of one shard's videos: frames and sound, each video decoded once."""
    input:
        ledger="results/corpus/fetch/{shard}.parquet",
    output:
        clips="results/corpus/clips/{shard}.parquet",
        videos="results/corpus/videos/{shard}.parquet",
    log:
        "logs/corpus/clips/{shard}.log",
    benchmark:
        "logs/corpus/clips/{shard}.jsonl"
    conda:
        "../envs/corpus.yaml"
    threads: 2
    resources:
        mem_mb=memory(3000),
        runtime="4h",
    params:
        config=section("clips"),
        code=code_of("spm.corpus.clips"),
    shell:
        "python -m spm.corpus.clips --config {params.config:q} --ledger {input.ledger:q}"
        " --clips {output.clips:q} --videos {output.videos:q} --threads {threads} 2> >(tee {log:q} >&2)"


rule spectrograms:
    """Log-mel spectrograms of one shard's clips; a change of settings decodes no video again."""
    input:
        clips="results/corpus/clips/{shard}.parquet",
    output:
        table="results/corpus/spectrograms/{shard}.parquet",
    log:
        "logs/corpus/spectrograms/{shard}.log",
    benchmark:
        "logs/corpus/spectrograms/{shard}.jsonl"
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
        "python -m spm.corpus.spectrograms --config {params.config:q}"
        " --clips {input.clips:q} --out {output.table:q} 2> >(tee {log:q} >&2)"


rule index:
    """One row a clip with its split, and how much of the list was to be had."""
    input:
        manifest=MANIFEST,
        videos=expand("results/corpus/videos/{shard}.parquet", shard=SHARDS),
        clips=expand("results/corpus/clips/{shard}.parquet", shard=SHARDS),
    output:
        index="results/corpus/index/clips.parquet",
        coverage=report(
            "results/corpus/index/coverage.csv",
            caption="../workflow/report/coverage.rst",
            category="Corpus",
            labels={"figure": "coverage, as CSV"},
        ),
    log:
        "logs/corpus/index.log",
    benchmark:
        "logs/corpus/index.jsonl"
    conda:
        "../envs/corpus.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime="1h",
    params:
        config=section("index"),
        code=code_of("spm.corpus.index"),
        listed=content(MANIFEST),
        shards=COUNT,
    shell:
        "python -m spm.corpus.index --config {params.config:q} --manifest {input.manifest:q} --shards {params.shards}"
        " --videos results/corpus/videos --clips results/corpus/clips"
        " --out {output.index:q} --coverage-table {output.coverage:q} 2> >(tee {log:q} >&2)"
