import pyarrow as pa

from spm.corpus import clip_reader


def test_solos_of_unknown_category_are_left_out_and_named(capsys):
    rows = pa.table({
        "video_id": ["a", "b", "b", "c", "d"],
        "kind": ["solo", "solo", "solo", "duet", "solo"],
        "categories": [["x"], [], [], [], ["y"]],
    })  # fmt: skip
    assert clip_reader.solos(rows, "mosaics").tolist() == [True, False, False, False, True]
    assert capsys.readouterr().err == "mosaics: without 1 solo of unknown category: b\n"
    assert clip_reader.solos(rows.take([0, 3]), "mosaics").tolist() == [True, False]
    assert capsys.readouterr().err == ""
