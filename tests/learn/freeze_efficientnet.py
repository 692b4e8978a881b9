"""Write tests/data/efficientnet_lite0.npz: the logits of the weights' own implementation.

PYTHONPATH=FOLDER python -m tests.learn.freeze_efficientnet

FOLDER has the package efficientnet-lite-pytorch 0.1.0 (pip install --no-deps --target FOLDER).
"""

from pathlib import Path

import numpy as np

from spm.learn import pretrained

FILE = Path(__file__).parents[1] / "data" / "efficientnet_lite0.npz"


def image() -> np.ndarray:
    """A made image, uint8, (3, 224, 224): a disk on a slope of colors, with noise."""
    rows, columns = np.mgrid[:224, :224]
    slope = np.stack([rows, columns, 223 - rows]).astype(float)
    slope[:, (rows - 120) ** 2 + (columns - 100) ** 2 < 60**2] = 230
    noise = np.random.default_rng(0).normal(0, 12, slope.shape)
    return (slope + noise).clip(0, 255).astype(np.uint8)


def main() -> None:
    """Write the file."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    path = str(pretrained.path("efficientnet_lite0"))
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    with torch.inference_mode():
        logits = network((torch.from_numpy(image())[None].float() - 127) / 128)
    np.savez_compressed(FILE, logits=logits[0].numpy())


if __name__ == "__main__":
    main()
