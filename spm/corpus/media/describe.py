"""The description of a file that is open: its clock, and the two tracks that are used."""

import struct
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from spm.corpus.media.contents import Media, Pictures, Sound
from spm.corpus.media.edits import Piece, read_edits
from spm.corpus.media.packets import Clock, read_clocks
from spm.corpus.media.programs import read_programs
from spm.corpus.media.tracks import candidates, choose, choose_moving, films

TS_DISCONT = 0x0200  # libavformat's AVFMT_TS_DISCONT
SOUND_GAP_S = 1.0  # sound that is missing for longer is a jump
PICTURES_GAP_S = 10.0  # a picture can be shown for long
FIRST_PICTURE_S = 1.0  # after the first packet
UNUSED_PART = 0.1  # of a file, after the last packet of its tracks
MOST_PIECES = 100  # of an edit list: each is decoded by a process
MOST_PADDING_S = 0.1  # before zero: codecs begin with samples that are not played
TRANSFERS = {16: "pq", 18: "hlg"}  # libavutil's AVCOL_TRC_SMPTE2084 and AVCOL_TRC_ARIB_STD_B67
MATRIX = "=9i"  # fixed point, in the byte order of the machine
BT2020 = 9  # libavutil's AVCOL_PRI_BT2020
UNSPECIFIED = 2  # libavutil's AVCOL_TRC_UNSPECIFIED
DOLBY_VISION_TAGS = ("dvh1", "dvhe", "dav1")
DOLBY_VISION_DATA = (Type.DOVI_METADATA, Type.DOVI_RPU_BUFFER)

Edits = tuple[Piece, ...]


class Timeline(NamedTuple):
    """What places the tracks of a file on one clock."""

    clocks: Mapping[int, Clock]  # by the number of the track
    start_s: float  # zero of the clock
    jumps: bool  # whether time stamps of the container may jump
    edits: Mapping[int, Edits]  # pieces of the edit lists, by the number of the track
    joins_s: tuple[float, ...]  # what to add to each later part of joined files

    def length_s(self, track: int) -> float:
        """Length of a track from zero to its end."""
        clock = self.clocks[track]
        if pieces := self.edits.get(track):
            return pieces[-1].end_s
        if self.jumps:
            return clock.length_s + max(0.0, (clock.start_s or self.start_s) - self.start_s)
        if self.joins_s:
            return clock.parts[-1][1] + self.joins_s[-1] - self.start_s
        return clock.end_s - self.start_s


def describe(container: InputContainer, path: Path) -> Media:
    """Read the whole file, decode its first picture, and choose the tracks.

    Raises
    ------
    Unusable
        When no decoder is known.
    """
    videos, audios = films(container), candidates(container.streams.audio, "sound")
    clocks = read_clocks(container, [*videos, *audios])
    transport = container.format.name == "mpegts"
    video, audio, program = choose(
        choose_moving(videos, clocks),
        choose_moving(audios, clocks),
        read_programs(path) if transport else {},
    )
    used = [stream for stream in (video, audio) if stream]
    jumps = bool(container.format.flags & TS_DISCONT)
    start_s = _zero_s([_start_s(stream, clocks[stream.index]) for stream in used], jumps)
    edits = _edits(container, path, used, clocks)
    if edit_fault := _edit_fault(edits, clocks):
        edits = {}
    joins_s = () if jumps or edits else _joins_s([clocks[stream.index] for stream in used])
    timeline = Timeline(clocks, start_s, jumps, edits, joins_s)
    fault = edit_fault
    if not (edits or edit_fault):
        fault = _fault(video, audio, timeline, container)
    return Media(
        container=container.format.name,
        start_s=start_s,
        file_start_s=(container.start_time or 0) / av.time_base,
        jumps=jumps,
        length_s=_stated_s(container, 0.0 if jumps else start_s),
        program=program,
        pictures=_pictures(video, timeline) if video else None,
        sound=_sound(audio, timeline) if audio else None,
        joins_s=joins_s,
        span=None,
        parts=(),
        fault=fault or _without_base_layer(video, clocks),
    )


