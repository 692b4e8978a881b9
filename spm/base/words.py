"""Lists, numbers and mistyped names in sentences."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

SHOWN = 3  # names in a message
MOST_NAMES = 12  # of a list with all that is possible, if one of them was surely meant
FIRST_NAMES = 4  # of a longer one
SIMILAR = 0.6  # from which a name is taken for a mistyped one
SYNONYMS = {"gpu": "cuda"}  # words that users write, and the value that they mean


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


def closest(name: str, names: Iterable[str], similarity: float = SIMILAR) -> str | None:
    """The most similar of some names, whatever its case; None if no name is similar.

    >>> closest("Epcohs", ["batch", "epochs"])
    'epochs'
    """
    by_word = {known.lower(): known for known in names}
    word = SYNONYMS.get(name.lower(), name.lower())
    found = get_close_matches(word, by_word, 1, similarity)
    return by_word[found[0]] if found else None


def did_you_mean(name: object, names: Iterable[str]) -> str:
    """A question with the most similar of some names, to end a message; empty without one.

    >>> did_you_mean("solos", ["solo", "duet"])
    '; did you mean solo?'
    """
    found = closest(name, names) if isinstance(name, str) else None
    return f"; did you mean {found}?" if found and found != name else ""


def one_of(name: object, names: Iterable[str]) -> str:
    """What a name can be, and which of the names was meant; a long list is cut if that is known.

    >>> one_of("solos", ["solo", "duet"])
    'expected one of solo, duet; did you mean solo?'
    """
    known = list(names)
    question = did_you_mean(name, known)
    limit = FIRST_NAMES if question and len(known) > MOST_NAMES else len(known)
    return f"expected one of {shown(known, limit)}{question}"
