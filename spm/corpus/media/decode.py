"""Decoding of a file by ffmpeg into temporary files: its frames, and its sound at 16 kHz.

An ordinary file is decoded by one process, in one pass. A file whose edit list has several pieces
is decoded piece by piece. A file whose channels ffmpeg can't mix is decoded again.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import ffmpeg

from spm.base.statuses import Downmix, VideoStatus
from spm.corpus.media import limits, tone
from spm.corpus.media.contents import Media, Pictures, Sound, Unusable, begins_s
from spm.corpus.media.cut import split_pictures
from spm.corpus.media.edits import Piece
from spm.corpus.media.ffmpeg import binary, run_ffmpeg
from spm.corpus.media.filters import (
    downmix,
    first_frame,
    join_clock,
    needs_table,
    picture_filters,
    sound_filters,
)
from spm.corpus.media.formats import input_of
from spm.corpus.media.temporary import Files, chunks

SEEK_S = 5.0  # before a part: a decoder needs what precedes it
OPTIONS = ["-nostdin", "-y", "-v", "error", "-filter_threads", "1"]
# Default Huffman tables need a twentieth of the time, for 3 % more bytes.
JPEG = {"f": "mpjpeg", "vcodec": "mjpeg", "huffman": "default", "flags:v": "+bitexact"}
# NUT keeps a time stamp for each packet, in samples.
PCM = {"f": "nut", "acodec": "pcm_s16le", "avoid_negative_ts": "disabled"}


class Frames(NamedTuple):
    """Settings of the frames."""

    size_px: int
    per_s: int
    jpeg_quality: int


class Extent(NamedTuple):
    """The part of a file that is decoded."""

    start_s: float
    length_s: float | None  # None: to the end

    @property
    def seek(self) -> dict[str, Any]:
        """Options to start reading a little before; the time stamps decide what is used."""
        start_s = self.start_s - SEEK_S
        return {"ss": start_s, "noaccurate_seek": None} if start_s > 0 else {}

    def of(self, pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
        """What the part has of the pieces of an edit list, on a clock that starts with the part."""
        end_s = math.inf if self.length_s is None else self.start_s + self.length_s
        parts = []
        for media_s, begin_s, length_s, _ in pieces:
            first_s, last_s = max(begin_s, self.start_s), min(begin_s + length_s, end_s)
            if first_s < last_s:
                media_s += first_s - begin_s
                parts.append(Piece(media_s, first_s - self.start_s, last_s - first_s))
        return tuple(parts)


@dataclass(frozen=True)
class Run:
    """One process of ffmpeg."""

    arguments: list[str]
    pictures: Path | None = None  # what it writes, where a piece has a fixed number of frames
    frames: int = 0


@dataclass(frozen=True)
class Job:
    """A file, and what is decoded of it into a folder of temporary files."""

    path: Path
    media: Media
    frames: Frames
    extent: Extent
    files: Files

    @property
    def tracks(self) -> tuple[Pictures, Sound]:
        """The two tracks.

        Raises
        ------
        Unusable
            With the status `no-video` or `no-audio`, where a track is missing.
        """
        if self.media.pictures is None:
            raise Unusable(VideoStatus.NO_VIDEO, "contains only sound")
        if self.media.sound is None:
            raise Unusable(VideoStatus.NO_AUDIO, "contains only pictures")
        return self.media.pictures, self.media.sound

    def decode(self, bounds: limits.Bounds, video_id: str) -> tuple[int, str, Downmix]:
        """Decode, within limits.

        Returns
        -------
        tuple
            The exit status of ffmpeg, the first line of its messages, and how the channels of the
            sound were mixed.

        Raises
        ------
        UserError
            When the machine is at fault.
        """
        pictures, sound = self.tracks
        mix, end_s = downmix(sound), time.monotonic() + bounds.time_s
        if needs_table(pictures):
            tone.write_tables(self.files.folder, pictures.transfer)
        code, message = self._run(mix, bounds, video_id)
        mixed = sound.channels <= 2 or mix != Downmix.STANDARD
        if code and not mixed and not self.files.measure_sound().samples:
            mix, rest_s = Downmix.MEAN, max(1, round(end_s - time.monotonic()))
            code, message = self._run(mix, bounds._replace(time_s=rest_s), video_id)
        return code, message, mix

    def _run(self, mix: Downmix, bounds: limits.Bounds, video_id: str) -> tuple[int, str]:
        """Run all processes; after one that fails, none."""
        end_s = time.monotonic() + bounds.time_s
        for run in self.runs(mix):
            rest_s = max(1, round(end_s - time.monotonic()))
            code, message = run_ffmpeg(
                run.arguments, bounds._replace(time_s=rest_s), str(self.path), video_id
            )
            if code:
                return code, message
            if run.pictures and sum(1 for _ in split_pictures(chunks(run.pictures))) < run.frames:
                return 1, "a piece of its edit list has too few pictures"
        return 0, ""

    def runs(self, mix: Downmix) -> list[Run]:
        """The processes: one, or those of each part or of each piece of an edit list."""
        pictures, sound = self.tracks
        if self.media.parts:
            return self._part_runs(mix)
        if not pictures.pieces:
            return [Run(self._whole(pictures, sound, mix))]
        shown, played = self.extent.of(pictures.pieces), self.extent.of(sound.pieces)
        # Where nothing is shown, the picture before stays; before the first, the first is shown.
        starts = [first_frame(piece.begin_s, self.frames.per_s) for piece in shown[1:]]
        edges = [0, *starts, *(first_frame(piece.end_s, self.frames.per_s) for piece in shown[-1:])]
        frames = [
            self._picture_piece(pictures, number, piece, *edges[number : number + 2])
            for number, piece in enumerate(shown)
        ]
        sounds = [self._sound_piece(sound, mix, *piece) for piece in enumerate(played)]
        return [run for run in frames if run.frames] + sounds

    def _part_runs(self, mix: Downmix) -> list[Run]:
        """One process per part that is used, which writes frames and sound."""
        runs: list[Run] = []
        first, spans_s = 0, pairwise(begins_s(self.media.parts))
        for number, (media, (begin_s, end_s)) in enumerate(
            zip(self.media.parts, spans_s, strict=True)
        ):
            for piece in self.extent.of((Piece(0.0, begin_s, end_s - begin_s),)):
                end = first_frame(piece.end_s, self.frames.per_s)
                part = replace(self, media=media, extent=Extent(0.0, None))
                runs.append(part._part_run(mix, number, piece, first, end))
                first = end
        return [run for run in runs if run.frames]

    def _part_run(self, mix: Downmix, number: int, piece: Piece, first: int, end: int) -> Run:
        """The frames from number `first` to number `end` of one part, and its sound."""
        pictures, sound = self.tracks
        source = self._input(itsoffset=f"{self._offset_s():.6f}")
        # Else, ffmpeg would fill the time before the first frame with copies of it.
        limit: dict[str, Any] = {"frames:v": end - first, "fps_mode": "passthrough"}
        frames = self._frames_out(source, pictures, number, limit, piece, first)
        output = self._compile(frames, self._sound_out(source, sound, mix, number, piece))
        return Run(output, self.files.pictures(number), end - first)

    def _whole(self, pictures: Pictures, sound: Sound, mix: Downmix) -> list[str]:
        """One input, decoded once, and two outputs."""
        seek = {} if self.media.jumps or self.media.joins_s else self.extent.seek
        source = self._input(itsoffset=f"{self._offset_s():.6f}", **seek)
        end = {} if self.extent.length_s is None else {"t": self.extent.length_s}
        frames = self._frames_out(source, pictures, 0, end)
        return self._compile(frames, self._sound_out(source, sound, mix, 0))

    def _offset_s(self) -> float:
        # For broadcasts, ffmpeg itself subtracts the earliest time stamp of the file and removes
        # jumps of the clock. In other files the time stamps are reliable.
        media = self.media
        zero_s = media.start_s - media.file_start_s if media.jumps else media.start_s
        return -zero_s - self.extent.start_s

    def _input(self, **options: Any) -> Any:
        if self.media.container == "mpegts":
            options["merge_pmt_versions"] = 1  # as in the probe
        pictures, _ = self.tracks
        if pictures.quarter_turns is not None:  # or else ffmpeg turns pictures, as well as it can
            options |= {"reinit_filter:v": 0, "noautorotate": None}
        name, bounded = input_of(self.path, self.media.span)
        return ffmpeg.input(name, threads=1, **bounded, **options)

    def _compile(self, *outputs: Any) -> list[str]:
        options = OPTIONS if self.media.jumps else [*OPTIONS, "-copyts"]
        both = outputs[0] if len(outputs) == 1 else ffmpeg.merge_outputs(*outputs)
        arguments: list[str] = both.global_args(*options).compile(binary())
        return arguments

    def _frames_out(
        self,
        source: Any,
        track: Pictures,
        number: int,
        end: Mapping[str, Any],
        piece: Piece | None = None,
        first: int = 0,
    ) -> Any:
        """JPEG frames; the options in `end` limit them."""
        size_px, per_s, quality = self.frames
        filters = picture_filters(track, size_px, per_s, self.files.folder, piece, first)
        if self.media.joins_s:
            filters = f"setpts={join_clock(self.media.joins_s)},{filters}"
        return source[str(track.stream)].output(
            f"file:{self.files.pictures(number)}",
            vf=filters, threads=1, **{"q:v": quality}, **JPEG, **end,
        )  # fmt: skip

    def _sound_out(
        self, source: Any, track: Sound, mix: Downmix, number: int, piece: Piece | None = None
    ) -> Any:
        """The mixed sound; of stereo, also the difference of the channels."""
        mixes = [mix, Downmix.DIFFERENCE] if track.channels == 2 else [mix]
        joins_s, length_s, jumps = self.media.joins_s, self.extent.length_s, self.media.jumps
        clock = f"asetpts={join_clock(joins_s)}," if joins_s else ""
        filters = {
            f"filter:a:{n}": clock + sound_filters(track, each, length_s, piece, jumps)
            for n, each in enumerate(mixes)
        }
        stream = source[str(track.stream)]
        path = f"file:{self.files.sound(number)}"
        return ffmpeg.output(*[stream] * len(mixes), path, threads=1, **filters, **PCM)

    def _piece_input(self, piece: Piece) -> Any:
        """The file without its edit list, from a little before a piece."""
        seek = Extent(piece.media_s, None).seek
        return self._input(ignore_editlist=1, **seek)

    def _picture_piece(
        self, track: Pictures, number: int, piece: Piece, first: int, end: int
    ) -> Run:
        """The frames from number `first` to number `end`."""
        source, limit = self._piece_input(piece), {"frames:v": end - first}
        output = self._frames_out(source, track, number, limit, piece, first)
        return Run(self._compile(output), self.files.pictures(number), end - first)

    def _sound_piece(self, track: Sound, mix: Downmix, number: int, piece: Piece) -> Run:
        source = self._piece_input(piece)
        return Run(self._compile(self._sound_out(source, track, mix, number, piece)))
