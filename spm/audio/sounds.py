"""Sounds of clips as an audio network takes them, and the origin of its features."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from torch import Tensor

from spm.base import json_file
from spm.base.errors import UserError
from spm.learn import pretrained, yamnet
from spm.learn.backbones import Audio
from spm.learn.clip_files import PreparedSounds, Sounds, open_column


@dataclass(frozen=True)
class Subset:
    """Some of the sounds."""

    source: Sounds
    indices: Tensor  # (n,)

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.indices)

    def sounds(self, indices: Sequence[int] | np.ndarray | Tensor) -> Tensor:
        """Sounds of some clips of the subset: (n, …)."""
        return self.source.sounds(self.indices[indices])


def open_sounds(
    name: Audio, rows: pa.Table, spectrograms: Path, clips: Path | None, mapped: Path | None
) -> Sounds:
    """Input of an audio network for the clips in `rows`, read when it is needed.

    Parameters
    ----------
    name : str
        The audio network.
    rows : Table
        Rows of the index.
    spectrograms, clips : Path
        Folders of the tables of these stages; only `yamnet` reads the sound of the clips.
    mapped : Path, optional
        Folder of the mapped files (`clip_files.open_column`); None: the sounds are in memory.

    Returns
    -------
    Sounds
        (clips, 201, 64), in dB; or (clips, 96, 64), YAMNet's log-mels, float16.

    Raises
    ------
    UserError
        If `clips` is needed and missing.
    """
    if name != "yamnet":
        return open_column(rows, spectrograms, "log_mel", mapped)
    if clips is None:
        raise UserError("yamnet reads the sound of the clips: pass their folder, --clips clips")
    return PreparedSounds(open_column(rows, clips, "pcm", mapped), yamnet_input)


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
    about = json_file.read(path) if path.is_file() else {}
    return {key: value for key, value in about.items() if key == "pretrained"}
