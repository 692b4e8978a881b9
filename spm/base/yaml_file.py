"""Config files in YAML, read without the surprises of YAML 1.1.

Snakemake reads config files with PyYAML. Of equal keys it keeps the last one without a word, and it
reads `no` and `on` as booleans, 011 as 9, 1_000 as 1000, 12:30 as 750 and 2024-01-31 as a date.
Here each of these is an error. As values of a setting, yes, no, on and off remain booleans.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from spm.base import file_kinds
from spm.base.errors import UserError

TAG = "tag:yaml.org,2002:"
PLAIN_TAGS = {f"{TAG}{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")}
NUMBERS = (f"{TAG}int", f"{TAG}float")
TIMESTAMP, MERGE = f"{TAG}timestamp", f"{TAG}merge"
# Numbers that every reader of YAML and JSON reads alike, and infinity and NaN.
DECIMAL = re.compile(
    r"[-+]?(0|[1-9]\d*)?(\.\d*)?(e[-+]?\d+)?|[-+]?\.inf|\.nan", re.ASCII | re.IGNORECASE
)


MOST_NODES = 1_000_000  # values of a config file


class Fault(NamedTuple):
    """A fault of a file."""

    line: int  # 1-based
    message: str


def read(file: Path) -> dict[str, Any]:
    """Content of a config file, YAML or JSON.

    Raises
    ------
    UserError
        One line per fault: the file, the line, the key, what YAML would make of it, the remedy.
    """
    text = _text(file)
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
    except yaml.YAMLError as error:
        raise UserError(f"{file}{_position(error)}; expected YAML") from error
    except RecursionError as error:
        raise UserError(
            f"{file}: lists or mappings too deep in each other; expected YAML"
        ) from error
    if not isinstance(root, yaml.MappingNode):
        found = "a list" if isinstance(root, yaml.SequenceNode) else "text" if root else "nothing"
        raise UserError(
            f"{file}: {found} at the top level; expected sections with settings, as in config.yaml"
        )
    if fault := _alias_fault(root):
        raise UserError(f"{file}: {fault}: write the settings without aliases")
    faults = sorted(_Checker(loader).faults(root, ()), key=lambda fault: fault.line)
    if faults:
        raise UserError("\n".join(f"{file}, line {line}: {text}" for line, text in faults))
    content: dict[str, Any] = loader.construct_document(root)
    return content


def _alias_fault(root: yaml.Node) -> str:
    """What is wrong with the aliases of a file: a few lines may stand for any number of values."""
    try:
        size = _size(root, {})
    except RecursionError:
        return "an alias of the value that it is in"
    return "" if size <= MOST_NODES else f"its aliases stand for more than {MOST_NODES:,} values"


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Number of values in a node, where an alias counts as all that it stands for."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in sizes:
        parts = list(node.value)
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        sizes[id(node)] = 1 + sum(_size(part, sizes) for part in parts)
    return sizes[id(node)]


def check(files: Iterable[Path | str]) -> None:
    """Check config files that another program has read already.

    A pipe, as in `--configfile <(…)`, can't be read again and is not checked.

    Raises
    ------
    UserError
        One line per fault of any of the files.
    """
    messages = []
    for file in filter(Path.is_file, dict.fromkeys(map(Path, files))):
        try:
            read(file)
        except UserError as error:
            messages.append(str(error))
    if messages:
        raise UserError("\n".join(messages))


def _text(file: Path) -> str:
    """Text of a file; JSON without tabs, which PyYAML does not read between its tokens."""
    try:
        content = file.read_bytes()
        if kind := file_kinds.unless_text(content):
            raise UserError(f"{file}: {kind}; expected a config file in YAML")
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UserError(
            f"{file}: cannot be read ({error.strerror}); expected a config file in YAML"
        ) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{file}, line {line}: byte {error.object[error.start]:#04x}; expected UTF-8: save the"
            " file with this encoding"
        ) from error
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text.replace("\t", " ")


def _position(error: yaml.YAMLError) -> str:
    """Line and problem of an error of PyYAML."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    if "'\\t'" in problem:
        problem = "a tab before a key; indent with spaces"
    return f", line {mark.line + 1}: {problem}" if mark else f": {problem}"


class _Checker:
    """Finds the faults of a tree of YAML nodes.

    Parameters
    ----------
    loader : yaml.SafeLoader
        The loader that has composed the nodes.
    """

    def __init__(self, loader: yaml.SafeLoader) -> None:
        self._loader = loader
        self._seen: set[int] = set()  # a node with an anchor occurs at each of its aliases

    def faults(self, node: yaml.Node, path: tuple[str, ...]) -> Iterator[Fault]:
        """Faults of a node at a path of keys, and of all nodes in it."""
        if id(node) in self._seen:
            return
        self._seen.add(id(node))
        if meaning := self._meaning(node):
            yield Fault(_line(node), f"{_key(path)}: {meaning}")
        elif isinstance(node, yaml.MappingNode):
            yield from self._key_faults(node, path)
            for key, value in node.value:
                yield from self.faults(value, (*path, _shown(key)))
        elif isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                yield from self.faults(item, (*path, str(number)))

    def _key_faults(self, node: yaml.MappingNode, path: tuple[str, ...]) -> Iterator[Fault]:
        first: dict[str, int] = {}
        for key, _ in node.value:
            name, line = _shown(key), _line(key)
            if key.tag not in (f"{TAG}str", MERGE):
                value = self._value(key)
                yield Fault(
                    line, f'{_key(path)}: the key {name} is read as {value}: write "{name}"'
                )
            elif name in first:
                yield Fault(
                    line,
                    f"{_key((*path, name))}: line {first[name]} has this key too, and only one of"
                    " them would count: remove one",
                )
            first.setdefault(name, line)

    def _meaning(self, node: yaml.Node) -> str:
        """What YAML makes of a value that it doesn't read as it is written; else empty."""
        if node.tag in NUMBERS and not DECIMAL.fullmatch(node.value):
            return (
                f"{node.value} is read as {self._value(node)}: write the number in decimal digits,"
                f' or "{node.value}" if it is text'
            )
        if node.tag == TIMESTAMP:
            return f'{node.value} is read as a date: write "{node.value}" if it is text'
        tag = node.tag.removeprefix(TAG)
        return "" if node.tag in PLAIN_TAGS else f"tag {tag}; expected a value without tag"

    def _value(self, node: yaml.Node) -> str:
        """What a node is read as, in JSON or in words."""
        if isinstance(node, yaml.ScalarNode) and node.tag in PLAIN_TAGS:
            return json.dumps(self._loader.construct_object(node))
        return f"a {node.tag.removeprefix(TAG)}"


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _key(path: tuple[str, ...]) -> str:
    return ".".join(path) or "the top level"


def _shown(node: yaml.Node) -> str:
    """The text of a key; a list or a mapping is shortened."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) else "[…]"
