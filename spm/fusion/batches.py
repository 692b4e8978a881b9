"""Batches of clips: drawn in the training process, decoded and cropped by worker processes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from spm.fusion import negative_sounds
from spm.fusion.dataset import ClipDataset, sample_pairs
from spm.fusion.losses import Negatives, negative_mask, sample_one_negative
from spm.fusion.settings import Train
from spm.learn import distributed, loader, transforms
from spm.learn.clip_files import ClipColumn
from spm.learn.dataloading import shuffled_batches
from spm.learn.transforms import Augmentation

Item = TypeVar("Item")
CLIPS_PER_MESSAGE = 64  # clips that a worker reads for one message, in whole batches


class Batch(NamedTuple):
    """A batch of B clips, of which this process reads b: all, or its part of a distributed batch.

    Features of frozen networks are those of all B clips. A sounds are those of the clips, and after
    them the batch's negative sounds.
    """

    indices: Tensor  # (B,) indices of the clips
    images: Tensor  # (views · b, 3, crop, crop) a random frame of each, or its features
    sounds: Tensor  # (a, …) log-mels, or (A, …) the features of a frozen audio network
    negative: Tensor  # (A, B) bool: the pairs of sound and frame that are negatives


class WholeFrames(NamedTuple):
    """A batch of B clips with frames that are resized but not cropped; every process reads all."""

    indices: Tensor  # (B,)
    images: Tensor  # (B, 3, crop, crop), or (B, c, h, w) of a frozen visual network
    sounds: Tensor  # (B, …)


class _Plan(NamedTuple):
    """All that is random in a batch of B clips.

    It has arrays of NumPy: a function of torch takes several times as long for so few numbers.
    """

    indices: np.ndarray  # (B,)
    frames: np.ndarray  # (B,) clips that give the frames
    draws: np.ndarray  # (B,) in [0, 1): which frame of the clip
    sounds: np.ndarray  # (A,) clips that give the sounds, and negative sounds
    part: slice  # frames that this process reads
    sound_part: slice  # sounds that it reads
    params: Augmentation | None = None  # (views · b,) each; None: whole frames
    negative: np.ndarray | None = None  # (A, B)


class _Request(NamedTuple):
    """What a worker reads for a batch."""

    frames: np.ndarray  # (b,) clips that give the frames
    draws: np.ndarray  # (b,)
    sounds: np.ndarray  # (a,) clips that give the sounds, and negative sounds
    params: Augmentation | None  # (views · b,) each; None: whole frames


@dataclass(frozen=True)
class _Reader:
    """Reads a request in a worker: images and sounds, unless features take their place."""

    clips: ClipDataset
    crop: int

    def __call__(self, request: _Request) -> tuple[Tensor | None, Tensor | None]:
        """Crops (views · b, 3, crop, crop), or whole frames (b, 3, H, W), uint8; and sounds."""
        clips, images, sounds = self.clips, None, None
        if clips.visual_features is None:
            images = self._images(request)
        if clips.audio_embeddings is None:
            sounds = clips.read_sounds(request.sounds)
        return images, sounds

    def _images(self, request: _Request) -> Tensor:
        chosen = zip(request.frames.tolist(), request.draws.tolist(), strict=True)
        jpegs = [self.clips.jpegs.drawn_frame(clip, draw) for clip, draw in chosen]
        if request.params is None:
            return transforms.decode(jpegs)
        views = len(request.params.top) // max(len(jpegs), 1)
        return transforms.crop_batch(transforms.decoded(jpegs), self.crop, request.params, views)


def batches(
    clips: ClipDataset,
    config: Train,
    views: int,
    generator: torch.Generator,
    *,
    device: torch.device,
    skip: int = 0,
    workers: int | None = None,
) -> Iterator[Batch]:
    """Every clip once, in random order, on the device.

    Parameters
    ----------
    clips : ClipDataset
        The training clips.
    config : Train
        Size of batches and crops, augmentation and negatives.
    views : int
        Augmented copies of each clip's frame.
    generator : Generator
        Draws all that is random, in the calling process: the batches do not depend on the number
        of workers or processes.
    device : torch.device
        Where crops are mirrored, recolored and normalized.
    skip : int
        So many first batches are drawn, but not read: a training resumes inside an epoch.
    workers : int, optional
        As in `loader.load`.
    """

    def batch(plan: _Plan, images: Tensor, sounds: Tensor) -> Batch:
        assert plan.negative is not None
        if plan.params is not None:
            images = transforms.color_normalize(images, plan.params)
        elif views > 1:
            images = images.repeat(views, 1, 1, 1)
        negative = torch.from_numpy(plan.negative).to(device, non_blocking=True)
        return Batch(torch.from_numpy(plan.indices), images, sounds, negative)

    plans = islice(_plans(clips, config, views, generator), skip, None)
    per_message = batches_per_message(config.batch)
    return _read(
        plans, batch, clips, config.crop, device=device, workers=workers, per_message=per_message
    )


def batches_per_message(size: int) -> int:
    """Number of batches of `size` clips that a worker sends with one message."""
    return max(CLIPS_PER_MESSAGE // size, 1)


def whole_frames(
    clips: ClipDataset,
    parts: Iterable[Tensor],
    crop: int,
    *,
    device: torch.device,
    generator: torch.Generator | None = None,
    workers: int | None = None,
) -> Iterator[WholeFrames]:
    """A random frame of each clip, or its first, resized to `crop`; `parts` are indices of clips.

    For validation, and wherever frames are not augmented.
    """

    def batch(plan: _Plan, images: Tensor, sounds: Tensor) -> WholeFrames:
        if clips.visual_features is None:
            images = transforms.resize_normalize(images, crop)
        return WholeFrames(torch.from_numpy(plan.indices), images, sounds)

    plans = (_whole_plan(indices.numpy(), generator) for indices in parts)
    return _read(plans, batch, clips, crop, device=device, workers=workers)


def _plans(
    clips: ClipDataset, config: Train, views: int, generator: torch.Generator
) -> Iterator[_Plan]:
    """Plans of the batches of one epoch."""
    for drawn in shuffled_batches(len(clips), config.batch, generator):
        indices, params = drawn.numpy(), None
        frames, sounds = sample_pairs(clips, indices, config, generator)
        draws = torch.rand(len(indices), generator=generator).numpy()
        part = distributed.own_part(len(indices))
        if clips.visual_features is None:
            margin = clips.frame_px - config.crop
            copies = [transforms.sample_params(len(indices), margin, generator)
                      for _ in range(views)]  # fmt: skip
            params = _own_views(copies, part)
        others = negative_sounds.sample(len(clips), len(indices), config, generator)
        own_and_others = clips.videos_of_sounds(np.concatenate([indices, others]))
        negative = negative_mask(own_and_others[: len(indices)], own_and_others)
        if config.negatives is Negatives.ONE:
            negative = sample_one_negative(negative, generator)
        sounds = np.concatenate([sounds, others])
        sound_part = distributed.own_part(len(sounds))
        yield _Plan(indices, frames, draws, sounds, part, sound_part, params, negative)


def _whole_plan(indices: np.ndarray, generator: torch.Generator | None) -> _Plan:
    draws = np.zeros(len(indices), np.float32)
    if generator is not None:
        draws = torch.rand(len(indices), generator=generator).numpy()
    return _Plan(indices, indices, draws, indices, slice(None), slice(None))


def _own_views(views: Sequence[Augmentation], part: slice) -> Augmentation:
    """The parameters of this process's part of each view: views × (B,) → (views · b,)."""
    values = map(np.stack, zip(*views, strict=True))  # (views, B) of each parameter
    return Augmentation(*(value[:, part].reshape(-1) for value in values))


