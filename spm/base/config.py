"""Base class of the sections of config.yaml."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of the config: it can't be changed, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
