"""Maps of the pretrained networks that are baselines, for frames of video files."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spm.base.constants import FRAME_MATCH_S, PCM_SCALE
from spm.base.errors import UserError
from spm.base.progress import progress
from spm.base.statuses import PretrainedBaseline
from spm.base.words import shown
from spm.boxes.ground_truth import nearest_frame
from spm.corpus.clips import Clips
from spm.corpus.manifest import address, is_remote
from spm.corpus.manifest import read as read_manifest
from spm.corpus.video_files import EXTENSIONS
from spm.fusion.baseline_maps import build
from spm.fusion.maps import decode, layers
from spm.fusion.untrained import CROP, UntrainedNetwork
from spm.inference import localize
from spm.learn.device import pick_device
from spm.score.evaluation import Predictions
from spm.score.masks import Maps

FRAMES_PER_S = 8  # that are decoded; the nearest one is within 0.0625 s of any time
BATCH = 8  # frames


class FramePlace(NamedTuple):
    """A frame of a video."""

    video_id: str
    time_s: float


def find_videos(source: Path) -> dict[str, Path]:
    """Video files by their ids: of a manifest (CSV), or of a folder, where names are ids.

    Videos of a manifest that are at an address are left out.

    Raises
    ------
    UserError
        If there is no such file or folder, or the manifest has a fault.
    """
    if source.is_dir():
        files = sorted(path for path in source.rglob("*") if path.suffix.lower() in EXTENSIONS)
        return {path.stem: path for path in files}
    locations = {
        video.video_id: address(video, source) for video in read_manifest(source) if not video.flaw
    }
    return {name: Path(path) for name, path in locations.items() if not is_remote(path)}


def predict(
    videos: Mapping[str, Path],
    places: Mapping[str, FramePlace],
    categories: Sequence[str],
    device_name: str = "auto",
) -> dict[str, Predictions]:
    """Maps of every baseline network for some frames, in their order, and for some categories.

    Parameters
    ----------
    videos : mapping
        Video files by the ids of the videos.
    places : mapping
        The video and the time of each frame, by the frame's key.
    categories : sequence of str
        Categories of which zero-shot makes a map each.
    device_name : str
        auto, cpu, cuda or mps.

    Raises
    ------
    UserError
        If a video is missing, can't be decoded, or ends before a frame; or weights are missing.
    """
    names = sorted({place.video_id for place in places.values()})
    if missing := [name for name in names if name not in videos]:
        raise UserError(
            f"--videos: no file of {shown(missing)}; expected files named by the ids of the videos,"
            " or a manifest with their paths"
        )
    networks, device = build(tuple(PretrainedBaseline)), pick_device(device_name)
    for network in networks.values():
        network.to(device)
    names_of_maps = sorted(categories)
    found: dict[str, dict[str, Maps]] = {name: {} for name in networks}
    for video in progress(names, "baselines"):
        of_video = {key: place for key, place in places.items() if place.video_id == video}
        clips = _read(videos[video], list(of_video.values()))
        for name, network in networks.items():
            maps = _maps_of_video(network, clips, video, names_of_maps)
            found[name].update(zip(of_video, maps, strict=True))
    return {name: _predictions(places, maps, names_of_maps) for name, maps in found.items()}


def _predictions(
    places: Mapping[str, FramePlace], maps: Mapping[str, Maps], categories: Sequence[str]
) -> Predictions:
    """Maps (1 + c, h, w) of each frame as predictions; c is 0 if a network has no class maps."""
    keys, videos = list(places), [(place.video_id,) for place in places.values()]
    stacked = np.stack([maps[key] for key in keys])  # (n, 1 + c, h, w)
    if stacked.shape[1] == 1:
        return Predictions(keys, videos, stacked[:, 0])
    return Predictions(keys, videos, stacked[:, 0], stacked[:, 1:], tuple(categories))


class VideoClips(NamedTuple):
    """What is read of a video for some of its frames."""

    images: Tensor  # (n, 1, 3, CROP, CROP)
    clip_of_image: list[int]  # (n,)
    pcm: Tensor  # (clips, 16000)
    starts_s: list[float]  # (clips,)


def _read(path: Path, places: Sequence[FramePlace]) -> VideoClips:
    """The frames at some places of a video, and the sound of its clips."""
    last_s = max(place.time_s for place in places)
    config = Clips(size=CROP, frames_per_clip=FRAMES_PER_S, max_s=int(last_s) + 2)
    clips = localize.decode(path, config)
    times_s = np.concatenate([clip["frame_time_s"] for clip in clips])
    jpegs = list(chain.from_iterable(clip["frames"] for clip in clips))
    numbers = [_frame_at(times_s, place, path) for place in places]
    pcm = np.stack([np.frombuffer(clip["pcm"], "<i2") for clip in clips])
    return VideoClips(
        decode([[jpegs[number]] for number in numbers], CROP),
        [number // FRAMES_PER_S for number in numbers],
        torch.from_numpy(pcm * np.float32(PCM_SCALE)),
        [float(clip["start_s"]) for clip in clips],
    )


def _frame_at(times_s: NDArray[np.float64], place: FramePlace, path: Path) -> int:
    """Index of the frame that is nearest in time."""
    number = nearest_frame(times_s, place.time_s)
    if number is None:
        raise UserError(
            f"{path}: no frame within {FRAME_MATCH_S} s of {place.time_s:.3f} s: its last frame"
            f" is at {times_s[-1]:.3f} s; expected the video of the maps"
        )
    return number


@torch.inference_mode()
def _maps_of_video(
    network: UntrainedNetwork, clips: VideoClips, name: str, categories: Sequence[str]
) -> Maps:
    """Maps of the frames of a video by one network, (n, 1 + c, h, w)."""
    device = next(network.parameters()).device
    sounds = torch.empty(len(clips.pcm), 0)
    if network.reads == "pcm":
        prepared = network.prepare_sound(clips.pcm.to(device))
        sounds = network.smooth_sounds(prepared, [name] * len(prepared), clips.starts_s)
    sounds = sounds[clips.clip_of_image]
    matched = network.match_categories(categories)
    parts = []
    for images, sound in zip(clips.images.split(BATCH), sounds.split(BATCH), strict=True):
        maps = network.heat_maps(images.to(device), sound.to(device))
        stacked = layers(maps, matched if maps.clusters is not None else {})
        parts.append(stacked[:, 0].cpu().numpy())  # (B, 1 + c, h, w)
    return np.concatenate(parts)
