"""Passwords in messages."""

import re

LOGIN = re.compile(r"(?<=://)[^/?#\s]*@")  # in an address


def mask_passwords(text: str) -> str:
    """The text with asterisks in place of the name and the password in an address.

    >>> mask_passwords("http://me:secret@example.org/a@b")
    'http://***@example.org/a@b'
    """
    return LOGIN.sub("***@", text)
