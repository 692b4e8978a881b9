from collections import Counter
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spm.base import schemas, tables
from spm.base.errors import UserError
from spm.base.shards import shard_of, table_of
from spm.corpus.index import Index, run, splits
from spm.corpus.manifest import Video

SHARDS = 3


def video(
    number: int, category: str = "flute", kind: str = "solo", split: str | None = None
) -> Video:
    categories = tuple(category.split())
    return Video(f"{category.replace(' ', '-')}-{number}", "v.mp4", kind, categories, split, number)


def corpus(folder, videos, available, level=-20.0):
    """The tables of the stage clips: two clips per video, the second one quiet."""
    lines = [
        f"{v.video_id},{v.url},{v.kind},{' '.join(v.categories)},{v.split or ''}" for v in videos
    ]
    (folder / "manifest.csv").write_text(
        "\n".join(["video_id,url,kind,categories,split", *lines]) + "\n"
    )
    for shard in range(SHARDS):
        ids = sorted(v.video_id for v in videos if shard_of(v.video_id, SHARDS) == shard)
        clips = [
            {"clip_id": f"{name}_{s}", "video_id": name, "start_s": s, "rms_db": level - 50 * s}
            for name in ids
            if name in available
            for s in (0, 1)
        ]
        status = [
            {"video_id": name, "status": "ok" if name in available else "missing"} for name in ids
        ]
        tables.write_rows(table_of(folder / "clips", shard), schemas.CLIPS, clips)
        tables.write_rows(table_of(folder / "videos", shard), schemas.VIDEOS, status)
    return {
        "manifest": folder / "manifest.csv",
        "shards": SHARDS,
        "videos": folder / "videos",
        "clips": folder / "clips",
        "out": folder / "index.parquet",
        "coverage_table": folder / "coverage.csv",
    }


def test_first_five_and_two_are_positions_of_each_category_and_pair():
    videos = [video(n) for n in range(7)] + [video(n, "violin") for n in range(3)]
    videos += [video(n, "flute violin", "duet") for n in range(4)]
    split = splits(videos, set(), Index())
    assert [v.video_id for v in videos if split[v.video_id] == "test"] == [
        *(f"flute-{n}" for n in range(5)),
        *(f"violin-{n}" for n in range(3)),
        *(f"flute-violin-{n}" for n in range(2)),
    ]


@given(st.sets(st.integers(0, 19)), st.integers(0, 6), st.integers(0, 3))
def test_drop_ignores_what_is_missing_and_replace_keeps_the_size_of_the_test_set(
    missing, tests, vals
):
    videos = [video(n) for n in range(20)]
    available = {v.video_id for v in videos if v.position not in missing}
    config = Index(test_solos=tests, val_solos=vals)
    dropped = splits(videos, available, config)
    assert dropped == splits(videos, set(), config)
    replaced = splits(videos, available, config.model_copy(update={"missing": "replace"}))
    found = [replaced[v.video_id] for v in videos if v.video_id in available]
    assert found == (["test"] * tests + ["val"] * vals + ["train"] * 20)[: len(found)]


def names(split, wanted="test"):
    return [name for name, value in split.items() if value == wanted]


@pytest.mark.parametrize(("listed", "tested"), [(2, 1), (5, 1), (6, 2), (11, 3)])
def test_auto_takes_the_first_of_each_five_videos_of_a_category(listed, tested):
    split = splits([video(n) for n in range(listed)], set(), Index(test_solos="auto"))
    assert names(split) == [f"flute-{5 * n}" for n in range(tested)]
    assert set(split.values()) == {"test", "train"}


def test_auto_trains_on_the_only_video_of_a_category_except_of_each_fifth_category():
    videos = [video(0, name) for name in "abcdef"] + [video(n) for n in range(3)]
    split = splits(videos, set(), Index(test_solos="auto"))
    assert names(split) == ["a-0", "f-0", "flute-0"]


def test_auto_leaves_a_video_of_each_category_for_training_beside_validation():
    videos = [video(n, name) for name in ("flute", "violin") for n in range(2)]
    split = splits([*videos, video(2)], set(), Index(test_solos="auto", val_solos=4))
    assert names(split, "val") == ["flute-1"]
    assert names(split, "train") == ["violin-1", "flute-2"]


def test_auto_of_duets_counts_pairs_and_leaves_solos_alone():
    duets = [video(n, "flute violin", "duet") for n in range(2)] + [video(0, "tuba flute", "duet")]
    config = Index(test_solos=0, test_duets="auto")
    assert names(splits([video(0), *duets], set(), config)) == ["flute-violin-0"]


def of_categories(categories):
    """A video per name, numbered by category."""
    count = Counter()
    for name in categories:
        yield video(count[name], name)
        count[name] += 1


CATEGORIES = st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=40)


@given(CATEGORIES, st.integers(0, 3))
def test_auto_tests_and_trains_on_each_category_of_two_videos_or_more(categories, vals):
    videos = list(of_categories(categories))
    split = splits(videos, set(), Index(test_solos="auto", val_solos=vals))
    assert 1 <= len(names(split)) < len(videos)
    for category, number in Counter(categories).items():
        found = {split[f"{category}-{n}"] for n in range(number)}
        assert number == 1 or {"test", "train"} <= found


