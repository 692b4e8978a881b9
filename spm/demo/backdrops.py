"""Backgrounds of the embedded corpus, with silent objects, and the exposure of the camera."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from spm.demo.shapes import (
    BLACK,
    WHITE,
    Color,
    Floats,
    Pose,
    Shape,
    Size,
    blend,
    ellipse,
    line,
    lit,
    matrix_of,
    rectangle,
    smooth,
    sprite,
    symmetric,
    tube,
)

Rng = np.random.Generator

PAD = 4  # px of background beyond each side of the frame, for the shaking of the camera


def _color(rng: Rng, low: int = 30, high: int = 225) -> Color:
    """Draw a muted color: some gray is mixed into a random one."""
    vivid = rng.integers(low, high, 3)
    red, green, blue = (int(value) for value in vivid + 0.45 * (vivid.mean() - vivid))
    return red, green, blue


def _ramp(rng: Rng, size: Size) -> Floats:
    """Return a plane that rises from 0 to 1 in a random direction, shape (height, width, 1)."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : size[1] * 1j, -1 : 1 : size[0] * 1j]
    plane = np.cos(angle) * x + np.sin(angle) * y
    return np.asarray((plane - plane.min()) / np.ptp(plane))[..., None]


def _gradient(rng: Rng, size: Size) -> Image.Image:
    first, second = np.array(_color(rng)), np.array(_color(rng))
    return Image.fromarray((first + (second - first) * _ramp(rng, size)).astype(np.uint8))


def _room(rng: Rng, size: Size) -> Image.Image:
    wall, floor = _color(rng, 70), _color(rng, 20, 150)
    picture = Image.new("RGB", size, wall)
    pen, horizon = ImageDraw.Draw(picture), int(size[1] * rng.uniform(0.55, 0.85))
    if rng.random() < 0.5:
        for x in range(0, size[0], int(rng.integers(8, 26))):
            pen.line(
                (x, 0, x, horizon), fill=blend(wall, BLACK, 0.12), width=int(rng.integers(1, 5))
            )
    pen.rectangle((0, horizon, *size), fill=floor)
    for i in range(-12, 13):
        pen.line(
            (size[0] / 2 + 14 * i, horizon, size[0] / 2 + 60 * i, size[1]),
            fill=blend(floor, BLACK, 0.25),
        )
    pen.rectangle((0, horizon - 4, size[0], horizon), fill=blend(wall, WHITE, 0.5))
    return picture


def _curtains(rng: Rng, size: Size) -> Image.Image:
    x = np.arange(size[0]) / rng.uniform(5, 16)
    fold = 0.7 + 0.3 * np.sin(x + rng.uniform(0.5, 2.5) * np.sin(x / 2.7 + rng.uniform(0, 6)))
    shade = np.linspace(1, rng.uniform(0.5, 1), size[1])[:, None, None] * fold[None, :, None]
    return Image.fromarray((shade * np.array(_color(rng, 20, 250))).astype(np.uint8))


def _shelves(rng: Rng, size: Size) -> Image.Image:
    wood = _color(rng, 30, 130)
    picture = Image.new("RGB", size, wood)
    pen, height = ImageDraw.Draw(picture), int(rng.integers(26, 48))
    for top in range(int(rng.integers(-20, 0)), size[1], height):
        x = 2
        while x < size[0]:
            width, rise = int(rng.integers(3, 10)), int(rng.integers(3, 12))
            if rng.random() < 0.85:
                pen.rectangle(
                    (x, top + rise, x + width, top + height - 5), fill=_color(rng), outline=BLACK
                )
            x += width + 1
        pen.rectangle(
            (0, top + height - 4, size[0], top + height - 1), fill=blend(wood, WHITE, 0.2)
        )
    return picture


