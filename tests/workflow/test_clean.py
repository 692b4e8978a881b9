"""`spm clean` deletes what no rule makes, or all of a video, and nothing else."""

import json
import os
import time
from pathlib import Path

import pytest
import yaml

from spm.base import schemas, tables
from spm.base.shards import name_of, shard_of
from spm.base.statuses import FetchStatus
from spm.corpus.fetching import store
from spm.workflow import clean
from spm.workflow.preflight.facts import record_file
from tests.workflow.conftest import TINY

pytestmark = pytest.mark.slow
SITE = "https://media.example.org"
VIDEOS = ("a", "b", "d", "g")
DAY_S = 86_400
REVIEWS = "clip_id,frame,box,verdict,category,x,y,w,h,reviewer\n"
GONE_RUN = "results/fusion/train/gone/network.safetensors"
CURRENT_RUN = "results/fusion/train/spm/network.safetensors"


def write(folder: Path, name: str, text: str = "made of nothing") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def made(folder: Path, name: str) -> None:
    """A result, with the record that Snakemake keeps of its job."""
    write(folder, name)
    write(folder, str(record_file(Path(name))), "{}")


def shard(video: str) -> str:
    return name_of(shard_of(video, 2))


@pytest.fixture
def project(tmp_path):
    """Results of jobs that there are, and of those that there were."""
    rows = [
        f"{name},{SITE}/{name}.mp4,solo,{'flute' if n % 2 else 'cello'}"
        for n, name in enumerate(VIDEOS)
    ]
    write(tmp_path, "manifest.csv", "\n".join(["video_id,url,kind,categories", *rows]) + "\n")
    write(tmp_path, "boxes.csv", "video_id,time_s,category,x,y,w,h\na,0.5,cello,0,0,1,1\n")
    write(tmp_path, "reviews.csv", REVIEWS)
    write(tmp_path, "mine.yaml", yaml.safe_dump(TINY))
    for name in (CURRENT_RUN, GONE_RUN, "results/corpus/clips/0007.parquet"):
        made(tmp_path, name)
    write(tmp_path, "results/fusion/train/gone/my notes.md")
    for name in ("spm", "gone"):
        write(tmp_path, f"logs/fusion/train/{name}.log")
        write(tmp_path, f"logs/fusion/train/{name}.jsonl")
        write(tmp_path, f"logs/fusion/train/{name}.tensorboard/events.1")
        write(tmp_path, f"state/fusion/train/{name}/0123/00001-0000000.safetensors")
    old = write(tmp_path, "state/finished/train/spm/0123/network.safetensors").parent
    os.utime(old, (time.time() - 100 * DAY_S,) * 2)
    write(tmp_path, "state/finished/train/spm/4567/network.safetensors")
    for video in ("a", "b", "removed"):
        address = f"{SITE}/{video}.mp4"
        record = store.MediaRecord(video, address, "", FetchStatus.OK, "", ext="mp4")
        store.save(tmp_path / "store", record)
        store.media_path(tmp_path / "store", record).write_bytes(b"media")
    for name in "ab":
        ledger = {"video_id": name, "status": "ok"}
        tables.write_rows(
            tmp_path / f"results/corpus/fetch/{name}.parquet", schemas.LEDGER, [ledger]
        )
        row = {"clip_id": f"{name}_1000"}
        tables.write_rows(
            tmp_path / f"results/boxes/detect/{name}.parquet", schemas.DETECTIONS, [row]
        )
    write(tmp_path, "results/report/figures/heatmaps.svg")
    return tmp_path


def files(folder: Path) -> set[str]:
    paths = (
        path for path in folder.rglob("*") if path.is_file() and ".snakemake" not in path.parts
    )
    return {path.relative_to(folder).as_posix() for path in paths}


def find(folder: Path, **options) -> clean.Found:
    return clean.find(folder, [folder / "mine.yaml"], [], **options)


def test_what_no_rule_makes_is_deleted_and_nothing_else(project):
    before = files(project)
    found = find(project)
    assert files(project) == before  # it was only listed
    found.delete()
    deleted = before - files(project)
    media = {name for name in before if "_removed." in name}
    assert len(media) == 2
    assert deleted == media | {
        GONE_RUN,
        "results/corpus/clips/0007.parquet",
        "logs/fusion/train/gone.log",
        "logs/fusion/train/gone.jsonl",
        "logs/fusion/train/gone.tensorboard/events.1",
        "state/fusion/train/gone/0123/00001-0000000.safetensors",
        "state/finished/train/spm/0123/network.safetensors",
    }
    assert not find(project).leftovers


def test_media_in_a_store_elsewhere_may_be_those_of_another_project(project, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("store")
    config = {**TINY, "corpus": {**TINY["corpus"], "store": str(elsewhere)}}
    write(project, "mine.yaml", yaml.safe_dump(config))
    record = store.MediaRecord("other", f"{SITE}/other.mp4", "", FetchStatus.OK, "", ext="mp4")
    store.save(elsewhere, record)
    assert not any("other" in path.name for path, _ in find(project).leftovers)


@pytest.mark.parametrize("wanted", ["a", f"{SITE}/a.mp4"])
def test_all_that_is_stored_of_a_video_is_deleted_with_its_row(project, wanted):
    before, manifest = files(project), (project / "manifest.csv").read_text()
    write(project, "logs/corpus/fetch/0000.log", "a: gone")
    find(project, videos=[wanted]).delete()
    deleted = before - files(project)
    assert {name.split("/")[0] for name in deleted} == {"results", "store"}
    kept_tables = {"results/corpus/fetch/b.parquet", "results/boxes/detect/b.parquet"}
    assert kept_tables <= files(project)
    assert {"results/corpus/fetch/a.parquet", "results/boxes/detect/a.parquet"} <= deleted
    assert "results/report/figures/heatmaps.svg" in deleted
    assert sum("_a." in name for name in deleted) == 2
    assert not any("_b." in name for name in deleted)
    assert not (project / "logs/corpus/fetch/0000.log").exists()
    rest = [line for line in manifest.splitlines() if not line.startswith("a,")]
    assert (project / "manifest.csv").read_text().splitlines() == rest
    assert (project / "reviews.csv").read_text() == REVIEWS
    assert (project / CURRENT_RUN).is_file()


def test_networks_are_deleted_on_request(project):
    find(project, videos=["a"], networks=True).delete()
    assert not (project / CURRENT_RUN).exists()
    assert not list(project.glob("state/**/*.safetensors"))


def test_the_command_lists_first_and_deletes_with_yes(project):
    from typer.testing import CliRunner

    from spm.cli import commands

    words = ["clean", "--directory", str(project), "--configfile", str(project / "mine.yaml")]
    words += ["--video", "a", "--json"]
    listed = json.loads(CliRunner().invoke(commands, words).stdout)
    assert (project / "results/corpus/fetch/a.parquet").is_file()
    done = CliRunner().invoke(commands, [*words, "--yes"])
    assert json.loads(done.stdout) == listed
    assert not (project / "results/corpus/fetch/a.parquet").exists()
