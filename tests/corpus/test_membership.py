import hashlib
import json
import os

import pytest

from spm.base.errors import UserError
from spm.base.shards import members, shard_of
from spm.corpus import manifest
from spm.corpus.membership import facts, local_digest, shard_digests, videos

PINNED = {"0000": "cde1a40dad355519", "0001": "043ab195b319b6fb"}  # of ROWS, in two shards
ROWS = [(f"v{n}", f"{n}.mp4", "solo", "violin") for n in range(20)]


@pytest.fixture
def listed(tmp_path):
    manifest.write(tmp_path / "manifest.csv", ROWS)
    return tmp_path / "manifest.csv"


def test_the_digests_are_those_of_the_rows_without_their_positions(listed, tmp_path):
    rows = [(video.shard_key, facts(video)) for video in manifest.read(listed)]
    assert shard_digests(listed, 3, tmp_path / "cache") == members(rows, 3)


def test_a_result_is_used_again_for_the_same_manifest_and_number_of_shards_only(listed, tmp_path):
    cache = tmp_path / "cache"
    first = shard_digests(listed, 3, cache)
    (stored,) = cache.glob("*-3-shards.json")
    text = json.dumps({"stored": "result"})
    stored.write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")
    assert shard_digests(listed, 3, cache) == {"stored": "result"}
    assert shard_digests(listed, 4, cache) not in ({"stored": "result"}, first)
    manifest.write(listed, [*ROWS, ("more", "more.mp4", "solo", "violin")])
    grown = shard_digests(listed, 3, cache)
    assert {name for name in first if grown[name] != first[name]} == {f"{shard_of('more', 3):04d}"}


def test_kept_videos_equal_those_that_are_read_and_a_changed_manifest_is_read_again(tmp_path):
    path, cache = tmp_path / "manifest.csv", tmp_path / "cache"
    lines = ["video_id,url,kind,categories,split", "a,a.mp4,solo,violin,", "b,b.mp4,duet,a b,test"]
    for count in (2, 3):
        path.write_text("\n".join([*lines[:count], f"c{count},ftp://c,solo,cello,val"]))
        for _ in range(2):
            assert videos(path, cache) == manifest.read(path)


def test_the_digests_do_not_depend_on_columns_of_the_user_or_on_the_form_of_the_file(
    listed, tmp_path
):
    own = tmp_path / "own.csv"
    lines = listed.read_text().splitlines()
    rows = [f"mine;{line.replace(',', ';')};" for line in lines[1:]]
    text = "\r\n".join(["notes;" + lines[0].replace(",", ";") + ";;", *rows])
    own.write_bytes(text.encode("utf-16"))
    assert shard_digests(own, 3, tmp_path / "cache") == shard_digests(listed, 3, tmp_path / "cache")


def test_the_digests_of_a_manifest_are_those_of_earlier_versions(listed, tmp_path):
    """Another digest would make every result of every user again."""
    assert shard_digests(listed, 2, tmp_path / "cache") == PINNED


@pytest.mark.parametrize("text", [None, "video_id,url,kind,categories\n", "nonsense\n"])
def test_a_manifest_with_a_fault_is_an_error_each_time_and_nothing_is_stored(tmp_path, text):
    if text is not None:
        (tmp_path / "manifest.csv").write_text(text)
    for _ in range(2):
        with pytest.raises(UserError, match=r"manifest\.csv"):
            shard_digests(tmp_path / "manifest.csv", 3, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_local_video_that_is_replaced_changes_the_digest_of_its_shard(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"first")
    rows = [
        ("a", "a.mp4", "solo", "x"),
        ("b", "b.mp4", "solo", "x"),
        ("c", "jW_AuF6dQYY", "solo", "x"),
    ]
    manifest.write(tmp_path / "manifest.csv", rows)

    def digests() -> list[str]:
        path, cache = tmp_path / "manifest.csv", tmp_path / "cache"
        return [local_digest(path, 64, f"{shard_of(name, 64):04d}", cache) for name in "abc"]

    before = digests()
    assert digests() == before
    (tmp_path / "a.mp4").write_bytes(b"other")
    after = digests()
    assert (after[0] != before[0], after[1:]) == (True, before[1:])
    assert before[2] == ""  # an address
    (tmp_path / "b.mp4").touch()
    assert digests()[1] != before[1]


def test_the_digest_of_local_videos_is_the_same_in_another_folder(tmp_path):
    found = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        (folder / "a.mp4").write_bytes(b"film")
        os.utime(folder / "a.mp4", ns=(1, 1))
        manifest.write(folder / "manifest.csv", [("a", "a.mp4", "solo", "x")])
        found.append(local_digest(folder / "manifest.csv", 1, "0000", tmp_path / "cache"))
    assert found[0] == found[1]
