from hypothesis import given
from hypothesis import strategies as st

from spm.base.shards import members, membership, name_of, shard_of, table_of

ids = st.lists(st.text("abcdef-_0123456789", min_size=1, max_size=11), unique=True, max_size=40)


@given(ids, st.integers(1, 64))
def test_every_video_is_in_one_shard_and_stays_there_when_videos_are_added(videos, shards):
    before = {video: shard_of(video, shards) for video in videos}
    assert all(0 <= shard < shards for shard in before.values())
    assert {video: shard_of(video, shards) for video in [*videos, "one-more"]} | before == {
        **before,
        "one-more": shard_of("one-more", shards),
    }


@given(ids, st.integers(1, 64))
def test_a_new_video_changes_the_digest_of_its_shard_only(videos, shards):
    rows = [(video, {"video_id": video, "kind": "solo"}) for video in videos]
    before = members(rows, shards)
    after = members([*rows, ("one more", {"video_id": "one more", "kind": "solo"})], shards)
    assert {name for name in after if after[name] != before.get(name)} == {
        name_of(shard_of("one more", shards))
    }


@given(st.permutations([{"video_id": str(n), "url": "u"} for n in range(6)]))
def test_the_digest_depends_on_the_content_of_rows_and_not_on_their_order(rows):
    same = membership([{"video_id": str(n), "url": "u"} for n in range(6)])
    assert membership(rows) == same
    assert membership([{**rows[0], "url": "v"}, *rows[1:]]) != same


def test_names_sort_like_numbers(tmp_path):
    assert sorted(map(name_of, (10, 9, 9999, 0))) == ["0000", "0009", "0010", "9999"]
    assert table_of(tmp_path, 7) == tmp_path / "0007.parquet"
