"""Strings of the embedded corpus: violin, cello, acoustic guitar and erhu, seen from the front."""

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
    line,
    rectangle,
    smooth,
    symmetric,
    tinted,
    tube,
)

Rng = np.random.Generator

EBONY, SILVER, HAIR = (38, 30, 30), (196, 203, 214), (236, 230, 210)


def _bow(rng: Rng, y: float, half_length: float, thick: float = 1) -> list[Shape]:
    """Draw a bow lying across the strings at height `y`."""
    stick = tinted(rng, (96, 48, 26))
    left, right = -half_length, half_length
    return [
        Shape(line((left, y + 0.03 * thick), (right, y + 0.03 * thick), 0.022 * thick), HAIR, 0),
        Shape(
            tube(
                [
                    (left, y, 0.015 * thick),
                    (0, y - 0.02 * thick, 0.02 * thick),
                    (right, y, 0.015 * thick),
                ]
            ),
            stick,
            0,
        ),
        Shape(rectangle(right - 0.12 * thick, y - 0.03 * thick, right, y + 0.05 * thick), EBONY, 0),
    ]


def _f_holes(x: float, y: float, half: float) -> list[Shape]:
    """Draw the two f-shaped holes beside a bridge."""
    s = (
        np.array([(0.35, -1), (0.05, -0.85), (0.1, -0.3), (-0.1, 0.3), (-0.05, 0.85), (-0.35, 1)])
        * half
        * (0.55, 1)
    )
    widths = np.array([0.1, 0.16, 0.13, 0.13, 0.16, 0.1])[:, None] * half
    knots = np.hstack([s, widths])
    return [Shape(tube(knots * (side, 1, 1) + (side * x, y, 0)), EBONY, 0) for side in (-1, 1)]


def _strings(top: float, bottom: float, half_width: float, count: int) -> list[Shape]:
    """Draw strings along the neck."""
    places = np.linspace(-half_width, half_width, count)
    return [Shape(line((x * 0.7, top), (x, bottom), 0.008), (225, 222, 214), 0) for x in places]


def _fiddle(wood: Color, neck_top: float) -> list[Shape]:
    """Draw the common parts of violin and cello: body, f-holes, neck, scroll and tailpiece."""
    profile = [
        (-0.5, 0), (-0.49, 0.11), (-0.43, 0.2), (-0.32, 0.235), (-0.2, 0.21), (-0.155, 0.225),
        (-0.13, 0.18), (-0.02, 0.145), (0.09, 0.18), (0.115, 0.255), (0.16, 0.245), (0.31, 0.295),
        (0.43, 0.25), (0.49, 0.13), (0.5, 0),
    ]  # fmt: skip
    outline = symmetric(profile)
    return [
        Shape(outline, blend(wood, BLACK, 0.3), 0.03),
        Shape(outline * (0.9, 0.93), wood, 0),
        Shape(ellipse(-0.06, 0.28, 0.1, 0.13), blend(wood, WHITE, 0.16), 0),
        *_f_holes(0.125, 0.01, 0.12),
        Shape(tube([(0, neck_top, 0.035), (0, -0.5, 0.042)]), blend(wood, BLACK, 0.2)),
        Shape(tube([(0, neck_top + 0.1, 0.03), (0, -0.16, 0.05)]), EBONY, 0),
        Shape(ellipse(0, neck_top - 0.03, 0.062), blend(wood, BLACK, 0.25)),
        *[
            Shape(line((-0.13, neck_top + d), (0.13, neck_top + d + 0.02), 0.035), EBONY, 0)
            for d in (0.05, 0.13)
        ],
        Shape(symmetric([(0.17, 0.075), (0.42, 0.035), (0.46, 0.02)]), EBONY, 0),
        Shape(rectangle(-0.09, 0.045, 0.09, 0.075), (226, 196, 140), 0),
        *_strings(neck_top + 0.1, 0.2, 0.045, 4),
    ]


def violin(rng: Rng) -> Drawing:
    """Draw a violin with chin rest and bow."""
    body = _fiddle(tinted(rng, (204, 108, 42)), neck_top=-1.0)
    body.append(Shape(ellipse(-0.14, 0.43, 0.13, 0.085), EBONY))
    return Drawing(body, _bow(rng, -0.08, 0.72, 1.2), Motion(turn=0.04), Motion(x=0.2))


