"""Mistakes of users: each ends with a line that says what is wrong and what to do.

A row of MISTAKES is a command line of spm, what is wrong with it, and a part of the message.
`mistaken` makes the files that they name.
"""

import ast
import pickle
import re
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from spm.cli import main
from spm.learn import weights
from tests.support.project import ROOT

MOST_LINES = 3
VIDEO = "paper.mp4"  # weights are read before any video
ON_BOXES = "score maps.npz --boxes"
OF_MAPS = "--boxes boxes.csv"
RUN = "the folder of a run, or OWNER/NAME of a hub"


class Mistake(NamedTuple):
    """A wrong command line."""

    command: str
    wrong: str
    message: str  # regular expression


COMMANDS = [
    Mistake("localise a.mp4", "command", "No such command 'localise'. Did you mean 'localize'"),
    Mistake("score maps.npz --boxs b", "option", "No such option: --boxs .*--boxes"),
    Mistake("score maps.npz", "no boxes", "Missing option '--boxes'"),
    Mistake(f"score maps.npz {OF_MAPS} --bootstrap x", "word for a number", "valid integer"),
    Mistake(f"localize {VIDEO} --threshold 0,5", "decimal comma", "--threshold.*valid number"),
    Mistake(f"localize {VIDEO} --max-s 0", "bound", "'--max-s': .*greater than or equal to 1"),
]
VIDEOS = [
    Mistake("localize nosuch.mp4", "missing", "error: nosuch.mp4: no such file"),
    Mistake("localize paper.mp4", "PDF", "unreadable: a PDF: expected a file that contains pict"),
    Mistake("localize page.mp4", "HTML", "page.mp4: unreadable: a web page: expected a file"),
    Mistake("localize lfs.mp4", "LFS pointer", r"lfs.mp4: .*Git LFS .*\(git lfs pull gets it\)"),
    Mistake("localize notes.txt", "text", "notes.txt: unreadable: a text: expected a file"),
    Mistake("localize empty.csv", "empty", "empty.csv: empty: zero bytes"),
    Mistake("localize folder", "folder", r"folder: a folder; expected a video, such as folder/\*"),
    Mistake("localize ftp://x/a.mp4", "scheme", "url 'ftp://x/a.mp4': expected http://, https"),
    Mistake(f"localize {VIDEO} --out notes.txt", "no folder", "notes.txt is not a folder: name"),
    Mistake(f"localize {VIDEO} --device gpu", "device", "device: 'gpu'; .*did you mean cuda?"),
    Mistake(f"localize {VIDEO} --device tpu", "device", "'tpu'; expected one of auto, cpu, cuda"),
]
NETWORKS = [
    Mistake("no.safetensors", "missing", f"no.safetensors: no such network; expected .*{RUN}"),
    Mistake("smp", "run", r"smp: no such network; .*did you mean results/fusion/train/spm\?"),
    Mistake("results/fusion/train/smp", "run", r"did you mean results/fusion/train/spm\?"),
    Mistake(
        "folder", "no run", "folder has no network.safetensors; expected .*the folder of a run"
    ),
    Mistake("model.pt", "PyTorch", "model.pt: a file of torch.save; expected weights in a safeten"),
    Mistake("lfs.mp4", "LFS pointer", r"lfs.mp4: a pointer of Git LFS .*git lfs pull"),
    Mistake("notes.txt", "text", "notes.txt: a text; expected weights in a safetensors file"),
    Mistake("alone.safetensors", "no JSON", "alone.json, which describes them, is not beside it"),
    Mistake("cut.safetensors", "cut", "no complete weights at cut.safetensors .*delete both files"),
    Mistake("detector.safetensors", "detector", "weights of a detector, not of a localizer"),
    Mistake("audio.safetensors", "audio network", "an audio network of the stage pretrain, not a"),
    Mistake("other.safetensors", "other project's", "other.safetensors: not a network trained by"),
]
BOXES = [
    Mistake(
        "nosuch.csv", "missing", "nosuch.csv: no such file or folder of boxes, and no such set"
    ),
    Mistake("vggss", "set", r"vggss: .*expected one of .* and \d+ more; did you mean vgg-ss\?"),
    Mistake("dsol_solo", "set", r"did you mean dsol-solo\?"),
    Mistake("avsbench-s4-masks", "no folder", "expected avsbench-s4-masks=FOLDER, a folder with"),
    Mistake("avsbench-s4-masks=no", "folder", "avsbench-s4-masks=no: no such folder; expected"),
    Mistake("vgg-ss=folder", "needs none", "vgg-ss has no local files; expected vgg-ss alone"),
    Mistake("empty.csv", "empty", "empty.csv: the columns category,x,y,w,h are missing"),
    Mistake("header.csv", "no rows", "header.csv: no boxes; expected at least one"),
    Mistake("people.csv", "columns", "people.csv: the columns .* are missing from 'name,age'"),
    Mistake("corners.csv", "corners", "corners.csv: the columns x,y,w,h are missing"),
    Mistake("pixels.csv", "pixels", "pixels.csv, line 2: .*pixels, not fractions: divide"),
    Mistake(
        "table.xlsx", "Excel", "table.xlsx: a document of Excel or Word; .*save it as CSV UTF-8"
    ),
    Mistake("hello.json", "JSON", "hello.json, frame hello: not in the expected form"),
    Mistake("folder", "no boxes", "folder: not boxes in a known format .*--help lists the formats"),
]
MAPS = [
    Mistake("nosuch.npz", "missing", "nosuch.npz: no such file or folder of maps"),
    Mistake("table.xlsx", "form", "maps in an unknown form; expected .npz, .npy, .pt"),
    Mistake("text.npy", "text", r"text.npy: can't be read as maps \(a text\); expected a complete"),
    Mistake("objects.npy", "pickle", r"it holds Python objects, which could run code, in place of"),
    Mistake("objects.npz", "pickle", r"it holds Python objects, which could run code, in place of"),
    Mistake("pickle.pt", "pickle", r"pickle.pt: can't be read as maps \(a pickle\)"),
    Mistake("heat.npz", "names", "no array named keys or maps: it holds heat; expected keys and"),
    Mistake("rows.npy", "no keys", "3 maps without keys: write their keys into rows.keys.txt"),
    Mistake("nan.npz", "NaN", "nan.npz: a/0.500: NaN or infinity; expected finite numbers"),
    Mistake("keys.npz", "keys", "no map has the key of a boxed frame.*the maps have x, y; the box"),
    Mistake("classes.npz", "classes", "name every class with --classes, in the order of the maps"),
    Mistake("half.npz", "subset", "1 of 2 boxed frames have no map: b/1.500. .*Pass --partial to"),
    Mistake("folder", "no maps", "folder: no .npy or .png file in this folder"),
]
SCORES = [
    Mistake(f"score maps.npz {OF_MAPS} --protocol ezvsl", "protocol", r"did you mean ez-vsl\?"),
    Mistake(f"score maps.npz {OF_MAPS} --manifest nosuch.csv", "missing", "nosuch.csv: cannot be"),
    Mistake(f"score maps.npz {OF_MAPS} --manifest strangers.csv", "other videos",
            r"no box counts: the manifest \(--manifest\) has other videos or categories"),
    Mistake(f"score maps.npz {OF_MAPS} --bootstrap 5 --out folder", "folder", "folder: Is a direc"),
    Mistake(f"compare-maps maps.npz maps.npz {OF_MAPS} --bootstrap 5 --figure acu", "figure",
            r"--figure acu: expected one of .*; did you mean auc\?"),
    Mistake("benchmark nosuch", "missing", "nosuch: no such file or folder of maps"),
    Mistake("benchmark maps.npz --suite vgg-ss,is33", "set", r"is33: no such set; .*mean is3\?"),
    Mistake("benchmark empty", "no maps", "empty: an empty folder; expected maps, such as vgg-ss"),
    Mistake("benchmark maps.npz --suite is3 --pictures vggss=x", "set",
            r"--pictures vggss: no such set; .*did you mean vgg-ss\?"),
]  # fmt: skip
MANIFESTS = {
    "nosuch.csv": ("missing", "nosuch.csv: no such file or folder: expected a manifest"),
    "empty": ("no videos", "empty: expected videos in folders named by the sounding instrument"),
    "folder": ("not sorted", "expected videos in folders .*not listed, for example: a.mp4"),
    "empty.csv": ("empty", "empty.csv: empty: expected video_id,url,kind,categories"),
    "table.xlsx": ("Excel", "table.xlsx: a document of Excel or Word; .*save it as CSV UTF-8"),
    "paper.mp4": ("PDF", "paper.mp4: a PDF; expected a CSV file"),
    "latin.csv": ("encoding", "latin.csv, line 2: byte 0xe9: expected UTF-8.*save it as CSV UTF-8"),
    "twice.csv": ("id twice", "line 3: video_id 'a': expected once, but line 2 has it too"),
    "kind.csv": ("kind", r"line 2: kind 'sol': expected solo, duet or ensemble; did you mean solo"),
    "split.csv": ("split", r"split 'training': expected train, val, test.*did you mean train\?"),
    "window.csv": ("window", r"line 2: end_s '3': expected more than start_s \(9\)"),
    "minutes.csv": ("window", "start_s '0:09': expected seconds from the start of the video"),
    "column.csv": ("column", "column 'category' is unknown: did you mean 'categories'"),
    "link.csv": ("column", "column 'url' is missing from 'video_id,link,kind,categories'"),
}
PROJECTS = [
    Mistake("init new --like papr", "example", r"--like papr: expected one of .*mean paper\?"),
    Mistake("init notes.txt", "file", "notes.txt: File exists: correct the path"),
    Mistake("path config.yml", "file", r"config.yml: .*did you mean config.yaml\?"),
    Mistake("path workflow/config", "folder", r"did you mean configs\?"),
    Mistake("fetch-status --results no", "folder", "no: no such folder; .*name its results with"),
    Mistake("fetch-status", "nothing run", "no ledger in this folder: .*snakemake all"),
    Mistake(
        "verify --results no", "folder", "no: no such folder; run this in the folder of a proj"
    ),
    Mistake("verify --results empty", "no results", "empty: no file of a workflow in this folder"),
    Mistake("review --results no", "folder", "no: no such folder; .*name its results with --resul"),
    Mistake("review r.csv", "no detections", "there is no results/boxes/.*run the workflow first"),
    Mistake("review r.csv --boxes detecter", "source", r"--boxes: .*did you mean detector\?"),
    Mistake("review --draw b.csv --sample 3", "option", "--sample: it has an effect only without"),
    Mistake("review --draw b.csv --split tests", "split", "'--split': .*'train', 'val', 'test'"),
    Mistake("review r.csv --port 70000", "port", "'--port': .*less than or equal to 65535"),
    Mistake("compare spm spmm", "run", r"spmm: expected a project .*; did you mean spm\?"),
    Mistake("compare spm results/fusion/train/no", "run", "train/no: expected a project"),
    Mistake(
        "clean --directory empty", "nothing run", "no workflow has run in this folder: run spm"
    ),
    Mistake(
        "clean --configfile no.yaml", "missing", "no.yaml: cannot be read .*config file in YAML"
    ),
    Mistake("clean --configfile utf16.yaml", "encoding", "line 1: byte 0xff; expected UTF-8: save"),
    Mistake(
        "clean --configfile table.xlsx", "Excel", "table.xlsx: a document of Excel or Word; exp"
    ),
    Mistake("clean --configfile key.yaml", "key", r"unknown key trian; .*did you mean train\?"),
    Mistake(
        "clean --config train", "no value", "--config train: expected NAME=VALUE, with a value"
    ),
    Mistake("clean --config epochs=3", "section", "unknown key epochs; .*is a key of .*train"),
    Mistake("push no me/x", "missing", "no/README.md: no such file: run the workflow to its end"),
    Mistake("new-method spm", "taken", "'spm': this method exists already, .*choose another name"),
    Mistake(
        "new-method My-Method", "name", "'My-Method' is not a name for a method: expected a Pyt"
    ),
]
MISTAKES = [
    *COMMANDS, *VIDEOS, *SCORES, *PROJECTS,
    *(row._replace(command=f"localize {VIDEO} --weights {row.command}") for row in NETWORKS),
    *(row._replace(command=f"{ON_BOXES} {row.command}") for row in BOXES),
    *(row._replace(command=f"score {row.command} {OF_MAPS}") for row in MAPS),
    *(Mistake(f"manifest {name}", *about) for name, about in MANIFESTS.items()),
]  # fmt: skip

