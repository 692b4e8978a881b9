"""JSON schema of config.yaml, and the texts on its keys: both come from the stages' models."""

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any

from spm.audio.clusters import Clusters
from spm.audio.pretrain import Pretrain
from spm.base import project_files
from spm.base.config import Section
from spm.base.errors import UserError
from spm.base.resources import Cluster, StateFolder
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
from spm.fusion.baseline_maps import BaselineMaps
from spm.fusion.maps import Maps
from spm.fusion.mosaic_boxes import MosaicBoxes
from spm.fusion.mosaics import Mosaics
from spm.fusion.negatives import NegativeSets
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
    "corpus": Corpus,
    "cluster": Cluster,
    "state": StateFolder,
    "fetch": Fetch,
    "clips": Clips,
    "spectrograms": Spectrograms,
    "index": Index,
    "openimages": OpenImages,
    "detector": Detector,
    "detect": Detect,
    "annotations": Annotations,
    "quality": Quality,
    "clusters": Clusters,
    "pretrain": Pretrain,
    "mosaics": Mosaics,
    "train": Train,
    "negatives": NegativeSets,
    "maps": Maps,
    "baseline_maps": BaselineMaps,
    "scores": Scores,
    "tables": Tables,
    "mosaic_boxes": MosaicBoxes,
    "paper": Paper,
    "figures": Figures,
    "samples": Samples,
    "cluster_plot": ClusterPlot,
    "best_worst": BestWorst,
    "overlay_videos": OverlayVideos,
    "cards": Cards,
}
# Sections whose keys are names that the user chooses, or names of methods.
INTRODUCTIONS = {
    "methods": "One section per method: its own settings, and settings of `train` that have another"
    " value in runs of this method.",
    "audio": "Audio networks to pretrain, by name. A row changes settings of `clusters` and"
    " `pretrain` for its network; a run selects a network with its key `audio`.",
    "runs": "Trained localizers, by name. A row changes settings of `train` and of the section of"
    " its method; `false` leaves the run out.",
}
FILE = project_files.SCHEMA
# Defaults are left out because config.yaml has every key; `$defs` because they are inlined.
LEFT_OUT = {"title", "default", "$defs"}
FILE_NAME = {"pattern": r"^\w[\w-]*$", "maxLength": 100}


def introduction(section: str, method: str = "") -> str:
    """Text above a section of config.yaml, or above a method in the section `methods`."""
    if section in INTRODUCTIONS:
        return _docstring(methods.named(method).Settings) if method else INTRODUCTIONS[section]
    return _docstring(SECTIONS[section])


def _docstring(model: type[Section]) -> str:
    """A model's own docstring as one paragraph."""
    return " ".join(inspect.cleandoc(model.__doc__ or "").split())


def description(section: str, key: str, method: str = "") -> str:
    """Text on a key of a section, or of a method; empty where a method only changes its value."""
    model = methods.named(method).Settings if method else SECTIONS[section]
    if key not in model.model_fields:
        path = ".".join([section, *([method] if method else []), key])
        raise UserError(f"config.yaml: {path}: {model.__name__} has no such setting; rename it")
    text = model.model_fields[key].description or ""
    inherited = Train.model_fields.get(key) if method else None
    return "" if inherited is not None and inherited.description == text else text


def _plain(part: Any, definitions: Mapping[str, Any]) -> Any:
    """A part of pydantic's schema with references replaced by their definitions."""
    if isinstance(part, list):
        return [_plain(item, definitions) for item in part]
    if not isinstance(part, Mapping):
        return part
    if "$ref" in part:
        definition = dict(definitions[part["$ref"].rsplit("/", 1)[-1]])
        definition.pop("description", None)  # the docstring of an enum
        part = {**definition, **{key: part[key] for key in part if key != "$ref"}}
    plain = {}
    for key, value in part.items():
        if key == "properties":
            plain[key] = {name: _plain(inner, definitions) for name, inner in value.items()}
        elif key not in LEFT_OUT:
            plain[key] = _plain(value, definitions)
    return plain


def model_schema(model: type[Section]) -> dict[str, Any]:
    """Schema of a model, with its docstring and the descriptions of its fields."""
    schema = model.model_json_schema()
    plain: dict[str, Any] = _plain(schema, schema.get("$defs", {}))
    plain["description"] = _docstring(model)
    return plain


def _method_schema(name: str) -> dict[str, Any]:
    """Schema of the row of a run of a method; keys that the method only changes keep their text."""
    schema = model_schema(methods.named(name).Settings)
    for key, part in schema["properties"].items():
        if "description" not in part and key in Train.model_fields:
            part["description"] = Train.model_fields[key].description or ""
    return schema


def _method_section(row: dict[str, Any]) -> dict[str, Any]:
    """Schema of a method's section: all of its own keys, and any key of `train`."""
    keys = {name: part for name, part in row["properties"].items() if name != "method"}
    return {**row, "properties": keys, "required": sorted(set(keys) - set(Train.model_fields))}


def _mapping(keys: dict[str, Any], required: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": keys,
        "required": sorted(required),
        "additionalProperties": False,
    }


def _rows(section: str, row: dict[str, Any]) -> dict[str, Any]:
    """Schema of a section of rows; their names become names of files."""
    return {
        "type": "object",
        "description": INTRODUCTIONS[section],
        "minProperties": 1,
        "propertyNames": FILE_NAME,
        "additionalProperties": row,
    }


def schema() -> dict[str, Any]:
    """Schema of the whole config; in sections with a model, every key is required."""
    models = {name: model_schema(model) for name, model in SECTIONS.items()}
    sections = {
        name: {**section, "required": sorted(section["properties"])}
        for name, section in models.items()
    }
    rows = {name: _method_schema(name) for name in methods.METHODS}
    method_sections = {name: _method_section(row) for name, row in rows.items()}
    sections["train"]["properties"]["method"]["enum"] = list(methods.METHODS)
    sections["methods"] = {
        **_mapping(method_sections, required=list(method_sections)),
        "description": INTRODUCTIONS["methods"],
    }
    stages = {name: models[name] for name in ("clusters", "pretrain")}
    audio = {**_mapping(stages, required=[]), "type": ["object", "null"]}
    sections["audio"] = _rows("audio", audio)
    sections["runs"] = _rows("runs", {"anyOf": [{"type": ["object", "null"]}, {"const": False}]})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"methods": rows},
        **_mapping(sections, required=list(sections)),
    }


def text() -> str:
    """Content of the schema file."""
    return json.dumps(schema(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
