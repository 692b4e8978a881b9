"""Heat maps of the source of the sound, for any video file.

    from spm import localize
    localization = localize.video("concert.mp4")
    print(localization.seconds()[["start_s", "score", "peak_x", "peak_y"]])

On the command line: spm localize concert.mp4
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spm.base.constants import PCM_SCALE
from spm.base.errors import UserError
from spm.base.statuses import FetchStatus
from spm.corpus import clips as corpus_clips
from spm.corpus.clips import Clips
from spm.fusion import maps as fusion_maps
from spm.fusion.methods import zero_shot
from spm.inference import listening, model, sources
from spm.inference.localization import (
    BOX_THRESHOLD,
    Localization,
    Maps,
    NetworkInfo,
)
from spm.learn import loader, transforms
from spm.learn.device import pick_device

__all__ = ["Localization", "Localizer", "NetworkInfo", "video"]

# Frames are decoded this much larger than the input of a trained network, as in the workflow: 256
# px for 224. Those of the zero-shot network have the size of its input.
MARGIN = 8 / 7
WORKERS = 2  # processes that decode frames for a GPU
BATCH = 32  # frames
MAPS_PER_S = 2  # the overlay video interpolates between maps
# Limits of what one video, which may be damaged, can use
MAX_S = 3600  # that are used of it; each hour needs up to 1.5 GB of temporary files
MEMORY_MB = 3000  # of each process that reads the video
TIME_S = 1800  # to decode it

Clip = dict[str, Any]  # a row of the table of clips


def ignore(seconds: float) -> None:
    """Do nothing: the default of functions that report progress."""


def video(
    path: str | Path,
    weights: str | Path | None = None,
    max_s: int | None = MAX_S,
    threshold: float = BOX_THRESHOLD,
) -> Localization:
    """The maps of one video; for several videos, create one `Localizer`.

    Parameters
    ----------
    path : path
        A video file.
    weights : path or str, optional
        `network.safetensors` of a run, the folder of a run, or OWNER/NAME of a hub; by default the
        zero-shot network, which needs no training.
    max_s : int, optional
        Use only the first seconds of the video; None: all of it.
    threshold : float
        Score from which a frame has a box, in [0, 1].

    Raises
    ------
    UserError
        When there is no such network, or the video can't be used; the message has the reason.
    """
    return Localizer(weights, threshold=threshold).localize(path, max_s)


class Localizer:
    """A network that localizes the sound of videos.

    Parameters
    ----------
    weights : path or str, optional
        `network.safetensors` of a run, with its .json beside it, the folder of a run, or OWNER/NAME
        of a hub; by default the zero-shot network.
    device_name : str
        `auto`, `cpu`, `cuda`, …
    maps_per_s : int
        Number of maps per second of video.
    threshold : float
        Score from which a frame has a box, in [0, 1].
    memory_mb : int
        Largest address space of a process that reads a video, in MB.
    time_s : int
        Longest time to decode a video, in s.

    Raises
    ------
    UserError
        When there is no such network, or a pretrained part of it is missing.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        device_name: str = "auto",
        maps_per_s: int = MAPS_PER_S,
        threshold: float = BOX_THRESHOLD,
        memory_mb: int = MEMORY_MB,
        time_s: int = TIME_S,
    ) -> None:
        self.device = pick_device(device_name)
        self.network, self.categories, self.info = model.load(weights)
        self.is_default = weights is None
        self.network.to(self.device)
        self.threshold = threshold
        size = self.info.crop if self.is_default else round(self.info.crop * MARGIN)
        limits = {"memory_mb": memory_mb, "time_s": time_s}
        self.clips = Clips(size=size, frames_per_clip=maps_per_s, **limits)
        self.batch = max(1, BATCH // maps_per_s)  # clips

    def localize(
        self,
        video: str | Path,
        max_s: int | None = MAX_S,
        on_progress: Callable[[float], object] = ignore,
        name: str = "",
    ) -> Localization:
        """Compute the maps of one video.

        Parameters
        ----------
        video : path
            A video file.
        max_s : int, optional
            Use only the first seconds of the video; None: all of it.
        on_progress : callable
            Called after each batch with the number of seconds of video in it.
        name : str
            Of the video in the table of maps; by default that of its file.

        Raises
        ------
        UserError
            When the video has no pictures or no sound, or can't be decoded; with the reason.
        """
        path = Path(video)
        media = sources.inspect(path, self.clips.memory_mb)
        clips = decode(path, self.clips.model_copy(update={"max_s": max_s}))
        pcm = np.stack([np.frombuffer(clip["pcm"], "<i2") for clip in clips])
        sounds = self._sounds(torch.from_numpy(pcm * np.float32(PCM_SCALE)), path.stem, clips)
        categories = self.categories
        if self.is_default and isinstance(self.network, zero_shot.Network):
            categories = listening.audible_things(self.network, sounds)
        layers = np.concatenate(list(self._layers(clips, sounds, categories, on_progress)))
        repeats = self.clips.frames_per_clip
        maps_of_categories = layers[:, 1:].swapaxes(0, 1)  # (categories, n, h, w)
        by_category = dict(zip(sorted(categories), maps_of_categories, strict=False))
        if self.is_default:
            by_category = listening.hottest(by_category)
        return Localization(
            video=path,
            size=sources.display_size(media),
            network=self.info,
            maps_per_s=repeats,
            times_s=np.concatenate([clip["frame_time_s"] for clip in clips]),
            maps=layers[:, 0],
            by_category=by_category,
            frames=list(chain.from_iterable(clip["frames"] for clip in clips)),
            rms_db=np.repeat([float(clip["rms_db"]) for clip in clips], repeats),
            class_scores=listening.class_scores(self.network, sounds, categories, repeats),
            generic=listening.generic(self.network, categories),
            threshold=self.threshold,
            media=media,
            name=name,
        )

    @torch.inference_mode()
    def _sounds(self, pcm: Tensor, video: str, clips: list[Clip]) -> Tensor:
        """Sounds of the clips as `heat_maps` takes them, (clips, …)."""
        batches = pcm.to(self.device).split(self.batch)
        parts = [self.network.prepare_sound(batch) for batch in batches]
        starts_s = [clip["start_s"] for clip in clips]
        return self.network.smooth_sounds(torch.cat(parts), [video] * len(clips), starts_s)

    @torch.inference_mode()
    def _layers(
        self,
        clips: list[Clip],
        sounds: Tensor,
        categories: fusion_maps.Categories,
        on_progress: Callable[[float], object],
    ) -> Iterator[Maps]:
        """Maps of each batch: of the sound, then of each category, (n, 1 + categories, h, w)."""
        frames = self._frames([clip["frames"] for clip in clips])
        for part, decoded in zip(sounds.split(self.batch), frames, strict=True):
            images = transforms.resize_normalize(decoded.to(self.device), self.info.crop)
            images = images.view(len(part), -1, *images.shape[1:])  # (clips, frames, 3, crop, crop)
            heat = self.network.heat_maps(images, part)
            layers = fusion_maps.layers(heat, categories)
            yield layers.flatten(0, 1).cpu().numpy()
            on_progress(len(part))

    def _frames(self, jpegs: Sequence[Sequence[bytes]]) -> Iterator[Tensor]:
        """The frames of each batch of clips, (n, 3, H, W), uint8."""
        batches = [jpegs[start : start + self.batch] for start in range(0, len(jpegs), self.batch)]
        plans = [list(chain.from_iterable(batch)) for batch in batches]
        workers = WORKERS if self.device.type == "cuda" else 0
        return loader.load(plans, transforms.decode, device=self.device, workers=workers)


def decode(path: Path, config: Clips) -> list[Clip]:
    """The clips of a video file, as the workflow cuts them.

    Raises
    ------
    UserError
        When the video has no pictures or no sound, or can't be decoded; with the reason.
    """
    row = {
        "video_id": path.stem,
        "path": str(path.absolute()),
        "sha256": "",  # was not compared before
        "status": FetchStatus.OK,
        "reason": "",
    }
    with tempfile.TemporaryDirectory() as scratch:
        decoded = corpus_clips.decode(row, Path(scratch, "decoded"), config=config)
        if not decoded.facts["clips"]:
            raise UserError(f"{path}: {decoded.facts['status']}: {decoded.facts['reason']}")
        return list(corpus_clips.rows_of(decoded, config))
