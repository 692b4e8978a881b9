"""Sounds with which the frames of test clips are shown in place of their own.

The stage `negatives` lists them. Silence, noise and mixtures are made when they are read; an
off-screen sound is that of another clip.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from spm.base import tables
from spm.base.constants import SAMPLE_RATE_HZ
from spm.base.statuses import NegativeUse, PlayedSound
from spm.corpus.spectrograms import log_mel
from spm.fusion import noises, testsets
from spm.fusion.localization_network import LocalizationNetwork
from spm.fusion.mosaics import MAX_SAMPLE, mix
from spm.fusion.testsets import ClipFiles, ReadSounds
from spm.learn import clip_files
from spm.learn.clip_files import ClipColumn, Indices, PreparedSounds

NOISE_DB = -20.0  # RMS level re full scale

Listed = Mapping[tuple[str, PlayedSound], dict[str, Any]]  # rows of the table by clip and sound


def noise(sound: PlayedSound, seed: int) -> NDArray[np.int16]:
    """One second of noise at 16 kHz, (16000,).

    Parameters
    ----------
    sound : PlayedSound
        WHITE_NOISE or PINK_NOISE, whose power falls with 1/f.
    seed : int
        Equal seeds give equal samples.
    """
    wave = np.random.default_rng(seed).standard_normal(SAMPLE_RATE_HZ)
    if sound == PlayedSound.PINK_NOISE:
        wave = noises.to_pink(wave)
    return (noises.at_level(wave, NOISE_DB) * MAX_SAMPLE).round().astype(np.int16)


@dataclass(frozen=True)
class MadeSounds:
    """Silence, noise, or mixtures of two sounds, one per clip."""

    sound: PlayedSound
    numbers: Sequence[int]  # seed of each noise; place of each off-screen sound of a mixture
    parts: tuple[ClipColumn, ...] = ()  # of mixtures: own and off-screen sounds

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.numbers)

    def sounds(self, indices: Indices) -> Tensor:
        """Samples of some clips: (n, 16000), int16."""
        made = [self._one(int(index)) for index in indices]
        return torch.from_numpy(np.stack(made)) if made else torch.empty(0, SAMPLE_RATE_HZ)

    def _one(self, index: int) -> NDArray[np.int16]:
        if self.sound == PlayedSound.SILENCE:
            return np.zeros(SAMPLE_RATE_HZ, np.int16)
        if self.sound == PlayedSound.MIXED:
            own, other = self.parts
            pair = [own[index].tobytes(), other[self.numbers[index]].tobytes()]
            return np.frombuffer(mix(pair, [0.0, 0.0]), "<i2")
        return noise(self.sound, self.numbers[index])


@dataclass(frozen=True)
class NegativeSounds:
    """The other sounds of the clips of one use, and where clips and sounds are."""

    use: NegativeUse
    listed: Listed
    sounds: tuple[PlayedSound, ...]
    pictures: ClipFiles  # the clips whose frames are shown
    index: pa.Table
    preset: str  # of spectrograms, for networks that read them

    @classmethod
    def read(
        cls, path: Path, use: NegativeUse, index: Path, testset: ClipFiles, preset: str
    ) -> "NegativeSounds":
        """The sounds of one use from the table of the stage `negatives`.

        Parameters
        ----------
        path : Path
            The table.
        use : NegativeUse
        index : Path
            The index of all clips.
        testset : ClipFiles
            Folders of the clips; its rows are replaced by the clips of the table.
        preset : str
            Preset of the stage `spectrograms`.
        """
        clips, listed = tables.read(index), {}
        for row in tables.read(path).to_pylist():
            if row["use"] == use:
                listed[row["clip_id"], PlayedSound(row["sound"])] = row
        ids, present = pa.array(sorted({clip for clip, _ in listed})), {key[1] for key in listed}
        rows = clips.filter(pc.is_in(clips["clip_id"], ids.cast(pa.string())))
        rows = rows.take(np.argsort(rows["shard"].to_numpy(), kind="stable"))
        sounds = tuple(filter(present.__contains__, PlayedSound))
        return cls(use, listed, sounds, replace(testset, rows=rows), clips, preset)

    def readers(
        self, network: LocalizationNetwork, rows: pa.Table
    ) -> dict[PlayedSound, ReadSounds]:
        """How each sound of the clips of a shard is read; see `testsets.batches`."""
        return {sound: self._reader(network, rows, sound) for sound in self.sounds}

    def _reader(
        self, network: LocalizationNetwork, rows: pa.Table, sound: PlayedSound
    ) -> ReadSounds:
        clip_ids = rows["clip_id"].to_pylist()
        # A clip without this sound gets that of the first clip; its maps are not written.
        found = [self.listed.get((clip_id, sound)) for clip_id in clip_ids]
        present = next((row for row in found if row), None)
        if present is None:
            return testsets.read_sounds(network, self.pictures, rows)
        entries = [row or present for row in found]
        if sound == PlayedSound.OFF_SCREEN:
            sound_rows, places = self._sound_rows(entries)
            read = testsets.read_sounds(network, self.pictures, sound_rows)
            return lambda indices: read(places[torch.as_tensor(indices).numpy()])
        if sound == PlayedSound.MIXED:
            mixed = self._mixed(rows, entries)
            if network.reads == "pcm":
                return testsets.prepare_sounds(network, mixed, rows)
            return lambda indices: self._prepare(network, mixed, indices)
        seeds, places = np.unique([row["seed"] or 0 for row in entries], return_inverse=True)
        made = MadeSounds(sound, seeds.tolist())
        prepared = self._prepare(network, made, range(len(made)))  # each different sound once
        return lambda indices: prepared[places[torch.as_tensor(indices).numpy()]]

    def _sound_rows(
        self, entries: Sequence[Mapping[str, Any]]
    ) -> tuple[pa.Table, NDArray[np.intp]]:
        """Rows of the clips that make the sounds, each once, and the place of each entry's clip."""
        names, places = np.unique([row["sound_clip_id"] for row in entries], return_inverse=True)
        found = pc.index_in(pa.array(names.tolist()), value_set=self.index["clip_id"])
        return self.index.take(found), places

    def _mixed(self, rows: pa.Table, entries: Sequence[Mapping[str, Any]]) -> MadeSounds:
        sound_rows, places = self._sound_rows(entries)
        clips, mapped = self.pictures.clips, self.pictures.mapped
        columns = [
            clip_files.open_column(part, clips, "pcm", mapped) for part in (rows, sound_rows)
        ]
        return MadeSounds(PlayedSound.MIXED, places.tolist(), tuple(columns))

    def _prepare(self, network: LocalizationNetwork, made: MadeSounds, indices: Indices) -> Tensor:
        """Sounds as a network takes them, not smoothed: (n, …)."""
        if network.reads == "pcm":
            return PreparedSounds(made, network.prepare_sound).sounds(indices).float()
        if self.pictures.spectrograms is None:  # the network has no ears
            return torch.empty(len(indices), 0)
        return log_mel(made.sounds(indices), self.preset)
