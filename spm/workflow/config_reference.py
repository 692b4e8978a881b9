"""docs/config.md: every key of config.yaml with what it may be, its value there, and its effect.

python -m spm.workflow.config_reference

What a key may be is said by the stages' models; its effect by the comment beside it, which has to be there.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from spm.workflow import schema as generate

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "config.md"
LINE = re.compile(r"^(?P<indent> *)(?P<key>[\w-]+):(?P<value>.*?)(?: # (?P<said>.*))?$")
LONG = 60  # characters of a value; what is longer is counted
HEAD = """# Configuration

Made by `python -m spm.workflow.config_reference` from the models that check `config.yaml` and from the comments in it. One
section a stage, and a few that several share. Lay a file of your own over it, `--configfile mine.yaml`, with nothing in
it but what differs; `workflow/configs/` has examples. A single value: `--config 'train={"epochs": 3}'`. A key or a
value that isn't meant stops before anything runs, with what was expected. What a change reruns:
[staleness.md](staleness.md).
"""


def comments(text: str) -> dict[str, str]:
    r"""What is said beside each key, by its dotted path.

    >>> comments("a: # of all\n  b: 1 # px\n  c:\n    d: 2\n")
    {'a': 'of all', 'a.b': 'px', 'a.c': '', 'a.c.d': ''}
    """
    path: list[tuple[int, str]] = []
    found = {}
    for line in map(LINE.match, text.splitlines()):
        if line:
            depth = len(line["indent"])
            path = [(indent, key) for indent, key in path if indent < depth] + [
                (depth, line["key"])
            ]
            found[".".join(key for _, key in path)] = line["said"] or ""
    return found


def kind(part: Mapping[str, Any]) -> str:
    """What a value may be, in words.

    >>> kind({"type": "integer", "minimum": 1})
    'whole number ≥ 1'
    >>> kind({"anyOf": [{"type": "number"}, {"type": "null"}]})
    'number or null'
    """
    if "anyOf" in part:
        return " or ".join(kind(one) for one in part["anyOf"])
    if "enum" in part or "const" in part:
        return ", ".join(f"`{value}`" for value in part.get("enum", [part.get("const")]))
    if part.get("type") == "array":
        return f"list of {kind(part['items'])}"
    names = {
        "integer": "whole number",
        "string": "text",
        "boolean": "true or false",
        "object": "mapping",
    }
    bounds = [
        f"{sign} {part[name]:g}"
        for name, sign in {
            "minimum": "≥",
            "exclusiveMinimum": ">",
            "maximum": "≤",
            "exclusiveMaximum": "<",
        }.items()
        if name in part
    ]
    return " ".join([names.get(part["type"], part["type"]), *[", ".join(bounds)] * bool(bounds)])


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text}`" if len(text) <= LONG else f"{len(value)} entries"


def _rows(
    where: str, keys: Mapping[str, Any], schema: Mapping[str, Any], said: Mapping[str, str]
) -> Iterator[str]:
    yield "| key | may be | here | what it does |"
    yield "|---|---|---|---|"
    for key, value in keys.items():
        effect = said[f"{where}.{key}"] or (
            "as in [train](#train)" if where.startswith("methods.") else ""
        )
        yield f"| `{key}` | {kind(schema['properties'][key])} | {_value(value)} | {effect} |"


def _section(
    where: str, keys: Mapping[str, Any], schema: Mapping[str, Any], said: Mapping[str, str]
) -> Iterator[str]:
    level = "##" if "." not in where else "###"
    yield f"\n{level} {where.rsplit('.', 1)[-1]}\n"
    if said[where]:
        yield f"{said[where][0].upper()}{said[where][1:]}.\n"
    yield from _rows(where, keys, schema, said)


def text() -> str:
    """The page."""
    source = (ROOT / "config.yaml").read_text(encoding="utf-8")
    config, said, schema = yaml.safe_load(source), comments(source), generate.schema()["properties"]
    lines = [HEAD.rstrip()]
    for section, keys in config.items():
        if section == "methods":
            lines += ["\n## methods\n", f"{said['methods'][0].upper()}{said['methods'][1:]}."]
            for method, own in keys.items():
                lines += _section(
                    f"methods.{method}", own, schema["methods"]["properties"][method], said
                )
        elif section in ("audio", "runs"):
            lines += [f"\n## {section}\n", f"{said[section][0].upper()}{said[section][1:]}.\n"]
            lines += ["```yaml", yaml.safe_dump({section: keys}, sort_keys=False).rstrip(), "```"]
        else:
            lines += _section(section, keys, schema[section], said)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
