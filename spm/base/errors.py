"""The error that users see. Separate from config.py, which takes 0.15 s to import."""

from spm.base.masking import mask_passwords


class UserError(Exception):
    """An error that the user can correct: one line: thing, value, expectation, remedy.

    Passwords in addresses are masked.
    """

    def __init__(self, message: str) -> None:
        super().__init__(mask_passwords(message))
