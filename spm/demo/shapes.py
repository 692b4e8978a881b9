"""Drawing for the embedded corpus: outlines in coordinates of an instrument, and sprites of them.

x increases to the right and y downwards. An instrument is one to two units long, near the origin.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFilter

Floats = NDArray[np.float64]
Color = tuple[int, int, int]
Size = tuple[int, int]  # width, height in pixels

SUPERSAMPLING = 3
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
OVERHANG = 0.08  # largest part of a box's side that may be outside the frame
EDGE = 0.4  # share of black in the color of an edge


class Shape(NamedTuple):
    """A filled outline; `edge` is the width of its darker border, in the drawing's units."""

    outline: Floats  # (points, 2)
    color: Color
    edge: float = 0.012


class Motion(NamedTuple):
    """Motion of a layer for a drive of 1, in the drawing's units and radians.

    A drive of −1 gives the opposite motion.
    """

    x: float = 0
    y: float = 0
    turn: float = 0
    stretch: float = 0  # of x


class Drawing(NamedTuple):
    """An instrument: its body, and the part (bow, mallets) that moves on it."""

    body: list[Shape]
    part: list[Shape]
    sway: Motion  # of everything
    stroke: Motion  # of the part, in addition


class Pose(NamedTuple):
    """Place and size of an object in the frame, or between two vertical lines of the frame."""

    x: float  # 0: its box begins at the left edge (or OVERHANG outside); 1: it ends at the right
    y: float  # the same from top to bottom
    area: float  # of its box, as a fraction of the frame's
    turn_deg: float = 0
    mirror: bool = False
    left: float = 0  # the vertical lines, as fractions of the frame's width
    right: float = 1


def blend(first: Color, second: Color, share: float) -> Color:
    """Mix two colors: `share` 0 gives the first, 1 the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def tinted(rng: np.random.Generator, color: Color, spread: float = 22) -> Color:
    """Vary a color: the brightness of all channels together, and each channel a little."""
    values = np.array(color) + rng.normal(0, spread) + rng.normal(0, spread / 3, 3)
    red, green, blue = (int(value) for value in values.clip(0, 255))
    return red, green, blue


def smooth(knots: ArrayLike, closed: bool = False, steps: int = 6) -> Floats:
    """Catmull–Rom curve through knots, shape (n, d).

    Further columns, such as a width, are interpolated in the same way.
    """
    points = np.asarray(knots, float)
    ends = (points[-1:], points[:2]) if closed else (points[:1], points[-1:])
    padded = np.vstack([ends[0], points, ends[1]])
    a, b, c, d = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    curve = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    inside = curve.transpose(1, 0, 2).reshape(-1, points.shape[1])
    return inside if closed else np.vstack([inside, points[-1:]])


def ellipse(x: float, y: float, rx: float, ry: float | None = None, turn: float = 0) -> Floats:
    """Outline of an ellipse, turned by `turn` radians; with one radius, a circle."""
    angle = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    flat = np.stack([rx * np.cos(angle), (rx if ry is None else ry) * np.sin(angle)], 1)
    return np.asarray(flat @ turned(np.degrees(turn), mirror=False).T + (x, y))


def rectangle(left: float, top: float, right: float, bottom: float) -> Floats:
    """Outline of an upright rectangle."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def symmetric(profile: ArrayLike) -> Floats:
    """Outline of a symmetric body, from points (y, half width), from top to bottom."""
    half = smooth(profile)
    return np.vstack([half[:, ::-1], half[::-1, ::-1] * (-1, 1)])


def tube(knots: ArrayLike) -> Floats:
    """Outline of a tube along knots, shape (n, 3): x, y and half width."""
    curve = smooth(knots)
    along = np.gradient(curve[:, :2], axis=0)
    normal = along[:, ::-1] * (-1, 1) / np.linalg.norm(along, axis=1, keepdims=True).clip(1e-9)
    offset = normal * curve[:, 2:]
    return np.vstack([curve[:, :2] + offset, (curve[:, :2] - offset)[::-1]])


