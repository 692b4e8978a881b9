"""The error that users see. Separate from config.py, which takes 0.15 s to import."""


class UserError(Exception):
    """An error that the user can correct: one line: thing, value, expectation, remedy."""
