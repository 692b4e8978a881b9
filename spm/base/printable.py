"""Text from web sites, files and lists of videos, made safe for tables, logs and terminals."""

from spm.base.masking import mask_passwords


def printable(text: str) -> str:
    r"""The text on one line, without passwords and without characters that have no glyph.

    Control characters (such as those of escape sequences of terminals), marks of the direction of
    writing and halves of surrogate pairs become their escapes.

    >>> printable("a\n\x1b[31mred")
    'a \\x1b[31mred'
    """
    line = mask_passwords(" ".join(text.splitlines()))
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
