"""The error that users see. Separate from config.py, which takes 0.15 s to import."""

from spm.base.masking import mask_passwords

LONGEST_LINE = 1_000  # characters
KEPT = 400  # of a longer line, at its start and at its end


class UserError(Exception):
    """An error that the user can correct: one line: thing, value, expectation, remedy.

    Passwords in addresses are masked. The middle of a very long line, such as one with the header
    of a damaged file, is left out.
    """

    def __init__(self, message: str) -> None:
        lines = mask_passwords(message).split("\n")
        super().__init__("\n".join(map(_shortened, lines)))


def _shortened(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else f"{line[:KEPT]} … {line[-KEPT:]}"
