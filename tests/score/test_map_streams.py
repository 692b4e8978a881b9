"""Large sets of maps stay in their files: the scores are the same, the memory is bounded."""

import zipfile
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from spm.base.errors import UserError
from spm.boxes.formats.frames import BenchmarkBoxes, Box, Frame
from spm.score import evaluation, external_maps, map_files, map_streams, protocols
from spm.score.map_streams import StreamedMaps

COUNT, SIDE = 23, 6
KEYS = [f"v{n // 2}/{(7 * n) % COUNT}" for n in range(COUNT)]
MAPS = np.random.default_rng(0).random((COUNT, SIDE, SIDE)).astype(np.float32)


def write_npz(path, maps):
    np.savez(path, keys=KEYS, maps=maps)


def write_compressed(path, maps):
    np.savez_compressed(path, keys=KEYS, maps=maps)


def write_npy(path, maps):
    np.save(path, maps)
    path.with_suffix(".keys.txt").write_text("\n".join(KEYS))


def write_tensor(path, maps):
    torch.save({"keys": KEYS, "maps": torch.from_numpy(maps)}, path)


def write_tensors(path, maps):
    torch.save({key: torch.from_numpy(cells) for key, cells in zip(KEYS, maps, strict=True)}, path)


def write_h5(path, maps):
    with h5py.File(path, "w") as file:
        file["keys"], file["maps"] = KEYS, maps


def write_datasets(path, maps):
    with h5py.File(path, "w") as file:
        for key, cells in zip(KEYS, maps, strict=True):
            file[key] = cells


def write_parquet(path, maps):
    """Rows in another order than that of the keys."""
    rows = [
        {"key": key, "height": SIDE, "width": SIDE, "map": cells.ravel()}
        for key, cells in zip(KEYS, maps, strict=True)
    ]
    pd.DataFrame(rows[::-1]).to_parquet(path)


def write_folder(path, maps):
    for key, cells in zip(KEYS, maps, strict=True):
        (path / key).parent.mkdir(parents=True, exist_ok=True)
        np.save(path / f"{key}.npy", cells)


FORMS = {
    "stored.npz": write_npz,
    "compressed.npz": write_compressed,
    "maps.npy": write_npy,
    "tensor.pt": write_tensor,
    "per-key.pt": write_tensors,
    "maps.h5": write_h5,
    "per-key.h5": write_datasets,
    "maps.parquet": write_parquet,
    "folder": write_folder,
}


@pytest.fixture
def streaming(monkeypatch):
    """Every set of maps is large, and five frames fit into a chunk."""
    monkeypatch.setattr(map_streams, "STREAM_BYTES", 0)
    monkeypatch.setattr(map_streams, "CHUNK_BYTES", 5 * 4 * SIDE * SIDE)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_maps_of_some_frames_in_any_order(form, tmp_path, streaming):
    FORMS[form](tmp_path / form, MAPS)
    found = map_files.read(tmp_path / form)
    assert isinstance(found.maps, StreamedMaps)
    assert sorted(found.keys) == sorted(KEYS)
    expected = dict(zip(KEYS, MAPS, strict=True))
    for numbers in ([3], [0, 1, 2], [22, 4, 4, 0], range(COUNT)):
        read = found.maps[numbers]
        assert read.dtype == np.float32
        for cells, number in zip(read, numbers, strict=True):
            assert (cells == expected[found.keys[number]]).all()


def boxes():
    """A box per frame, and a second class in every third one."""
    frames = {}
    for number, key in enumerate(KEYS):
        found = [Box("cello", (0.1, 0.2, 0.3 + 0.02 * number, 0.5))]
        if number % 3 == 0:
            found.append(Box("flute", (0.5, 0.5, 0.4, 0.4)))
        frames[key] = Frame(tuple(found), key.split("/")[0])
    return BenchmarkBoxes(frames)


