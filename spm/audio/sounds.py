"""Sounds of clips as an audio network takes them, and the origin of its features."""

import json
from pathlib import Path

import pyarrow as pa
from torch import Tensor

from spm.base.errors import UserError
from spm.learn import dataloading, pretrained, yamnet
from spm.learn.backbones import Audio


def read_sounds(name: Audio, rows: pa.Table, spectrograms: Path, clips: Path | None) -> Tensor:
    """Input of an audio network for the clips in `rows`.

    Parameters
    ----------
    name : str
        The audio network.
    rows : Table
        Rows of the index.
    spectrograms, clips : Path
        Folders of the tables of these stages; only `yamnet` reads the sound of the clips.

    Returns
    -------
    Tensor
        (clips, 201, 64), in dB; or (clips, 96, 64), YAMNet's log-mels, float16.

    Raises
    ------
    UserError
        If `clips` is needed and missing.
    """
    if name != "yamnet":
        return dataloading.log_mels(rows, spectrograms)
    if clips is None:
        raise UserError("yamnet reads the sound of the clips: pass their folder, --clips clips")
    return dataloading.prepared_sounds(rows, clips, yamnet_input)


def yamnet_input(pcm: Tensor) -> Tensor:
    """YAMNet's log-mels of sounds of one second: (B, 16000) → (B, 96, 64)."""
    return yamnet.log_mel_patches(pcm)[:, 0]


def origin(name: Audio) -> dict[str, str]:
    """What a network's weights were trained on before this project, for the JSON files."""
    if name != "yamnet":
        return {}
    part = pretrained.PARTS["yamnet"]
    return {
        "pretrained": f"{part.network}; trained on the labels of AudioSet, which is not the paper's"
        " self-supervision"
    }


def origin_of_labels(clusters: Path) -> dict[str, str]:
    """The same for the pseudo-labels of a table of the stage `clusters`, by the JSON beside it."""
    path = clusters.with_name("centroids.json")
    about = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {key: value for key, value in about.items() if key == "pretrained"}