HEADER = "video_id,url,kind,categories"
BOX_HEADER = "video_id,time_s,category,x,y,w,h"
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
TEXTS = {
    "notes.txt": "hello\n",
    "text.npy": "hello\n",
    "paper.mp4": "%PDF-1.7\nhello",
    "page.mp4": "<!DOCTYPE html><html><body>Sign in</body></html>",
    "lfs.mp4": LFS,
    "folder/a.mp4": "no video",
    "boxes.csv": f"{BOX_HEADER}\na,0.5,cello,0.1,0.1,0.5,0.5\nb,1.5,flute,0,0,1,1\n",
    "header.csv": f"{BOX_HEADER}\n",
    "people.csv": "name,age\nann,3\n",
    "corners.csv": "video_id,time_s,category,x1,y1,x2,y2\na,0.5,cello,0.1,0.1,0.5,0.5\n",
    "pixels.csv": f"{BOX_HEADER}\na,0.5,cello,10,10,100,100\n",
    "hello.json": '{"hello": 1}',
    "strangers.csv": f"{HEADER}\nz,z.mp4,solo,cello\n",
    "empty.csv": "",
    "twice.csv": f"{HEADER}\na,a.mp4,solo,cello\na,b.mp4,solo,cello\n",
    "kind.csv": f"{HEADER}\na,a.mp4,sol,cello\n",
    "split.csv": f"{HEADER},split\na,a.mp4,solo,cello,training\n",
    "window.csv": f"{HEADER},start_s,end_s\na,a.mp4,solo,cello,9,3\n",
    "minutes.csv": f"{HEADER},start_s,end_s\na,a.mp4,solo,cello,0:09,0:12\n",
    "column.csv": "video_id,url,kind,category\na,a.mp4,solo,cello\n",
    "link.csv": "video_id,link,kind,categories\na,a.mp4,solo,cello\n",
    "key.yaml": "trian: {epochs: 2}\n",
}  # fmt: skip


