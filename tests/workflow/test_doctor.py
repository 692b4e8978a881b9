"""`spm doctor`: its checks of this machine, and its advice where something is missing."""

import json
import os
import stat
from pathlib import Path

import pytest
import yaml

from spm.base.errors import UserError
from spm.corpus.media import ffmpeg
from spm.workflow.doctor import (
    Finding,
    addresses,
    conda,
    disks,
    javascript,
    media,
    network,
)
from spm.workflow.project import load_project
from tests.support import conda as small_conda
from tests.support import preloaded
from tests.support.project import ROOT

pytestmark = pytest.mark.slow

HEADER = "video_id,url,kind,categories,split\n"
SPLITS = ("train", "test")  # of videos that every project has, so that it can be trained


def states(findings) -> dict[str, str]:
    return {finding.subject: finding.state for finding in findings}


def make_project(folder: Path, *urls: str, **config):
    rows = [f"v{number},{url},solo,flute,\n" for number, url in enumerate(urls)]
    rows += [f"{split}{n},{split}{n},solo,flute,{split}\n" for split in SPLITS for n in (1, 2)]
    (folder / "manifest.csv").write_text(HEADER + "".join(rows))
    corpus = {"manifest": "manifest.csv", "boxes": []}
    changes = {"corpus": corpus, "train": {"start": "none"}, **config}
    (folder / "mine.yaml").write_text(yaml.safe_dump(changes))
    return load_project(folder, [folder / "mine.yaml"])


def doctor(*arguments, **environment):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return preloaded.run(["-m", "spm.cli", "doctor", *arguments], cwd=ROOT, env=environment)


def findings_of(done) -> list[Finding]:
    return [Finding(**fields) for fields in json.loads(done.stdout)]


def test_the_ffmpeg_of_this_environment_has_all_codecs():
    assert states(media(ffmpeg.binary())) == {
        "ffmpeg": "ok",
        "ffmpeg encoders": "ok",
        "ffmpeg decoders": "ok",
    }


def test_an_ffmpeg_without_x264_fails_with_the_effect_and_advice(tmp_path):
    script = tmp_path / "ffmpeg"
    script.write_text(f'#!/bin/sh\n{ffmpeg.binary()} "$@" | grep -v libx264\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    by_subject = {finding.subject: finding for finding in media(str(script))}
    encoders = by_subject["ffmpeg encoders"]
    assert (encoders.state, encoders.result) == ("fail", "missing: libx264")
    effect = "without libx264, spm localize writes no video; set SPM_FFMPEG to another"
    assert effect in encoders.advice


def test_a_missing_ffmpeg_gives_one_finding_and_status_1():
    done = doctor("--offline", "--json", SPM_FFMPEG="/none/ffmpeg")
    by_subject = {finding.subject: finding for finding in findings_of(done)}
    assert done.returncode == 1
    assert by_subject["ffmpeg"].state == "fail"
    assert "ffmpeg encoders" not in by_subject
    assert "/none/ffmpeg does not run" in by_subject["ffmpeg"].result


def test_a_machine_with_everything_needed_gives_status_0_and_quiet_prints_no_line_that_is_ok(
    tmp_path,
):
    make_project(tmp_path, "a.mp4")
    options = ["--offline", "--directory", tmp_path, "--configfile", tmp_path / "mine.yaml"]
    done = doctor(*options)
    assert done.returncode == 0, done.stdout
    assert "ok    config: 5 videos in" in done.stdout
    lines = doctor(*options, "--quiet").stdout.splitlines()
    assert [line for line in lines if line.startswith("ok")] == []


def test_a_wrong_config_is_the_last_finding_because_later_checks_need_a_config(tmp_path):
    (tmp_path / "mine.yaml").write_text("train: {epochs: many, device: gpu}\n")
    done = doctor("--offline", "--json", "--configfile", tmp_path / "mine.yaml")
    *_, device, epochs = findings_of(done)
    assert done.returncode == 1
    assert (device.subject, device.state, epochs.state) == ("config", "fail", "fail")
    assert 'train.device: "gpu"; expected auto, cpu, cuda or mps' in device.result
    assert 'train.epochs: "many"; expected whole number' in epochs.result


def test_problems_of_the_project_are_findings_as_in_the_plan_of_the_workflow(tmp_path):
    make_project(tmp_path, "a.mp4", "b.mp4", corpus={"manifest": "manifest.csv", "boxes": []})
    options = ["--offline", "--json", "--directory", tmp_path]
    options += ["--configfile", tmp_path / "mine.yaml"]
    changes = ["--config", 'corpus={"boxes": ["given"]}', "--config", 'train={"crop": 400}']
    done = doctor(*options, *changes)
    config = [finding for finding in findings_of(done) if finding.subject == "config"]
    assert done.returncode == 1
    failed = [finding.result for finding in config if finding.state == "fail"]
    assert [line.split(":")[0] for line in failed] == ["train.crop", "corpus.boxes"]
    assert any("6 of 6 videos have no file" in f.result for f in config if f.state == "warn")


@pytest.mark.parametrize("text", ["train", 'train={"epochs": 3'])
def test_a_setting_of_the_command_line_that_is_none_is_named(text):
    with pytest.raises(UserError, match=r"--config train.*: expected NAME=VALUE"):
        load_project(ROOT, [], [text])


def test_any_answer_of_a_site_is_ok_and_no_answer_is_a_warning(site, tmp_path):
    urls = (f"{site.root}/a.mp4", f"{site.root}/b.mp4", "http://127.0.0.1:1/c.mp4")
    project = make_project(tmp_path, *urls)
    assert addresses(project) == [site.root, "http://127.0.0.1:1"]
    assert [finding.state for finding in network(project)] == ["ok", "warn"]


def test_sites_of_weights_and_open_images_are_checked_only_if_the_config_downloads_from_them(
    tmp_path,
):
    corpus = {"manifest": "manifest.csv", "boxes": ["detector"]}
    project = make_project(tmp_path, "a.mp4", corpus=corpus)
    assert addresses(project) == ["https://download.pytorch.org", "https://storage.googleapis.com"]
    assert addresses(make_project(tmp_path, "a.mp4")) == []


def test_videos_of_youtube_need_deno_and_others_do_not(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (finding,) = javascript(make_project(tmp_path, "https://youtu.be/aaaaaaaaaaa", "a.mp4"))
    expected = ("warn", "none, but 1 videos come from YouTube")
    assert (finding.state, finding.result) == expected
    assert list(javascript(make_project(tmp_path, "a.mp4"))) == []


def test_a_disk_with_less_space_than_the_videos_need_is_a_warning(tmp_path, monkeypatch):
    project = make_project(tmp_path, "https://example.org/a.mp4")
    assert states(disks(project)) == {"store": "ok", "results": "ok"}
    monkeypatch.setattr("spm.workflow.doctor.STORE_MB", 1e12)
    assert states(disks(project)) == {"store": "warn", "results": "ok"}


def test_the_version_of_conda_is_shown(tmp_path, monkeypatch):
    for name, value in small_conda.install(tmp_path, small_conda.tested()).items():
        monkeypatch.setenv(name, value)
    (finding,) = conda()
    assert finding.result.startswith(f"conda {small_conda.VERSION}, ")
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert next(conda()).result == "none"
