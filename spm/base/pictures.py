"""Pictures of untrusted files."""

import warnings
from pathlib import Path
from typing import IO

from PIL import Image

from spm.base.sizes import AbsurdSize, check_pixels


def open_picture(source: Path | IO[bytes], formats: list[str] | None = None) -> Image.Image:
    """Read the header of a picture with Pillow; its pixels are read when they are used.

    Raises
    ------
    AbsurdSize
        When it has too many pixels.
    """
    # Pillow would warn before it is refused here.
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    image = Image.open(source, formats=formats)
    try:
        check_pixels(image.width, image.height)
    except AbsurdSize:
        image.close()
        raise
    return image
