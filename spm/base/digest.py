"""Digest of a stage's code, so that a change of code reruns exactly the stages that import it.

Comments, docstrings, formatting and descriptions of settings and columns do not count. No module is
imported: the sources are parsed.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "spm"
WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
DESCRIPTION = "description"  # keyword argument that no job depends on, as in Field(description=…)


def _source_file(module: str) -> Path | None:
    """Source file of a module of this package; None where the name is no module."""
    path = ROOT.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def _without_texts(tree: ast.Module) -> ast.Module:
    """The same code without docstrings and without keyword arguments named `description`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != DESCRIPTION]
        elif isinstance(node, WITH_DOCSTRING) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or ([] if isinstance(node, ast.Module) else [ast.Pass()])
    return tree


def _with_parents(module: str) -> list[str]:
    """A module and the packages it lies in, whose __init__ Python runs first."""
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _statements(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All statements, also inside others; expressions, which are most of a tree, are left out."""
    for statement in body:
        yield statement
        for inner in ("body", "orelse", "handlers", "finalbody", "cases"):
            yield from _statements(getattr(statement, inner, ()))


def _imported_names(tree: ast.Module) -> set[str]:
    """Every name that an import statement gives, also inside functions."""
    names: set[str] = set()
    for node in _statements(tree.body):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(
                    f"line {node.lineno}: relative import; expected an absolute one,"
                    " because the digest does not follow relative imports"
                )
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def _imported_modules(tree: ast.Module) -> set[str]:
    """Modules of this package that the source imports, and the packages they lie in."""
    modules: set[str] = set()
    for name in _imported_names(tree):
        if name.split(".")[0] == PACKAGE:
            modules |= {parent for parent in _with_parents(name) if _source_file(parent)}
    return modules


@cache
def _source(module: str) -> tuple[str, frozenset[str]]:
    """Code of a module without its texts, and the modules that it imports."""
    file = _source_file(module)
    if file is None:
        raise ValueError(f"no module named {module!r} in {ROOT / PACKAGE}")
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    modules = frozenset(_imported_modules(tree))
    return ast.unparse(_without_texts(tree)), modules


def imported_by(module: str) -> set[str]:
    """The module and all modules of this package that it imports, directly or not."""
    visited: set[str] = set()
    waiting = _with_parents(module)
    while waiting:
        name = waiting.pop()
        if name not in visited:
            visited.add(name)
            waiting.extend(_source(name)[1])
    return visited


@cache
def code_digest(module: str) -> str:
    """Digest of a module's code and of the code it imports: 16 hexadecimal digits."""
    text = "\0".join(f"{name}\0{_source(name)[0]}" for name in sorted(imported_by(module)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