def _without_base_layer(video: VideoStream | None, clocks: Mapping[int, Clock]) -> str:
    """What is wrong with the colors of Dolby Vision's profile 5; empty for other pictures."""
    first = clocks[video.index].picture if video else None
    if video is None or first is None or first.color_trc != UNSPECIFIED:
        return ""
    found: Iterable[Any] = first.side_data  # PyAV's types say otherwise
    has_metadata = any(data.type in DOLBY_VISION_DATA for data in found)
    if has_metadata or video.codec_context.codec_tag in DOLBY_VISION_TAGS:
        return "Dolby Vision without a base layer (profile 5): its colors are wrong"
    return ""


def _start_s(stream: VideoStream | AudioStream, clock: Clock) -> float:
    """When a track begins; libav's own number takes samples into account that are not played."""
    if stream.start_time is not None and stream.time_base:
        return float(stream.start_time * stream.time_base)
    return clock.start_s or 0.0


def _zero_s(starts_s: list[float], jumps: bool) -> float:
    """Zero of the clock; what begins a little before zero is padding of a codec."""
    earliest_s = min(starts_s, default=0.0)
    return 0.0 if not jumps and -MOST_PADDING_S <= earliest_s < 0 else earliest_s


def _stated_s(container: InputContainer, start_s: float) -> float | None:
    """The length that a container states; some state the end of the clock instead."""
    if not container.duration:
        return None
    stated_s = container.duration / av.time_base
    return stated_s - start_s if stated_s > start_s > 0 else stated_s


def _edits(
    container: InputContainer,
    path: Path,
    used: list[VideoStream | AudioStream],
    clocks: Mapping[int, Clock],
) -> Mapping[int, Edits]:
    """Pieces of the edit lists of the used tracks, where one of them has several pieces."""
    if "mp4" not in container.format.name.split(","):
        return {}
    tracks = dict(enumerate(read_edits(path)))
    if all(len(tracks.get(stream.index, ())) < 2 for stream in used):
        return {}
    whole = {s.index: (Piece(0.0, 0.0, clocks[s.index].packets_s),) for s in used}
    return {number: tracks.get(number) or pieces for number, pieces in whole.items()}


def _edit_fault(edits: Mapping[int, Edits], clocks: Mapping[int, Clock]) -> str:
    """Why the pieces of edit lists can't be decoded one by one; empty if they can."""
    for track, pieces in edits.items():
        if len(pieces) > MOST_PIECES:
            return f"its edit list has {len(pieces)} pieces, of at most {MOST_PIECES}"
        if any(piece.speed != 1 for piece in pieces):
            return "its edit list changes the speed"
        longest_s = max(piece.length_s for piece in pieces)
        if longest_s > clocks[track].packets_s + MOST_PADDING_S:
            return f"its edit list has a piece of {longest_s:.2f} s, which is longer than the track"
    return ""


def _joins_s(clocks: list[Clock]) -> tuple[float, ...]:
    """What to add to the time stamps of each part of joined files, whose clocks start anew.

    Each part begins where the longer track of the part before it ends.
    """
    if len({len(clock.parts) for clock in clocks}) != 1:
        return ()
    ends = [0.0]
    for (_, end_s), (start_s, _) in pairwise(_parts(clocks)):
        ends.append(ends[-1] + end_s - start_s)
    return tuple(ends[1:])


def _parts(clocks: list[Clock]) -> Iterator[tuple[float, float]]:
    """Start and end of each part, over all tracks."""
    for spans in zip(*(clock.parts for clock in clocks), strict=True):
        yield min(start_s for start_s, _ in spans), max(end_s for _, end_s in spans)


