"""A digest of a stage's code, so that a change of code reruns exactly the stages that import it.

Comments, docstrings and formatting don't count. Nothing is imported: the source is parsed.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "spm"


def _file_of(module: str) -> Path | None:
    """The source of a module of this package; None for the name of something inside a module."""
    path = ROOT.joinpath(*module.split("."))
    return next((f for f in (path.with_suffix(".py"), path / "__init__.py") if f.is_file()), None)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or ([] if isinstance(node, ast.Module) else [ast.Pass()])
    return tree


def _imports(tree: ast.Module) -> set[str]:
    """Every module of this package that the source names, wherever the import stands."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(
                    f"line {node.lineno}: a relative import escapes the digest; write it in full"
                )
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    ours = {name for name in names if name.split(".")[0] == PACKAGE}
    return {name for each in ours for name in _and_above(each) if _file_of(name)}


def _and_above(module: str) -> list[str]:
    """A module and the packages it lies in, whose __init__ Python runs before it."""
    parts = module.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts) + 1)]


@cache
def _source(module: str) -> tuple[str, frozenset[str]]:
    file = _file_of(module)
    if file is None:
        raise ValueError(f"no module named {module!r} in {ROOT / PACKAGE}")
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    return ast.unparse(_without_docstrings(tree)), frozenset(_imports(tree))


def imported_by(module: str) -> set[str]:
    """The module and all it imports inside this package, directly or not."""
    seen: set[str] = set()
    waiting = _and_above(module)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(_source(name)[1])
    return seen


@cache
def code_digest(module: str) -> str:
    """Digest of what a module's code does: 16 hexadecimal digits."""
    text = "\0".join(f"{name}\0{_source(name)[0]}" for name in sorted(imported_by(module)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
