"""Winds of the embedded corpus: clarinet, flute, saxophone, trumpet, tuba and accordion."""

from itertools import pairwise

import numpy as np

from spm.demo.shapes import (
    BLACK,
    WHITE,
    Color,
    Drawing,
    Motion,
    Shape,
    blend,
    ellipse,
    glossy,
    line,
    rectangle,
    smooth,
    symmetric,
    tinted,
    tube,
)

Rng = np.random.Generator

EBONY, BRASS, SILVER, IVORY = (38, 30, 30), (216, 164, 48), (196, 203, 214), (244, 238, 222)
ACCORDIONS = ((178, 24, 36), (24, 62, 150), (30, 120, 66), (46, 44, 52), (122, 38, 120))


def clarinet(rng: Rng) -> Drawing:
    """Draw a clarinet: black stick with mouthpiece, silver rings and keys, and bell."""
    wood = tinted(rng, (44, 40, 44) if rng.random() < 0.8 else (96, 48, 34), 8)
    metal = tinted(rng, SILVER, 10)
    outline = symmetric([
        (-0.95, 0.015), (-0.86, 0.035), (-0.78, 0.05), (-0.5, 0.058), (0.55, 0.064), (0.72, 0.075),
        (0.82, 0.105), (0.9, 0.155),
    ])  # fmt: skip
    rings = [
        Shape(rectangle(-w, y, w, y + 0.035), metal, 0)
        for y, w in ((-0.79, 0.06), (-0.66, 0.064), (0.05, 0.072), (0.66, 0.078))
    ]
    holes = [
        Shape(ellipse(-0.005, y, 0.036), metal, 0.012)
        for y in (-0.5, -0.38, -0.26, 0.17, 0.29, 0.41)
    ]
    keys = [
        Shape(ellipse(x, y, 0.04, 0.03), metal, 0.012)
        for x, y in ((0.085, -0.56), (-0.08, -0.18), (0.085, -0.08), (-0.085, 0.5), (0.085, 0.55))
    ]
    rods = [
        Shape(line((0.062, -0.56), (0.066, -0.1), 0.02), metal, 0),
        Shape(line((0.07, 0.12), (0.074, 0.55), 0.02), metal, 0),
    ]
    shine = Shape(line((-0.035, -0.6), (-0.038, 0.6), 0.014), (120, 118, 126), 0)
    body = [
        Shape(outline * (1.25, 1.01), (132, 130, 142), 0),
        Shape(outline, wood),
        shine,
        *rods,
        *rings,
        *holes,
        *keys,
        Shape(ellipse(0, 0.9, 0.158, 0.035), metal, 0),
        Shape(ellipse(0, 0.9, 0.13, 0.02), BLACK, 0),
    ]
    return Drawing(body, [], Motion(turn=0.07), Motion())


def flute(rng: Rng) -> Drawing:
    """Draw a flute, lying: a long silver tube with lip plate and round keys."""
    metal = (
        tinted(rng, (206, 212, 224), 12) if rng.random() < 0.8 else tinted(rng, (232, 206, 150), 10)
    )
    shade = blend(metal, BLACK, 0.35)
    keys = [x for x in np.linspace(-0.28, 0.78, 12) if abs(x - 0.3) > 0.05]
    body = [
        *glossy([(-0.92, 0, 0.038), (0.92, 0, 0.038)], metal),
        *[Shape(rectangle(x, -0.05, x + 0.025, 0.05), shade, 0) for x in (-0.94, -0.42, 0.58, 0.9)],
        Shape(ellipse(-0.66, -0.02, 0.095, 0.055), metal),
        Shape(ellipse(-0.66, -0.025, 0.035, 0.02), BLACK, 0),
        *[Shape(line((-0.3, 0.05), (0.5, 0.05), 0.018), shade, 0)],
        *[Shape(ellipse(x, -0.015, 0.038, 0.04), blend(metal, WHITE, 0.35), 0.014) for x in keys],
        *[Shape(ellipse(x, 0.065, 0.035, 0.026), metal, 0.012) for x in (-0.22, 0.16, 0.44)],
    ]
    return Drawing(body, [], Motion(turn=0.06, y=0.02), Motion())


