"""For docs/api.md: the paragraph `Source: …` of a docstring is a section of its own.

NumPy's style has no such section, so that the paragraph would belong to the one before it.
"""

from typing import Any

import griffe

LINE = "\n\nSource: "


class Sources(griffe.Extension):
    """Give every `Source: …` the head of a section."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of a module, class or function."""
        if obj.docstring and LINE in obj.docstring.value:
            obj.docstring.value = obj.docstring.value.replace(LINE, "\n\nSource\n------\n")
