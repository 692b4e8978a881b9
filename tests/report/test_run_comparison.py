"""`spm compare`: two projects with two runs each, written as the workflow writes them."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from spm.base import json_file, schemas, tables
from spm.base.errors import UserError
from spm.report.run_comparison import Side, compare, lines
from spm.score import aggregation, protocols, uncertainty

PROTOCOL = protocols.find("adaptive")
BOOTSTRAP = {"resamples": 50, "seed": 0}


def write_scores(project: Path, run: str, ious: np.ndarray) -> None:
    """The scores of two frames of each of some videos."""
    videos = [f"video{number // 2}" for number in range(len(ious))]
    rows = [
        {
            "clip_id": f"{video}_{number}",
            "video_id": video,
            "frame": 0,
            "categories": ["cello"],
            "iou": iou,
        }
        for number, (video, iou) in enumerate(zip(videos, ious, strict=True))
    ]
    folder = project / "results/score/scores" / run / "solo/given"
    tables.write_rows(folder / "adaptive.parquet", schemas.SCORES, rows)
    scores = aggregation.from_ious(ious)
    draws = uncertainty.draw(videos, **BOOTSTRAP)
    figures = aggregation.figures(scores, PROTOCOL)
    figures["interval_95"] = aggregation.intervals(scores, PROTOCOL, draws)
    summary = {"protocol": PROTOCOL.__dict__, "bootstrap": BOOTSTRAP, "run": figures}
    json_file.write(folder / "adaptive.json", summary)


def write_index(project: Path, videos: list[str]) -> None:
    rows = [
        {"clip_id": f"{video}_0", "video_id": video, "split": "test", "kind": "solo"}
        for video in videos
    ]
    columns = {column.name for column in schemas.INDEX.columns}
    full = [{**dict.fromkeys(columns), **row} for row in rows]
    for row in full:
        row |= {"start_s": 0, "shard": 0, "row": 0, "categories": ["cello"], "audible": True}
        row["rms_db"] = -10.0
    tables.write_rows(project / "results/corpus/index/clips.parquet", schemas.INDEX, full)


def write_record(project: Path, output: str, rule: str, config: dict, code: str) -> None:
    """A record as Snakemake writes it."""
    folder = project / ".snakemake" / "metadata"
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "rule": rule,
        "shellcmd": f"python -m spm.fusion.train --config '{json.dumps(config)}' 2> >(tee log >&2)",
        "params": [repr(json.dumps(config)), repr(code)],
        "conda_env": None,
    }
    (folder / base64.b64encode(output.encode()).decode()).write_text(json.dumps(content))


@pytest.fixture
def projects(tmp_path) -> list[Path]:
    """Two projects: other epochs, other code, another video, better scores in the second."""
    found = []
    for number, name in enumerate(("monday", "friday")):
        project = tmp_path / name
        found.append(project)
        write_index(project, ["video0", "video1", f"new{number}"])
        for run, gain in (("spm", 0.2 * number), ("no-promotion", 0.0)):
            folder = project / "results/fusion/train" / run
            folder.mkdir(parents=True)
            epochs = {"epochs": 3 + number, "promote": run == "spm"}
            json_file.write(folder / "network.json", {"config": epochs})
            output = f"results/fusion/train/{run}/network.safetensors"
            write_record(project, output, "train", epochs, f"{number}" * 16)
            write_scores(project, run, np.array([0.3, 0.4, 0.5, 0.6]) + gain)
    return found


def text(first: Path | str, second: Path | str, *metrics: str) -> str:
    names = [str(first), str(second)]
    return "\n".join(lines(names, compare(*map(Side.of, names)), metrics))


def test_two_projects_differ_in_settings_code_corpus_and_scores(projects):
    printed = text(*projects)
    assert "  train spm: epochs: 3 | 4\n" in printed
    assert "promote" not in printed
    assert "Code: train no-promotion, train spm\n" in printed
    assert "  only in A: new0\n  only in B: new1\n" in printed
    assert "0.450 [0.350, 0.550] | 0.662 [0.575, 0.750]; B − A +0.212 [+0.200, +0.225]" in printed
    assert "no-promotion, auc, solo, given boxes, adaptive: 0.4" in printed
    assert "B − A +0.000 [+0.000, +0.000]" in printed


def test_two_runs_of_a_project_are_compared_by_name_and_by_folder(projects, monkeypatch):
    monkeypatch.chdir(projects[1])
    printed = text("no-promotion", "spm", "mean_iou")
    assert "  train: promote: False | True\n" in printed
    assert "Corpus: the same clips, of 3 videos\n" in printed
    assert "mean_iou, solo, given boxes, adaptive: 0.450 [" in printed
    assert "B − A +0.200" in printed
    folders = [f"results/fusion/train/{run}" for run in ("no-promotion", "spm")]
    assert text(*folders, "mean_iou").splitlines()[3:] == printed.splitlines()[3:]


def test_results_without_records_still_have_the_settings_of_their_networks(projects):
    for path in (projects[1] / ".snakemake/metadata").iterdir():
        path.unlink()
    (projects[1] / ".snakemake/metadata").rmdir()
    printed = text(projects[0], projects[1] / "results")
    assert "friday: Snakemake's records are missing" in printed
    assert "  train spm: epochs: 3 | 4\n" in printed
    assert "Code: not known\n" in printed


def test_what_is_no_run_and_a_damaged_record_are_errors_of_one_line(projects, monkeypatch):
    monkeypatch.chdir(projects[0])
    with pytest.raises(UserError, match="nothing: expected a project"):
        Side.of("nothing")
    record = next((projects[0] / ".snakemake/metadata").iterdir())
    record.write_text(record.read_text()[:40])
    with pytest.raises(UserError, match=r"damaged record of Snakemake: delete it"):
        text("spm", "no-promotion")