def saxophone(rng: Rng) -> Drawing:
    """Draw a saxophone: black mouthpiece, crook, conical body, and the bell that turns up."""
    gold = tinted(rng, BRASS)
    shade = blend(gold, BLACK, 0.45)
    horn = [
        (-0.06, -0.62, 0.036), (-0.05, -0.3, 0.055), (-0.03, 0.1, 0.08), (0.0, 0.45, 0.105),
        (0.09, 0.64, 0.12), (0.24, 0.66, 0.13), (0.35, 0.5, 0.14), (0.39, 0.25, 0.15),
        (0.42, 0.02, 0.18), (0.44, -0.12, 0.26),
    ]  # fmt: skip
    keys = [
        Shape(ellipse(-0.05 + 0.05 * y, y, 0.05), blend(gold, WHITE, 0.35), 0.016)
        for y in (-0.42, -0.27, -0.12, 0.05, 0.22, 0.38)
    ]
    cups = [
        Shape(ellipse(x, y, 0.06), blend(gold, WHITE, 0.25), 0.016)
        for x, y in ((0.38, 0.3), (0.36, 0.48), (0.15, 0.64))
    ]
    body = [
        *glossy(
            [
                (-0.4, -0.62, 0.02),
                (-0.28, -0.74, 0.024),
                (-0.13, -0.76, 0.03),
                (-0.06, -0.6, 0.036),
            ],
            gold,
        ),
        Shape(tube([(-0.52, -0.5, 0.02), (-0.38, -0.64, 0.034)]), EBONY, 0),
        *glossy(horn, gold),
        Shape(ellipse(0.44, -0.125, 0.275, 0.075, 0.14), blend(gold, WHITE, 0.25)),
        Shape(ellipse(0.44, -0.12, 0.23, 0.05, 0.14), shade, 0),
        Shape(line((0.06, -0.4), (0.12, 0.4), 0.022), shade, 0),
        *keys,
        *[Shape(ellipse(0.1, y, 0.032), blend(gold, WHITE, 0.2)) for y in (-0.35, -0.2, 0.0, 0.2)],
        *cups,
    ]
    return Drawing(body, [], Motion(turn=0.06, y=0.015), Motion())


def _valve(x: float, top: float, bottom: float, metal: Color) -> list[Shape]:
    """Draw a valve: a cylinder between two caps, and its button."""
    caps = [
        Shape(rectangle(x - 0.054, y - 0.02, x + 0.054, y + 0.02), blend(metal, BLACK, 0.4), 0)
        for y in (top, bottom)
    ]
    stem = Shape(rectangle(x - 0.014, top - 0.1, x + 0.014, top), SILVER, 0)
    button = Shape(ellipse(x, top - 0.11, 0.04, 0.022), IVORY)
    return [stem, *glossy([(x, top, 0.048), (x, bottom, 0.048)], metal), *caps, button]


def trumpet(rng: Rng) -> Drawing:
    """Draw a trumpet, lying: one loop of tube, three valves, and the flaring bell."""
    gold = tinted(rng, (232, 182, 52)) if rng.random() < 0.8 else tinted(rng, SILVER)
    shade = blend(gold, BLACK, 0.4)
    loop = [
        (-0.36, 0.02, 0.028), (-0.46, 0.1, 0.028), (-0.42, 0.22, 0.028), (-0.2, 0.26, 0.028),
        (0.25, 0.26, 0.028), (0.44, 0.22, 0.028), (0.48, 0.1, 0.028), (0.38, 0.02, 0.028),
    ]  # fmt: skip
    valves = [shape for x in (-0.12, 0.0, 0.12) for shape in _valve(x, -0.1, 0.34, gold)]
    bell = [
        (-0.4, 0.02, 0.03),
        (0.2, 0.02, 0.034),
        (0.5, 0.02, 0.055),
        (0.68, 0.02, 0.095),
        (0.78, 0.02, 0.16),
        (0.83, 0.02, 0.26),
    ]
    body = [
        *glossy(loop, gold),
        *glossy([(-0.86, 0.02, 0.02), (-0.3, 0.02, 0.026)], gold),
        Shape(tube([(-0.96, 0.02, 0.05), (-0.9, 0.02, 0.03), (-0.84, 0.02, 0.02)]), SILVER),
        *valves,
        *glossy(bell, gold),
        Shape(ellipse(0.835, 0.02, 0.05, 0.262), blend(gold, WHITE, 0.25)),
        Shape(ellipse(0.845, 0.02, 0.03, 0.2), shade, 0),
    ]
    return Drawing(body, [], Motion(turn=0.06, y=-0.02), Motion())