def _request(plan: _Plan) -> _Request:
    """What this process reads of a plan."""
    part = plan.part
    return _Request(plan.frames[part], plan.draws[part], plan.sounds[plan.sound_part], plan.params)


def _read(
    plans: Iterable[_Plan],
    batch: Callable[[_Plan, Tensor, Tensor], Item],
    clips: ClipDataset,
    crop: int,
    *,
    device: torch.device,
    workers: int | None,
    per_message: int = 1,
) -> Iterator[Item]:
    """`batch` of each plan, with its images and its sounds on the device."""
    if clips.visual_features is not None and isinstance(clips.sounds, ClipColumn):
        workers = 0  # nothing is decoded
    waiting = deque[_Plan]()

    def requests() -> Iterator[_Request]:
        for plan in plans:
            waiting.append(plan)
            yield _request(plan)

    def finish(images_and_sounds: tuple[Tensor | None, Tensor | None]) -> Item:
        plan, (images, sounds) = waiting.popleft(), images_and_sounds
        if clips.visual_features is not None:
            images = clips.visual_features.select(plan.frames, plan.draws)
        if clips.audio_embeddings is not None:
            sounds = clips.select_embeddings(plan.sounds)
        assert images is not None
        assert sounds is not None
        tensors = (tensor.to(device, non_blocking=True) for tensor in (images, sounds))
        return batch(plan, *tensors)

    return loader.finished_items(
        requests(),
        _Reader(clips, crop),
        finish,
        device=device,
        workers=workers,
        per_message=per_message,
    )
