from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spm.corpus.ids import sanitize_id, unique_ids
from spm.corpus.manifest import write

FILE_NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)


@pytest.mark.slow
@given(st.lists(FILE_NAMES, min_size=1))
def test_every_file_gets_a_valid_id_of_its_own(tmp_path_factory, names):
    files = [Path("violin" if n % 2 else "cello", f"{name}.mp4") for n, name in enumerate(names)]
    ids = unique_ids(files)
    assert len(ids) == len(names)
    path = tmp_path_factory.mktemp("made") / "manifest.csv"
    videos = write(path, [(video_id, "x.mp4", "solo", "violin") for video_id in ids])
    assert [video.video_id for video in videos] == ids


@pytest.mark.parametrize(
    "name", ["jW_AuF6dQYY", "-DlGdZNAsxA", "violin-01", "violin+acoustic_guitar-01", "déjà"]
)
def test_a_valid_name_is_its_own_id(name):
    assert sanitize_id(name) == name
