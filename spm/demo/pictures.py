"""Frames of the embedded corpus: sprites that move with the notes, and their exact boxes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spm.demo.backdrops import PAD
from spm.demo.shapes import Drawing, Floats, Motion, Pose, Size, lit, matrix_of, sprite

Box = tuple[float, float, float, float]  # x, y (top left corner), w, h; fractions of the frame

MARGIN = 28  # px of a sprite beyond each side of the frame, because a part may move in
MIN_ALPHA = 24  # of 255: pixels of the instrument have at least this alpha
VISIBLE = [alpha >= MIN_ALPHA for alpha in range(256)]  # look-up table


class Actor(NamedTuple):
    """An instrument in the frame; without a drive it does not move."""

    drawing: Drawing
    pose: Pose
    drive: Floats | None  # (frames,), in [-1, 1]


def _motion_matrix(motion: Motion, drive: float) -> Floats:
    """Matrix (3, 3) of a motion in the drawing's coordinates."""
    cos, sin = np.cos(motion.turn * drive), np.sin(motion.turn * drive)
    stretch = 1 + motion.stretch * drive
    return np.array(
        [[cos * stretch, -sin, motion.x * drive], [sin * stretch, cos, motion.y * drive], [0, 0, 1]]
    )


def _translation(x: float, y: float) -> Floats:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


class Placed(NamedTuple):
    """A transparent picture that covers a part of the frame."""

    picture: Image.Image  # RGBA
    left: int  # px; of the part in the frame
    top: int

    def on(self, below: "Placed") -> "Placed":
        """Both pictures as one, this one in front."""
        left, top = min(self.left, below.left), min(self.top, below.top)
        right = max(self.left + self.picture.width, below.left + below.picture.width)
        bottom = max(self.top + self.picture.height, below.top + below.picture.height)
        both = Image.new("RGBA", (right - left, bottom - top))
        both.paste(below.picture, (below.left - left, below.top - top))
        both.alpha_composite(self.picture, (self.left - left, self.top - top))
        return Placed(both, left, top)

    def box(self, size: Size) -> Box | None:
        """Tight box of the visible part; None where nothing is visible."""
        visible = self.picture.getchannel("A").point(VISIBLE).getbbox()
        if visible is None:
            return None
        left, top, right, bottom = visible
        width, height = size
        corner = (self.left + left) / width, (self.top + top) / height
        return *corner, (right - left) / width, (bottom - top) / height


class _Layer(NamedTuple):
    """A sprite, and its place in the frame."""

    picture: Image.Image  # colors multiplied by alpha, as a transform needs them
    corner: Floats  # (3, 3): from the sprite's pixels to the frame's, at rest
    pose: Floats  # (3, 3): from the drawing's coordinates to the frame's pixels, at rest

    def moved(self, motion: Floats, size: Size) -> Placed:
        """Show the layer in the frame after a motion in the drawing's coordinates.

        Only the part of the frame that the sprite covers is computed.
        """
        to_frame = self.pose @ motion @ np.linalg.inv(self.pose) @ self.corner
        width, height = self.picture.size
        corners = to_frame @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
        left, top = np.floor(corners[:2].min(1)).clip(0, size).astype(int).tolist()
        right, bottom = np.ceil(corners[:2].max(1)).clip(0, size).astype(int).tolist()
        covered = (right - left, bottom - top)
        if not all(covered):
            return Placed(Image.new("RGBA", covered), left, top)
        to_sprite = np.linalg.inv(to_frame) @ _translation(left, top)
        coefficients = tuple(to_sprite[:2].ravel())
        patch = self.picture.transform(
            covered, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR
        )
        return Placed(patch.convert("RGBA"), left, top)


def _cropped(picture: Image.Image, pose: Floats) -> _Layer:
    """Crop a sprite's canvas to the visible part, with a transparent pixel around it."""
    left, top, right, bottom = picture.getbbox() or (0, 0, *picture.size)
    corner = _translation(left - 1 - MARGIN, top - 1 - MARGIN)
    visible = picture.crop((left - 1, top - 1, right + 1, bottom + 1))
    return _Layer(visible.convert("RGBa"), corner, pose)


def _layers(drawing: Drawing, pose: Pose, size: Size) -> list[_Layer]:
    """Draw the body and the moving part in one pose, each as a layer."""
    matrix = matrix_of(drawing.body + drawing.part, pose, size)
    canvas = (size[0] + 2 * MARGIN, size[1] + 2 * MARGIN)
    inside = _translation(MARGIN, MARGIN) @ matrix
    pictures = [
        lit(sprite(shapes, inside, canvas)) for shapes in (drawing.body, drawing.part) if shapes
    ]
    return [_cropped(picture, matrix) for picture in pictures]


def _posed(actor: Actor, layers: Sequence[_Layer], frame: int, shake: Floats, size: Size) -> Placed:
    """Show an actor in one frame."""
    drive = 0.0 if actor.drive is None else float(actor.drive[frame])
    body = _motion_matrix(actor.drawing.sway, drive)
    pose = layers[0].pose
    shaken = np.linalg.inv(pose) @ _translation(*shake) @ pose
    motions = (shaken @ body, shaken @ body @ _motion_matrix(actor.drawing.stroke, drive))
    posed, *parts = [
        layer.moved(motion, size) for layer, motion in zip(layers, motions, strict=False)
    ]
    for part in parts:
        posed = part.on(posed)
    return posed


def film(
    background: Image.Image,
    actors: Sequence[Actor],
    shake: Floats,
    table: NDArray[np.uint8],
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
        Movement of the camera in whole pixels, at most `PAD`.
    table : array, uint8, shape (3, 256)
        From `grade`.
    size : (int, int)
        Width and height of the frame in pixels.

    Returns
    -------
    frames : array, uint8, shape (frames, height, width, 3)
    boxes : list of lists
        For each actor and each frame, its tight box in the frame; None where it is outside.
    """
    drawn = [_layers(actor.drawing, actor.pose, size) for actor in actors]
    graded = table.ravel().tolist()
    frames: list[NDArray[np.uint8]] = []
    boxes: list[list[Box | None]] = [[] for _ in actors]
    for number, (x, y) in enumerate(shake):
        left, top = PAD - int(x), PAD - int(y)
        picture = background.crop((left, top, left + size[0], top + size[1]))
        for actor, layers, actor_boxes in zip(actors, drawn, boxes, strict=True):
            posed = _posed(actor, layers, number, np.array([x, y]), size)
            picture.alpha_composite(posed.picture, (posed.left, posed.top))
            actor_boxes.append(posed.box(size))
        frames.append(np.asarray(picture.convert("RGB").point(graded)))
    return np.stack(frames), boxes
