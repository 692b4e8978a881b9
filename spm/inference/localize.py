"""Where in a video is what is heard: heat maps of any video file, by a trained network.

    from spm import localize
    seen = localize.video("concert.mp4")
    print(seen.seconds()[["start_s", "score", "peak_x", "peak_y"]])

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

from spm.base import tables
from spm.base.config import UserError
from spm.base.progress import progress
from spm.corpus import clips as cutting
from spm.corpus.clips import Clips
from spm.corpus.fetch import Fetch, Session, fetch
from spm.corpus.fetching.store import usable
from spm.corpus.ids import sanitize_id
from spm.corpus.manifest import Video, address, is_remote
from spm.corpus.media.probe import Unusable, probe
from spm.corpus.spectrograms import PCM_SCALE, log_mel
from spm.fusion import maps as drawing
from spm.inference import hub
from spm.learn import device, transforms

MARGIN = (
    8 / 7
)  # frames are decoded so much larger than what the network sees, as in training: 256 px for 224
BATCH = 16  # clips at once
MAPS_PER_S = 2  # maps of each second; the overlay blends between them
HALF = 0.5  # of a map's maximum: its box holds what is above
SILENT_DB = -60.0  # re full scale: nothing is heard

Maps = NDArray[np.float32]


@dataclass(frozen=True)
class Localization:
    """The maps of one video: one a frame, several frames a second."""

    video: Path
    times_s: NDArray[np.float64]  # (n,) of each frame, from the start of the video
    maps: Maps  # (n, h, w), in [0, 1]
    by_category: dict[str, Maps]  # the same of each category, where the network tells them apart
    frames: list[bytes]  # (n,) JPEG, squares
    rms_db: NDArray[np.float64]  # (n,) level of the frame's second, re full scale

    def heard(self) -> NDArray[np.bool_]:
        """Whether anything is heard in the second of each frame, (n,)."""
        return self.rms_db >= SILENT_DB

    def seconds(self) -> pd.DataFrame:
        """One row a second: level, score, peak and box of its strongest frame, as fractions of the frame."""
        starts = np.floor(self.times_s).astype(int)
        strength = self.maps.max((1, 2))
        best = [
            at[strength[at].argmax()]
            for second in np.unique(starts)
            for at in [np.flatnonzero(starts == second)]
        ]
        return pd.DataFrame([self._second(int(frame)) for frame in best])

    def _second(self, frame: int) -> dict[str, Any]:
        heat = self.maps[frame]
        row = {
            "start_s": int(self.times_s[frame]), "time_s": self.times_s[frame], "rms_db": self.rms_db[frame],
            "heard": bool(self.heard()[frame]), "score": float(heat.max()), **peak(heat), **box(heat),
        }  # fmt: skip
        loudest = {name: float(maps[frame].max()) for name, maps in self.by_category.items()}
        return row | ({"category": max(loudest, key=lambda name: loudest[name])} if loudest else {})

    def write(self, path: Path) -> None:
        """Write every map as Parquet, as the workflow does, and beside it the seconds as JSON."""
        rows = [
            {"clip_id": f"{self.video.stem}_{1000 * int(time_s):07d}", "video_id": self.video.stem,
             "frame": frame, "time_s": time_s, "category": name,
             "height": maps.shape[1], "width": maps.shape[2], "map": maps[frame].ravel()}
            for name, maps in [(None, self.maps), *self.by_category.items()]
            for frame, time_s in enumerate(self.times_s.tolist())
        ]  # fmt: skip
        tables.write_rows(path, tables.MAPS, rows)
        with tables.atomic_write(path.with_suffix(".json")) as part:
            part.write_text(
                json.dumps(self.seconds().to_dict("records"), indent=1) + "\n", encoding="utf-8"
            )


def peak(heat: Maps) -> dict[str, float]:
    """Centre of a map's hottest cell, as fractions of the frame."""
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    return {
        "peak_x": (float(column) + 0.5) / heat.shape[1],
        "peak_y": (float(row) + 0.5) / heat.shape[0],
    }


def box(heat: Maps) -> dict[str, float]:
    """The box about all cells above half of a map's maximum: x, y, w, h as fractions of the frame.

    >>> box(np.float32([[0, 0, 0, 0], [0, 1, 0.6, 0]]))
    {'x': 0.25, 'y': 0.5, 'w': 0.5, 'h': 0.5}
    """
    rows, columns = (np.flatnonzero((heat > HALF * heat.max()).any(axis)) for axis in (1, 0))
    if not len(rows):
        return dict.fromkeys("xywh", 0.0)
    height, width = heat.shape
    return {
        "x": float(columns[0]) / width, "y": float(rows[0]) / height,
        "w": float(columns[-1] + 1 - columns[0]) / width, "h": float(rows[-1] + 1 - rows[0]) / height,
    }  # fmt: skip


def found_weights(folder: Path) -> Path:
    """The newest network that a workflow run in this folder, or `make demo`, left behind."""
    networks = [file for root in ("results", "demo/results")
                for file in (folder / root / "fusion/train").glob("*/network.safetensors")]  # fmt: skip
    if not networks:
        raise UserError(
            "no network here: run `make demo` or the workflow first, or name one with --weights"
        )
    return max(networks, key=lambda file: file.stat().st_mtime)


def weights_of(name: str | Path | None, folder: Path = Path()) -> Path:
    """A network's weights: a file, a run's folder, OWNER/NAME of a hub; None: the newest that a run left here."""
    if name is None:
        return found_weights(folder)
    if hub.is_id(str(name)):
        return hub.network(str(name))
    return Path(name, "network.safetensors") if Path(name).is_dir() else Path(name)


