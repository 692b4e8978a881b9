"""Imports inside the package point one way, as CONTRIBUTING.md says."""

import ast
from functools import cache
from pathlib import Path

import networkx as nx

ROOT = Path(__file__).parents[1]
# A section imports only itself and the sections before it. Sections on one line do not import
# each other, with the exceptions below.
ORDER = [
    {"base"},
    {"corpus"},
    {"learn"},
    {"boxes"},
    {"audio"},
    {"fusion"},
    {"score"},
    {"report"},
    {"inference", "demo", "workflow"},
    {"cli"},
]
LEVELS = {section: level for level, sections in enumerate(ORDER) for section in sections}


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted((ROOT / "spm").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of the package that a file imports, wherever the import stands."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= submodules & known.keys() or {node.module}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names & known.keys()


@cache
def graph() -> nx.DiGraph:
    """An edge from each module to each module that it imports."""
    known = modules()
    found = nx.DiGraph()
    found.add_nodes_from(known)
    for name, path in known.items():
        found.add_edges_from((name, other) for other in imports(path, known))
    return found


def section(module: str) -> str:
    """The section of a module; the package itself has none."""
    return module.split(".")[1] if "." in module else ""


def test_the_import_graph_has_no_circle():
    circles = [circle for circle in nx.strongly_connected_components(graph()) if len(circle) > 1]
    assert not circles


def test_imports_point_one_way():
    upward = [
        (module, other)
        for module, other in graph().edges
        if section(module) and section(other) and LEVELS[section(module)] < LEVELS[section(other)]
    ]
    assert not upward


def test_every_section_has_its_level():
    assert {section(module) for module in modules()} - {""} == LEVELS.keys()


def test_base_imports_neither_torch_nor_snakemake():
    for module, path in modules().items():
        if section(module) == "base":
            text = path.read_text(encoding="utf-8")
            assert "import torch" not in text, module
            assert "import snakemake" not in text, module
            assert "from snakemake" not in text, module


def test_no_stage_imports_the_run_function_of_another_stage():
    for module, path in modules().items():
        if section(module) in {"inference", "cli", "demo", "workflow"}:
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("spm."):
                assert "run" not in {alias.name for alias in node.names}, module
