"""`spm doctor`: what it finds on this machine, and what it says where something is lacking."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from spm.base.config import UserError
from spm.corpus.media import ffmpeg
from spm.workflow.doctor import (
    Finding,
    addresses,
    conda,
    disks,
    javascript,
    media,
    network,
    project_of,
)
from tests.support import conda as small_conda
from tests.support.project import ROOT

HEADER = "video_id,url,kind,categories\n"


def states(found) -> dict[str, str]:
    return {each.what: each.state for each in found}


def project(folder: Path, *urls: str, **config):
    (folder / "manifest.csv").write_text(
        HEADER + "".join(f"v{number},{url},solo,flute\n" for number, url in enumerate(urls))
    )
    over = {"corpus": {"manifest": "manifest.csv"}, "train": {"start": "none"}, **config}
    (folder / "mine.yaml").write_text(yaml.safe_dump(over))
    return project_of(folder, [folder / "mine.yaml"])


def doctor(*words, **environment):
    command = [sys.executable, "-m", "spm.cli", "doctor", *map(str, words)]
    here = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=here)


def test_the_ffmpeg_of_this_environment_writes_and_reads_what_is_asked_of_it():
    assert states(media(ffmpeg.binary())) == {
        "ffmpeg": "ok",
        "ffmpeg's encoders": "ok",
        "ffmpeg's decoders": "ok",
    }


def test_an_ffmpeg_without_x264_fails_with_what_that_means(tmp_path):
    plain = tmp_path / "ffmpeg"
    plain.write_text(f'#!/bin/sh\n{ffmpeg.binary()} "$@" | grep -v libx264\n')
    plain.chmod(plain.stat().st_mode | stat.S_IXUSR)
    found = {each.what: each for each in media(str(plain))}["ffmpeg's encoders"]
    assert (found.state, found.found) == ("fail", "lacks libx264")
    assert (
        "without libx264: spm localize writes no video; name another in SPM_FFMPEG" in found.advice
    )


def test_no_ffmpeg_is_status_1_and_one_finding_of_it(tmp_path):
    said = doctor("--offline", "--json", SPM_FFMPEG="/none/ffmpeg")
    found = [Finding(**each) for each in json.loads(said.stdout)]
    assert said.returncode == 1
    assert states(found)["ffmpeg"] == "fail"
    assert "ffmpeg's encoders" not in states(found)
    assert "/none/ffmpeg does not run" in next(
        each.found for each in found if each.what == "ffmpeg"
    )


def test_a_machine_that_lacks_nothing_needed_is_status_0_and_quiet_says_only_what_is_not_ok(
    tmp_path,
):
    project(tmp_path, "a.mp4")
    options = ["--offline", "--directory", tmp_path, "--configfile", tmp_path / "mine.yaml"]
    said = doctor(*options)
    assert said.returncode == 0, said.stdout
    assert "ok    config: 1 videos of" in said.stdout
    assert not [
        line for line in doctor(*options, "--quiet").stdout.splitlines() if line.startswith("ok")
    ]


def test_a_wrong_config_is_the_finding_and_the_rest_that_hangs_on_it_is_not_looked_for(tmp_path):
    (tmp_path / "mine.yaml").write_text("train: {epochs: many}\n")
    said = doctor("--offline", "--json", "--configfile", tmp_path / "mine.yaml")
    found = [Finding(**each) for each in json.loads(said.stdout)]
    assert said.returncode == 1
    assert (found[-1].what, found[-1].state) == ("config", "fail")
    assert "train.epochs: 'many' is not of type 'integer'" in found[-1].found


def test_boxes_that_are_not_there_are_said(tmp_path):
    with pytest.raises(UserError, match=r"corpus\.boxes: given, but there is no file .*boxes\.csv"):
        project(tmp_path, "a.mp4", corpus={"manifest": "manifest.csv", "boxes": ["given"]})


def test_a_site_that_answers_is_ok_whatever_it_says_and_a_silent_one_a_warning(site, tmp_path):
    here = project(tmp_path, f"{site.root}/a.mp4", f"{site.root}/b.mp4", "http://127.0.0.1:1/c.mp4")
    assert addresses(here) == [site.root, "http://127.0.0.1:1"]
    assert [each.state for each in network(here)] == ["ok", "warn"]


def test_weights_and_boxes_of_the_web_are_asked_for_where_the_config_starts_from_them(tmp_path):

    wants = project(tmp_path, "a.mp4", corpus={"manifest": "manifest.csv", "boxes": ["detector"]})
    assert addresses(wants) == ["https://download.pytorch.org", "https://storage.googleapis.com"]
    assert addresses(project(tmp_path, "a.mp4")) == []


def test_youtube_wants_deno_and_other_sites_do_not(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = javascript(project(tmp_path, "https://youtu.be/aaaaaaaaaaa", "a.mp4"))
    assert (found.state, found.found) == ("warn", "none, and 1 videos are YouTube's")
    assert not list(javascript(project(tmp_path, "a.mp4")))


def test_a_disk_with_less_room_than_the_videos_take_is_a_warning(tmp_path, monkeypatch):
    here = project(tmp_path, "https://example.org/a.mp4")
    assert states(disks(here)) == {"store": "ok", "results": "ok"}
    monkeypatch.setattr("spm.workflow.doctor.STORE_MB", 1e12)
    assert states(disks(here)) == {"store": "warn", "results": "ok"}


def test_conda_is_asked_for_its_version(tmp_path, monkeypatch):
    for name, value in small_conda.install(tmp_path, small_conda.tested()).items():
        monkeypatch.setenv(name, value)
    (found,) = conda()
    assert found.found.startswith(f"conda {small_conda.VERSION}, ")
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert next(conda()).found == "none"
