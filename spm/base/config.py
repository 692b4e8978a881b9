"""What every section of config.yaml has in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One section: immutable, and a key it does not know is an error that names it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class UserError(Exception):
    """What the user can mend: one line that names the thing, its value, and what was expected."""
