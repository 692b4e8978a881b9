"""DSOL's published loader, on files as DSOL stores them: JPEGs of 640×360 px, pickled log-mels."""

import io
import json
import pickle
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader

WIDTH, HEIGHT, QUALITY = 640, 360, 95  # of the published recordings; OpenCV's quality
VIDEO_S = 10
SUFFIX = "_0_1000"


def _video_id(video: int) -> str:
    """An id of 11 letters, as YouTube's."""
    return f"video-{video:05d}"


def write_files(frames: Sequence[Sequence[bytes]], log_mels: np.ndarray, folder: Path) -> None:
    """Write the folder of frames and the pickle of each second, the list, and the classes.

    Parameters
    ----------
    frames : sequence of list of bytes
        JPEGs of each second; they are resized to 640×360 px.
    log_mels : array, shape (seconds, 201, 64)
        Log-mels of each second.
    folder : Path
        The files are written into it.
    """
    videos = -(-len(frames) // VIDEO_S)
    for number, (jpegs, log_mel) in enumerate(zip(frames, log_mels, strict=True)):
        video, second = divmod(number, VIDEO_S)
        name = _video_id(video) + SUFFIX
        images = folder / "video_frames" / name / f"frame_{second:03d}"
        images.mkdir(parents=True)
        for place, jpeg in enumerate(jpegs):
            image = Image.open(io.BytesIO(jpeg)).resize((WIDTH, HEIGHT))
            image.save(images / f"{place:05d}.jpg", quality=QUALITY)
        sounds = folder / "audio_frames" / name
        sounds.mkdir(parents=True, exist_ok=True)
        (sounds / f"{second:03d}.pkl").write_bytes(pickle.dumps(log_mel.astype(np.float32)))
    names = [_video_id(video) for video in range(videos)]
    lines = [f"{name}{SUFFIX}.flac {name}{SUFFIX}.mp4\n" for name in names]
    (folder / "list.txt").write_text("".join(lines))
    (folder / "classes.json").write_text(json.dumps({"videos": {"cello": names}}))


def load(code: Path, folder: Path, batch: int) -> DataLoader[Any]:
    """The DataLoader of DSOL's training with one worker.

    Parameters
    ----------
    code : Path
        A clone of DSOL's code.
    folder : Path
        The files of `write_files`.
    batch : int
        Items per batch: a sound, an image of its second, and an image of another video.
    """
    sys.path.insert(0, str(code / "music-exp"))
    from data.MUSIC_dataset import MUSIC_Dataset  # type: ignore[import-not-found]

    options = Namespace(
        json_file=str(folder / "classes.json"), mode="train", enable_img_augmentation=True
    )
    data = MUSIC_Dataset(str(folder), str(folder / "list.txt"), options)
    return DataLoader(dataset=data, batch_size=batch, shuffle=True, num_workers=1)
