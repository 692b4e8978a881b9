"""Lists and numbers in sentences."""

from collections.abc import Sequence

SHOWN = 3  # names in a message


def alternatives(names: Sequence[str]) -> str:
    """Names with commas and a final "or".

    >>> alternatives(["a", "b", "c"])
    'a, b or c'
    """
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def shown(names: Sequence[object], limit: int = SHOWN) -> str:
    """The first names of a list, and the number of the others.

    >>> shown(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    first = ", ".join(map(str, names[:limit]))
    return f"{first} and {len(names) - limit} more" if len(names) > limit else first


def count(number: int, noun: str) -> str:
    """A number with its noun.

    >>> count(1, "box"), count(2, "box"), count(3, "category")
    ('1 box', '2 boxes', '3 categories')
    """
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y"):
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}{'es' if noun.endswith('x') else 's'}"