def _texture(rng: Rng, size: Size) -> Image.Image:
    picture = np.zeros((size[1], size[0], 3))
    for cell in (4, 12, 36):
        noise = rng.integers(0, 256, (size[1] // cell + 2, size[0] // cell + 2, 3)).astype(np.uint8)
        picture += (
            np.asarray(Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC), float) / 3
        )
    picture += rng.uniform(0.2, 0.9) * (picture.mean(2, keepdims=True) - picture)
    contrast = rng.uniform(0.3, 0.8)
    return Image.fromarray(
        (contrast * (picture - 128) + np.array(_color(rng, 60, 190))).clip(0, 255).astype(np.uint8)
    )


def _bokeh(rng: Rng, size: Size) -> Image.Image:
    picture = _gradient(rng, size).point(lambda value: value * 0.6)
    glow = Image.new("RGB", size)
    for _ in range(int(rng.integers(8, 26))):
        spot, radius = Image.new("RGB", size), rng.uniform(4, 18)
        x, y = rng.uniform(0, size[0]), rng.uniform(0, size[1])
        ImageDraw.Draw(spot).ellipse(
            (x - radius, y - radius, x + radius, y + radius), fill=_color(rng, 40, 200)
        )
        glow = Image.fromarray(np.maximum(np.asarray(glow), np.asarray(spot)))
    return Image.fromarray(
        np.maximum(np.asarray(picture), np.asarray(glow.filter(ImageFilter.GaussianBlur(1.5))))
    )


def _bricks(rng: Rng, size: Size) -> Image.Image:
    brick, width, height = _color(rng, 60, 200), int(rng.integers(16, 34)), int(rng.integers(8, 15))
    picture = Image.new("RGB", size, blend(brick, WHITE, 0.45))
    pen = ImageDraw.Draw(picture)
    for row, top in enumerate(range(0, size[1], height)):
        for left in range(-width * (row % 2) // 2, size[0], width):
            tone = blend(brick, BLACK, rng.uniform(0, 0.25))
            pen.rectangle((left, top, left + width - 2, top + height - 2), fill=tone)
    return picture


BACKGROUNDS = (_gradient, _room, _room, _curtains, _shelves, _texture, _bokeh, _bricks)


def _painting(rng: Rng) -> list[Shape]:
    sky, land = _color(rng, 120, 250), _color(rng, 20, 150)
    hill = smooth([(-0.5, 0.1), (-0.2, -0.1), (0.1, 0.12), (0.35, -0.05), (0.5, 0.1)])
    return [
        Shape(rectangle(-0.6, -0.45, 0.6, 0.45), _color(rng, 40, 200), 0.03),
        Shape(rectangle(-0.5, -0.35, 0.5, 0.35), sky, 0),
        Shape(np.vstack([hill, [(0.5, 0.35), (-0.5, 0.35)]]), land, 0),
        Shape(ellipse(rng.uniform(-0.3, 0.3), -0.2, 0.08), (250, 230, 140), 0),
    ]


def _lamp(rng: Rng) -> list[Shape]:
    shade = symmetric([(-0.8, 0.14), (-0.79, 0.15), (-0.45, 0.3), (-0.44, 0.3)])
    pole, foot = line((0, -0.45), (0, 0.8), 0.04), ellipse(0, 0.8, 0.2, 0.05)
    metal = _color(rng, 20, 120)
    return [
        Shape(pole, metal),
        Shape(foot, metal),
        Shape(shade, blend(_color(rng, 120, 250), (255, 240, 190), 0.6)),
    ]


def _plant(rng: Rng) -> list[Shape]:
    green = (int(rng.integers(20, 70)), int(rng.integers(90, 160)), int(rng.integers(30, 80)))
    leaves = []
    for angle in np.linspace(-1.2, 1.2, int(rng.integers(6, 11))):
        tip = np.array([np.sin(angle), -np.cos(angle)]) * rng.uniform(0.5, 0.9)
        knots = [(0, 0.2, 0.01), (*(tip * 0.5), 0.07), (tip[0], tip[1] + 0.1 * abs(angle), 0.005)]
        leaves.append(Shape(tube(knots), blend(green, WHITE, rng.uniform(0, 0.3))))
    return [
        *leaves,
        Shape(symmetric([(0.15, 0.24), (0.2, 0.25), (0.6, 0.17)]), _color(rng, 90, 210)),
    ]


def _music_stand(rng: Rng) -> list[Shape]:
    metal = _color(rng, 20, 90)
    legs = [Shape(line((0, 0.5), (x, 0.85), 0.035), metal, 0) for x in (-0.3, 0, 0.3)]
    desk = np.array([(-0.42, -0.5), (0.42, -0.5), (0.46, 0.02), (-0.46, 0.02)])
    sheets = [Shape(desk * (0.44, 0.85) + (x, -0.04), (244, 242, 232)) for x in (-0.2, 0.2)]
    staves = [
        Shape(line((x - 0.14, y), (x + 0.14, y), 0.018), (110, 110, 110), 0)
        for x in (-0.2, 0.2)
        for y in np.linspace(-0.38, -0.08, 5)
    ]
    pole = Shape(line((0, 0), (0, 0.6), 0.045), metal, 0)
    return [*legs, pole, Shape(desk, metal), *sheets, *staves]


def _person(rng: Rng) -> list[Shape]:
    skin = blend((244, 206, 172), (92, 58, 40), rng.uniform(0, 1))
    clothes, hair = _color(rng, 20, 220), _color(rng, 15, 110)
    return [
        Shape(ellipse(0, -0.62, 0.2, 0.24), hair, 0),
        Shape(tube([(0, -0.45, 0.07), (0, -0.2, 0.08)]), skin, 0),
        Shape(
            symmetric(
                [(-0.3, 0.06), (-0.26, 0.2), (-0.16, 0.38), (0.1, 0.4), (0.5, 0.32), (0.9, 0.38)]
            ),
            clothes,
        ),
        Shape(ellipse(0, -0.57, 0.155, 0.2), skin, 0),
    ]


def _speaker(rng: Rng) -> list[Shape]:
    case = _color(rng, 15, 110)
    cones = []
    for y, radius in ((-0.3, 0.12), (0.2, 0.24)):
        cones.append(Shape(ellipse(0, y, radius), (120, 120, 124)))
        cones.append(Shape(ellipse(0, y, radius * 0.75), (34, 34, 38), 0))
    return [Shape(rectangle(-0.32, -0.55, 0.32, 0.55), case, 0.02), *cones]


def _window(rng: Rng) -> list[Shape]:
    light = blend((140, 190, 240), (250, 220, 170), rng.uniform(0, 1))
    panes = [
        Shape(rectangle(x, y, x + 0.36, y + 0.46), light, 0)
        for x in (-0.4, 0.04)
        for y in (-0.52, 0.06)
    ]
    return [Shape(rectangle(-0.48, -0.6, 0.48, 0.6), _color(rng, 140, 250), 0.03), *panes]


def _balloon(rng: Rng) -> list[Shape]:
    color = _color(rng, 40, 250)
    string = tube([(0, 0.35, 0.01), (0.05, 0.6, 0.01), (-0.03, 0.9, 0.01)])
    return [
        Shape(string, (230, 230, 230), 0),
        Shape(ellipse(0, 0, 0.3, 0.37), color),
        Shape(ellipse(-0.1, -0.14, 0.06, 0.09), blend(color, WHITE, 0.6), 0),
    ]


PROPS: tuple[Callable[[Rng], list[Shape]], ...] = (
    _painting, _lamp, _plant, _music_stand, _person, _person, _speaker, _window, _balloon,
)  # fmt: skip


def backdrop(rng: Rng, size: Size) -> Image.Image:
    """Paint a background with up to three silent objects.

    It is `PAD` pixels larger than the frame on each side.
    """
    canvas = (size[0] + 2 * PAD, size[1] + 2 * PAD)
    picture = BACKGROUNDS[rng.integers(len(BACKGROUNDS))](rng, canvas).convert("RGBA")
    for _ in range(rng.integers(4)):
        shapes = PROPS[rng.integers(len(PROPS))](rng)
        pose = Pose(rng.random(), rng.uniform(0.2, 1), rng.uniform(0.05, 0.25), rng.uniform(-5, 5))
        picture.alpha_composite(lit(sprite(shapes, matrix_of(shapes, pose, canvas), canvas)))
    return picture


def grade(rng: Rng) -> NDArray[np.uint8]:
    """Look-up table of a camera's exposure, contrast and white balance: (3 colors, 256 values)."""
    gain = rng.uniform(0.72, 1.15) * rng.normal(1, 0.05, 3)
    gamma = rng.uniform(0.85, 1.2)
    values = 255 * gain[:, None] * (np.arange(256) / 255) ** gamma
    return values.clip(0, 255).astype(np.uint8)
