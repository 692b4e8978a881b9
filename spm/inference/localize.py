"""Heat maps of the source of the sound, for any video file, by a trained network.

    from spm import localize
    localization = localize.video("concert.mp4")
    print(localization.seconds()[["start_s", "score", "peak_x", "peak_y"]])

On the command line: spm localize concert.mp4
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from spm.base import schemas, tables
from spm.base.constants import PCM_SCALE
from spm.base.errors import UserError
from spm.base.progress import progress
from spm.base.statuses import FetchStatus, Kind
from spm.corpus import clips as corpus_clips
from spm.corpus.clips import Clips
from spm.corpus.fetch import Fetch, Session, fetch
from spm.corpus.fetching.store import prepare
from spm.corpus.ids import sanitize_id
from spm.corpus.manifest import Video, address, is_remote
from spm.corpus.media.probe import Unusable, probe
from spm.corpus.spectrograms import log_mel
from spm.fusion import maps as fusion_maps
from spm.inference import hub
from spm.learn import transforms
from spm.learn.device import pick_device

MARGIN = 8 / 7  # frames are decoded this much larger than the network's input: 256 px for 224
BATCH = 16  # clips
MAPS_PER_S = 2  # the overlay video interpolates between maps
BOX_THRESHOLD = 0.5  # share of a map's maximum; the box contains all cells above it
SILENT_DB = -60.0  # re full scale; a quieter second counts as silent

Maps = NDArray[np.float32]
Clip = dict[str, Any]  # a row of the table of clips


def ignore(seconds: float) -> None:
    """Do nothing: the default of functions that report progress."""


@dataclass(frozen=True)
class Localization:
    """The maps of one video: n frames, several per second, with a map each."""

    video: Path
    times_s: NDArray[np.float64]  # (n,) time of each frame in the video
    maps: Maps  # (n, h, w), in [0, 1]
    by_category: dict[str, Maps]  # maps of each category, if the network is class-aware
    frames: list[bytes]  # n square JPEG images
    rms_db: NDArray[np.float64]  # (n,) level of the frame's second, re full scale

    def audible(self) -> NDArray[np.bool_]:
        """Whether there is sound in the second of each frame, (n,)."""
        return self.rms_db >= SILENT_DB

    def seconds(self) -> pd.DataFrame:
        """A row per second: level, score, peak and box of the frame with the highest maximum.

        Places and sizes are fractions of the frame's width and height.
        """
        starts = np.floor(self.times_s).astype(int)
        strength = self.maps.max((1, 2))
        rows = []
        for second in np.unique(starts):
            frames = np.flatnonzero(starts == second)
            rows.append(self._second(int(frames[strength[frames].argmax()])))
        return pd.DataFrame(rows)

    def _second(self, frame: int) -> dict[str, Any]:
        """The row of a second, from its strongest frame."""
        heat = self.maps[frame]
        row = {
            "start_s": int(self.times_s[frame]),
            "time_s": self.times_s[frame],
            "rms_db": self.rms_db[frame],
            "heard": bool(self.audible()[frame]),
            "score": float(heat.max()),
            **peak(heat),
            **box(heat),
        }
        if self.by_category:
            maxima = {name: float(maps[frame].max()) for name, maps in self.by_category.items()}
            row["category"] = max(maxima, key=maxima.__getitem__)
        return row

    def write(self, path: Path) -> None:
        """Write all maps as Parquet, as the workflow does, and the seconds as JSON beside it."""
        rows = [*self._rows(None, self.maps)]
        for name, maps in self.by_category.items():
            rows += self._rows(name, maps)
        tables.write_rows(path, schemas.MAPS, rows)
        text = json.dumps(self.seconds().to_dict("records"), indent=1) + "\n"
        with tables.atomic_write(path.with_suffix(".json")) as part:
            part.write_text(text, encoding="utf-8")

    def _rows(self, category: str | None, maps: Maps) -> Iterator[dict[str, Any]]:
        """Rows of the table of maps."""
        name, (height, width) = self.video.stem, maps.shape[1:]
        for frame, time_s in enumerate(self.times_s.tolist()):
            yield {
                "clip_id": f"{name}_{1000 * int(time_s):07d}",
                "video_id": name,
                "frame": frame,
                "time_s": time_s,
                "category": category,
                "height": height,
                "width": width,
                "map": maps[frame].ravel(),
            }


def peak(heat: Maps) -> dict[str, float]:
    """Center of the cell with the highest value, as fractions of the frame."""
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    height, width = heat.shape
    return {"peak_x": (float(column) + 0.5) / width, "peak_y": (float(row) + 0.5) / height}


def box(heat: Maps) -> dict[str, float]:
    """The box around all cells above half of the map's maximum, as fractions of the frame.

    >>> box(np.float32([[0, 0, 0, 0], [0, 1, 0.6, 0]]))
    {'x': 0.25, 'y': 0.5, 'w': 0.5, 'h': 0.5}
    """
    hot = heat > BOX_THRESHOLD * heat.max()
    rows, columns = np.flatnonzero(hot.any(1)), np.flatnonzero(hot.any(0))
    if not len(rows):
        return dict.fromkeys("xywh", 0.0)
    height, width = heat.shape
    return {
        "x": float(columns[0]) / width,
        "y": float(rows[0]) / height,
        "w": float(columns[-1] + 1 - columns[0]) / width,
        "h": float(rows[-1] + 1 - rows[0]) / height,
    }


def newest_weights(folder: Path) -> Path:
    """The newest network of a workflow run in this folder, or of `make demo`."""
    networks: list[Path] = []
    for results in ("results", "demo/results"):
        trained = folder / results / "fusion/train"
        networks += trained.glob("*/network.safetensors")
    if not networks:
        raise UserError(
            "no trained network in results/ or demo/results/: run `make demo` or the workflow, or"
            " name a network with --weights"
        )
    return max(networks, key=lambda file: file.stat().st_mtime)


def find_weights(name: str | Path | None, folder: Path = Path()) -> Path:
    """The weights of a network: a file, the folder of a run, or OWNER/NAME of a hub.

    None means the newest network of a workflow run in `folder`.
    """
    if name is None:
        return newest_weights(folder)
    if hub.is_id(str(name)):
        return hub.network(str(name))
    return Path(name, "network.safetensors") if Path(name).is_dir() else Path(name)


def video(
    path: str | Path, weights: str | Path | None = None, max_s: int | None = None
) -> Localization:
    """The maps of one video; for several videos, create one `Localizer`.

    Parameters
    ----------
    path : path
        A video file.
    weights : path or str, optional
        `network.safetensors` of a run, the folder of a run, or OWNER/NAME of a hub; by default the
        newest network of a workflow run in the current folder.
    max_s : int, optional
        Use only the first seconds of the video.

    Raises
    ------
    UserError
        When there is no such network, or the video can't be used; the message has the reason.
    """
    return Localizer(find_weights(weights)).localize(path, max_s)


def local_copy(video: str, folder: Path) -> Path:
    """The path of a video; a video at an address is downloaded into `folder`/store."""
    name = sanitize_id(video.rsplit("/", 1)[-1])
    listed = Video(name, video, Kind.SOLO, ("any",), None, 0)
    location = address(listed, Path("manifest.csv").absolute())
    if not is_remote(location):
        return Path(location)
    prepare(folder / "store")
    with progress(range(1), "fetch") as bar:
        session = Session(Fetch.model_validate({}), folder / "store", None, bar)
        row = fetch(listed, location, session)
    if row["status"] != FetchStatus.OK:
        raise UserError(f"{video}: {row['status']}: {row['reason']}")
    return Path(row["path"])


def duration_s(path: Path) -> float:
    """The length of a video as its file states it; 0 where it states none or can't be read."""
    try:
        return probe(path).length_s or 0.0
    except (Unusable, UserError):
        return 0.0