def line(start: tuple[float, float], end: tuple[float, float], width: float) -> Floats:
    """Outline of a straight line."""
    return tube([(*start, width / 2), (*end, width / 2)])


def glossy(knots: ArrayLike, color: Color, edge: float = 0.012) -> list[Shape]:
    """Draw a round metal tube: its color, and a bright band along its middle."""
    path = np.asarray(knots, float)
    light = blend(color, WHITE, 0.3)
    bands = ((1.0, color, edge), (0.5, light, 0.0), (0.16, blend(light, WHITE, 0.5), 0.0))
    return [Shape(tube(path * (1, 1, share)), tone, border) for share, tone, border in bands]


def extent(shapes: Sequence[Shape], turn: Floats) -> tuple[Floats, Floats]:
    """Lower and upper corner of the box of the shapes after a turn by a 2×2 matrix."""
    points = np.vstack([shape.outline for shape in shapes]) @ turn.T
    return points.min(0), points.max(0)


def turned(degrees: float, mirror: bool) -> Floats:
    """Matrix (2, 2) that mirrors left and right, then turns clockwise as seen on the screen."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1.0 if mirror else 1.0, 1.0])


def matrix_of(shapes: Sequence[Shape], pose: Pose, size: Size) -> Floats:
    """Matrix (3, 3) from the drawing's coordinates to the frame's pixels.

    The box of the posed shapes covers `pose.area` of the frame, or less where it would be larger
    than the space between the vertical lines.
    """
    turn = turned(pose.turn_deg, pose.mirror)
    low, high = extent(shapes, turn)
    stage = np.array([(pose.right - pose.left) * size[0], size[1]])
    scale = min(
        np.sqrt(pose.area * size[0] * size[1] / (high - low).prod()), *(stage / (high - low))
    )
    box = scale * (high - low)
    corner = np.array([pose.x, pose.y]) * (stage - (1 - 2 * OVERHANG) * box) - OVERHANG * box
    matrix = np.eye(3)
    matrix[:2, :2] = scale * turn
    matrix[:2, 2] = corner - scale * low
    matrix[0, 2] += pose.left * size[0]
    return matrix


def sprite(shapes: Sequence[Shape], matrix: Floats, size: Size) -> Image.Image:
    """Paint shapes on a transparent RGBA picture.

    Parameters
    ----------
    shapes : sequence of Shape
        From the back to the front.
    matrix : Floats, shape (3, 3)
        From the drawing's coordinates to pixels of the picture.
    size : (int, int)
        Width and height in pixels.
    """
    picture = Image.new("RGBA", (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING))
    pen = ImageDraw.Draw(picture)
    fine = matrix[:2] * SUPERSAMPLING
    unit = np.sqrt(abs(np.linalg.det(fine[:, :2])))  # pixels
    for shape in shapes:
        points = [tuple(point) for point in shape.outline @ fine[:, :2].T + fine[:, 2]]
        width = round(shape.edge * unit)
        edge = (*blend(shape.color, BLACK, EDGE), 255) if width else None
        pen.polygon(points, fill=(*shape.color, 255), outline=edge, width=max(width, 1))
    return picture.reduce(SUPERSAMPLING)


def lit(picture: Image.Image, strength: float = 0.9) -> Image.Image:
    """Shade a flat sprite as if light came from the upper left."""
    step = max(1, picture.height // 50)
    height = (
        np.asarray(picture.getchannel("A").filter(ImageFilter.GaussianBlur(2 * step)), float) / 255
    )
    slope = np.roll(height, (-step, -step), (0, 1)) - np.roll(height, (step, step), (0, 1))
    pixels = np.array(picture)
    left, top, right, bottom = picture.getbbox() or (0, 0, 0, 0)
    colors, light = pixels[top:bottom, left:right, :3], 1 + strength * slope[..., None]
    colors[:] = (colors * light[top:bottom, left:right]).clip(0, 255)
    return Image.fromarray(pixels)