def tuba(rng: Rng) -> Drawing:
    """Draw a tuba: a wide bell opening upwards, a great bow, coils within it, and valves."""
    gold = tinted(rng, (206, 150, 52)) if rng.random() < 0.75 else tinted(rng, (186, 190, 200))
    shade = blend(gold, BLACK, 0.45)
    horn = [
        (0.2, -0.84, 0.44), (0.2, -0.74, 0.29), (0.22, -0.58, 0.2), (0.25, -0.3, 0.155),
        (0.28, 0.1, 0.14), (0.22, 0.5, 0.13), (0.0, 0.68, 0.12), (-0.26, 0.54, 0.105),
        (-0.34, 0.15, 0.09), (-0.33, -0.25, 0.075), (-0.2, -0.46, 0.06), (-0.03, -0.4, 0.05),
    ]  # fmt: skip
    coil = [
        (0.1, 0.4, 0.04),
        (-0.02, 0.48, 0.04),
        (-0.16, 0.38, 0.04),
        (-0.2, 0.1, 0.04),
        (-0.18, -0.2, 0.04),
        (-0.05, -0.3, 0.04),
        (0.08, -0.2, 0.04),
    ]
    valves = [
        shape
        for x in (-0.14, -0.03, 0.08)
        for shape in _valve(x, -0.1, 0.26, blend(gold, WHITE, 0.2))
    ]
    body = [
        *glossy(horn[4:], gold),
        *glossy(coil, gold),
        *valves,
        *glossy([(-0.03, -0.4, 0.03), (-0.2, -0.5, 0.026), (-0.46, -0.5, 0.02)], gold),
        Shape(tube([(-0.55, -0.5, 0.055), (-0.46, -0.5, 0.022)]), SILVER),
        *glossy(horn[:6], gold),
        Shape(ellipse(0.2, -0.85, 0.445, 0.1), blend(gold, WHITE, 0.25)),
        Shape(ellipse(0.2, -0.845, 0.37, 0.07), shade, 0),
    ]
    return Drawing(body, [], Motion(turn=0.03, y=0.02), Motion())


def _bellows(color: Color) -> list[Shape]:
    """Draw pleats, alternately light and dark."""
    tones = (blend(color, BLACK, 0.35), blend(color, WHITE, 0.75))
    pleats = []
    for number, (left, right) in enumerate(pairwise(np.linspace(-0.24, 0.36, 11))):
        near, far = (0.42, 0.39) if number % 2 else (0.4, 0.43)
        pleats.append(
            Shape(
                np.array([(left, -near), (right, -far), (right, far), (left, near)]),
                tones[number % 2],
                0,
            )
        )
    return pleats


def _piano_keys() -> list[Shape]:
    """Draw the keys on an accordion's left edge, from the lowest to the highest going down."""
    tops = np.linspace(-0.44, 0.44, 13)
    white = [
        Shape(rectangle(-0.8, top, -0.55, bottom), IVORY, 0.01) for top, bottom in pairwise(tops)
    ]
    raised = [y for number, y in enumerate(tops[1:-1]) if number % 7 not in (2, 6)]
    return white + [Shape(rectangle(-0.72, y - 0.02, -0.55, y + 0.02), BLACK, 0) for y in raised]


def accordion(rng: Rng) -> Drawing:
    """Draw an accordion: piano keys on the left, pleated bellows, buttons on the right."""
    color = tinted(rng, ACCORDIONS[rng.integers(len(ACCORDIONS))], 14)
    rows = np.linspace(-0.34, 0.34, 9)
    buttons = [Shape(ellipse(x, y, 0.02), IVORY, 0) for x in (0.45, 0.52, 0.59) for y in rows]
    grille = [
        Shape(line((-0.46, y), (-0.32, y + 0.05), 0.022), SILVER, 0)
        for y in np.linspace(-0.34, 0.3, 7)
    ]
    bass = smooth(
        [(0.36, -0.46), (0.6, -0.44), (0.68, -0.3), (0.68, 0.3), (0.6, 0.44), (0.36, 0.46)],
        closed=True,
    )
    body = [
        *_bellows(color),
        Shape(rectangle(-0.56, -0.48, -0.22, 0.48), color, 0.02),
        *grille,
        Shape(rectangle(-0.82, -0.46, -0.55, 0.46), blend(color, BLACK, 0.5), 0.012),
        *_piano_keys(),
        Shape(bass, color, 0.02),
        *buttons,
    ]
    return Drawing(body, [], Motion(stretch=0.09, turn=0.02), Motion())
