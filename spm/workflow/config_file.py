"""config.yaml: its comments, and the settings that it lacks, come from the models.

Values and the order of keys stay as they are.
"""

from collections.abc import Iterator
from textwrap import wrap
from typing import Any, TypeGuard

import yaml

from spm.base import project_files
from spm.fusion import methods
from spm.fusion.methods import METHODS
from spm.fusion.settings import Train
from spm.workflow import schema

FILE = project_files.CONFIG
WIDTH = 100
INDENT = "  "
HEAD = (
    "The experiment of the paper on MUSIC (Li et al., Electronics 2023, 12, 3558). One section per"
    " stage. After a change, only the affected steps run again.",
    "To change settings, write a file of your own with the changed keys only, and pass it:"
    " --configfile mine.yaml",
    "Do not edit the comments here: `make schema` prints them from the models in spm/.",
)


def comment(path: tuple[str, ...]) -> str:
    """Comment on a key, which is given with the keys above it; empty where there is none."""
    section, *keys = path
    if not keys:
        return schema.introduction(section)
    if section in schema.SECTIONS:
        return schema.description(section, keys[0]) if len(keys) == 1 else ""
    if section == "methods" and keys[0] in METHODS:
        if len(keys) == 1:
            return schema.introduction(section, method=keys[0])
        return schema.description(section, keys[1], method=keys[0])
    return ""  # rows of `audio` and `runs`


def _comment_lines(text: str, indent: str = "") -> list[str]:
    mark = f"{indent}# "
    return wrap(
        text,
        WIDTH,
        initial_indent=mark,
        subsequent_indent=mark,
        break_long_words=False,
        break_on_hyphens=False,
    )


def defaults(path: tuple[str, ...]) -> dict[str, Any]:
    """Keys that belong into a mapping of config.yaml, with the values that the models give."""
    if not path:
        return {section: defaults((section,)) for section in schema.SECTIONS}
    if path == ("methods",):
        return {method: defaults(("methods", method)) for method in METHODS}
    section, *keys = path
    if section in schema.SECTIONS and not keys:
        return schema.SECTIONS[section].model_construct().model_dump(mode="json")
    if section == "methods" and len(keys) == 1:
        values = methods.named(keys[0]).Settings.model_construct().model_dump(mode="json")
        return {key: value for key, value in values.items() if key not in Train.model_fields}
    return {}


def _parse(source: str) -> yaml.MappingNode:
    root = yaml.compose(source, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise TypeError(f"config.yaml: expected a mapping, not {root}")
    return root


def _entries(node: yaml.MappingNode, path: tuple[str, ...]) -> list[tuple[str, yaml.Node]]:
    """Keys and values of a mapping, then those of the models that it lacks."""
    entries = [(key.value, value) for key, value in node.value]
    present = {key for key, _ in entries}
    missing = {key: value for key, value in defaults(path).items() if key not in present}
    if missing:
        added = _parse(yaml.safe_dump(missing, sort_keys=False))
        entries += [(key.value, value) for key, value in added.value]
    return entries


def _is_block(node: yaml.Node) -> TypeGuard[yaml.MappingNode]:
    return isinstance(node, yaml.MappingNode) and not node.flow_style


def _value(node: yaml.Node) -> str:
    """A value as its source has it, on one line; a list with dashes gets brackets."""
    if isinstance(node, yaml.SequenceNode) and not node.flow_style:
        return "[" + ", ".join(_value(item) for item in node.value) + "]"
    source = str(node.start_mark.buffer)
    return " ".join(source[node.start_mark.pointer : node.end_mark.pointer].split())


def _lines(node: yaml.MappingNode, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Lines of a mapping: a comment follows its value if the line has room, else it comes first."""
    indent = INDENT * len(path)
    for number, (key, value) in enumerate(_entries(node, path)):
        about = comment((*path, key))
        if not path or (path == ("methods",) and number):
            yield ""
        if _is_block(value):
            yield from _comment_lines(about, indent)
            yield f"{indent}{key}:"
            yield from _lines(value, (*path, key))
            continue
        line = f"{indent}{key}: {_value(value)}"
        with_comment = f"{line}  # {about}"
        if about and len(with_comment) <= WIDTH:
            yield with_comment
        else:
            yield from _comment_lines(about, indent)
            yield line


def render(source: str) -> str:
    """A config file with the comments of the models, and with the settings that it lacks."""
    head = [line for paragraph in HEAD for line in _comment_lines(paragraph)]
    return "\n".join([*head, *_lines(_parse(source))]) + "\n"


def text() -> str:
    """Content of config.yaml."""
    return render(FILE.read_text(encoding="utf-8"))
