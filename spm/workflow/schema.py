"""The JSON schema of config.yaml, made from the stages' models: python -m spm.workflow.schema."""

import json
from pathlib import Path
from typing import Any

from spm.audio.clusters import Clusters
from spm.audio.pretrain import Pretrain
from spm.base.config import Section
from spm.base.resources import Cluster
from spm.boxes.annotations import Annotations
from spm.boxes.detect import Detect
from spm.boxes.detector import Detector
from spm.boxes.openimages import OpenImages
from spm.boxes.quality import Quality
from spm.corpus.clips import Clips
from spm.corpus.fetch import Fetch
from spm.corpus.index import Index
from spm.corpus.manifest import Corpus
from spm.corpus.spectrograms import Spectrograms
from spm.fusion import methods
from spm.fusion.maps import Maps
from spm.fusion.mosaic_boxes import MosaicBoxes
from spm.fusion.mosaics import Mosaics
from spm.fusion.settings import Train
from spm.report.best_worst import BestWorst
from spm.report.cards import Cards
from spm.report.cluster_plot import ClusterPlot
from spm.report.figures import Figures
from spm.report.overlay_videos import OverlayVideos
from spm.report.paper import Paper
from spm.report.samples import Samples
from spm.report.tables import Tables
from spm.score.scores import Scores

SECTIONS: dict[str, type[Section]] = {
    "cluster": Cluster, "corpus": Corpus, "fetch": Fetch, "clips": Clips, "spectrograms": Spectrograms,
    "index": Index, "openimages": OpenImages, "detector": Detector, "detect": Detect, "annotations": Annotations,
    "quality": Quality, "clusters": Clusters, "pretrain": Pretrain, "mosaics": Mosaics, "mosaic_boxes": MosaicBoxes,
    "train": Train, "maps": Maps, "scores": Scores, "tables": Tables, "paper": Paper, "figures": Figures,
    "samples": Samples, "cluster_plot": ClusterPlot, "best_worst": BestWorst, "overlay_videos": OverlayVideos, "cards": Cards,
}  # fmt: skip
FILE = Path(__file__).parents[2] / "workflow" / "schemas" / "config.schema.json"


def _tidy(schema: Any) -> Any:
    """Without titles, and without defaults: the workflow hands every key on as config.yaml has it."""
    if isinstance(schema, dict):
        return {
            key: {name: _tidy(part) for name, part in value.items()}
            if key == "properties"
            else _tidy(value)
            for key, value in schema.items()
            if key not in ("title", "default", "description")
        }
    return [_tidy(part) for part in schema] if isinstance(schema, list) else schema


def _method(name: str) -> dict[str, Any]:
    """What a run of a method may say: every key of its settings."""
    return _tidy(methods.named(name).Settings.model_json_schema())  # type: ignore[no-any-return]


def _own(method: dict[str, Any]) -> dict[str, Any]:
    """A method's section: its own keys, all of them, and any of `train` that it changes for its runs."""
    keys = {name: part for name, part in method["properties"].items() if name != "method"}
    return {**method, "properties": keys, "required": sorted(set(keys) - set(Train.model_fields))}


def _named(row: dict[str, Any]) -> dict[str, Any]:
    """Rows by names that can be names of files."""
    names = {"pattern": r"^[\w-]+$"}
    return {
        "type": "object",
        "minProperties": 1,
        "propertyNames": names,
        "additionalProperties": row,
    }


def schema() -> dict[str, Any]:
    """A section a model, every key required; a row of `audio` or `runs` is any part of what it changes."""
    sections = {name: _tidy(model.model_json_schema()) for name, model in SECTIONS.items()}
    whole = {
        name: {**section, "required": sorted(section["properties"])}
        for name, section in sections.items()
    }
    known = {name: _method(name) for name in methods.METHODS}
    own = {name: _own(method) for name, method in known.items()}
    of_audio = {name: sections[name] for name in ("clusters", "pretrain")}
    audio = {"type": ["object", "null"], "properties": of_audio, "additionalProperties": False}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"methods": known},
        "type": "object",
        "properties": {
            **whole,
            "methods": {
                "type": "object",
                "properties": own,
                "required": sorted(own),
                "additionalProperties": False,
            },
            "audio": _named(audio),
            "runs": _named({"anyOf": [{"type": ["object", "null"]}, {"const": False}]}),
        },
        "required": [*whole, "methods", "audio", "runs"],
        "additionalProperties": False,
    }


def text() -> str:
    """The file's content."""
    return json.dumps(schema(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
