"""The methods. Each is a file with the name that a run gives as `method`.

The file defines `Settings` (a `Train` with the method's own keys) and `Network` (a
`LocalizationNetwork` built from them). A method with its own training procedure also defines
`Trainer`, a subclass of `spm.fusion.trainer.Trainer`.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol, cast

from spm.base.errors import UserError
from spm.base.words import one_of
from spm.fusion.localization_network import LocalizationNetwork
from spm.fusion.settings import RunConfig, Train
from spm.fusion.trainer import Trainer

METHODS = tuple(sorted(module.name for module in iter_modules(__path__)))


class Method(Protocol):
    """What the file of a method defines, besides an optional `Trainer`."""

    Settings: type[Train]

    def Network(self, settings: Train) -> LocalizationNetwork:
        """Build the network with initial weights."""
        ...


def named(name: str) -> Method:
    """The module of a method.

    Raises
    ------
    UserError
        If there is no method with this name.
    """
    if name not in METHODS:
        raise UserError(f"train.method: {name!r}, {one_of(name, METHODS)}")
    return cast(Method, import_module(f"{__name__}.{name}"))


def settings_of(config: RunConfig | Train) -> Train:
    """A run's settings, checked by the model of its method."""
    return named(config.method).Settings.model_validate(config.model_dump())


def build(settings: Train) -> LocalizationNetwork:
    """The method's network, with initial weights."""
    return named(settings.method).Network(settings)


def trainer_class(settings: Train) -> type[Trainer]:
    """The method's own trainer, or the one that most methods share."""
    return cast(type[Trainer], getattr(named(settings.method), "Trainer", Trainer))
