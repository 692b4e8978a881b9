from pathlib import Path

import networkx as nx

from spm.workflow import diagram

ROOT = Path(__file__).parents[2]
DOT = """
0[label = "all", color = "red"];
1[label = "fetch"];
2[label = "clips"];
3[label = "spectrograms"];
1 -> 2
2 -> 3
1 -> 3
3 -> 0
"""


def test_the_graph_has_the_rules_and_what_they_read_but_not_all():
    graph = diagram.graph_of(DOT)
    assert set(graph.edges) == {
        ("fetch", "clips"),
        ("clips", "spectrograms"),
        ("fetch", "spectrograms"),
    }


def test_a_rule_is_drawn_in_the_column_of_its_section():
    graph = nx.DiGraph([("fetch", "clips"), ("clips", "train"), ("train", "maps")])
    sections = diagram.section_of_rules(ROOT / "rules")
    place = diagram.places(graph, sections)
    assert [place[rule][0] for rule in ("fetch", "clips", "train", "maps")] == [0, 0, 3, 3]
    assert place["fetch"][1] > place["clips"][1], "a column is read from top to bottom"


def test_the_picture_in_the_documentation_shows_every_rule():
    picture = (ROOT / "docs/dag.svg").read_text()
    rules = set(diagram.section_of_rules(ROOT / "rules")) - {"paper", "costs", "mosaics"}
    missing = [rule for rule in rules if f">{rule}<" not in picture]
    assert not missing, "run: make dag"


def test_equal_graphs_give_equal_files(tmp_path, monkeypatch):
    for name in ("a.svg", "b.svg"):
        with (tmp_path / "dot").open("w+") as file:
            file.write(DOT)
            file.seek(0)
            monkeypatch.setattr("sys.stdin", file)
            diagram.main(["--out", str(tmp_path / name), "--rules", str(ROOT / "rules")])
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
