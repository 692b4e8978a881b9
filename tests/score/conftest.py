"""What the stages before would leave for those that score and draw."""

import numpy as np
import pandas as pd
import pytest

from spm.base import tables
from spm.corpus import clip_reader
from spm.score import scores

RUNS = ("no-promotion", "spm")


def annotation(clip_id, frame, status="kept"):
    box = {"x": 0.1, "y": 0.2, "w": 0.4, "h": 0.3}
    return {
        "clip_id": clip_id,
        "video_id": clip_id[:-8],
        "frame": frame,
        "category": "cello",
        **box,
        "status": status,
    }


def write_maps(path, clips):
    """A map for both frames of each clip."""
    heat = np.random.default_rng(0).random((len(clips), 2, 16), np.float32)
    found = [
        {**clip, "frame": frame, "time_s": 0.0, "height": 4, "width": 4, "map": heat[n, frame]}
        for n, clip in enumerate(clips)
        for frame in (0, 1)
    ]
    tables.write_rows(path, tables.MAPS, found)


@pytest.fixture(scope="session")
def project(squares, tmp_path_factory):
    """Tables of two runs on the two squares, as the stages would leave them: `run`'s arguments but for `out`."""
    folder = tmp_path_factory.mktemp("scored")
    clips = (
        clip_reader.select(squares.index, split="test").select(["clip_id", "video_id"]).to_pylist()
    )
    boxes = folder / "given.parquet"
    tables.write_rows(boxes, tables.ANNOTATIONS, [annotation(clip["clip_id"], 1) for clip in clips])
    histories, maps, summaries = [], [], []
    for name in RUNS:
        histories.append(folder / name / "history.parquet")
        epochs = [
            {"epoch": epoch, "split": split, "name": figure, "value": 1 / (1 + epoch)}
            for epoch in range(3) for split in ("train", "val") for figure in ("loss", "accuracy")
        ]  # fmt: skip
        tables.write_rows(histories[-1], tables.HISTORY, epochs)
        maps.append(folder / "maps" / name / "solo.parquet")
        write_maps(maps[-1], clips)
        out = folder / "scores" / name / "solo/given"
        config = scores.Scores(bootstrap=20, protocols=("ez-vsl", "spm-paper"))
        scores.run(config, maps=maps[-1], annotations=boxes, index=squares.index, out=out)
        summaries += [out / f"{protocol}.json" for protocol in config.protocols]
    audio = [folder / name / "main/history.parquet" for name in ("clusters", "pretrain")]
    for path, names in zip(audio, (("similarity",), ("loss", "accuracy")), strict=True):
        steps = [
            {"epoch": n, "split": "train", "name": name, "value": n / 2}
            for n in range(2)
            for name in names
        ]
        tables.write_rows(path, tables.HISTORY, steps)
    listed = [
        ("solo", name, split, 3) for name in ("cello", "flute") for split in ("test", "train")
    ]
    coverage = folder / "coverage.csv"
    pd.DataFrame(listed, columns=["kind", "categories", "split", "audible"]).to_csv(
        coverage, index=False
    )
    manifest, videos = folder / "manifest.csv", folder / "videos.parquet"
    became = [
        ("cello", "ok", ""),
        ("cello", "missing", "gone: removed"),
        ("flute", "no-audio", "it has no sound"),
    ]
    manifest.write_text(
        "video_id,url,kind,categories\n"
        + "".join(f"v{n},v{n}.mp4,solo,{row[0]}\n" for n, row in enumerate(became))
    )
    rows_ = [
        {"video_id": f"v{n}", "status": row[1], "reason": row[2]} for n, row in enumerate(became)
    ]
    tables.write_rows(videos, tables.VIDEOS, rows_)
    return {
        "index": squares.index, "clips": squares.clips, "coverage": coverage, "annotations": [boxes],
        "manifest": manifest, "videos": [videos], "audio_histories": audio,
        "maps": maps, "summaries": summaries, "histories": histories,
    }  # fmt: skip
