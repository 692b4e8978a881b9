"""Checks of the four sides of a box. Every reader of box files uses them."""

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile

from spm.base.errors import UserError
from spm.boxes.formats.frames import Form, Sides

TOLERANCE = 1e-6  # in fractions of the frame: published sides are rounded to about six digits
NAMES = {"xywh": ("x", "y", "w", "h"), "xyxy": ("left", "upper", "right", "lower")}
EXPECTED = {
    "xywh": "expected w and h above 0, x and y from 0, x + w and y + h up to 1",
    "xyxy": "expected edges from 0 to 1, left < right and upper < lower",
}


def parse_sides(
    sides: Sequence[Any],
    form: Form = "xywh",
    size: tuple[Any, Any] | None = None,
    tolerance: float = TOLERANCE,
) -> Sides:
    """Four sides as fractions of the frame, in the same form.

    Parameters
    ----------
    sides : sequence
        Numbers, or their texts.
    form : Form
        xywh (left edge, upper edge, width, height) or xyxy (left, upper, right and lower edge).
    size : pair, optional
        Width and height of the image in px if the sides are in px; None: they are fractions.
    tolerance : float
        By which a box may leave the frame, as a fraction.

    Raises
    ------
    ValueError
        If there are not four finite numbers, or the box has no area, or leaves the frame. The text
        has the sides and what was expected; the caller adds file and line.
    """
    names = NAMES[form]
    if not isinstance(sides, list | tuple) or len(sides) != 4:
        raise ValueError(f"box {sides!r}: expected four numbers {', '.join(names)}")
    numbers = [parse_number(*side) for side in zip(names, sides, strict=True)]
    a, b, c, d = numbers if size is None else _fractions(numbers, size)
    if fault := _fault((a, b, c, d), form, tolerance):
        shown = ", ".join(f"{name} {side:g}" for name, side in zip(names, numbers, strict=True))
        if size is None:
            raise ValueError(f"box {shown}: {_other_unit(max(numbers)) or fault}")
        raise ValueError(f"box {shown} in px of an image of {size[0]} x {size[1]} px: {fault}")
    return a, b, c, d


def _fractions(sides: Sequence[float], size: tuple[Any, Any]) -> list[float]:
    """Sides in px as fractions of an image of this width and height."""
    width, height = parse_number("width", size[0]), parse_number("height", size[1])
    if min(width, height) <= 0:
        raise ValueError(f"image of {width:g} x {height:g} px: expected a size above 0")
    return [side / unit for side, unit in zip(sides, (width, height) * 2, strict=True)]


def side_fault(
    sides: Sequence[Any], form: Form = "xywh", size: tuple[Any, Any] | None = None
) -> str:
    """What is wrong with a box, in the words of `parse_sides`; empty if nothing is."""
    try:
        parse_sides(sides, form, size)
    except ValueError as error:
        return str(error)
    return ""


def parse_number(name: str, value: Any) -> float:
    """A finite number from a number or its text.

    Raises
    ------
    ValueError
        If it is something else (names the column and the value).
    """
    text = str(value).strip()
    try:
        # float() accepts 1_000 and True, which no file of boxes means as numbers.
        number = math.nan if "_" in text or isinstance(value, bool) else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} is {text or 'empty'}: expected a finite number")
    return number


@contextmanager
def named(place: str) -> Iterator[None]:
    """Put a place, such as `boxes.csv, line 7`, in front of what is wrong there.

    Raises
    ------
    UserError
        If the code inside finds a wrong value, misses a field, or reads an incomplete file.
    """
    try:
        yield
    except KeyError as error:
        raise UserError(f"{place}: {error} is missing") from error
    except (TypeError, IndexError, AttributeError) as error:  # a text in place of a list
        raise UserError(f"{place}: not in the expected form ({error})") from error
    except (ValueError, SyntaxError, EOFError) as error:  # SyntaxError: of XML
        raise UserError(f"{place}: {error}") from error
    except (BadZipFile, TokenError, RecursionError) as error:  # of .npy files and of JSON
        raise UserError(f"{place}: it is damaged ({error})") from error
    except OSError as error:
        raise UserError(f"{place}: it can't be read ({error.strerror or error})") from error


def read_json(path: Path) -> Any:
    """The content of a JSON file; its encoding (UTF-8 or UTF-16) is detected.

    Raises
    ------
    ValueError
        If it has another encoding, is not JSON, or is truncated.
    """
    try:
        return json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("lists or mappings are too deep in each other") from error


def _fault(sides: Sides, form: Form, tolerance: float) -> str:
    """What is wrong with four finite fractions; empty if nothing is."""
    left, upper, right, lower = sides
    has_area = min(right, lower) > 0 if form == "xywh" else right > left and lower > upper
    if form == "xywh":
        right, lower = left + right, upper + lower
    if not has_area:
        return f"it has no area; {EXPECTED[form]}"
    if min(left, upper) < -tolerance or max(right, lower) > 1 + tolerance:
        return f"it leaves the frame; {EXPECTED[form]}, as fractions of the frame"
    return ""


def _other_unit(largest: float) -> str:
    """What to do with sides in another unit; empty if they look like fractions."""
    if largest <= 2:  # a box in fractions that leaves the frame
        return ""
    if largest > 100:
        return "it looks like pixels, not fractions: divide by the frame's width and height"
    return (
        "it looks like percent or pixels, not fractions:"
        " divide percent by 100, and pixels by the frame's width and height"
    )
