"""The eleven instruments of the embedded corpus: drawing, pose, size and gesture of each."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from spm.demo import strings, winds
from spm.demo.shapes import Color, Drawing, Motion, Shape, ellipse, line, rectangle, tinted

Rng = np.random.Generator

SILVER = (196, 203, 214)
RAINBOW = (
    (214, 46, 52),
    (238, 128, 38),
    (246, 206, 56),
    (96, 178, 70),
    (52, 158, 190),
    (58, 84, 180),
    (136, 66, 160),
)


class Instrument(NamedTuple):
    """How an instrument is drawn, and in which poses it is shown."""

    draw: Callable[[Rng], Drawing]
    turn_deg: tuple[float, float]  # clockwise from the way it is drawn
    area: tuple[float, float]  # of its box, as a fraction of the frame's
    # What its motion follows: the "stroke" of a bow, the "hit" of a note, the "level" of the sound.
    gesture: Literal["stroke", "hit", "level"]


def _mallet(x: float, y: float, lean: float, head: Color) -> list[Shape]:
    """Draw a mallet whose head is at (x, y)."""
    return [
        Shape(line((x, y), (x + lean, y - 0.5), 0.026), (224, 190, 136)),
        Shape(ellipse(x, y, 0.055), head),
    ]


def xylophone(rng: Rng) -> Drawing:
    """Draw a xylophone: bars on a stand, colored or of rosewood, and two mallets."""
    count = int(rng.integers(9, 14))
    wooden = rng.random() < 0.3
    x = np.linspace(-0.78, 0.78, count)
    half = np.linspace(0.36, 0.19, count)
    colors = [tinted(rng, (150, 66, 40), 8) if wooden else RAINBOW[i % 7] for i in range(count)]
    width = 0.78 / count
    bars = [
        Shape(rectangle(a - width, -h, a + width, h), color, 0.014)
        for a, h, color in zip(x, half, colors, strict=True)
    ]
    pins = [
        Shape(ellipse(a, side * h * 0.72, 0.02), SILVER, 0)
        for a, h in zip(x, half, strict=True)
        for side in (-1, 1)
    ]
    frame = tinted(rng, (84, 58, 40), 12)
    beams = (
        ((-0.7, 0.1), (-0.6, 0.72)), ((0.7, 0.1), (0.6, 0.72)), ((-0.63, 0.58), (0.63, 0.58)),
        ((-0.85, -0.26), (0.85, -0.13)), ((-0.85, 0.26), (0.85, 0.13)),
    )  # fmt: skip
    stand = [Shape(line(start, end, 0.05), frame) for start, end in beams]
    head = tinted(rng, (200, 40, 60))
    left = rng.uniform(-0.55, 0.3)
    right = left + rng.uniform(0.25, 0.4)
    mallets = _mallet(left, -0.12, -0.12, head) + _mallet(right, -0.04, 0.12, head)
    return Drawing(stand + bars + pins, mallets, Motion(y=0.008), Motion(y=0.14, x=0.05))


INSTRUMENTS = {
    "accordion": Instrument(winds.accordion, (-16, 16), (0.08, 0.32), "stroke"),
    "acoustic_guitar": Instrument(strings.acoustic_guitar, (50, 100), (0.10, 0.32), "hit"),
    "cello": Instrument(strings.cello, (-14, 18), (0.10, 0.32), "stroke"),
    "clarinet": Instrument(winds.clarinet, (12, 42), (0.07, 0.20), "level"),
    "erhu": Instrument(strings.erhu, (-12, 12), (0.09, 0.27), "stroke"),
    "flute": Instrument(winds.flute, (-22, 16), (0.05, 0.15), "level"),
    "saxophone": Instrument(winds.saxophone, (-14, 22), (0.09, 0.32), "level"),
    "trumpet": Instrument(winds.trumpet, (-24, 14), (0.08, 0.24), "level"),
    "tuba": Instrument(winds.tuba, (-12, 12), (0.14, 0.36), "level"),
    "violin": Instrument(strings.violin, (55, 115), (0.08, 0.24), "stroke"),
    "xylophone": Instrument(xylophone, (-10, 10), (0.08, 0.30), "hit"),
}
