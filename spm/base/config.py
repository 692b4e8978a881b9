"""Base class of the sections of config.yaml, and types that their settings share."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Device = Annotated[
    Literal["auto", "cpu", "cuda", "mps"],
    Field(description="Device: auto (GPU if there is one), cpu, cuda, or mps (GPU of a Mac)."),
]
Threads = Annotated[
    int,
    Field(
        ge=1,
        le=256,
        description="Number of threads that compute on a CPU, whatever --cores is: the order of"
        " additions, and so the last digits of each result, depend on it.",
    ),
]
THREADS = 4  # a step takes at most 6 % longer with it than with 2 on 2 cores
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what NumPy and torch both accept
Text = Annotated[str, Field(min_length=1)]
# For `Field(json_schema_extra=...)` of a list in which no item may stand twice.
UNIQUE: dict[str, Any] = {"uniqueItems": True}


class Section(BaseModel):
    """A section of the config: it can't be changed, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
