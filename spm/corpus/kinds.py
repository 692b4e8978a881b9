"""Kinds of videos, and the number of categories that each needs."""

import re
from collections.abc import Sequence

from spm.base.errors import UserError
from spm.base.statuses import Kind
from spm.base.words import alternatives, did_you_mean
from spm.corpus.ids import SHOWN_CHARS

# Number of categories of a kind; an ensemble may have any number. No category: unknown sources.
CATEGORY_COUNT = {"solo": 1, "duet": 2, "trio": 3, "quartet": 4, "quintet": 5}
ENSEMBLES = ("trio", "quartet", "quintet")  # other names of the kind
NUMBERS = ("no", "one", "two different", "three different", "four different", "five different")


def kind_of(name: str) -> str:
    """The kind that a name means; other words stay as they are."""
    return Kind.ENSEMBLE if name in ENSEMBLES else name


def check_categories(kind: str, categories: Sequence[str]) -> None:
    """Raise a `UserError` when a kind is unknown, or has other categories than it needs.

    No categories are allowed for every kind: nobody says what sounds.
    """
    if kind not in (*Kind, *ENSEMBLES):
        expected = alternatives(list(Kind)) + did_you_mean(kind, Kind)
        raise UserError(f"kind {kind[:SHOWN_CHARS]!r}: expected {expected}")
    count = CATEGORY_COUNT.get(kind, len(categories))
    if categories and not len(set(categories)) == len(categories) == count:
        shown = " ".join(categories)[:SHOWN_CHARS]
        number = NUMBERS[count] if kind in CATEGORY_COUNT else "different"
        noun = "category" if count == 1 else "categories"
        raise UserError(
            f"categories {shown!r}: expected {number} {noun} for a {kind} (separate names by"
            " spaces; an ensemble may have any number), or none if"
            " they are unknown"
        )
    if odd := [name for name in categories if not re.fullmatch(r"\w[\w.-]*", name)]:
        raise UserError(
            f"categories {odd[0][:SHOWN_CHARS]!r}: expected a letter or digit, then letters, digits"
            " and - _ ."
        )
