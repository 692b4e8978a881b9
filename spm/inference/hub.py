"""Networks on a hub, named OWNER/NAME or OWNER/NAME@REVISION, read by Hugging Face's client.

HF_ENDPOINT names a hub other than huggingface.co. A network that was downloaded once is read from
the cache without a connection. Only safetensors and JSON are downloaded; neither can run code.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spm.base.errors import UserError

FILES = ("network.json", "network.safetensors")


def is_id(name: str) -> bool:
    """Whether a name has the form of a hub's id; False where it is that of a file or folder."""
    if Path(name).exists() or name.endswith(".safetensors"):
        return False
    return bool(re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", name))


@contextmanager
def one_line_errors(name: str, expected: str) -> Iterator[None]:
    """Turn errors of the client, and its absence, into errors of one line.

    Parameters
    ----------
    name : str
        OWNER/NAME of the repository.
    expected : str
        What the user can do about an answer of the hub.
    """
    try:
        yield
    except ImportError as error:
        raise UserError(
            f"{name}: the client of the hub isn't installed: pip install 'sound-promotion[hub]'"
        ) from error
    except Exception as error:  # its classes differ between versions of the client
        if _is_offline(error):
            raise UserError(
                f"{name}: the hub does not answer ({_root(error)}): check the connection to the"
                " internet, or HF_ENDPOINT"
            ) from error
        if not isinstance(error, OSError | ValueError):  # base classes of the client's errors
            raise
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{name}: {type(error).__name__}: {reason}: {expected}") from error


def _is_offline(error: BaseException) -> bool:
    """Whether an error comes from a connection that failed; the client's names say so."""
    names = {kind.__name__ for cause in _causes(error) for kind in type(cause).__mro__}
    return bool(names & {"ConnectError", "ConnectTimeout", "ConnectionError"})


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _root(error: BaseException) -> str:
    """The first reason of an error: that of the operating system, where there is one."""
    *_, first = _causes(error)
    return getattr(first, "strerror", None) or " ".join(str(first).split())[:80]


def network(name: str) -> Path:
    """The weights in a repository of the hub, with their JSON beside them.

    Raises
    ------
    UserError
        When the client isn't installed, the hub doesn't answer, or it doesn't have the files.
    """
    repository, _, revision = name.partition("@")
    expected = f"expected a file, or a repository of the hub with {' and '.join(FILES)}"
    with one_line_errors(name, expected):
        from huggingface_hub import hf_hub_download

        paths = [
            Path(hf_hub_download(repository, file, revision=revision or None)) for file in FILES
        ]
    return paths[-1]
