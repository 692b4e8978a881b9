"""Clips and test frames of the study, with the features of the frozen visual network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from spm.audio.sounds import yamnet_input
from spm.base import tables
from spm.boxes.formats.frames import Box
from spm.corpus import clip_reader, ids
from spm.fusion import baseline_maps, maps
from spm.fusion.dataset import ClipDataset, embed_audio_all, embed_frames_all, load
from spm.fusion.localization_network import LocalizationNetwork
from spm.fusion.mosaic_boxes import mosaic_boxes, whole_frame
from spm.fusion.settings import Train
from spm.fusion.testsets import ClipFiles, read_sounds
from spm.learn.clip_files import PreparedSounds, Sounds, open_column
from spm.score import aggregation, evaluation, protocols
from spm.score.evaluation import Predictions, Truth
from spm.score.workflow_tables import FrameKey, by_frame, kept_boxes

BASELINES = ("object-prior", "zero-shot")
FIGURES = {"pointing_game": "hottest pixel", "auc": "AUC"}

Values = dict[str, np.ndarray]  # figure → its value of each frame


class Folders(NamedTuple):
    """The tables of a corpus, or of mosaics."""

    index: Path
    clips: Path
    spectrograms: Path

    @classmethod
    def of(cls, project: Path, mosaics: str = "") -> "Folders":
        """Folders of a project's corpus, or of its mosaics of one split."""
        if not mosaics:
            corpus = project / "results/corpus"
            return cls(corpus / "index/clips.parquet", corpus / "clips", corpus / "spectrograms")
        folder = project / "results/fusion/mosaics" / mosaics
        return cls(folder / "index.parquet", folder / "clips", folder / "spectrograms")


@dataclass(frozen=True)
class Cached:
    """Clips with the features of the frozen visual network."""

    data: ClipDataset  # with spm's log-mels
    patches: Sounds  # YAMNet's log-mels, (96, 64)

    def for_run(self, network: LocalizationNetwork, settings: Train) -> ClipDataset:
        """The clips with the sounds that a network takes, and its features if it is frozen."""
        sounds = self.data.sounds if network.reads == "log_mel" else self.patches
        embeddings = embed_audio_all(network, sounds, None) if settings.frozen else None
        return replace(self.data, sounds=sounds, audio_embeddings=embeddings)


@dataclass(frozen=True)
class Frames:
    """Frames with a truth, as mosaics or as clips."""

    name: str
    keys: list[FrameKey]
    videos: list[tuple[str, ...]]  # of each frame
    visual: Tensor  # (frames, c, h, w)
    sounds: Mapping[str, Tensor]  # "log_mel" and "pcm": of each frame
    boxes: Mapping[FrameKey, Sequence[Box]]
    baselines: Mapping[str, Tensor]  # maps (frames, h, w) of the networks that were not trained

    def score(self, heat: Tensor) -> Values:
        """Figures of each frame for maps (frames, h, w), under the protocol `adaptive`."""
        protocol = protocols.find("adaptive")
        predictions = Predictions(self.keys, self.videos, heat.float().numpy())
        _, scores = evaluation.score([protocol], predictions, Truth(self.boxes))["adaptive"]
        columns = aggregation.columns(scores, protocol)
        return {name: columns[name] for name in FIGURES}


def read_clips(rows: pa.Table, folders: Folders, network: LocalizationNetwork, px: int) -> Cached:
    """The clips of the rows, with visual features."""
    data = load(rows, folders.clips, folders.spectrograms)
    features = embed_frames_all(network, data.jpegs, px)
    return Cached(replace(data, visual_features=features), patches(rows, folders))


def patches(rows: pa.Table, folders: Folders) -> PreparedSounds:
    """YAMNet's log-mels of the clips of the rows."""
    return PreparedSounds(open_column(rows, folders.clips, "pcm", None), yamnet_input)