def video(
    path: str | Path, weights: str | Path | None = None, max_s: int | None = None
) -> Localization:
    """The maps of one video; for several, a `Localizer` is loaded once.

    Parameters
    ----------
    path : path
        A video file.
    weights : path or str, optional
        `network.safetensors` of a run, its folder, or OWNER/NAME of a hub; None: the newest that a run left here.
    max_s : int, optional
        Only the first seconds.

    Raises
    ------
    UserError
        When there is no such network, or nothing can be had from the video: with the reason.
    """
    return Localizer(weights_of(weights)).locate(path, max_s)


def local_copy(video: str, folder: Path) -> Path:
    """A video as a file here: itself, or fetched from its address into `folder`/store."""
    name = sanitize_id(video.rsplit("/", 1)[-1])
    listed = Video(name, video, "solo", ("any",), None, 0)
    place = address(listed, Path("manifest.csv").absolute())
    if not is_remote(place):
        return Path(place)
    usable(folder / "store")
    with progress(range(1), "fetch") as bar:
        row = fetch(listed, place, Session(Fetch.model_validate({}), folder / "store", None, bar))
    if row["status"] != "ok":
        raise UserError(f"{video}: {row['status']}: {row['reason']}")
    return Path(row["path"])


def seconds_of(path: Path) -> float:
    """How long a video says it is; 0 where it does not say, or is none."""
    try:
        return probe(path).length_s or 0.0
    except (Unusable, UserError):
        return 0.0


def fuse(trunk: nn.Module) -> None:
    """Take each BatchNorm into the convolution before it, once it learns no more: a tenth or more of the time less."""
    for part in trunk.children():
        fuse(part)
    for (name, layer), (norm, after) in pairwise(list(trunk.named_children())):
        if isinstance(layer, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
            one = fuse_conv_bn_eval(layer, after)
            setattr(trunk, name, one.to(memory_format=torch.channels_last))
            setattr(trunk, norm, nn.Identity())


class Localizer:
    """A trained network, ready for videos.

    Parameters
    ----------
    weights : path
        `network.safetensors` of a run, with its .json beside it.
    device : str
        `auto`, `cpu`, `cuda`, …
    maps_per_s : int
        How many frames of each second get a map.
    """

    def __init__(
        self, weights: str | Path, device_name: str = "auto", maps_per_s: int = MAPS_PER_S
    ) -> None:
        try:
            self.network, self.crop, self.categories = drawing.load(Path(weights))
        except (KeyError, TypeError, ValidationError, RuntimeError) as error:
            said = " ".join(str(error).split())[:200]
            raise UserError(
                f"{weights}: not a network that spm has trained ({said}): name a run's, or a hub's"
            ) from error
        for trunk in (self.network.visual, self.network.audio.trunk):
            fuse(trunk)
        self.network.to(device.pick(device_name))
        self.clips = Clips(size=round(self.crop * MARGIN), frames_per_clip=maps_per_s)

    def locate(
        self,
        video: str | Path,
        max_s: int | None = None,
        tick: Callable[[float], object] = lambda seconds: None,
    ) -> Localization:
        """Draw the maps of one video; `tick` hears of each few seconds that are done.

        Raises
        ------
        UserError
            When the video lacks pictures or sound, or can't be decoded: with the reason.
        """
        path, config = Path(video), self.clips.model_copy(update={"max_s": max_s})
        with tempfile.TemporaryDirectory() as scratch:
            row = {
                "video_id": path.stem,
                "path": str(path.absolute()),
                "status": "ok",
                "reason": "",
            }
            decoded = cutting.decode(row, Path(scratch, "decoded"), config=config)
            if not decoded.facts["clips"]:
                raise UserError(f"{path}: {decoded.facts['status']}: {decoded.facts['reason']}")
            rows = cutting.rows_of(decoded, config)
            return self._seen(path, list(iter(lambda: list(islice(rows, BATCH)), [])), tick)

    def _seen(
        self, path: Path, parts: list[list[dict[str, Any]]], tick: Callable[[float], object]
    ) -> Localization:
        clips = [clip for part in parts for clip in part]
        layers = np.concatenate(list(self._layers(parts, tick)))  # (n, 1 + categories, h, w)
        names = sorted(self.categories) if layers.shape[1] > 1 else []
        each = np.repeat([clip["rms_db"] for clip in clips], self.clips.frames_per_clip)
        return Localization(
            path,
            np.concatenate([clip["frame_time_s"] for clip in clips]),
            layers[:, 0],
            {name: layers[:, 1 + number] for number, name in enumerate(names)},
            [jpeg for clip in clips for jpeg in clip["frames"]],
            each.astype(float),
        )

    @torch.inference_mode()
    def _layers(
        self, parts: list[list[dict[str, Any]]], tick: Callable[[float], object]
    ) -> Iterator[Maps]:
        where = next(self.network.parameters()).device
        for part in parts:
            sound = np.stack([np.frombuffer(clip["pcm"], "<i2") for clip in part]) * np.float32(
                PCM_SCALE
            )
            images = transforms.resize_normalize(
                transforms.decode([jpeg for clip in part for jpeg in clip["frames"]]), self.crop
            )
            images = images.view(len(part), -1, *images.shape[1:])
            heat = self.network.heat(images.to(where), log_mel(torch.from_numpy(sound)).to(where))
            yield drawing.layers(heat, self.categories).flatten(0, 1).cpu().numpy()
            tick(len(part))
