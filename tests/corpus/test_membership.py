import json

import pytest

from spm.base.config import UserError
from spm.base.shards import members, shard_of
from spm.corpus import manifest
from spm.corpus.membership import of_list

ROWS = [(f"v{n}", f"{n}.mp4", "solo", "violin") for n in range(20)]


@pytest.fixture
def listed(tmp_path):
    manifest.write(tmp_path / "manifest.csv", ROWS)
    return tmp_path / "manifest.csv"


def test_the_shards_of_a_list_are_those_of_its_rows(listed, tmp_path):
    rows = [{**vars(video), "position": None} for video in manifest.read(listed)]
    assert of_list(listed, 3, tmp_path / "kept") == members(rows, 3)


def test_an_answer_is_kept_for_the_same_list_and_no_other(listed, tmp_path):
    first = of_list(listed, 3, tmp_path / "kept")
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_text(json.dumps({"kept": "answer"}))
    assert of_list(listed, 3, tmp_path / "kept") == {"kept": "answer"}
    assert of_list(listed, 4, tmp_path / "kept") not in ({"kept": "answer"}, first)
    manifest.write(listed, [*ROWS, ("more", "more.mp4", "solo", "violin")])
    grown = of_list(listed, 3, tmp_path / "kept")
    assert {name for name in first if grown[name] != first[name]} == {f"{shard_of('more', 3):04d}"}


@pytest.mark.parametrize("text", [None, "video_id,url,kind,categories\n", "nonsense\n"])
def test_a_list_that_cannot_be_read_is_said_each_time(tmp_path, text):
    if text is not None:
        (tmp_path / "manifest.csv").write_text(text)
    for _ in range(2):
        with pytest.raises(UserError, match=r"manifest\.csv"):
            of_list(tmp_path / "manifest.csv", 3, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