def _pictures(stream: VideoStream, timeline: Timeline) -> Pictures:
    clock = timeline.clocks[stream.index]
    first = clock.picture
    return Pictures(
        stream=stream.index,
        width=stream.codec_context.width,
        height=stream.codec_context.height,
        pixel_aspect=float(stream.sample_aspect_ratio or 1),
        fps=float(stream.average_rate) if stream.average_rate else None,
        rotation_deg=first.rotation if first else 0,
        mirrored=_mirrored(first),
        transfer=TRANSFERS.get(first.color_trc, "sdr") if first else "sdr",
        wide_gamut=bool(first and first.color_primaries == BT2020),
        interlaced=bool(first and first.interlaced_frame),
        late_s=_late_s(stream, clock, first),
        length_s=timeline.length_s(stream.index),
        pieces=timeline.edits.get(stream.index, ()),
    )


def _mirrored(picture: VideoFrame | None) -> bool:
    """Whether the display matrix of a picture mirrors it."""
    found: Iterable[Any] = picture.side_data if picture else ()  # PyAV's types say otherwise
    matrix = next((data for data in found if data.type == Type.DISPLAYMATRIX), None)
    if matrix is None or matrix.buffer_size < struct.calcsize(MATRIX):
        return False
    a, b, _, c, d, *_ = struct.unpack_from(MATRIX, bytes(matrix))
    return bool(a * d < b * c)


def _sound(stream: AudioStream, timeline: Timeline) -> Sound:
    context = stream.codec_context
    return Sound(
        stream=stream.index,
        rate_hz=context.sample_rate,
        channels=context.channels,
        layout=context.layout.name,
        length_s=timeline.length_s(stream.index),
        packets_s=timeline.clocks[stream.index].packets_s,
        pieces=timeline.edits.get(stream.index, ()),
    )


def _late_s(stream: VideoStream, clock: Clock, first: VideoFrame | None) -> float:
    """By how much the pictures are late in containers that store only the order of decoding.

    libav takes the time of decoding for the time of the picture, which the decoder gives out one
    or two pictures later. Such containers are AVI, and Matroska with a codec of AVI.
    """
    name = stream.container.format.name
    from_avi = "matroska" in name and stream.codec_tag.isprintable()
    if not (name == "avi" or from_avi) or first is None or first.dts is None:
        return 0.0
    assert stream.time_base
    return max(0.0, float(first.dts * stream.time_base) - (clock.first_s or 0.0))


def _fault(
    video: VideoStream | None,
    audio: AudioStream | None,
    timeline: Timeline,
    container: InputContainer,
) -> str:
    """Where a track leaves the clock of the file, or is not all of what is played."""
    clocks, jumps = timeline.clocks, timeline.jumps
    tracks = ((video, "pictures", PICTURES_GAP_S), (audio, "sound", SOUND_GAP_S))
    for stream, name, most_s in tracks:
        clock = clocks[stream.index] if stream else Clock()
        if len(clock.parts) > 1 and not (jumps or timeline.joins_s):
            return f"the clock of its {name} is set back at {clock.parts[0][1]:.2f} s"
        if clock.gap_s > most_s:
            return f"a gap of {clock.gap_s:.2f} s in its {name} at {clock.gap_at_s:.2f} s"
    if video and (late_s := _wait_s(video, clocks[video.index])) > FIRST_PICTURE_S:
        return f"its first {late_s:.2f} s of pictures cannot be decoded"
    end_byte = max((clock.end_byte for clock in clocks.values()), default=0)
    sequential = jumps or container.format.name == "flv"  # without an index or data at its end
    if sequential and end_byte < (1 - UNUSED_PART) * container.size:
        return f"its tracks end at byte {end_byte} of {container.size}; the rest is not used"
    return ""


def _wait_s(stream: VideoStream, clock: Clock) -> float:
    """Time between the first packet and the first picture that can be decoded."""
    first = clock.picture
    if first is None or first.pts is None or clock.start_s is None or not stream.time_base:
        return 0.0
    return float(first.pts * stream.time_base) - clock.start_s
