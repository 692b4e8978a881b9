"""The plan that the rules ask: spm/workflow/plan.py and spm/workflow/report_plan.py."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from spm.base.errors import UserError
from spm.base.shards import name_of, shard_of
from spm.workflow.plan import Plan, canonical_json, file_digest, resolve_path
from spm.workflow.project import load_project
from spm.workflow.report_plan import FIGURE_TABLES, PAPER_TABLES, ReportPlan
from tests.support.changes import laid_over
from tests.support.project import ROOT, Project

DEFAULTS = yaml.safe_load((ROOT / "config.yaml").read_text())
HEADER = "video_id,url,kind,categories\n"
VIDEOS = ("a", "b", "d", "g")  # in three shards
PAPER = {"testset": "solo", "protocol": "spm-paper"}
TABLES: dict[str, list[str]] = {table: [] for table in PAPER_TABLES}


@pytest.mark.slow
def test_classes_of_a_config_file_replace_all_classes(tmp_path):
    """Snakemake merges mappings, so that a mapping could only grow."""
    rows = [f"{name},https://example.org/{name}.mp4,solo,violin\n" for name in VIDEOS]
    (tmp_path / "manifest.csv").write_text("".join([HEADER, *rows]))
    config = {
        "corpus": {"manifest": "manifest.csv", "boxes": ["detector"]},
        "openimages": {"classes": {"violin": "/m/07y_7"}},
        "annotations": {"class_map": {}},
        "index": {"test_solos": 1},
        "clusters": {"k": 2},
        "runs": {"more": {"seed": 3}},
    }
    files = [tmp_path / "mine.yaml"]
    files[0].write_text(yaml.safe_dump(config))
    loaded = load_project(tmp_path, files).config
    assert loaded["openimages"]["classes"] == {"violin": "/m/07y_7"}
    assert loaded["annotations"]["class_map"] == {}
    assert {"spm", "more"} <= set(loaded["runs"])  # rows are added
    done = Project(tmp_path, config).snakemake("--dry-run", "--printshellcmds", "openimages")
    assert "/m/07y_7" in done.stdout
    assert "/m/0mkg" not in done.stdout  # accordion


def config_of(**sections: Any) -> dict[str, Any]:
    """config.yaml for a manifest of three shards, with sections laid over it."""
    config = laid_over(DEFAULTS, {"corpus": {"manifest": "manifest.csv", "shards": 3}})
    return laid_over(config, sections)


def plan_of(**sections: Any) -> Plan:
    return Plan.from_config(config_of(**sections), ROOT)


def report_of(**sections: Any) -> ReportPlan:
    return ReportPlan(plan_of(**sections))


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch) -> Path:
    """A working directory with a manifest and a file of boxes."""
    rows = [f"{video},{video}.mp4,solo,flute\n" for video in VIDEOS]
    (tmp_path / "manifest.csv").write_text(HEADER + "".join(rows))
    (tmp_path / "boxes.csv").write_text("video_id,time_s,category,x,y,w,h\na,0,flute,0,0,1,1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Shards and their members


def test_shards_are_those_that_have_videos_in_order():
    plan = plan_of(corpus={"shards": 100})
    assert plan.shards == sorted({name_of(shard_of(video, 100)) for video in VIDEOS})
    assert plan.shard_tables("clips")[0] == f"results/corpus/clips/{plan.shards[0]}.parquet"


def test_a_new_video_changes_the_digest_of_its_own_shard_only(project):
    before = plan_of().members
    with (project / "manifest.csv").open("a") as file:
        file.write("e,e.mp4,solo,flute\n")
    after = plan_of().members
    assert {shard for shard in after if before[shard] != after[shard]} == {
        name_of(shard_of("e", 3))
    }


def test_the_order_of_the_manifest_changes_no_digest(project):
    before = plan_of().members
    header, *rows = (project / "manifest.csv").read_text().splitlines(keepends=True)
    (project / "manifest.csv").write_text(header + "".join(reversed(rows)))
    assert plan_of().members == before


def test_a_manifest_that_is_missing_is_an_error_with_its_path():
    with pytest.raises(UserError, match=r"absent\.csv"):
        plan_of(corpus={"manifest": "absent.csv"})


def test_a_path_of_the_working_directory_comes_before_that_of_the_checkout(project):
    assert resolve_path("manifest.csv", ROOT) == "manifest.csv"
    assert resolve_path("config.yaml", ROOT) == str(ROOT / "config.yaml")
    assert resolve_path("nowhere.csv", ROOT) == str(ROOT / "nowhere.csv")


# Sections of the config as canonical JSON


def test_the_order_of_keys_does_not_change_canonical_json():
    settings = {"size": 1, "classes": {"b": 2, "a": [3, None]}}
    reordered = {"classes": {"a": [3, None], "b": 2}, "size": 1}
    assert canonical_json(settings) == canonical_json(reordered)
    assert canonical_json(settings) == '{"classes": {"a": [3, null], "b": 2}, "size": 1}'


def test_the_order_of_a_list_changes_canonical_json():
    assert canonical_json({"classes": ["a", "b"]}) != canonical_json({"classes": ["b", "a"]})


def test_a_section_may_leave_keys_out():
    plan = plan_of()
    section = plan.config["fetch"]
    assert json.loads(plan.section("fetch")) == section
    kept = json.loads(plan.section("fetch", without=["retries", "workers"]))
    assert section.keys() - kept.keys() == {"retries", "workers"}


# Runs and audio networks

RUNS = {
    "spm": {},
    "no-promotion": {"promote": False},
    "other-audio": {"audio": "many"},
    "dsol": {"method": "dsol"},
}
AUDIO = {"many": {"clusters": {"k": 5}}, "unused": {}}


def test_a_run_that_is_left_out_has_no_jobs():
    plan = plan_of(runs={**RUNS, "spm": False})
    assert plan.runs == ["dsol", "no-promotion", "other-audio"]


def test_only_audio_networks_that_a_run_starts_from_are_promoted():
    assert plan_of(runs=RUNS, audio=AUDIO).promoted == ["main", "many"]
    assert plan_of(runs={**RUNS, "other-audio": False}, audio=AUDIO).promoted == ["main"]
    assert plan_of(train={"promote": False}).promoted == []


def test_a_promoted_run_reads_the_audio_network_that_it_names():
    plan = plan_of(runs=RUNS, audio=AUDIO)
    assert plan.pretrained_audio("other-audio") == ["results/audio/pretrain/many/audio.safetensors"]
    assert plan.pretrained_audio("no-promotion") == []


def test_settings_of_a_run_are_those_of_train_then_of_its_method_then_its_own():
    plan = plan_of(runs={"dsol": {"method": "dsol", "passes": 1}})
    config = plan.run_config("dsol")
    assert config["crop"] == plan.config["train"]["crop"]
    assert (config["promote"], config["passes"]) == (False, 1)


def test_only_yamnet_reads_the_sound_of_the_clips():
    rows = {
        "tagged": {"clusters": {"features": "yamnet"}},
        "ears": {"pretrain": {"network": "yamnet"}},
    }
    plan = plan_of(audio=rows)
    clips = plan.shard_tables("clips")
    assert plan.audio_clips("tagged", "clusters") == clips == plan.audio_clips("ears", "pretrain")
    assert plan.audio_clips("tagged", "pretrain") == [] == plan.audio_clips("ears", "clusters")
    assert plan.audio_clips("main", "clusters") == []


def test_the_audio_network_is_no_setting_of_a_run_that_is_not_promoted():
    before = plan_of(runs=RUNS, audio=AUDIO)
    after = plan_of(runs=RUNS, audio=AUDIO, train={"audio": "unused"})
    assert before.run_section("no-promotion") == after.run_section("no-promotion")
    assert before.run_section("spm") != after.run_section("spm")


def test_an_audio_network_has_the_settings_of_its_row():
    plan = plan_of(runs=RUNS, audio=AUDIO)
    many = json.loads(plan.audio_section("many", "clusters"))
    assert many == {**plan.config["clusters"], "k": 5}
    assert plan.audio_section("many", "pretrain") == plan.section("pretrain")


def test_the_code_of_a_run_is_that_of_the_stage_and_of_its_method():
    plan = plan_of(runs=RUNS)
    stage, method = plan.run_code("dsol", "spm.fusion.train").split()
    assert plan.run_code("spm", "spm.fusion.train").startswith(stage)
    assert not plan.run_code("spm", "spm.fusion.train").endswith(method)


# Mosaics and test sets


@pytest.mark.parametrize(
    ("runs", "testsets", "splits"),
    [
        ({"dsol": False}, ["solo"], []),
        ({"dsol": {"method": "dsol"}}, ["solo"], ["train"]),
        ({"dsol": False}, ["solo", "synthetic"], ["test"]),
        ({"dsol": {"method": "dsol"}}, ["synthetic"], ["train", "test"]),
        ({"dsol": {"method": "dsol", "mosaic_epochs": 0}}, ["solo"], []),
    ],
)
def test_mosaics_are_made_only_if_a_run_or_a_test_set_needs_them(runs, testsets, splits):
    assert plan_of(runs=runs, maps={"testsets": testsets}).mosaic_splits == splits


def test_a_run_reads_the_training_mosaics_only_if_it_learns_from_them():
    plan = plan_of(runs=RUNS)
    assert plan.training_mosaics("spm") == []
    tables = plan.training_mosaics("dsol")
    assert tables == plan.mosaic_tables("train")
    assert tables[0] == "results/fusion/mosaics/train/index.parquet"


def test_a_test_set_has_its_tables_in_the_corpus_or_among_the_mosaics():
    plan = plan_of()
    assert plan.test_index("duet") == "results/corpus/index/clips.parquet"
    assert plan.test_tables("duet", "clips") == plan.shard_tables("clips")
    assert plan.test_annotations("duet", "given") == "results/boxes/annotations/given.parquet"
    mosaics = "results/fusion/mosaics/test"
    assert plan.test_index("synthetic") == f"{mosaics}/index.parquet"
    assert plan.test_tables("synthetic", "clips") == [f"{mosaics}/clips/0000.parquet"]
    assert plan.test_annotations("synthetic", "given") == f"{mosaics}/boxes/given.parquet"


# Boxes and the detector


def test_annotations_are_made_from_the_given_file_or_from_detections(project):
    plan = plan_of(corpus={"boxes": ["given", "detector"]})
    assert plan.compares_boxes
    assert plan.boxes_input("given") == ["boxes.csv"]
    assert plan.boxes_option("given") == "--boxes boxes.csv"
    assert plan.boxes_digest("given") == file_digest(project / "boxes.csv")
    assert plan.detector_classes("given") == []
    detections = [f"results/boxes/detect/{shard}.parquet" for shard in plan.shards]
    assert plan.boxes_input("detector") == detections
    assert plan.boxes_option("detector") == "--detections results/boxes/detect"
    assert plan.boxes_digest("detector") == ""


def test_boxes_and_reviews_are_looked_for_next_to_the_manifest(project):
    (project / "videos").mkdir()
    for name in ("manifest.csv", "boxes.csv"):
        (project / name).rename(project / "videos" / name)
    (project / "videos" / "decided.csv").write_text("clip_id,frame,box,verdict,reviewer\n")
    corpus = {"manifest": "videos/manifest.csv", "boxes": ["given"]}
    plan = plan_of(corpus=corpus)
    assert (plan.given_boxes, plan.reviews, plan.reviews_digest) == ("videos/boxes.csv", [], "")
    plan = plan_of(corpus={**corpus, "reviews": "decided.csv"})
    assert plan.reviews == ["videos/decided.csv"]
    assert plan.reviews_digest == file_digest("videos/decided.csv")


def test_a_path_with_a_space_is_quoted_on_the_command_line(project):
    (project / "boxes.csv").rename(project / "my boxes.csv")
    plan = plan_of(corpus={"boxes": ["given"], "given_boxes": "my boxes.csv"})
    assert plan.boxes_option("given") == "--boxes 'my boxes.csv'"


def test_weights_that_the_config_names_are_used_and_no_detector_is_trained():
    plan = plan_of(corpus={"boxes": ["detector"]}, detect={"weights": "mine.safetensors"})
    assert not plan.trains_detector
    assert plan.detector_weights == "mine.safetensors"
    assert plan.detector_classes("detector") == ["mine.json"]


def test_a_detector_learns_from_open_images_or_from_given_boxes(project):
    plan = plan_of(corpus={"boxes": ["detector"]})
    assert plan.trains_detector
    assert plan.trains_on_openimages
    assert plan.detector_weights == "results/boxes/detector/weights.safetensors"
    assert plan.detector_input().keys() == {"images", "boxes"}
    assert plan.detector_option() == "--images results/boxes/openimages/images.parquet"
    assert plan.detector_boxes_digest() == ""
    plan = plan_of(corpus={"boxes": ["detector"]}, detector={"source": "given"})
    assert plan.trains_on_given_boxes
    assert not plan.trains_on_openimages
    assert plan.detector_input()["boxes"] == "boxes.csv"
    assert plan.detector_input()["clips"] == plan.shard_tables("clips")
    assert plan.detector_boxes_digest() == file_digest(project / "boxes.csv")


def test_no_detector_is_trained_where_nothing_is_detected():
    assert not plan_of(corpus={"boxes": ["given"]}).trains_detector


def test_the_digest_of_a_file_is_that_of_its_content_whatever_its_time(project):
    before = file_digest("boxes.csv")
    os.utime("boxes.csv", (0, 0))
    assert file_digest("boxes.csv") == before
    (project / "boxes.csv").write_text("other")
    assert file_digest("boxes.csv") != before


# What the report shows


def test_scores_are_made_per_run_test_set_box_source_and_protocol():
    report = report_of(
        runs={"no-promotion": False},
        corpus={"boxes": ["given"]},
        maps={"testsets": ["solo", "duet"]},
        scores={"protocols": ["spm-paper", "sspl"]},
    )
    folder = "results/score/scores/spm"
    assert report.scored == [
        f"{folder}/solo/given/spm-paper",
        f"{folder}/solo/given/sspl",
        f"{folder}/duet/given/spm-paper",
        f"{folder}/duet/given/sspl",
    ]
    assert report.maps == [f"results/fusion/maps/spm/{name}.parquet" for name in ("solo", "duet")]
    assert report.shown_scores == [f"{folder}/solo/given/spm-paper.parquet"]
    assert report.shown["maps"] == ["results/fusion/maps/spm/solo.parquet"]
    assert report.shown["annotations"] == ["results/boxes/annotations/given.parquet"]


def test_the_maps_of_the_baselines_are_read_per_test_set():
    plan = plan_of(maps={"testsets": ["duet", "solo"]})
    folder = "results/fusion/baseline_maps"
    names = ("object-prior", "zero-shot")
    assert plan.baseline_maps("solo") == [f"{folder}/solo/{name}.parquet" for name in names]
    assert ReportPlan(plan).baseline_maps == [f"{folder}/duet/{name}.parquet" for name in names]
    none = plan_of(scores={"pretrained_baselines": []})
    assert none.pretrained_networks == none.baseline_maps("solo") == []


def test_runs_are_scored_again_with_the_object_prior_if_alpha_is_set():
    assert plan_of().scored_runs == plan_of().runs == ["no-promotion", "spm"]
    sections = {"maps": {"prior_alpha": 0.4}, "scores": {"pretrained_baselines": []}}
    plan = plan_of(runs={"no-promotion": False}, corpus={"boxes": ["given"]}, **sections)
    assert plan.scored_runs == ["spm", "spm+prior"]
    assert plan.pretrained_networks == ["object-prior"]
    assert plan.run_maps("spm", "solo") == "results/fusion/maps/spm/solo.parquet"
    mixed = "results/fusion/prior_maps/spm+prior/solo.parquet"
    assert plan.run_maps("spm+prior", "solo") == mixed
    assert plan.unmixed_maps("spm+prior", "solo") == "results/fusion/maps/spm/solo.parquet"
    report = ReportPlan(plan)
    assert f"results/score/scores/spm+prior/solo/given/{plan.protocols[0]}" in report.scored
    assert report.shown["maps"] == ["results/fusion/maps/spm/solo.parquet"]


def test_verdicts_are_those_of_the_table_if_there_is_one(project):
    assert report_of().verdicts() == []
    file = project / "results/report/tables/verdict.txt"
    file.parent.mkdir(parents=True)
    file.write_text("solo: `a` is better.\nduet: `a` is worse.\n")
    assert report_of().verdicts() == ["solo: `a` is better.", "duet: `a` is worse."]


def test_without_boxes_maps_are_shown_and_nothing_is_scored():
    report = report_of(corpus={"boxes": []})
    assert report.scored == report.shown_scores == report.shown["annotations"] == []
    assert len(report.shown["maps"]) == 2


def test_the_first_test_set_is_shown_from_mosaics_if_it_is_one_of_mosaics():
    report = report_of(corpus={"boxes": ["given"]}, maps={"testsets": ["synthetic", "solo"]})
    assert report.shown["index"] == "results/fusion/mosaics/test/index.parquet"
    assert report.shown["clips"] == ["results/fusion/mosaics/test/clips/0000.parquet"]


def test_maps_with_other_sounds_are_those_of_trained_runs_and_baselines_but_not_of_mosaics():
    plan = plan_of(maps={"testsets": ["solo", "synthetic"], "prior_alpha": 0.4})
    assert plan.negative_testsets == ["solo"]
    assert plan.negative_maps("spm", "solo") == ["results/fusion/maps/spm/negatives/solo.parquet"]
    assert plan.negative_maps("spm+prior", "solo") == []
    assert plan.negative_maps("spm", "synthetic") == []
    folder = "results/fusion/baseline_maps/solo/negatives"
    names = ("object-prior", "zero-shot")
    assert plan.baseline_negative_maps("solo") == [f"{folder}/{name}.parquet" for name in names]
    without = plan_of(negatives={"sounds": []})
    assert without.negative_testsets == []
    assert without.baseline_negative_maps("solo") == []


def test_a_card_lists_the_tables_that_the_config_makes():
    always = ["fetch", "videos", "clips", "spectrograms", "index", "history", "maps"]
    bare = {"corpus": {"boxes": []}, "train": {"promote": False}}
    assert report_of(**bare).card_tables == [*always, "negatives", "negative_maps"]
    full = report_of(
        runs=RUNS,
        audio=AUDIO,
        corpus={"boxes": ["given", "detector"]},
        maps={"testsets": ["synthetic"]},
    )
    assert full.card_tables == [
        *always,
        *("openimages", "openimages_boxes", "detect", "annotations", "scores", "clusters"),
        *("tiles", "mosaic_clips", "mosaic_spectrograms", "mosaic_index", "mosaic_boxes"),
    ]


# The paper's tables and figures


def test_a_table_of_the_paper_is_complete_if_the_config_has_all_its_runs():
    paper = {**TABLES, **PAPER, "table1": ["spm"], "promotion": ["no-promotion", "spm"]}
    report = report_of(corpus={"boxes": ["given"]}, paper=paper)
    assert report.paper_tables == ["table1", "promotion"]
    assert report.paper_runs("promotion") == ["no-promotion", "spm"]
    assert report.paper_figures == ["fig4"]
    assert report.pages == {
        "scores": "results/report/tables/scores.md",
        "table1": "results/report/paper/table1.md",
        "promotion": "results/report/paper/promotion.md",
    }


@pytest.mark.parametrize(
    ("sections", "lacking"),
    [
        ({"runs": {"no-promotion": False}}, "runs.no-promotion"),
        ({"maps": {"testsets": ["duet"]}}, "maps.testsets: solo"),
        ({"scores": {"protocols": ["sspl"]}}, "scores.protocols: spm-paper"),
        ({"corpus": {"boxes": []}}, "corpus.boxes"),
        ({"paper": {"table1": []}}, "paper.table1"),
    ],
)
def test_a_table_that_lacks_something_names_it_and_the_remedy(sections, lacking):
    complete = {
        "corpus": {"boxes": ["given"]},
        "paper": {**TABLES, **PAPER, "table1": ["no-promotion", "spm"]},
    }
    assert report_of(**complete).is_complete("table1")
    report = report_of(**laid_over(complete, sections))
    assert report.paper_tables == []
    message = f"table1 needs {lacking}, which the config does not have: add --configfile"
    with pytest.raises(UserError, match=message) as failed:
        report.paper_files("table1", "{run}")
    assert "\n" not in str(failed.value)


def test_all_that_a_table_lacks_is_named_at_once():
    with pytest.raises(UserError) as failed:
        report_of(corpus={"boxes": []}).paper_runs("table1")
    for name in ("runs.dmc", "maps.testsets: synthetic", "scores.protocols", "corpus.boxes"):
        assert name in str(failed.value)


def test_files_of_a_table_are_those_of_its_runs_under_the_papers_protocol():
    paper = {**TABLES, **PAPER, "table1": ["spm", "no-promotion"]}
    report = report_of(corpus={"boxes": ["detector", "given"]}, paper=paper)
    assert report.paper_files("table1", "{run}/{testset}/{box_source}/{protocol}.json") == [
        "spm/solo/detector/spm-paper.json",
        "no-promotion/solo/detector/spm-paper.json",
    ]


def test_a_figure_of_the_paper_reads_only_what_it_draws():
    paper = {**TABLES, **PAPER, "testset": "synthetic", "table1": ["spm"]}
    report = report_of(
        corpus={"boxes": ["given"]}, paper=paper, maps={"testsets": ["synthetic", "solo"]}
    )
    pattern = "results/fusion/maps/{run}/{testset}.parquet"
    maps = ["results/fusion/maps/spm/synthetic.parquet"]
    assert report.figure_files("fig4", pattern, {"fig4"}) == maps
    assert report.figure_files("fig2", pattern, {"fig4"}) == []
    assert report.figure_files("fig6", pattern, set(FIGURE_TABLES)) == []
    assert report.figure_index("fig4") == "results/fusion/mosaics/test/index.parquet"
    assert report.figure_index("fig6") == "results/corpus/index/clips.parquet"
    assert report.figure_clips("fig4") == report.plan.test_tables("synthetic", "clips")
    assert report.figure_annotations("fig4") == ["results/fusion/mosaics/test/boxes/given.parquet"]
    assert report.figure_clips("fig6") == report.figure_annotations("fig6") == []


@pytest.mark.parametrize(
    "name", ["config", "paper", "comparison", "promotion", "solos", "demo", "local"]
)
def test_the_configs_of_the_project_have_a_plan(name, project):
    path = ROOT / ("config.yaml" if name == "config" else f"workflow/configs/{name}.yaml")
    config = laid_over(config_of(), yaml.safe_load(path.read_text()))
    config["corpus"]["manifest"] = "manifest.csv"
    report = ReportPlan(Plan.from_config(config, ROOT))
    assert set(report.paper_tables) == {
        "paper": set(PAPER_TABLES),
        "comparison": {"table1", "ablation", "promotion"},
        "promotion": {"ablation"},
    }.get(name, set())


# What the mission asks of the plain command, in the order of its sentence.
MISSION = [
    "fetch", "clips", "spectrograms", "openimages", "detector", "detect", "annotations", "clusters",
    "pretrain", "train", "maps", "scores", "tables",
]  # fmt: skip


@pytest.mark.slow
def test_the_plain_command_does_the_whole_mission(tmp_path):
    """`snakemake --cores 8 all` with config.yaml as it is, on MUSIC."""
    command = ["snakemake", "--cores", "8", "all", "--dry-run", "--quiet", "rules", "--directory"]
    done = subprocess.run(
        [sys.executable, "-m", *command, tmp_path], cwd=ROOT, capture_output=True, text=True
    )
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE))
    assert [rule for rule in MISSION if rule not in jobs] == []
    shipped = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert shipped["annotations"]["min_score"] == 0.9
    assert shipped["train"]["freeze"] is shipped["train"]["promote"] is True
    for rule in ("fetch", "clips", "spectrograms", "detect"):
        assert int(jobs[rule]) == shipped["corpus"]["shards"]
    assert int(jobs["scores"]) == int(jobs["train"]) == len(shipped["runs"])


def test_without_a_named_source_the_given_boxes_count_if_there_are_any(project):
    without = plan_of(corpus={"boxes": None, "given_boxes": "none.csv"})
    assert without.box_sources == []
    assert plan_of(corpus={"boxes": None}).box_sources == ["given"]


@pytest.mark.slow
def test_the_plan_imports_neither_torch_nor_snakemake():
    script = "import json, sys, spm.workflow.report_plan; print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    modules = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert not modules & {"torch", "snakemake", "numpy", "pandas", "pyarrow"}
