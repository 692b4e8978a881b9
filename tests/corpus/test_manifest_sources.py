"""Manifests that are made from the published lists of MUSIC, or from a folder of videos."""

import csv
import hashlib
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from spm.base.errors import UserError
from spm.corpus.manifest import address, read
from spm.corpus.manifest_sources import workflow_command, write_folder, write_music

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "workflow" / "manifests"
PUBLISHED = ROOT.parent / "shared" / "data" / "manifests" / "MUSIC"
# SHA-256 of the published lists: of json.dumps(lists["videos"], ensure_ascii=False).
DIGESTS = {
    "MUSIC_solo": "1fea060207e16ce8301b6da06f441250bc7752073eef53c79c95f89fdb2209eb",
    "MUSIC_duet": "c699d14bd95a35ebb6e205cad7aa7f4626fc5e0e81b4111f73f71c4d0dab8ce6",
    "MUSIC21_solo": "bb8a66092a305ab79e1ef22ac8840eafaa77991478377202fc33386cc6576ef4",
}


def digest(videos: dict[str, list[str]]) -> str:
    return hashlib.sha256(json.dumps(videos, ensure_ascii=False).encode()).hexdigest()


def list_of(manifest: str, kind: str) -> dict[str, list[str]]:
    """The published list that a manifest was made from: ids by category, in its order."""
    videos: dict[str, list[str]] = {}
    for video in read(MANIFESTS / manifest):
        if video.kind == kind:
            videos.setdefault(" ".join(video.categories), []).append(video.video_id)
    return videos


def test_the_manifests_of_the_project_are_the_published_lists(tmp_path):
    lists = {
        "MUSIC_solo": list_of("music.csv", "solo"),
        "MUSIC_duet": list_of("music.csv", "duet"),
        "MUSIC21_solo": list_of("music21.csv", "solo"),
    }
    assert {name: digest(videos) for name, videos in lists.items()} == DIGESTS
    for name, videos in lists.items():
        (tmp_path / f"{name}_videos.json").write_text(json.dumps({"videos": videos}))
    write_music(tmp_path, tmp_path)
    for name in ("music.csv", "music21.csv"):
        assert (tmp_path / name).read_bytes() == (MANIFESTS / name).read_bytes()
    if PUBLISHED.is_dir():
        for name, expected in DIGESTS.items():
            text = (PUBLISHED / f"{name}_videos.json").read_text()
            assert digest(json.loads(text)["videos"]) == expected


@pytest.mark.parametrize("text", ["", "[]", '{"videos": []}', '{"videos": {"violin": 3}}'])
def test_a_wrong_list_leaves_no_files(tmp_path, text):
    for name in ("MUSIC_solo_videos.json", "MUSIC_duet_videos.json", "MUSIC21_solo_videos.json"):
        (tmp_path / name).write_text(json.dumps({"videos": {"violin": ["aaaaaaaaaaa"]}}))
    (tmp_path / "MUSIC21_solo_videos.json").write_text(text)
    with pytest.raises(UserError, match=r"MUSIC21_solo_videos\.json: not a list of MUSIC"):
        write_music(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


FOLDER_ROWS = [
    ["acoustic_guitar-a", "acoustic guitar/a.mp4", "solo", "acoustic_guitar"],
    ["x_2", "acoustic guitar/x (2).mp4", "solo", "acoustic_guitar"],
    ["violin-a", "violin/a.MOV", "solo", "violin"],
    ["b", "violin/b.mp4", "solo", "violin"],
    ["1", "violin+cello/1.mkv", "duet", "violin cello"],
]


def test_a_folder_of_videos_becomes_a_manifest_and_the_next_command_is_printed(tmp_path, capsys):
    root = tmp_path / "my videos"
    manifest = root / "manifest.csv"
    for name in ("violin/notes.txt", "violin/._b.mp4", "loose.mp4"):
        touch(root / name)
    for _, url, _, _ in FOLDER_ROWS:
        touch(root / url)
    write_folder(root)
    assert list(csv.reader(manifest.open()))[1:] == FOLDER_ROWS
    assert all(Path(address(video, manifest)).is_file() for video in read(manifest))
    printed = capsys.readouterr().out
    assert "x (2).mp4: its id is x_2" in printed
    assert "loose.mp4: ignored" in printed
    command = shlex.split(printed.strip().splitlines()[-1])
    assert command[:2] == ["snakemake", "all"]  # after --config, a target would be another setting
    config = command[command.index("--config") + 1].removeprefix("corpus=")
    assert json.loads(config) == {"manifest": str(manifest), "boxes": []}
    (root / "boxes.csv").touch()
    assert '"boxes"' not in workflow_command(manifest)


def test_a_manifest_edited_by_hand_is_kept_beside_the_new_one(tmp_path):
    touch(tmp_path / "violin" / "a.mp4")
    (tmp_path / "manifest.csv").write_text("mine")
    write_folder(tmp_path)
    assert (tmp_path / "manifest.csv.old").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.mp4", "expected videos in folders named by the sounding instrument"),
        ("a+b+c/x.mp4", "expected two different categories"),
        ("violin+violin/x.mp4", "expected two different categories"),
    ],
)
def test_a_folder_without_categories_gives_no_manifest(tmp_path, name, expected):
    touch(tmp_path / name)
    with pytest.raises(UserError, match=expected):
        write_folder(tmp_path)
    assert not list(tmp_path.glob("manifest.csv*"))


def test_an_error_of_the_command_line_is_one_line(tmp_path):
    command = [sys.executable, "-m", "spm.cli", "manifest", str(tmp_path)]
    job = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert job.returncode == 1
    assert job.stderr.count("\n") == 1
    assert f"{tmp_path}: expected videos in folders" in job.stderr