def write_maps() -> None:
    heat, keys = np.full((2, 4, 4), 0.5, np.float32), ["a/0.500", "b/1.500"]
    objects = np.array([{"a": 1}], dtype=object)
    np.savez("maps.npz", keys=keys, maps=heat)
    np.savez("heat.npz", heat=heat)
    np.savez("nan.npz", keys=keys, maps=heat * np.nan)
    np.savez("keys.npz", keys=["x", "y"], maps=heat)
    np.savez("half.npz", keys=keys[:1], maps=heat[:1])
    np.savez("classes.npz", keys=keys, maps=np.stack([heat] * 3, 1))
    np.savez("objects.npz", keys=keys[:1], maps=objects)
    np.save("objects.npy", objects)
    np.save("rows.npy", np.concatenate([heat, heat[:1]]))
    Path("pickle.pt").write_bytes(pickle.dumps({"a": heat[0]}))


def write_weights() -> None:
    tensors = {"layer.weight": torch.zeros(64)}
    torch.save({"model": tensors}, "model.pt")
    detector = {"model": "mobilenet_v2", "size": 64, "categories": ["cello"]}
    abouts = {"detector": detector, "audio": {"config": {"head_lr": 1}}, "other": {"arch": "x"}}
    for name, about in {**abouts, "alone": {}, "cut": {}}.items():
        weights.save(Path(f"{name}.safetensors"), tensors, about)
    Path("alone.json").unlink()
    Path("cut.safetensors").write_bytes(Path("other.safetensors").read_bytes()[:60])
    weights.save(Path("results/fusion/train/spm/network.safetensors"), tensors, {})


