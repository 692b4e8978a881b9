import json

import pytest

from spm.base.errors import UserError
from spm.base.shards import members, shard_of
from spm.corpus import manifest
from spm.corpus.membership import shard_digests

ROWS = [(f"v{n}", f"{n}.mp4", "solo", "violin") for n in range(20)]


@pytest.fixture
def listed(tmp_path):
    manifest.write(tmp_path / "manifest.csv", ROWS)
    return tmp_path / "manifest.csv"


def test_the_digests_are_those_of_the_rows_without_their_positions(listed, tmp_path):
    rows = [{**vars(video), "position": None} for video in manifest.read(listed)]
    assert shard_digests(listed, 3, tmp_path / "cache") == members(rows, 3)


def test_a_result_is_used_again_for_the_same_manifest_and_number_of_shards_only(listed, tmp_path):
    cache = tmp_path / "cache"
    first = shard_digests(listed, 3, cache)
    (stored,) = cache.iterdir()
    stored.write_text(json.dumps({"stored": "result"}))
    assert shard_digests(listed, 3, cache) == {"stored": "result"}
    assert shard_digests(listed, 4, cache) not in ({"stored": "result"}, first)
    manifest.write(listed, [*ROWS, ("more", "more.mp4", "solo", "violin")])
    grown = shard_digests(listed, 3, cache)
    assert {name for name in first if grown[name] != first[name]} == {f"{shard_of('more', 3):04d}"}


@pytest.mark.parametrize("text", [None, "video_id,url,kind,categories\n", "nonsense\n"])
def test_a_manifest_with_a_fault_is_an_error_each_time_and_nothing_is_stored(tmp_path, text):
    if text is not None:
        (tmp_path / "manifest.csv").write_text(text)
    for _ in range(2):
        with pytest.raises(UserError, match=r"manifest\.csv"):
            shard_digests(tmp_path / "manifest.csv", 3, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