def scores(path):
    matched = external_maps.match_to_truth(map_files.read(path), boxes())
    chosen = list(protocols.PROTOCOLS.values())
    results = evaluation.score(chosen, matched.predictions, matched.truth)
    return {
        name: dict(zip(np.array(matched.predictions.keys)[s.frames], f.ious, strict=True))
        for name, (s, f) in results.items()
    }


@pytest.mark.parametrize("form", ["compressed.npz", "maps.parquet", "folder"])
def test_streamed_maps_have_the_scores_of_maps_in_memory(form, tmp_path, monkeypatch):
    FORMS[form](tmp_path / form, MAPS)
    expected = scores(tmp_path / form)
    monkeypatch.setattr(map_streams, "STREAM_BYTES", 0)
    monkeypatch.setattr(map_streams, "CHUNK_BYTES", 5 * 4 * SIDE * SIDE)
    assert scores(tmp_path / form) == expected


def test_class_maps_are_streamed_with_the_cluster_of_each_class(tmp_path, streaming):
    class_maps = np.stack([MAPS, 1 - MAPS, MAPS / 2], axis=1)
    named = {"keys": KEYS, "classes": ["cello", "flute"], "cluster_of_class": [2, 0]}
    np.savez(tmp_path / "maps.npz", maps=class_maps, **named)
    found = map_files.read(tmp_path / "maps.npz")
    assert found.class_maps.shape == (COUNT, 2, SIDE, SIDE)
    assert (found.class_maps[[5, 6]] == class_maps[5:7][:, [2, 0]]).all()


def test_nsa_is_none_if_every_class_sounds_in_a_frame_of_any_part(tmp_path, streaming):
    class_maps = np.stack([MAPS, 1 - MAPS], axis=1)
    np.savez(tmp_path / "maps.npz", keys=KEYS, maps=class_maps, classes=["cello", "flute"])
    matched = external_maps.match_to_truth(map_files.read(tmp_path / "maps.npz"), boxes())
    protocol = protocols.find("dsol-duet")
    _, both = evaluation.score([protocol], matched.predictions, matched.truth)["dsol-duet"]
    assert both.nsa is None
    single = {key: found[:1] for key, found in matched.truth.boxes.items()}
    truth = replace(matched.truth, boxes=single)
    _, one = evaluation.score([protocol], matched.predictions, truth)["dsol-duet"]
    assert one.nsa.shape == (COUNT,)


def test_a_value_that_is_not_finite_names_its_frame_when_it_is_read(tmp_path, streaming):
    maps = MAPS.copy()
    maps[9, 2, 2] = np.nan
    write_npz(tmp_path / "maps.npz", maps)
    found = map_files.read(tmp_path / "maps.npz")
    found.maps[[0, 8]]
    with pytest.raises(UserError, match=rf"maps.npz: {KEYS[9]}: NaN or infinity; expected"):
        found.maps[[8, 9]]


def test_a_map_of_another_shape_and_a_cut_member_are_one_line(tmp_path, streaming):
    write_folder(tmp_path / "folder", MAPS)
    np.save(tmp_path / "folder" / f"{KEYS[4]}.npy", np.ones((2, 2)))
    found = map_files.read(tmp_path / "folder")
    with pytest.raises(UserError, match=rf"{KEYS[4]}: shape \(2, 2\); expected .* \(6, 6\)"):
        found.maps[range(COUNT)]
    write_npz(tmp_path / "whole.npz", MAPS)
    with zipfile.ZipFile(tmp_path / "whole.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "cut.npz", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content[: len(content) // 2] if name == "maps.npy" else content)
    with pytest.raises(UserError, match=r"cut.npz: can't be read as maps \(.*expected \d+"):
        map_files.read(tmp_path / "cut.npz")


def test_the_memory_of_a_chunk_bounds_the_frames_that_are_read_at_once(tmp_path, streaming):
    write_npy(tmp_path / "maps.npy", MAPS)
    found = map_files.read(tmp_path / "maps.npy")
    parts = list(map_streams.chunks(found.maps))
    assert [part.stop - part.start for part in parts] == [5, 5, 5, 5, 3]
    assert list(map_streams.chunks(None)) == []
