"""The tables that the stages before would leave for the stages of the report."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spm.base import csv_file, schemas, tables
from spm.base.statuses import PretrainedBaseline
from spm.corpus import clip_reader
from spm.corpus.index import COUNTS
from spm.score import scores

RUNS = ("no-promotion", "spm")
SIDES = {"x": 0.1, "y": 0.2, "w": 0.4, "h": 0.3}
# Category, status and reason of the videos v0, v1, …
VIDEOS = (
    ("cello", "ok", ""),
    ("cello", "missing", "gone: removed"),
    ("flute", "no-audio", "it has no sound"),
)


def annotation(clip_id, frame, status="kept"):
    """A box of a frame."""
    about = {"clip_id": clip_id, "video_id": clip_id[:-8], "frame": frame}
    return {**about, "category": "cello", **SIDES, "status": status}


def write_maps(path, clips, seed=0):
    """Write a random map for both frames of each clip."""
    heat = np.random.default_rng(seed).random((len(clips), 2, 16), np.float32)
    rows = []
    for number, clip in enumerate(clips):
        for frame in (0, 1):
            about = {**clip, "frame": frame, "time_s": 0.0, "height": 4, "width": 4}
            rows.append({**about, "map": heat[number, frame]})
    tables.write_rows(path, schemas.MAPS, rows)


def write_history(path, names, splits, values):
    """Write a history with the same value per epoch for all names and splits."""
    rows = []
    for epoch, value in enumerate(values):
        for split in splits:
            for name in names:
                rows.append({"epoch": epoch, "split": split, "name": name, "value": value})
    tables.write_rows(path, schemas.HISTORY, rows)
    return path


def write_baselines(folder, clips):
    """Write maps of the pretrained networks: their paths."""
    paths = [folder / f"baseline_maps/solo/{name}.parquet" for name in PretrainedBaseline]
    for seed, path in enumerate(paths, 1):
        write_maps(path, clips, seed)
    return paths


def write_run(folder, name, clips, boxes, index, baseline_maps):
    """Write maps, history and scores of a run: its history, its maps, its summaries."""
    names = ("loss", "accuracy")
    history = folder / name / "history.parquet"
    write_history(history, names, ("train", "val"), [1, 1 / 2, 1 / 3])
    maps = folder / "maps" / name / "solo.parquet"
    write_maps(maps, clips)
    out = folder / "scores" / name / "solo/given"
    config = scores.Scores(bootstrap=20, protocols=("ez-vsl", "spm-paper"))
    files = {"annotations": boxes, "index": index, "baseline_maps": baseline_maps, "out": out}
    files["baseline_negatives"] = []
    scores.run(config, maps=maps, **files)
    return history, maps, [out / f"{protocol}.json" for protocol in config.protocols]


def write_corpus(folder):
    """Write coverage, manifest and table of videos of the corpus."""
    coverage = []
    for category in ("cello", "flute"):
        for split in ("test", "train"):
            coverage.append(("solo", category, split, 1, 1, 3, 3))
    columns = ["kind", "categories", "split", *COUNTS]
    csv_file.write(folder / "coverage.csv", pd.DataFrame(coverage, columns=columns))
    manifest, videos = ["video_id,url,kind,categories"], []
    for number, (category, status, reason) in enumerate(VIDEOS):
        manifest.append(f"v{number},v{number}.mp4,solo,{category}")
        videos.append({"video_id": f"v{number}", "status": status, "reason": reason})
    (folder / "manifest.csv").write_text("\n".join(manifest) + "\n")
    tables.write_rows(folder / "videos.parquet", schemas.VIDEOS, videos)


@pytest.fixture(scope="session")
def project(squares, tmp_path_factory) -> dict[str, Path | list[Path]]:
    """Inputs of the stage figures, for two runs on the corpus of two squares."""
    folder = tmp_path_factory.mktemp("scored")
    columns = ["clip_id", "video_id"]
    clips = clip_reader.select(squares.index, split="test").select(columns).to_pylist()
    boxes = folder / "given.parquet"
    annotations = [annotation(clip["clip_id"], 1) for clip in clips]
    tables.write_rows(boxes, schemas.ANNOTATIONS, annotations)
    baseline_maps = write_baselines(folder, clips)
    runs = [write_run(folder, name, clips, boxes, squares.index, baseline_maps) for name in RUNS]
    histories, maps, summaries = zip(*runs, strict=True)
    write_corpus(folder)
    audio = []
    for stage, names in (("clusters", ["similarity"]), ("pretrain", ["loss", "accuracy"])):
        path = folder / stage / "main/history.parquet"
        audio.append(write_history(path, names, ("train",), [0, 1 / 2]))
    return {
        "index": squares.index,
        "clips": squares.clips,
        "coverage": folder / "coverage.csv",
        "annotations": [boxes],
        "manifest": folder / "manifest.csv",
        "videos": [folder / "videos.parquet"],
        "audio_histories": audio,
        "maps": list(maps),
        "baseline_maps": baseline_maps,
        "summaries": [path for paths in summaries for path in paths],
        "histories": list(histories),
    }