def cello(rng: Rng) -> Drawing:
    """Draw a cello with endpin and bow."""
    spike = [
        Shape(line((0, 0.45), (0, 0.86), 0.035), SILVER),
        Shape(ellipse(0, 0.86, 0.03), EBONY, 0),
    ]
    body = spike + _fiddle(tinted(rng, (122, 48, 26), 14), neck_top=-0.92)
    return Drawing(body, _bow(rng, 0.0, 0.52, 1.3), Motion(turn=0.03), Motion(x=0.16))


def acoustic_guitar(rng: Rng) -> Drawing:
    """Draw a guitar: figure-of-eight body, sound hole, fretted neck and head."""
    wood, side = tinted(rng, (226, 178, 104)), tinted(rng, (104, 54, 28))
    profile = [
        (-0.5, 0), (-0.49, 0.12), (-0.42, 0.205), (-0.31, 0.235), (-0.19, 0.205), (-0.08, 0.185),
        (0.03, 0.21), (0.16, 0.29), (0.3, 0.33), (0.42, 0.28), (0.49, 0.14), (0.5, 0),
    ]  # fmt: skip
    outline = symmetric(profile)
    frets = [
        Shape(line((-0.042, y), (0.042, y), 0.013), SILVER, 0)
        for y in -0.32 - 0.72 * (1 - 0.88 ** np.arange(1, 14))
    ]
    pegs = [
        Shape(ellipse(x, y, 0.028), SILVER, 0) for x in (-0.1, 0.1) for y in (-1.27, -1.2, -1.13)
    ]
    body = [
        Shape(outline, side, 0.03),
        Shape(outline * (0.9, 0.94), wood, 0),
        Shape(ellipse(0.0, -0.09, 0.135), side, 0),
        Shape(ellipse(0.0, -0.09, 0.118), blend(wood, WHITE, 0.2), 0),
        Shape(ellipse(0.0, -0.09, 0.1), (28, 18, 14), 0),
        Shape(rectangle(-0.15, 0.24, 0.15, 0.3), side, 0),
        Shape(tube([(0, -1.08, 0.04), (0, -0.2, 0.05)]), (58, 36, 26)),
        *frets,
        Shape(symmetric([(-1.34, 0.07), (-1.2, 0.075), (-1.08, 0.045)]), side),
        *pegs,
        *_strings(-1.1, 0.26, 0.05, 6),
    ]
    hand = [Shape(ellipse(0.1, 0.06, 0.09, 0.065, 0.5), (214, 158, 124))]
    return Drawing(body, hand, Motion(turn=0.05, y=0.02), Motion(x=-0.16, y=0.04))


def erhu(rng: Rng) -> Drawing:
    """Draw an erhu: long thin neck, two large pegs, hexagonal body with snake skin, and bow."""
    wood = tinted(rng, (84, 30, 26), 12)
    skin = tinted(rng, (206, 190, 150))
    angle = np.arange(6) * np.pi / 3
    hexagon = np.stack([np.cos(angle), np.sin(angle)], 1)
    scales = [
        Shape(ellipse(x, 0.62 + y, 0.02), (96, 84, 62), 0)
        for x in (-0.08, 0, 0.08)
        for y in (-0.08, 0, 0.08)
    ]
    body = [
        Shape(tube([(0, -0.86, 0.034), (0, 0.5, 0.034)]), wood),
        Shape(
            smooth(
                [(-0.034, -0.84), (-0.03, -0.92), (0.06, -0.98), (0.1, -0.93), (0.034, -0.84)],
                closed=True,
            ),
            wood,
        ),
        *[
            Shape(
                tube([(-0.03, y, 0.022), (0.22, y, 0.03), (0.3, y, 0.042)]), blend(wood, BLACK, 0.2)
            )
            for y in (-0.72, -0.55)
        ],
        Shape(hexagon * 0.21 + (0, 0.62), wood, 0.02),
        Shape(hexagon * 0.155 + (0, 0.62), skin, 0),
        *scales,
        Shape(rectangle(-0.14, 0.8, 0.14, 0.86), blend(wood, BLACK, 0.3), 0),
        *[Shape(line((x, -0.7), (x * 0.6, 0.62), 0.01), (230, 226, 216), 0) for x in (-0.05, 0.05)],
    ]
    return Drawing(body, _bow(rng, 0.36, 0.52, 1.2), Motion(turn=0.035), Motion(x=0.18))
