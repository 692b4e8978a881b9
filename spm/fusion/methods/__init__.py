"""The methods: a file each, readable beside its paper, found by the name that a run gives as `method:`.

A method's module has `Settings`, a `Train` with the method's own keys, and `Network`, a `Localizer` made from them.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol, cast

from spm.base.config import UserError
from spm.fusion.localization_network import LocalizationNetwork
from spm.fusion.settings import Row, Train

METHODS = tuple(sorted(module.name for module in iter_modules(__path__)))


class Method(Protocol):
    """What a method's module has."""

    Settings: type[Train]

    def Network(self, settings: Train) -> LocalizationNetwork: ...


def named(name: str) -> Method:
    """The module of a method.

    Raises
    ------
    UserError
        When there is none of this name.
    """
    if name not in METHODS:
        raise UserError(f"train.method: {name!r}: any of {', '.join(METHODS)} expected")
    return cast(Method, import_module(f"{__name__}.{name}"))


def settings_of(row: Row | Train) -> Train:
    """A run's settings, judged by its method's own model."""
    return named(row.method).Settings.model_validate(row.model_dump())


def build(settings: Train) -> LocalizationNetwork:
    """A method's network."""
    return named(settings.method).Network(settings)
