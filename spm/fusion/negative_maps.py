"""Heat maps of frames that are shown with several sounds, on one scale for all of them.

The stages `maps` and `baseline_maps` write them beside the maps of the frames' own sounds, which
some methods scale to [0, 1] one by one.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from spm.base import schemas, tables
from spm.base.statuses import NegativeUse, PlayedSound
from spm.fusion import testsets
from spm.fusion.cached_features import CachedSounds, cached
from spm.fusion.localization_network import LocalizationNetwork
from spm.fusion.other_sounds import NegativeSounds
from spm.fusion.testsets import ClipBatch, ClipFiles, ReadSounds
from spm.fusion.untrained import UntrainedNetwork

Columns = dict[str, Any]
Write = Callable[..., None]


def columns(
    rows: Sequence[dict[str, Any]],
    times_s: Sequence[Sequence[float]],
    maps: Tensor,
    use: NegativeUse,
    sound: PlayedSound,
) -> Columns:
    """Columns of the table: a row per clip and frame of maps (B, f, h, w)."""
    count, frames, height, width = maps.shape
    clips = [row for row in rows for _ in range(frames)]
    size = count * frames
    return {
        "clip_id": [row["clip_id"] for row in clips],
        "video_id": [row["video_id"] for row in clips],
        "frame": list(range(frames)) * count,
        "time_s": [time_s for clip_times in times_s for time_s in clip_times],
        "use": [use.value] * size,
        "sound": [sound.value] * size,
        "height": [height] * size,
        "width": [width] * size,
        "map": list(maps.flatten(0, 1).flatten(1).cpu().numpy()),
    }


@torch.inference_mode()
def compute(
    network: LocalizationNetwork, number: int, batch: ClipBatch, shown: NegativeSounds
) -> Iterator[Columns]:
    """Columns of the maps of a batch with each sound; `number` is that of the network in the batch.

    Test frames have their own sound too.
    """
    sounds = dict(batch.other_sounds[number])
    if shown.use is NegativeUse.TEST and sounds:
        sounds = {PlayedSound.OWN: batch.sounds[number]} | sounds
    for sound, audio in sounds.items():
        kept = [
            clip
            for clip, row in enumerate(batch.rows)
            if sound == PlayedSound.OWN or (row["clip_id"], sound) in shown.listed
        ]
        if kept:
            maps = network.absolute_maps(batch.images, audio)[kept]
            rows, times_s = [batch.rows[n] for n in kept], [batch.times_s[n] for n in kept]
            yield columns(rows, times_s, maps, shown.use, sound)


@dataclass(frozen=True)
class NegativeMaps:
    """The tables of several networks, while their maps are computed."""

    shown: dict[NegativeUse, NegativeSounds]
    writes: Sequence[Write]  # of each network

    def readers(
        self, network: LocalizationNetwork, rows: pa.Table
    ) -> dict[PlayedSound, ReadSounds]:
        """How other sounds of the test clips are read; see `testsets.batches`."""
        return self.shown[NegativeUse.TEST].readers(network, rows) if self.shown else {}

    @torch.inference_mode()
    def hear(self, network: LocalizationNetwork, testset: ClipFiles, size: int) -> None:
        """Compute the features of the own sounds of all test clips, in the batches of the maps.

        Off-screen sounds are among them, so they are heard once. The maps of own sounds are then
        the same, bit by bit, as without other sounds.
        """
        if not self.shown:
            return
        for sounds in testsets.sound_batches(testset, network, size):
            if not isinstance(network, UntrainedNetwork):
                network.audio_features(sounds)

    def write(
        self,
        networks: Sequence[LocalizationNetwork],
        batch: ClipBatch,
        use: NegativeUse = NegativeUse.TEST,
    ) -> None:
        """Write the maps of a batch by each network."""
        if not self.shown:
            return
        for number, (network, write) in enumerate(zip(networks, self.writes, strict=True)):
            for part in compute(network, number, batch, self.shown[use]):
                write(**part)

    def write_threshold(
        self, networks: Sequence[LocalizationNetwork], size: int, crop: int
    ) -> None:
        """Write the maps of the clips on which thresholds are chosen, `size` clips at a time."""
        if not self.shown:
            return
        use = NegativeUse.THRESHOLD
        shown = self.shown[use]
        title = "maps for thresholds"
        for batch in testsets.batches(shown.pictures, networks, size, crop, title, shown.readers):
            self.write(networks, batch, use)


@contextmanager
def open_tables(
    listed: Path | None,
    index: Path,
    testset: ClipFiles,
    preset: str,
    networks: Sequence[LocalizationNetwork],
    out: Sequence[Path],
) -> Iterator[NegativeMaps]:
    """Open the tables of maps with other sounds, and read which sounds the clips are shown with.

    The networks then compute the features of the same frames, and of the same sounds, only once.

    Parameters
    ----------
    listed : Path or None
        Table of the stage `negatives`; None: there are no such maps, and no tables.
    index : Path
        Index of all clips.
    testset : ClipFiles
        The test clips, and the folders of all clips.
    preset : str
        Preset of the stage `spectrograms`.
    networks : sequence of LocalizationNetwork
    out : sequence of Path
        The table of each network.
    """
    if listed is None:
        yield NegativeMaps({}, ())
        return
    shown = {use: NegativeSounds.read(listed, use, index, testset, preset) for use in NegativeUse}
    if shown[NegativeUse.TEST].listed:
        for network in networks:
            network.visual = cached(network.visual)
            for name in ("audio_features", "prepare_sound"):
                setattr(network, name, CachedSounds(getattr(network, name)))
    with ExitStack() as stack:
        writers = [tables.writer(path, schemas.NEGATIVE_MAPS) for path in out]
        yield NegativeMaps(shown, [stack.enter_context(writer) for writer in writers])