def fuse_batchnorm(module: nn.Module) -> None:
    """Merge each BatchNorm into the convolution before it; this saves 10 % or more of the time.

    The module can't be trained afterwards.
    """
    for part in module.children():
        fuse_batchnorm(part)
    for (name, layer), (norm_name, norm) in pairwise(list(module.named_children())):
        if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            fused = fuse_conv_bn_eval(layer, norm)
            setattr(module, name, fused.to(memory_format=torch.channels_last))
            setattr(module, norm_name, nn.Identity())


class Localizer:
    """A trained network that localizes the sound of videos.

    Parameters
    ----------
    weights : path
        `network.safetensors` of a run, with its .json beside it.
    device_name : str
        `auto`, `cpu`, `cuda`, …
    maps_per_s : int
        Number of maps per second of video.
    """

    def __init__(
        self, weights: str | Path, device_name: str = "auto", maps_per_s: int = MAPS_PER_S
    ) -> None:
        try:
            self.network, self.crop, self.categories = fusion_maps.load(Path(weights))
        except (KeyError, TypeError, ValidationError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"{weights}: not a network trained by spm ({reason}): expected network.safetensors"
                " of a run, or OWNER/NAME of a hub"
            ) from error
        for trunk in (self.network.visual, self.network.audio.trunk):
            fuse_batchnorm(trunk)
        self.network.to(pick_device(device_name))
        self.clips = Clips(size=round(self.crop * MARGIN), frames_per_clip=maps_per_s)

    def localize(
        self,
        video: str | Path,
        max_s: int | None = None,
        on_progress: Callable[[float], object] = ignore,
    ) -> Localization:
        """Compute the maps of one video.

        Parameters
        ----------
        video : path
            A video file.
        max_s : int, optional
            Use only the first seconds of the video.
        on_progress : callable
            Called after each batch with the number of seconds of video in it.

        Raises
        ------
        UserError
            When the video has no pictures or no sound, or can't be decoded; with the reason.
        """
        path, config = Path(video), self.clips.model_copy(update={"max_s": max_s})
        row = {
            "video_id": path.stem,
            "path": str(path.absolute()),
            "status": FetchStatus.OK,
            "reason": "",
        }
        with tempfile.TemporaryDirectory() as scratch:
            decoded = corpus_clips.decode(row, Path(scratch, "decoded"), config=config)
            if not decoded.facts["clips"]:
                raise UserError(f"{path}: {decoded.facts['status']}: {decoded.facts['reason']}")
            clips = list(corpus_clips.rows_of(decoded, config))
        return self._localization(path, clips, on_progress)

    def _localization(
        self, path: Path, clips: list[Clip], on_progress: Callable[[float], object]
    ) -> Localization:
        layers = np.concatenate(list(self._layers(clips, on_progress)))  # (n, 1 + categories, h, w)
        names = sorted(self.categories) if layers.shape[1] > 1 else []
        frames: list[bytes] = []
        for clip in clips:
            frames += clip["frames"]
        rms_db = np.repeat([clip["rms_db"] for clip in clips], self.clips.frames_per_clip)
        return Localization(
            video=path,
            times_s=np.concatenate([clip["frame_time_s"] for clip in clips]),
            maps=layers[:, 0],
            by_category={name: layers[:, 1 + number] for number, name in enumerate(names)},
            frames=frames,
            rms_db=rms_db.astype(float),
        )

    @torch.inference_mode()
    def _layers(self, clips: list[Clip], on_progress: Callable[[float], object]) -> Iterator[Maps]:
        """Maps of the frames of each batch: of the sound, then of each category by name."""
        device = next(self.network.parameters()).device
        remaining = iter(clips)
        while batch := list(islice(remaining, BATCH)):
            pcm = np.stack([np.frombuffer(clip["pcm"], "<i2") for clip in batch])
            mels = log_mel(torch.from_numpy(pcm * np.float32(PCM_SCALE)))
            jpegs: list[bytes] = []
            for clip in batch:
                jpegs += clip["frames"]
            images = transforms.resize_normalize(transforms.decode(jpegs), self.crop)
            images = images.view(
                len(batch), -1, *images.shape[1:]
            )  # (clips, frames, 3, crop, crop)
            heat = self.network.heat_maps(images.to(device), mels.to(device))
            layers = fusion_maps.layers(heat, self.categories)
            yield layers.flatten(0, 1).cpu().numpy()
            on_progress(len(batch))
