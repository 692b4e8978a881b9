"""Base class of the sections of config.yaml, and types that their settings share."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Device = Literal["auto", "cpu", "cuda"]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what NumPy and torch both accept
Text = Annotated[str, Field(min_length=1)]
# For `Field(json_schema_extra=...)` of a list in which no item may stand twice.
UNIQUE: dict[str, Any] = {"uniqueItems": True}


class Section(BaseModel):
    """A section of the config: it can't be changed, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
