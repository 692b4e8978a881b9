"""`make retry` asks again for videos that may be back, and reruns only the affected jobs."""

import pytest

from spm.base import tables
from spm.base.shards import name_of, shard_of
from spm.corpus.manifest import write
from tests.support.project import Project

SHARDS = 3
pytestmark = pytest.mark.slow


def test_retry_asks_only_for_failed_videos_and_reruns_only_their_shard(site, tmp_path):
    names = {"fine": "media", "late": "503", "dead": "404"}
    assert len({shard_of(name, SHARDS) for name in names}) == 3
    for name, behavior in names.items():
        site.answers[f"/{name}.mp4"] = [behavior]
    write(
        tmp_path / "manifest.csv",
        [(name, f"{site.root}/{name}.mp4", "solo", "violin") for name in names],
    )
    config = {
        "corpus": {"manifest": "manifest.csv", "shards": SHARDS, "boxes": []},
        "index": {"test_solos": 1},
        "fetch": {"sleep_s": 0, "backoff_s": 0.01, "retries": 2, "private_hosts": ["127.0.0.1"]},
        "clips": {"size": 32},
        "clusters": {"k": 2},
        "train": {"crop": 32},
    }
    project = Project(tmp_path, config)
    project.run("index")
    ledgers = {
        n: tables.read(tmp_path / f"results/corpus/fetch/{name_of(shard_of(n, SHARDS))}.parquet")
        for n in names
    }
    assert {n: ledgers[n]["status"][0].as_py() for n in names} == {
        "fine": "ok",
        "late": "retry",
        "dead": "gone",
    }

    site.answers["/late.mp4"] = ["media"]
    before = site.counts()
    project.run("--forcerun", "fetch", "--until", "fetch", "--", "index")
    assert set(site.counts() - before) == {"/late.mp4"}
    assert project.stale("index") == {"clips": 1, "index": 1}
    project.run("index")
    videos = tables.read(tmp_path / "results/corpus/index/clips.parquet")["video_id"].to_pylist()
    assert sorted(set(videos)) == ["fine", "late"]
    assert "Nothing to be done" in project.run("index")
