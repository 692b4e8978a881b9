"""The files of a localization: maps as Parquet, and the JSON document."""

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
import torch

from spm.base import tables
from spm.fusion import methods
from spm.fusion.settings import RunConfig
from spm.inference import writing
from spm.inference.localization import RELATIVE_METHODS, SIDES
from spm.score import map_files


@pytest.fixture
def document(localization, class_scores):
    """The content of the JSON file of a class-aware network that names sounds."""
    maps = {"cello": localization.maps / 2}
    return writing.document(
        replace(localization, class_scores=class_scores, by_category=maps, threshold=0.1)
    )


def test_the_files_can_be_scored_and_read(localization, tmp_path):
    written = writing.write(localization, tmp_path / "maps.parquet")
    stored = map_files.read(tmp_path / "maps.parquet")
    assert stored.keys[:2] == ["a film/0.000", "a film/0.250"]
    assert (stored.maps == localization.maps).all()
    metadata = pq.read_schema(tmp_path / "maps.parquet").metadata
    assert metadata[b"network"].decode() == str(localization.network)
    assert json.loads((tmp_path / "maps.json").read_text()) == written
    assert [row["start_s"] for row in written["seconds"]] == [0, 1, 2]


def test_categories_have_maps_of_their_own(localization, tmp_path):
    two = {"cello": localization.maps / 2, "tuba": localization.maps / 4}
    writing.write(replace(localization, by_category=two), tmp_path / "maps.parquet")
    categories = tables.read(tmp_path / "maps.parquet")["category"].to_pylist()
    assert categories == [None] * 12 + ["cello"] * 12 + ["tuba"] * 12


def test_the_header_names_network_grid_video_and_threshold(document, localization):
    network = {"name": "spm", "method": "spm", "sha256": localization.network.digest}
    assert document["network"] == network
    video = {"file": "a film.mp4", "width": 96, "height": 64, "seconds": 3}
    assert document["video"] == video
    assert document["maps"] == {"per_s": 4, "height": 4, "width": 4, "categories": ["cello"]}
    assert document["threshold"] == 0.1
    assert document["heard"][0] == {"class": "Cello", "score": 0.6}


def test_every_column_of_the_seconds_has_a_unit(document):
    described = set()
    for names in document["units"]:
        described |= set(names.split(", "))
    assert {key for row in document["seconds"] for key in row} == described


def test_units_of_absent_columns_are_left_out(localization):
    units = writing.document(localization)["units"]
    assert not {"heard", "category", "objects"} & units.keys()


def test_a_missing_box_is_null_as_json_wants_it(localization, tmp_path):
    writing.write(replace(localization, maps=0 * localization.maps), tmp_path / "maps.parquet")
    text = (tmp_path / "maps.json").read_text()
    assert "NaN" not in text
    (row, *_) = json.loads(text)["seconds"]
    assert [row[side] for side in SIDES] == [None] * 4


@pytest.mark.parametrize(("method", "meaning"), [("spm", "confidence"), ("ez_vsl", "nothing")])
def test_the_score_of_methods_with_relative_maps_is_explained(method, meaning, localization):
    network = replace(localization.network, method=method)
    assert meaning in writing.document(replace(localization, network=network))["units"]["score"]


@pytest.mark.slow
@pytest.mark.parametrize("method", methods.METHODS)
@torch.inference_mode()
def test_methods_with_relative_maps_are_those_that_scale_each_map(method):
    """Their untrained networks reach 1 in every frame of noise; those of other methods don't."""
    torch.manual_seed(0)
    config = RunConfig(method=method, start="none", crop=64)
    network = methods.build(methods.settings_of(config)).eval()
    images, sounds = torch.randn(2, 1, 3, 64, 64), torch.randn(2, 16000) / 10
    maxima = network.heat_maps(images, network.prepare_sound(sounds)).sounding.amax((2, 3))
    assert bool((maxima > 1 - 1e-6).all()) == (method in RELATIVE_METHODS)