@torch.inference_mode()
def untrained_maps(
    rows: pa.Table, frames: Sequence[int], folders: Folders, settings: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Maps of the baselines of one frame of each clip: (clips, h, w) by name."""
    networks, found = baseline_maps.build(BASELINES), {}
    jpegs = clip_reader.frames(rows, folders.clips)
    chosen = [[clip[frame]] for clip, frame in zip(jpegs, frames, strict=True)]
    clips = ClipFiles(rows, folders.clips, None, None)
    sounds = {name: read_sounds(network, clips, rows) for name, network in networks.items()}
    parts: dict[str, list[Tensor]] = {name: [] for name in networks}
    for indices in torch.arange(len(chosen)).split(8):
        images = maps.decode([chosen[n] for n in indices.tolist()], settings["image_px"])
        for name, network in networks.items():
            parts[name].append(network.heat_maps(images, sounds[name](indices)).sounding[:, 0])
    for name, heat in parts.items():
        found[name] = torch.cat(heat).clone()
    return found


def test_frames(
    name: str,
    rows: pa.Table,
    frames: Sequence[int],
    folders: Folders,
    boxes: Mapping[FrameKey, Sequence[Box]],
    network: LocalizationNetwork,
    config: Mapping[str, Any],
) -> Frames:
    """One frame of each clip of `rows`, with the features of the frozen network."""
    px = config["maps"]["mosaic_px"] if name == "mosaics" else config["train"]["crop"]
    features = embed_frames_all(network, open_column(rows, folders.clips, "frames", None), px)
    everything = range(rows.num_rows)
    keys = [FrameKey(*key) for key in zip(rows["clip_id"].to_pylist(), frames, strict=True)]
    sounds = {
        "log_mel": open_column(rows, folders.spectrograms, "log_mel", None).sounds(everything),
        "pcm": patches(rows, folders).sounds(everything),
    }
    return Frames(
        name,
        keys,
        [tuple(ids.split_ids(video)) for video in rows["video_id"].to_pylist()],
        features.values[features.starts[:-1] + torch.tensor(frames)],
        sounds,
        boxes,
        untrained_maps(rows, frames, folders, config["baseline_maps"]),
    )


def mosaic_frames(out: Path, network: LocalizationNetwork, config: Mapping[str, Any]) -> Frames:
    """Mosaics of test recordings; the truth is the two tiles that sound."""
    folders = Folders.of(out / "solos", "test")
    tiles = tables.read(folders.index.with_name("tiles.parquet")).to_pylist()
    rows = clip_reader.testset_rows(folders.index, "synthetic")
    boxes = kept_boxes(by_frame(list(mosaic_boxes(tiles, lambda tile: [whole_frame(tile)]))))
    return test_frames("mosaics", rows, [0] * rows.num_rows, folders, boxes, network, config)


def boxed_frames(
    out: Path, network: LocalizationNetwork, config: Mapping[str, Any]
) -> list[Frames]:
    """Frames with boxes: of unseen recordings of the same performers, and of other places."""
    folders = Folders.of(out / "boxed")
    annotations = tables.read(out / "boxed/results/boxes/annotations/given.parquet").to_pylist()
    boxes = kept_boxes(by_frame(annotations))
    index = clip_reader.testset_rows(folders.index, "solo")
    places = {clip_id: n for n, clip_id in enumerate(index["clip_id"].to_pylist())}
    videos = index["video_id"].to_pylist()
    performers = set(tables.read(Folders.of(out / "solos").index)["video_id"].to_pylist())
    found = []
    for name, is_known in (("boxes, same performers", True), ("boxes, elsewhere", False)):
        keys = [key for key in sorted(boxes) if key.clip_id in places]
        keys = [key for key in keys if (videos[places[key.clip_id]] in performers) is is_known]
        rows = index.take([places[key.clip_id] for key in keys])
        frames = [key.frame for key in keys]
        found.append(test_frames(name, rows, frames, folders, boxes, network, config))
    return found
