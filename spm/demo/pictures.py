"""Filming for the embedded corpus: sprites that move with the notes over a background, and their exact boxes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spm.demo.backdrops import PAD
from spm.demo.shapes import Drawing, Floats, Motion, Pose, Size, lit, matrix_of, sprite

Box = tuple[
    float, float, float, float
]  # x, y, w, h as fractions of the frame: top left corner and size

MARGIN = 28  # pixels of a sprite beyond the frame, for a part to move in from
VISIBLE = 24  # of 255: the least alpha that counts as the instrument


class Actor(NamedTuple):
    """An instrument in the frame; without a drive it stands still."""

    drawing: Drawing
    pose: Pose
    drive: Floats | None  # (frames,), in [-1, 1]


def _moved(motion: Motion, drive: float) -> Floats:
    """Matrix (3, 3) of a motion in the drawing's coordinates."""
    cos, sin = np.cos(motion.turn * drive), np.sin(motion.turn * drive)
    stretch = 1 + motion.stretch * drive
    return np.array(
        [[cos * stretch, -sin, motion.x * drive], [sin * stretch, cos, motion.y * drive], [0, 0, 1]]
    )


def _shifted(x: float, y: float) -> Floats:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


class _Layer(NamedTuple):
    """A sprite, and where it belongs."""

    picture: Image.Image
    corner: Floats  # (3, 3): from the sprite's pixels to the frame's, at rest
    pose: Floats  # (3, 3): from the drawing's coordinates to the frame's pixels, at rest

    def at(self, moved: Floats, size: Size) -> Image.Image:
        """Show the layer as it looks in the frame after a motion in the drawing's coordinates."""
        there = self.pose @ moved @ np.linalg.inv(self.pose) @ self.corner
        width, height = self.picture.size
        ends = (there @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]]))[:2]
        left, top = np.floor(ends.min(1)).clip(0, size).astype(int)
        right, bottom = np.ceil(ends.max(1)).clip(0, size).astype(int)
        back = np.linalg.inv(there) @ _shifted(left, top)
        near = (int(right - left), int(bottom - top))  # only what the sprite can reach is computed
        shown = Image.new("RGBA", size)
        if all(near):
            coefficients = tuple(back[:2].ravel())
            patch = self.picture.transform(
                near, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
            )
            shown.paste(patch, (int(left), int(top)))
        return shown


def _cropped(picture: Image.Image, pose: Floats) -> _Layer:
    """Keep the part of a sprite's canvas that shows something, and a transparent pixel around it."""
    left, top, right, bottom = picture.getbbox() or (0, 0, *picture.size)
    around = (left - 1, top - 1, right + 1, bottom + 1)
    return _Layer(picture.crop(around), _shifted(left - 1 - MARGIN, top - 1 - MARGIN), pose)


def _layers(drawing: Drawing, pose: Pose, size: Size) -> list[_Layer]:
    """Draw body and moving part as one layer each, posed together."""
    matrix = matrix_of(drawing.body + drawing.part, pose, size)
    canvas = (size[0] + 2 * MARGIN, size[1] + 2 * MARGIN)
    inside = _shifted(MARGIN, MARGIN) @ matrix
    pictures = [
        lit(sprite(shapes, inside, canvas)) for shapes in (drawing.body, drawing.part) if shapes
    ]
    return [_cropped(picture, matrix) for picture in pictures]


def _posed(
    actor: Actor, layers: Sequence[_Layer], frame: int, shake: Floats, size: Size
) -> Image.Image:
    """Show an actor alone, as it looks in one frame, on nothing; shape of the frame, RGBA."""
    drive = 0.0 if actor.drive is None else float(actor.drive[frame])
    body = _moved(actor.drawing.sway, drive)
    pose = layers[0].pose
    shaken = np.linalg.inv(pose) @ _shifted(*shake) @ pose
    motions = (shaken @ body, shaken @ body @ _moved(actor.drawing.stroke, drive))
    pictures = [layer.at(moved, size) for layer, moved in zip(layers, motions, strict=False)]
    for part in pictures[1:]:
        pictures[0].alpha_composite(part)
    return pictures[0]


def box_of(picture: Image.Image) -> Box | None:
    """Tight box of what a transparent picture shows; None where it shows nothing."""
    seen = picture.getchannel("A").point(lambda alpha: 255 * (alpha >= VISIBLE)).getbbox()
    if seen is None:
        return None
    (left, top, right, bottom), (width, height) = seen, picture.size
    return left / width, top / height, (right - left) / width, (bottom - top) / height


def film(
    background: Image.Image,
    actors: Sequence[Actor],
    shake: Floats,
    table: Sequence[int],
    size: Size,
) -> tuple[NDArray[np.uint8], list[list[Box | None]]]:
    """Film a scene.

    Parameters
    ----------
    background : Image
        RGBA, `PAD` pixels larger than the frame on each side.
    actors : sequence of Actor
        From the back to the front.
    shake : Floats, shape (frames, 2)
        The camera's movement in whole pixels, at most `PAD`.
    table : sequence of int
        From `grade`.
    size : (int, int)
        Width and height of the frame in pixels.

    Returns
    -------
    frames : uint8, shape (frames, height, width, 3)
    boxes : for each actor, for each frame, its tight box, clipped to the frame; None where it is out of sight
    """
    drawn = [_layers(actor.drawing, actor.pose, size) for actor in actors]
    frames: list[NDArray[np.uint8]] = []
    boxes: list[list[Box | None]] = [[] for _ in actors]
    for number, (x, y) in enumerate(shake):
        left, top = PAD - int(x), PAD - int(y)
        picture = background.crop((left, top, left + size[0], top + size[1]))
        for actor, layers, seen in zip(actors, drawn, boxes, strict=True):
            posed = _posed(actor, layers, number, np.array([x, y]), size)
            picture.alpha_composite(posed)
            seen.append(box_of(posed))
        frames.append(np.asarray(picture.convert("RGB").point(table)))
    return np.stack(frames), boxes
