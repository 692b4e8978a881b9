"""A network of a hub: OWNER/NAME, or OWNER/NAME@REVISION, as Hugging Face's client finds it.

HF_ENDPOINT names another hub than huggingface.co, and what was fetched once is found again without a network. Fetched
are safetensors and JSON, which run nothing.
"""

import re
from pathlib import Path

from spm.base.config import UserError

FILES = ("network.json", "network.safetensors")


def is_id(name: str) -> bool:
    """Whether a name is of a hub's form; a file of that name comes first."""
    return not Path(name).exists() and bool(re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", name))


def network(name: str) -> Path:
    """The weights of a hub's repository, with their JSON beside them.

    Raises
    ------
    UserError
        When the client isn't installed, or the hub doesn't have them or doesn't answer.
    """
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise UserError(
            f"{name}: a network of a hub wants its client: pip install 'spm[hub]'"
        ) from error
    repository, _, revision = name.partition("@")
    try:
        found = [
            Path(hf_hub_download(repository, file, revision=revision or None)) for file in FILES
        ]
    except (OSError, ValueError) as error:  # the client's errors are of these
        said = " ".join(str(error).split())[:200]
        expected = f"expected a file, or a hub's repository with {' and '.join(FILES)}"
        raise UserError(f"{name}: {type(error).__name__}: {said}: {expected}") from error
    return found[-1]
