"""Base class of the sections of config.yaml, and the error that users see."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of the config: it can't be changed, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class UserError(Exception):
    """An error that the user can correct: one line: thing, value, expectation, remedy."""
