"""Maps of a run mixed with the object prior: spm/fusion/prior_maps.py."""

import numpy as np
import pytest
import torch

from spm.base import schemas, tables
from spm.base.config import Section
from spm.base.errors import UserError
from spm.fusion.prior_maps import mix, run


def row(clip_id, values, category=None, frame=0):
    """A row of a table of maps, of a 2-D map."""
    cells = np.array(values, np.float32)
    height, width = cells.shape
    about = {"clip_id": clip_id, "video_id": "v", "frame": frame, "time_s": 0.5}
    shape = {"height": height, "width": width}
    return {**about, "category": category, **shape, "map": cells.ravel()}


@pytest.fixture
def mixed(tmp_path):
    """Mix two tables of maps; the rows of the result."""

    def call(maps, priors, alpha=0.4):
        files = {name: tmp_path / f"{name}.parquet" for name in ("maps", "prior", "out")}
        tables.write_rows(files["maps"], schemas.MAPS, maps)
        tables.write_rows(files["prior"], schemas.MAPS, priors)
        run(Section(), alpha=alpha, **files)
        return tables.read(files["out"])

    return call


def test_both_maps_are_scaled_before_they_are_mixed():
    maps, prior = torch.tensor([[[0.1, 0.2, 0.3]]]), torch.tensor([[[70.0, 10.0, 40.0]]])
    expected = [0.4 * 0 + 0.6 * 1, 0.4 * 0.5 + 0.6 * 0, 0.4 * 1 + 0.6 * 0.5]
    assert mix(maps, prior, 0.4).flatten().tolist() == pytest.approx(expected)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_the_ends_of_alpha_are_one_of_the_two_maps(alpha):
    maps, prior = torch.rand(2, 3, 4), torch.rand(2, 3, 4)
    only = (prior, maps)[int(alpha)]
    low, high = only.amin((1, 2), keepdim=True), only.amax((1, 2), keepdim=True)
    torch.testing.assert_close(mix(maps, prior, alpha), (only - low) / (high - low))


def test_the_geometric_mean_is_low_where_one_of_the_maps_is():
    maps, prior = torch.tensor([[[0.0, 1.0, 0.5]]]), torch.tensor([[[1.0, 0.0, 1.0]]])
    expected = [1e-4**0.25, 1e-4**0.75, 0.5**0.25]
    assert mix(maps, prior, 0.25, "geometric").flatten().tolist() == pytest.approx(expected)


def test_a_map_of_a_category_is_mixed_with_the_prior_of_its_category(mixed):
    maps = [row("a", [[0, 1]]), row("a", [[0, 1]], "cello"), row("a", [[0, 1]], "flute")]
    table = mixed(maps, [row("a", [[0, 1]]), row("a", [[1, 0]], "cello")], alpha=0.5)
    expected = [[0, 1], [0.5, 0.5], [0, 1]]
    np.testing.assert_allclose(np.stack(table["map"].to_numpy()), expected, atol=1e-6)


def test_a_flat_map_leaves_the_prior():
    mixture = mix(torch.full((1, 1, 2), 0.3), torch.tensor([[[1.0, 3.0]]]), 0.4)
    assert mixture.flatten().tolist() == pytest.approx([0, 0.6])


@pytest.mark.parametrize(("map_size", "prior_size"), [((2, 2), (4, 4)), ((4, 4), (2, 2))])
def test_maps_of_two_sizes_are_mixed_on_the_finer_grid(map_size, prior_size):
    assert mix(torch.rand(1, *map_size), torch.rand(1, *prior_size), 0.5).shape == (1, 4, 4)


def test_every_map_of_a_frame_is_mixed_with_the_prior_of_its_frame(mixed):
    """The order of the prior's rows does not matter; other columns stay as they are."""
    flat = np.zeros((1, 2))
    maps = [row("a", flat), row("a", [[0, 1]], "cello"), row("a", flat, frame=1), row("b", flat)]
    priors = [row("b", [[5, 0]]), row("a", [[0, 2]], frame=1), row("a", [[3, 0]])]
    table = mixed(maps, priors)
    expected = [[0.6, 0], [0.6, 0.4], [0, 0.6], [0.6, 0]]
    np.testing.assert_allclose(np.stack(table["map"].to_numpy()), expected, atol=1e-6)
    assert table["category"].to_pylist() == [None, "cello", None, None]
    assert table["clip_id"].to_pylist() == ["a", "a", "a", "b"]
    assert table.schema.equals(schemas.MAPS.schema)


def test_maps_get_the_size_of_the_finer_grid(mixed):
    table = mixed([row("a", np.eye(2))], [row("a", np.eye(4))])
    assert (table["height"].to_pylist(), table["width"].to_pylist()) == ([4], [4])


def test_a_frame_without_a_prior_is_an_error(mixed):
    with pytest.raises(UserError, match="no map of clip 'a', frame 1: expected the frames of the"):
        mixed([row("a", np.eye(2)), row("a", np.eye(2), frame=1)], [row("a", np.eye(2))])


def test_a_table_without_rows_stays_one(mixed):
    assert mixed([], []).num_rows == 0