@pytest.fixture(scope="module")
def mistaken(tmp_path_factory) -> Path:
    """The folder of a project, with all files of the mistakes."""
    folder = tmp_path_factory.mktemp("mistaken")
    for name, text in TEXTS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "empty").mkdir()
    (folder / "table.xlsx").write_bytes(b"PK\3\4" + bytes(26) + b"[Content_Types].xml" + bytes(99))
    (folder / "latin.csv").write_bytes(f"{HEADER}\na,a.mp4,solo,t\xe9nor\n".encode("latin-1"))
    (folder / "utf16.yaml").write_text("train: {epochs: 2}\n", encoding="utf-16")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_maps()
        write_weights()
    return folder


def run(command: str, patch: pytest.MonkeyPatch) -> int:
    """The exit status of a command line of spm, in this process."""
    patch.setattr(sys, "argv", ["spm", *shlex.split(command)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.command)
def test_a_mistake_ends_with_a_line_on_what_is_wrong(mistake, mistaken, monkeypatch, capsys):
    monkeypatch.chdir(mistaken)
    assert run(mistake.command, monkeypatch) in (1, 2)
    errors = capsys.readouterr().err
    assert re.search(mistake.message, errors), errors
    lines = [line for line in errors.splitlines() if line.strip()]
    assert len(lines) <= MOST_LINES
    assert not re.search("Traceback|allow_pickle|weights_only", errors)


def test_the_table_has_fifty_mistakes_and_each_once():
    assert len(MISTAKES) >= 50
    assert len({mistake.command for mistake in MISTAKES}) == len(MISTAKES)


def texts_of_the_code() -> str:
    """All texts in spm, a line each; a value in a text is a space."""
    found = []
    for path in sorted((ROOT / "spm").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            texts = [part.value if isinstance(part, ast.Constant) else " " for part in parts]
            if all(isinstance(text, str) for text in texts):
                found.append(" ".join("".join(texts).split("\n")))
    return "\n".join(found)


@pytest.mark.slow
def test_every_message_of_spm_in_the_docs_is_one_that_it_prints():
    page = (ROOT / "docs/troubleshooting.md").read_text()
    section = page.split("## Messages of spm")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
    messages = [message for cell in cells for message in re.findall("`(.*?)`", cell)]
    assert len(messages) > 20
    code = texts_of_the_code()
    for message in messages:
        parts = [re.escape(part.strip()) for part in message.split("…")]
        assert re.search(".*".join(parts), code), message
