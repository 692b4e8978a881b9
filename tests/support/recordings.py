"""Frames, sound and boxes of the real recordings in shared/data, which are never committed."""

import io
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from PIL import Image

from spm.corpus.media import ffmpeg


class Frame(NamedTuple):
    """A frame that has boxes."""

    video: Path
    time_s: float
    boxes: np.ndarray  # (n, 4): x, y, w, h in fractions of the frame


def read_sound(path: Path, start_s: float = 0.0, duration_s: float = 600.0) -> torch.Tensor:
    """The sound of a video, 16 kHz mono in [-1, 1]."""
    command = [ffmpeg.binary(), "-v", "error", "-ss", str(max(start_s, 0)), "-t", str(duration_s)]
    command += ["-i", str(path), "-ac", "1", "-ar", "16000", "-f", "s16le", "-"]
    pcm = subprocess.run(command, capture_output=True, check=True).stdout
    return torch.from_numpy(np.frombuffer(pcm, "<i2") / np.float32(32768))


def read_frame(path: Path, time_s: float) -> torch.Tensor:
    """The frame at a time, uint8, (3, H, W)."""
    command = [ffmpeg.binary(), "-v", "error", "-ss", str(time_s), "-i", str(path)]
    command += ["-frames:v", "1", "-f", "image2pipe", "-c:v", "png", "-"]
    png = subprocess.run(command, capture_output=True, check=True).stdout
    pixels = np.array(Image.open(io.BytesIO(png)).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)


def frames_with_boxes(folder: Path) -> list[Frame]:
    """The frames of boxes.csv in a folder of recordings."""
    boxes = pd.read_csv(folder / "boxes.csv")
    return [
        Frame(folder / "videos" / f"{video}.mp4", time_s, rows[["x", "y", "w", "h"]].to_numpy())
        for (video, time_s), rows in boxes.groupby(["video_id", "time_s"], sort=True)
    ]
