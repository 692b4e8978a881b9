"""Things that AudioSet hears and ImageNet sees: the table between the classes of both.

python -m spm.learn.sounding_things     print pairs of classes with a word in common, and whether
                                        the table has them

The table, sounding_things.csv, was written from such pairs and from both lists of classes, and
checked by a person. It was fixed before anything was scored with it. Its columns:

thing     name, as in categories of videos
aliases   other names of such categories
audioset  classes that name the thing's own sound
parents   more general classes: the thing is one of their members
imagenet  classes that show the thing, or one that looks like it (a clarinet: oboe). Empty: ImageNet
          has no such class. `first .. last` is a range of classes.

AudioSet's classes that are in no row have no source that can be seen: silence, noise, wind, genres
of music, the acoustics of a room.
"""

import csv
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from spm.learn import efficientnet, yamnet

FILE = "sounding_things.csv"
SEPARATOR, RANGE = "; ", " .. "
STOP_WORDS = {"and", "of", "the", "or", "sound", "etc"}


class Thing(NamedTuple):
    """A thing that makes a sound."""

    name: str
    aliases: tuple[str, ...]
    audioset: tuple[int, ...]  # indices of AudioSet's classes
    imagenet: tuple[int, ...]  # indices of ImageNet's classes; empty: it has none
    parents: tuple[int, ...] = ()  # indices of AudioSet's more general classes


@cache
def things() -> tuple[Thing, ...]:
    """The rows of the table.

    Raises
    ------
    ValueError
        If the table names an unknown class, or a name twice.
    """
    with (files("spm.learn") / FILE).open(encoding="utf-8") as file:
        return parse(list(csv.DictReader(file)))


def parse(rows: Sequence[dict[str, str]]) -> tuple[Thing, ...]:
    """Things of the rows of a table, checked."""
    sounds, images = yamnet.class_names(), efficientnet.class_names()
    parsed = []
    for row in rows:
        thing = Thing(
            row["thing"],
            tuple(_split(row["aliases"])),
            _indices(row["audioset"], sounds, row["thing"]),
            _indices(row["imagenet"], images, row["thing"]),
            _indices(row["parents"], sounds, row["thing"]),
        )
        if not thing.audioset:
            raise ValueError(f"{FILE}: {thing.name} has no class of AudioSet")
        parsed.append(thing)
    _check_unique(parsed)
    return tuple(parsed)


def _split(cell: str) -> list[str]:
    return cell.split(SEPARATOR) if cell else []


def _indices(cell: str, classes: Sequence[str], thing: str) -> tuple[int, ...]:
    """Indices of the classes that a cell names; `first .. last` are all classes between."""
    indices: list[int] = []
    for entry in _split(cell):
        ends = entry.split(RANGE)
        unknown = [name for name in ends if name not in classes]
        if unknown:
            raise ValueError(f"{FILE}: {thing} names {unknown[0]!r}, which is not a class")
        indices += range(classes.index(ends[0]), classes.index(ends[-1]) + 1)
    if len(set(indices)) < len(indices):
        raise ValueError(f"{FILE}: {thing} names a class twice")
    return tuple(indices)


def _check_unique(parsed: Sequence[Thing]) -> None:
    names: list[str] = []
    for thing in parsed:
        names += [thing.name, *thing.aliases]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{FILE}: {', '.join(sorted(twice))}: expected each name once")


def match(category: str) -> int | None:
    """Index of the thing that a category names; None if the table has no such thing.

    Small and capital letters, underscores, hyphens and the plural are the same. A category of
    several words ("dog barking", "playing bass guitar") is the thing with the longest name in it.

    >>> things()[match("acoustic_guitar")].name
    'acoustic_guitar'
    >>> things()[match("dogs barking")].name
    'dog'
    >>> match("wind noise") is None
    True
    """
    words = f" {_words(category)} "
    found = [name for name in _by_name() if f" {name} " in words]
    return _by_name()[max(found, key=len)] if found else None


@cache
def _by_name() -> dict[str, int]:
    """Index of the thing of each name and alias, in the form of `_words`."""
    by_name = {}
    for index, thing in enumerate(things()):
        for name in (thing.name, *thing.aliases):
            by_name[_words(name)] = index
    return by_name


def _words(name: str) -> str:
    """Lower-case words without the s of the plural, with one space between them."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    return " ".join(word.removesuffix("s") if len(word) > 3 else word for word in words)


def candidates() -> list[tuple[str, str]]:
    """Pairs of an AudioSet and an ImageNet class with a word in common."""
    pairs = []
    for sound in yamnet.class_names():
        wanted = set(_words(sound).split()) - STOP_WORDS
        images = [name for name in efficientnet.class_names() if wanted & set(_words(name).split())]
        pairs += [(sound, image) for image in images]
    return pairs


def _pairs_of_table() -> set[tuple[int, int]]:
    """Pairs of classes that the table links."""
    pairs: set[tuple[int, int]] = set()
    for thing in things():
        for sound in (*thing.audioset, *thing.parents):
            pairs |= {(sound, image) for image in thing.imagenet}
    return pairs


def main() -> None:
    """Print the pairs with a word in common, and whether the table has them."""
    sounds, images, linked = yamnet.class_names(), efficientnet.class_names(), _pairs_of_table()
    for sound, image in candidates():
        pair = sounds.index(sound), images.index(image)
        print("in the table" if pair in linked else "not", sound, image, sep="\t")


if __name__ == "__main__":
    main()
