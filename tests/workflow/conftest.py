import csv
import hashlib
from pathlib import Path

import pytest

from spm.demo import scenario
from tests.support.project import Project

CATEGORIES = ("cello", "flute")
TINY = {
    "corpus": {"manifest": "manifest.csv", "shards": 2, "boxes": ["given"]},
    "clips": {"size": 48, "frames_per_clip": 2},
    "index": {"test_solos": 1},
    "clusters": {"k": 2, "restarts": 1},
    "pretrain": {"epochs": 2},
    "train": {"visual": "mobilenet_v2", "start": "none", "crop": 32, "epochs": 2},
    "runs": {"no-promotion": False},
    "scores": {"protocols": ["spm-paper"], "bootstrap": 10},
    "figures": {"examples": 1},
}


def filmed(folder: Path) -> Path:
    """A folder of two videos of two categories each, with their manifest and boxes."""
    folder.mkdir(exist_ok=True)
    demo = scenario.Demo(solos=2, duets=0, scenes=1, scene_s=3, width=96, height=72)
    videos = [video for video in scenario.videos(demo) if video.categories[0] in CATEGORIES]
    boxes = [row for video in videos for row in scenario.render(video, demo, folder)]
    rows = [(v.video_id, str(folder / f"{v.video_id}.mp4"), v.kind, *v.categories) for v in videos]
    for name, table in (
        ("manifest", [("video_id", "url", "kind", "categories"), *rows]),
        ("boxes", [scenario.BOX_COLUMNS, *boxes]),
    ):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(table)
    return folder


@pytest.fixture(scope="session")
def films(tmp_path_factory) -> Path:
    """The videos of the smallest project."""
    return filmed(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="session")
def undisturbed(films, tmp_path_factory) -> Project:
    """The smallest project, run from its manifest to its figures with nothing in the way."""
    project = begun(films, tmp_path_factory.mktemp("undisturbed"))
    project.run("all")
    return project


def begun(films: Path, folder: Path, **options: object) -> Project:
    """The smallest project, before anything has run."""
    folder.mkdir(exist_ok=True)
    for name in ("manifest.csv", "boxes.csv"):
        (folder / name).write_bytes((films / name).read_bytes())
    return Project(folder, TINY, **options)


def results(project: Project) -> dict[str, str]:
    """Digest of every file that a project's stages left."""
    folder = project.folder / "results"
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
