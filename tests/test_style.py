"""Rules of style that ruff does not know.

python tests/test_style.py spm/corpus tests/corpus     checks folders and files, prints each fault

No function body over 40 lines, no comprehension inside another one, no class name twice in the
package with different meanings, and none of the names that older versions used in place of the
field's terms.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_LINES = 40  # of a function, its docstring not counted
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
# Each method of spm/fusion/methods has these, by design.
PER_METHOD = {"Settings", "Network", "Trainer"}
# Identifiers that say nothing of what they hold, or that only this project used.
FORMER_NAMES = {
    "where", "how", "random", "at", "said", "heard", "several", "some", "Door", "Visit", "opened",
    "reach", "Site", "Verdict", "recall", "remember", "stands", "TooLong", "apart", "together",
    "is_first", "ahead", "squeezed", "thinned", "Examples", "Desk", "Following", "Wanted",
    "Lesson", "descend", "one_pass", "hear_all", "learnt", "wants", "lasts", "strangers",
    "one_each", "Located", "siblings", "company", "Drawn", "Stored", "Seen", "beyond", "sees",
    "area_of_each", "silent_mean", "haste", "Localiser", "untracked", "beside", "of_run", "dark",
}  # fmt: skip
# Names of a library's interface: NumPy's and torch's `random`, `torch.Tensor.where`, and the like.
FOREIGN = {"random", "where", "at", "how"}


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, from `def` to its end, without the docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        docstring = function.body[0]
        lines -= docstring.end_lineno - docstring.lineno + 1
    return lines


def long_functions(nodes: Sequence[ast.AST]) -> Iterator[str]:
    """Functions with more lines than MOST_LINES, methods and inner ones included."""
    for node in nodes:
        if isinstance(node, FUNCTIONS) and length(node) > MOST_LINES:
            yield f"{node.lineno}: {node.name} has {length(node)} lines"


def nested_comprehensions(nodes: Sequence[ast.AST]) -> Iterator[str]:
    """Comprehensions inside another comprehension, and comprehensions with two loops."""
    for node in nodes:
        if not isinstance(node, COMPREHENSIONS):
            continue
        inner = [part for part in ast.walk(node) if isinstance(part, COMPREHENSIONS)]
        if len(inner) > 1:
            yield f"{node.lineno}: a comprehension inside a comprehension"


def identifiers(nodes: Sequence[ast.AST]) -> Iterator[tuple[int, str]]:
    """Every name that a module defines: variables, arguments, functions, classes, attributes."""
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            yield node.lineno, node.name
        elif isinstance(node, ast.Attribute) and node.attr not in FOREIGN:
            yield node.lineno, node.attr


def former_names(nodes: Sequence[ast.AST]) -> Iterator[str]:
    """Names of FORMER_NAMES that are still defined or used."""
    for line, name in identifiers(nodes):
        if name in FORMER_NAMES:
            yield f"{line}: the name {name!r}"


def faults(path: Path) -> list[str]:
    """All faults of one file, each with its place."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))))
    checks = (long_functions, nested_comprehensions, former_names)
    return [f"{path.relative_to(ROOT)}:{fault}" for check in checks for fault in check(nodes)]


def sources(*folders: str) -> list[Path]:
    """Python files of folders of the project, and files named themselves."""
    found = []
    for folder in folders:
        place = ROOT / folder
        found += [place] if place.is_file() else sorted(place.rglob("*.py"))
    return found


@pytest.mark.parametrize("folder", ["spm", "tests", "benchmarks"])
def test_the_sources_follow_the_style(folder):
    found = [fault for path in sources(folder) for fault in faults(path)]
    assert not found, "\n".join(found)


def test_no_class_name_has_two_meanings():
    places = defaultdict(list)
    for path in sources("spm"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name not in PER_METHOD:
                places[node.name].append(str(path.relative_to(ROOT)))
    assert not {name: found for name, found in places.items() if len(found) > 1}


def main(folders: Sequence[str]) -> int:
    """Print the faults of the folders; the number of them."""
    found = [fault for path in sources(*folders) for fault in faults(path)]
    print("\n".join([*found, f"{len(found)} faults"]))
    return len(found)


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
