import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from spm.demo import scenario
from tests.support.project import Project
from tests.support.sharing import make_once

CATEGORIES = ("cello", "flute")
FOUR = (*CATEGORIES, "trumpet", "xylophone")
TINY = {
    "corpus": {"manifest": "manifest.csv", "shards": 2, "boxes": ["given"]},
    "clips": {"size": 48, "frames_per_clip": 2},
    "index": {"test_solos": 1},
    "clusters": {"k": 2, "restarts": 1, "threads": 1},
    "pretrain": {"epochs": 2, "threads": 1},
    "train": {"visual": "mobilenet_v2", "start": "none", "crop": 32, "epochs": 2, "threads": 1},
    "maps": {"threads": 1},
    "baseline_maps": {"image_px": 96, "threads": 1},
    "runs": {"no-promotion": False},
    "scores": {"protocols": ["spm-paper"], "bootstrap": 10},
    "figures": {"examples": 1},
}


def write_videos(folder: Path, categories: Sequence[str] = CATEGORIES, scene_s: int = 3) -> Path:
    """Two videos of each of some categories, with their manifest and boxes."""
    folder.mkdir(exist_ok=True)
    demo = scenario.Demo(solos=2, duets=0, scenes=1, scene_s=scene_s, width=96, height=72)
    videos = [video for video in scenario.videos(demo) if video.categories[0] in categories]
    boxes = [row for video in videos for row in scenario.render(video, demo, folder)]
    rows = [(v.video_id, str(folder / f"{v.video_id}.mp4"), v.kind, *v.categories) for v in videos]
    for name, table in (
        ("manifest", [("video_id", "url", "kind", "categories"), *rows]),
        ("boxes", [scenario.BOX_COLUMNS, *boxes]),
    ):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(table)
    return folder


def new_project(videos: Path, folder: Path, **options: object) -> Project:
    """The smallest project, before its first run."""
    folder.mkdir(exist_ok=True)
    for name in ("manifest.csv", "boxes.csv"):
        (folder / name).write_bytes((videos / name).read_bytes())
    return Project(folder, TINY, **options)


@pytest.fixture(scope="session")
def videos(tmp_path_factory) -> Path:
    """The videos of the smallest project."""
    return make_once(tmp_path_factory, "videos", write_videos)


@pytest.fixture(scope="session")
def undisturbed(videos, tmp_path_factory) -> Project:
    """The smallest project after an undisturbed run; shared by all processes, so never changed."""
    folder = make_once(
        tmp_path_factory, "undisturbed", lambda folder: new_project(videos, folder).run("all")
    )
    return Project(folder, TINY)


def results(project: Project) -> dict[str, str]:
    """Digest of every result file of a project."""
    folder = project.folder / "results"
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
