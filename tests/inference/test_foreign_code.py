"""Files beside the videos and plugins in the user's home: none of them is executed."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spm.base import tables
from spm.corpus.fetching import plugins
from spm.corpus.manifest import write
from spm.corpus.media import ffmpeg
from tests.support.project import ROOT, Project
from tests.support.web import film

pytestmark = pytest.mark.slow

PROGRAMS = Path(sys.executable).parent  # `spm` and `snakemake`
OWN = {"spm", "tests", "benchmarks"}
PLUGIN = """
from pathlib import Path
Path({marker!r}).touch()
from yt_dlp.extractor.common import InfoExtractor
class StrangerIE(InfoExtractor):
    _VALID_URL = r"stranger:.*"
"""


@pytest.fixture
def marker(tmp_path) -> Path:
    """A file that every foreign module appends its name to."""
    return tmp_path / "executed.txt"


@pytest.fixture
def folder(tmp_path, marker) -> Path:
    """A folder with a film, and a file with the name of each module that can be imported."""
    folder = tmp_path / "videos"
    folder.mkdir()
    film(folder / "film.mp4", 1.2)
    installed = {name.split(".")[0] for name in importlib.metadata.packages_distributions()}
    text = f"open({str(marker)!r}, 'a').write(__name__ + ' ')\n"
    for name in sorted(filter(str.isidentifier, (installed | sys.stdlib_module_names) - OWN)):
        (folder / f"{name}.py").write_text(text)
    return folder


def run(*words: object, folder: Path, **environment: str) -> None:
    done = subprocess.run(
        list(map(str, words)),
        cwd=folder,
        env={**os.environ, "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_localize_executes_no_file_beside_the_video(folder, marker, network):
    run(
        *("spm", "localize", "film.mp4", "--weights", network, "--device", "cpu", "--quiet"),
        folder=folder,
    )
    assert not marker.exists(), marker.read_text()
    assert (folder / "localized/film.mp4").exists()


@pytest.mark.parametrize("rest", ["", os.pathsep], ids=["", "empty entry"])
def test_dash_m_executes_no_file_in_the_current_folder(tmp_path, marker, rest):
    for name in ("av", "json", "logging", "queue", "typer"):
        (tmp_path / f"{name}.py").write_text(f"open({str(marker)!r}, 'a').write(__name__)\n")
    run(sys.executable, "-m", "spm.cli", "--help", folder=tmp_path, PYTHONPATH=f"{ROOT}{rest}")
    assert not marker.exists(), marker.read_text()


def test_a_stage_executes_no_file_in_the_working_directory(folder, marker):
    categories = {"a": "violin", "b": "violin", "c": "cello", "d": "cello"}
    rows = [(name, "film.mp4", "solo", category) for name, category in categories.items()]
    write(folder / "manifest.csv", rows)
    config = {
        "corpus": {"manifest": "manifest.csv", "shards": 1, "boxes": []},
        "index": {"test_solos": 1},
        "clips": {"size": 32},
        "clusters": {"k": 2},
        "train": {"crop": 32},
    }
    project = Project(folder, config)
    target = "results/corpus/clips/0000.parquet"
    words = project._arguments([target])
    run("snakemake", *words, folder=folder)
    assert not marker.exists(), marker.read_text()
    assert tables.read(folder / target).num_rows == 4


def write_plugin(folder: Path, marker: Path) -> None:
    extractors = folder / "foreign/yt_dlp_plugins/extractor"
    extractors.mkdir(parents=True)
    (extractors / "stranger.py").write_text(PLUGIN.format(marker=str(marker)))


def test_plugins_of_yt_dlp_in_the_home_and_in_the_current_folder_are_not_loaded(
    tmp_path, marker, site
):
    home = tmp_path / "home"
    for place in ("yt-dlp/plugins", "yt-dlp-plugins"):
        write_plugin(home / ".config" / place, marker)
    write_plugin(home / "yt-dlp-plugins", marker)
    shutil.copytree(home / "yt-dlp-plugins/foreign/yt_dlp_plugins", tmp_path / "yt_dlp_plugins")
    site.answers["/film.mp4"] = ["media"]
    write(tmp_path / "manifest.csv", [("film", f"{site.root}/film.mp4", "solo", "violin")])
    words = ["--manifest", "manifest.csv", "--shard", 0, "--shards", 1, "--store", "store"]
    config = '{"private_hosts": ["127.0.0.1"]}'
    run(
        *(
            sys.executable,
            "-m",
            "spm.corpus.fetch",
            "--config",
            config,
            *words,
            "--out",
            "l.parquet",
        ),
        folder=tmp_path,
        HOME=str(home),
        XDG_CONFIG_HOME=str(home / ".config"),
        PYTHONPATH=str(ROOT),
    )
    assert tables.read(tmp_path / "l.parquet")["status"].to_pylist() == ["ok"]
    assert not marker.exists()


def test_plugins_of_yt_dlp_are_loaded_from_the_folders_that_a_setting_names(tmp_path, marker):
    write_plugin(tmp_path / "named", marker)
    code = "import sys; from spm.corpus.fetching import plugins; plugins.load(sys.argv[1:])"
    run(sys.executable, "-c", code, "named", folder=tmp_path, PYTHONPATH=str(ROOT))
    assert marker.exists()


def test_a_missing_folder_of_plugins_is_named():
    with pytest.raises(Exception, match=r"fetch\.plugins: there is no folder /nowhere"):
        plugins.load(["/nowhere"])


def test_settings_of_libraries_in_the_working_directory_have_no_effect(tmp_path):
    (tmp_path / ".numba_config.yaml").write_text(f"cache_dir: {tmp_path}/cache\ndisable_jit: 1\n")
    (tmp_path / "matplotlibrc").write_text("axes.facecolor: red\ntext.usetex: true\n")
    code = (
        "from numba.core import config\n"
        "from spm.report.plotting import RC\n"
        "import spm.score.kernels\n"
        "assert (config.DISABLE_JIT, config.CACHE_DIR) == (0, ''), config.CACHE_DIR\n"
        "assert (RC['axes.facecolor'], RC['text.usetex']) == ('white', False)\n"
    )
    run(sys.executable, "-P", "-c", code, folder=tmp_path, PYTHONPATH=str(ROOT))


def test_ffmpeg_is_not_taken_from_the_current_folder(tmp_path, monkeypatch):
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPM_FFMPEG", raising=False)
    for path in (".", "", str(tmp_path)):
        monkeypatch.setenv("PATH", f"{path}{os.pathsep}/nowhere")
        ffmpeg.binary.cache_clear()
        found = Path(ffmpeg.binary())
        assert found.is_absolute()
        assert (found == program) == (path == str(tmp_path))
    ffmpeg.binary.cache_clear()