@given(CATEGORIES, CATEGORIES)
def test_auto_keeps_the_test_videos_when_videos_are_added(before, added):
    config = Index(test_solos="auto")
    first = splits(list(of_categories(before)), set(), config)
    then = splits(list(of_categories(before + added)), set(), config)
    assert set(names(first)) <= set(names(then))


@given(st.sets(st.integers(0, 11)))
def test_auto_with_replace_splits_the_available_videos_as_if_no_other_was_listed(missing):
    videos = [video(n, name) for name in ("flute", "violin") for n in range(6)]
    there = [v for number, v in enumerate(videos) if number not in missing]
    config = Index(test_solos="auto", missing="replace")
    split = splits(videos, {v.video_id for v in there}, config)
    alone = splits(there, set(), Index(test_solos="auto"))
    assert {v.video_id: split[v.video_id] for v in there} == alone


def test_windows_of_one_video_are_in_the_split_of_the_first():
    windows = [
        replace(
            video(n), url=f"https://example.org/{n % 2}.mp4", start_s=10.0 * n, end_s=10.0 * n + 5
        )
        for n in range(8)
    ]
    split = splits(windows, set(), Index(test_solos=1))
    assert names(split) == ["flute-0", "flute-2", "flute-4", "flute-6"]
    explicit = [*windows[:2], replace(windows[2], split="val")]
    assert splits(explicit, set(), Index(test_solos=1))["flute-2"] == "val"


def test_ensembles_and_videos_of_unknown_categories_are_for_training_unless_listed_otherwise():
    unknown = [replace(video(n), categories=()) for n in range(3)]
    ensembles = [video(n, "flute tuba cello", "ensemble") for n in range(2)]
    tested = replace(video(9, "flute tuba cello", "ensemble"), split="test")
    split = splits([*unknown, *ensembles, tested], set(), Index(test_solos="auto", val_solos=1))
    assert names(split) == ["flute-tuba-cello-9"]
    assert names(split, "train") == ["flute-0", "flute-1", "flute-2", "flute-tuba-cello-0",
                                     "flute-tuba-cello-1"]  # fmt: skip


def test_windows_are_found_in_the_shard_of_their_video(tmp_path):
    url = "https://www.youtube.com/watch?v=jW_AuF6dQYY"
    rows = [f"a_{n},{url},solo,flute,{n},{n + 2}" for n in range(4)]
    header = "video_id,url,kind,categories,start_s,end_s"
    (tmp_path / "manifest.csv").write_text("\n".join([header, *rows]) + "\n")
    shard = shard_of(url, SHARDS)
    names_of = [f"a_{n}" for n in range(4)]
    clip = {"start_s": 0.5, "rms_db": -20.0}
    clips = [{"clip_id": f"{name}_0", "video_id": name, **clip} for name in names_of]
    videos = [{"video_id": name, "status": "ok"} for name in names_of]
    tables.write_rows(table_of(tmp_path / "clips", shard), schemas.CLIPS, clips)
    tables.write_rows(table_of(tmp_path / "videos", shard), schemas.VIDEOS, videos)
    run(
        Index(), manifest=tmp_path / "manifest.csv", shards=SHARDS, videos=tmp_path / "videos",
        clips=tmp_path / "clips", out=tmp_path / "index.parquet",
        coverage_table=tmp_path / "coverage.csv",
    )  # fmt: skip
    assert tables.read(tmp_path / "index.parquet")["shard"].to_pylist() == [shard] * 4


def test_a_split_in_the_manifest_wins():
    split = splits([video(0, split="train"), video(9, split="test")], set(), Index())
    assert split == {"flute-0": "train", "flute-9": "test"}


def test_every_clip_is_a_row_that_says_where_it_lies(tmp_path):
    videos = [video(n) for n in range(8)] + [video(n, "flute violin", "duet") for n in range(3)]
    available = {v.video_id for v in videos} - {"flute-1", "flute-6"}
    paths = corpus(tmp_path, videos, available)
    run(Index(min_rms_db=-60), **paths)
    rows = tables.read(paths["out"]).to_pylist()
    assert {row["video_id"] for row in rows} == available
    assert len(rows) == 2 * len(available)
    for row in rows:
        shard = tables.read(table_of(paths["clips"], row["shard"]), ["clip_id"])
        assert shard["clip_id"][row["row"]].as_py() == row["clip_id"]
        assert row["audible"] == row["clip_id"].endswith("_0")
    coverage = pd.read_csv(paths["coverage_table"]).set_index(["kind", "categories", "split"])
    assert coverage.loc[("solo", "flute", "test")].tolist() == [5, 4, 8, 4]
    assert coverage.loc[("solo", "flute", "train")].tolist() == [3, 2, 4, 2]
    assert coverage["listed"].sum() == len(videos)


def test_too_few_available_videos_stop_the_run_with_the_remedy(tmp_path):
    videos = [video(n) for n in range(10)]
    paths = corpus(tmp_path, videos, {"flute-0", "flute-1"})
    with pytest.raises(UserError, match=r"only 2 of 10 videos are available.*30%.*make retry"):
        run(Index(), **paths)
    run(Index(min_available=0.2), **paths)
