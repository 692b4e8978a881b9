"""docs/config.md: every key of config.yaml with its values and effect, from the stages' models."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from spm.base.digest import ROOT
from spm.base.validation import expectation
from spm.workflow import config_file
from spm.workflow import schema as models

FILE = ROOT / "docs" / "config.md"
MAX_CHARS = 60  # of a value in the table; longer ones are counted
HEAD = """# Configuration

Every setting of `config.yaml`: the values that are allowed, its value in `config.yaml`, and its
effect. `make schema` prints this page from the models that check the settings.

To change settings, write a file with the changed keys only and pass it: `--configfile mine.yaml`.
`workflow/configs/` has examples. To change one value, use `--config 'train={"epochs": 3}'`. Before
anything runs, the workflow checks all keys and values, and lists all that are wrong with what it
expects. In a file, a key that stands twice is an error; so is a name that YAML would read as
something else (`no` as false, `011` as 9), which needs quotes, and a number in another notation
than the decimal one. [staleness.md](staleness.md) lists the steps that run again after a change.
"""


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text}`" if len(text) <= MAX_CHARS else f"{len(value)} entries"


def _table(
    keys: Mapping[str, Any], schema: Mapping[str, Any], section: str, method: str = ""
) -> Iterator[str]:
    yield "| key | values | in config.yaml | effect |"
    yield "|---|---|---|---|"
    for key, value in keys.items():
        effect = models.description(section, key, method)
        if method and not effect:
            effect = "As in [train](#train)."
        values = expectation(schema["properties"][key])
        cells = [f"`{key}`", values, _value(value), effect]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _methods(sections: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    for method, keys in sections.items():
        yield f"\n### {method}\n\n{models.introduction('methods', method)}\n"
        yield from _table(keys, schema["properties"][method], "methods", method)


def text() -> str:
    """The page."""
    config = yaml.safe_load(config_file.FILE.read_text(encoding="utf-8"))
    schema = models.schema()["properties"]
    lines = [HEAD.rstrip()]
    for section, keys in config.items():
        lines.append(f"\n## {section}\n\n{models.introduction(section)}")
        if section in models.SECTIONS:
            lines += ["", *_table(keys, schema[section], section)]
        elif section == "methods":
            lines += _methods(keys, schema[section])
        else:
            rows = yaml.safe_dump({section: keys}, sort_keys=False).rstrip()
            lines.append(f"\n```yaml\n{rows}\n```")
    return "\n".join(lines) + "\n"
