"""Files of `spm localize`: their names, and that they replace nothing but earlier results."""

import json
import os
from pathlib import Path

import pytest

from spm.base.errors import UserError
from spm.inference import jobs
from spm.inference.outputs import SUFFIXES, Outputs


@pytest.fixture
def film(tmp_path) -> Path:
    path = tmp_path / "videos/film.mp4"
    path.parent.mkdir()
    path.write_bytes(b"film")
    return path


def write(outputs: Outputs, source: str, content: str = "") -> None:
    """Write results as `spm localize` does."""
    with outputs.written(source) as parts:
        for suffix, part in parts.items():
            part.write_text("{}" if suffix == "json" else f"{suffix} {content}")


def localize(film: Path, out: Path, content: str = "") -> None:
    (job,) = jobs.plan([str(film)], out)
    write(job.outputs, job.source, content)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_results_are_replaced_by_later_ones_of_the_same_video(film, tmp_path):
    localize(film, tmp_path / "out", "first")
    localize(film, tmp_path / "out", "second")
    assert (tmp_path / "out/film.png").read_text() == "png second"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"film.{s}" for s in SUFFIXES}


def test_results_of_another_video_of_the_same_name_are_kept(film, tmp_path):
    localize(film, tmp_path / "out")
    other = tmp_path / "other/film.mp4"
    other.parent.mkdir()
    other.write_bytes(b"another film")
    before = contents(tmp_path / "out")
    with pytest.raises(UserError, match=r"film\.json is of another video: name another folder"):
        jobs.plan([str(other)], tmp_path / "out")
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_neighbor_of_the_same_stem_is_not_replaced(film, suffix):
    """The video and the results are in one folder: film.avi and film.json, for example."""
    video = film.rename(film.with_suffix(".avi"))
    neighbor = film.with_suffix(f".{suffix}")
    neighbor.write_text("{}")
    with pytest.raises(UserError, match=rf"film\.{suffix}: spm localize has not written this"):
        jobs.plan([str(video)], film.parent)
    assert neighbor.read_text() == "{}"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_result_that_was_changed_is_not_replaced(film, tmp_path, suffix):
    localize(film, tmp_path / "out")
    changed = tmp_path / f"out/film.{suffix}"
    text = changed.read_text()
    changed.write_text(text.replace("sha256:", "sha256: ") if suffix == "json" else text + "note")
    with pytest.raises(UserError, match="spm localize has not written this file, or it was"):
        jobs.plan([str(film)], tmp_path / "out")


def test_a_video_is_not_replaced_through_a_linked_folder_or_file(film, tmp_path):
    (tmp_path / "out").symlink_to(film.parent)
    (tmp_path / "hard").mkdir()
    os.link(film, tmp_path / "hard/film.mp4")
    (tmp_path / "soft").mkdir()
    (tmp_path / "soft/film.mp4").symlink_to(film)
    for out in ("out", "hard", "soft"):
        with pytest.raises(UserError, match="would replace this file: name another folder"):
            jobs.plan([str(film)], tmp_path / out)


def test_a_link_to_nothing_and_a_file_as_folder_are_refused(film, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/film.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"film\.png: spm localize has not written"):
        jobs.plan([str(film)], tmp_path / "out")
    with pytest.raises(UserError, match="is not a folder"):
        jobs.plan([str(film)], film)


def test_a_commit_that_is_killed_halfway_is_repeated(film, tmp_path):
    """The JSON file is in place, and none, one or two of the other files."""
    for moved in range(3):
        out = tmp_path / str(moved)
        localize(film, out, "first")
        (job,) = jobs.plan([str(film)], out)
        real, left = Path.replace, [moved + 1]

        def replace(part, target, real=real, left=left):
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            return real(part, target)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "replace", replace)
            with pytest.raises(KeyboardInterrupt):
                write(job.outputs, job.source, "second")
        localize(film, out, "third")
        assert (out / "film.parquet").read_text() == "parquet third"


def test_names_differ_whatever_the_case_and_the_file_system(tmp_path):
    paths = [tmp_path / name for name in ("a/x.mp4", "b/X.MP4", "a/x.mkv", "a-x.mp4", "c/y.mp4")]
    planned = jobs.plan([str(path) for path in paths], tmp_path / "out")
    names = [job.outputs.name for job in planned]
    assert names == ["a-x", "b-X", "a-x-2", "a-x-3", "y"]


def test_addresses_with_the_same_last_segment_have_different_names(tmp_path):
    videos = ["https://a.example/1/x.mp4", "https://a.example/2/x.mp4", "https://b.example/1/x.mp4"]
    videos += ["https://a.example/1/x.mp4?v=2", "http://me:secret@a.example/1/x.mp4"]
    planned = jobs.plan(videos, tmp_path)
    assert len({job.outputs.name for job in planned}) == 5
    assert "secret" not in str([(job.video, job.source, job.outputs.name) for job in planned])
    again = jobs.plan(videos[1:2], tmp_path)
    assert again[0].outputs.name == planned[1].outputs.name  # whatever else is named


def test_the_json_file_names_the_source_and_the_digests(film, tmp_path):
    localize(film, tmp_path / "out")
    about = json.loads((tmp_path / "out/film.json").read_text())
    assert about["source"].startswith("sha256:")
    assert about["files"].keys() == {"film.mp4", "film.png", "film.parquet"}
    assert "replaced" not in about
