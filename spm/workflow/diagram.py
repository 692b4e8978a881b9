"""docs/dag.svg: the rules of the workflow as a picture, one column per section.

snakemake all --rulegraph dot | python -m spm.workflow.diagram --out docs/dag.svg

The picture is an SVG file in the documentation, so that it is shown without a network.
"""

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import networkx as nx
from matplotlib.figure import Figure

SECTIONS = ("corpus", "boxes", "audio", "fusion", "score", "report")
COLORS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d5d5d5")  # Okabe and Ito
NODE = re.compile(r'(\d+)\[label = "(\w+)')
EDGE = re.compile(r"(\d+) -> (\d+)")


def graph_of(dot: str) -> nx.DiGraph:
    """Rules and the rules that read their outputs, of a graph in the DOT language.

    >>> sorted(graph_of('0[label = "clips"]; 1[label = "fetch"]; 1 -> 0').edges)
    [('fetch', 'clips')]
    """
    rules = dict(NODE.findall(dot))
    graph = nx.DiGraph((rules[source], rules[target]) for source, target in EDGE.findall(dot))
    graph.remove_nodes_from(["all", "costs"])  # they read everything
    return graph


def section_of_rules(folder: Path) -> dict[str, str]:
    """The section of every rule, by the file of `rules/` that defines it."""
    found = {}
    for section in SECTIONS:
        text = (folder / f"{section}.smk").read_text(encoding="utf-8")
        found.update(dict.fromkeys(re.findall(r"^rule (\w+):", text, re.M), section))
    return found


def places(graph: nx.DiGraph, sections: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    """Column and height of every rule: a column per section, in the order of the data flow."""
    columns: dict[str, list[str]] = defaultdict(list)
    for rule in nx.lexicographical_topological_sort(graph):
        columns[sections[rule]].append(rule)
    found = {}
    for x, section in enumerate(SECTIONS):
        height = len(columns[section])
        for number, rule in enumerate(columns[section]):
            found[rule] = (float(x), (height - 1) / 2 - number)
    return found


def _arrows(graph: nx.DiGraph) -> Iterator[tuple[str, str]]:
    """Edges that no longer path implies: with all of them the picture could not be read."""
    yield from sorted(nx.transitive_reduction(graph).edges)


def draw(graph: nx.DiGraph, sections: Mapping[str, str]) -> Figure:
    """Draw the rules as boxes and what they read as arrows."""
    place = places(graph, sections)
    tallest = max(abs(y) for _, y in place.values())
    figure = Figure(figsize=(13, 1.1 * tallest + 1.6))
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    axes.set_axis_off()
    axes.set_xlim(-0.5, len(SECTIONS) - 0.5)
    axes.set_ylim(-tallest - 0.6, tallest + 1.3)
    boxes = {}
    for rule, (x, y) in place.items():
        color = COLORS[SECTIONS.index(sections[rule])]
        style = {"boxstyle": "round,pad=0.45", "facecolor": color, "edgecolor": "#333333"}
        boxes[rule] = axes.text(x, y, rule, ha="center", va="center", fontsize=11, bbox=style)
    for source, target in _arrows(graph):
        distance = abs(place[source][1] - place[target][1])
        skips_a_rule = sections[source] == sections[target] and distance > 1
        ends = {"patchA": boxes[source].get_bbox_patch(), "patchB": boxes[target].get_bbox_patch()}
        line = {"color": "#555555", "shrinkA": 0, "shrinkB": 1, **ends}
        line["connectionstyle"] = f"arc3,rad={0.7 if skips_a_rule else 0.04}"
        # The line lies under the boxes that it crosses, its head over the box where it ends.
        for arrow_style, width, layer in (("-", 1.0, 1), ("-|>", 0.0, 4)):
            arrow = {**line, "arrowstyle": arrow_style, "linewidth": width}
            axes.annotate("", place[target], place[source], arrowprops=arrow, zorder=layer)
    for x, section in enumerate(SECTIONS):
        axes.text(x, tallest + 0.9, section, ha="center", fontsize=13, weight="bold")
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """Read a graph in the DOT language from standard input and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the SVG file")
    parser.add_argument("--rules", type=Path, default=Path("rules"), help="folder of the rules")
    given = parser.parse_args(arguments)
    graph = graph_of(sys.stdin.read())
    figure = draw(graph, section_of_rules(given.rules))
    # Equal graphs give equal files, with text that can be searched.
    with mpl.rc_context({"svg.hashsalt": "spm", "svg.fonttype": "none"}):
        figure.savefig(given.out, metadata={"Date": None})


if __name__ == "__main__":
    main()
