"""manifest → fetch → clips → spectrograms → index

Needs: the manifest that corpus.manifest names. Gives: per shard, one row per clip with frames,
sound and log-mel spectrogram; and an index of all clips.
"""


localrules:
    fetch,


# These keys change when media arrive, not which media arrive: a change of them reruns nothing.
POLITENESS = [
    "retries",
    "backoff_s",
    "timeout_s",
    "sleep_s",
    "rate_limit",
    "workers",
    "bot_limit",
    "give_up_s",
    "windows_only",
]


rule fetch:
    """Download the videos of one shard to the store; a failed video is a row with the reason."""
    input:
        manifest=ancient(PLAN.manifest),
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
        config=untracked_section("fetch"),
        media=section("fetch", without=POLITENESS),
        local=lambda wildcards: PLAN.local_digest(wildcards.shard),
        code=code_of("spm.corpus.fetch"),
        members=lambda wildcards: PLAN.members[wildcards.shard],
        shards=config["corpus"]["shards"],
        store=config["corpus"]["store"],
    shell:
        "python -m spm.corpus.fetch --config {params.config:q} --manifest {input.manifest:q}"
        " --shard $((10#{wildcards.shard})) --shards {params.shards} --store {params.store:q}"
        " --out {output.ledger:q} 2> >(tee {log:q} >&2)"


rule clips:
    """Cut the videos of one shard into clips of one second, with frames and sound."""
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
        " --clips {output.clips:q} --videos {output.videos:q} --threads {threads}"
        " 2> >(tee {log:q} >&2)"


rule spectrograms:
    """Log-mel spectrograms of the clips of one shard; made from their sound, without the videos."""
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


rule index:
    """One row per clip with its split, and the coverage: how much of the manifest is available."""
    input:
        manifest=ancient(PLAN.manifest),
        videos=PLAN.shard_tables("videos"),
        clips=PLAN.shard_tables("clips"),
    output:
        index="results/corpus/index/clips.parquet",
        coverage=report(
            "results/corpus/index/coverage.csv",
            caption="../workflow/report/coverage.rst",
            category="Corpus",
            labels={"figure": "coverage, as CSV"},
        ),
        coverage_digest="results/corpus/index/coverage.json",
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
        manifest=PLAN.rows_digest,
        shards=config["corpus"]["shards"],
    shell:
        "python -m spm.corpus.index --config {params.config:q} --manifest {input.manifest:q}"
        " --shards {params.shards} --videos results/corpus/videos --clips results/corpus/clips"
        " --out {output.index:q} --coverage-table {output.coverage:q} 2> >(tee {log:q} >&2)"
