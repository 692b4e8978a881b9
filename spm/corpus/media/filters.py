"""Filters of ffmpeg: pictures as a player shows them, and sound on one clock, mixed to one channel.

The filters of the pictures accept a change of size or pixel format under way: `fps` comes first and
passes pictures on as they are, and `scale` follows each picture. ffmpeg makes the filters of the
sound anew at a change of rate or channels, so these filters keep no count of time: each packet of
their output has a time stamp.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from spm.base.constants import SAMPLE_RATE_HZ
from spm.base.statuses import Downmix
from spm.corpus.media.contents import Pictures, Sound
from spm.corpus.media.edits import Piece
from spm.corpus.media.packets import BACK_S
from spm.corpus.media.tone import table_paths

# Where sound differs from its time stamps by more than this, gaps are filled with silence and
# overlaps are cut. Smaller differences are jitter: Matroska rounds to 1 ms.
MOST_DRIFT_S = 0.02
# By counter-clockwise quarter turns
TURNS: tuple[list[str], ...] = ([], ["transpose=cclock"], ["hflip", "vflip"], ["transpose=clock"])
MOST_GUESSED_S = 0.1  # error of guessed time stamps
# bitexact: the same on every processor.
SCALER = "flags=bilinear+accurate_rnd+bitexact"
# The colors of JPEG are BT.601 in full range, whatever the video's colors are.
JPEG_COLORS = "out_color_matrix=bt601:out_range=pc"
ROUNDING_S = 0.0005  # of the time stamps in edit lists
TABLES = ("lut1d", "lut3d", "lut1d")  # filters for the three tables
ESCAPED = ("\\':", "\\'[],;")  # characters of an option's value, and of a filter's description


def escape(path: Path) -> str:
    """A path as the value of a filter's option."""
    text = str(path)
    for characters in ESCAPED:
        text = "".join(f"\\{char}" if char in characters else char for char in text)
    return text


def picture_filters(
    track: Pictures,
    size_px: int,
    per_s: int,
    folder: Path,
    piece: Piece | None = None,
    first: int = 0,
) -> str:
    """Pictures of `size_px` squared at the times k / per_s, from k = first on.

    `piece` is a piece of an edit list. `folder` has the tables that convert colors of HDR or
    BT.2020.
    """
    # fps with rounding up: output k is the last picture that began at or before k/n s, also at a
    # variable rate.
    fps = f"fps={per_s}:round=up:start_time={first / per_s:g}"
    filters = [*_picture_clock(track, piece), fps]
    if track.interlaced or track.quarter_turns:
        # For filters that accept no change; `scale` does nothing unless the size changes.
        filters.append(f"scale={track.width}:{track.height}:interl=-1")
    if track.interlaced:
        filters.append("estdif=mode=frame:deint=interlaced")
    filters += TURNS[track.quarter_turns or 0]
    square = f"scale={size_px}:{size_px}:{SCALER}"
    if needs_table(track):
        filters += [square, "format=gbrpf32le"]
        filters += [
            f"{name}=file={escape(table)}"
            for name, table in zip(TABLES, table_paths(folder), strict=True)
        ]
        square = f"scale={SCALER}"
    filters += [f"{square}:{JPEG_COLORS}", "setsar=1", "format=yuvj420p"]
    return ",".join(filters + (["tpad=stop=-1:stop_mode=clone"] if piece else []))


def needs_table(track: Pictures) -> bool:
    """Whether the colors are not those of an SDR screen."""
    return track.transfer != "sdr" or track.wide_gamut


def first_frame(time_s: float, per_s: int) -> int:
    """Number of the first frame at or after a time."""
    return -int(-(time_s - ROUNDING_S) * per_s // 1)


def _picture_clock(track: Pictures, piece: Piece | None) -> list[str]:
    if piece:
        return [
            f"trim={_span(piece, ROUNDING_S)}",
            f"setpts=PTS+({piece.begin_s - piece.media_s:.6f}/TB)",
        ]
    return [f"setpts=PTS-({track.late_s:.6f}/TB)"] if track.late_s else []


def join_clock(joins_s: Sequence[float]) -> str:
    """Time stamps of joined files, as the expression of a filter `setpts` or `asetpts`.

    The expression counts the parts: each begins where the time stamps go back.
    """
    steps_s = [end_s - start_s for start_s, end_s in pairwise((0.0, *joins_s))]
    terms = (f"gte(ld(0),{n})*{step_s:.6f}" for n, step_s in enumerate(steps_s, 1))
    return f"'st(0,ld(0)+lt(PTS,PREV_INPTS-{BACK_S}/TB));PTS+({'+'.join(terms)})/TB'"


def _span(piece: Piece, early_s: float = 0.0) -> str:
    start_s = piece.media_s - early_s
    return f"start={start_s:.6f}:end={start_s + piece.length_s:.6f}"


def sound_filters(
    track: Sound, mix: Downmix, max_s: float | None, piece: Piece | None, broadcast: bool
) -> str:
    """16 kHz mono, each packet with its time stamp."""
    filters = [_counted_clock(track)] if broadcast else []
    if piece:
        shift_s = piece.begin_s - piece.media_s
        filters += [f"atrim={_span(piece)}", f"asetpts=PTS+({shift_s:.6f}/TB)"]
    filters += _mixing(track, mix)
    filters.append(f"aresample={SAMPLE_RATE_HZ}:async=1:min_hard_comp={MOST_DRIFT_S}")
    end = f":end_pts={round(max_s * SAMPLE_RATE_HZ)}" if max_s else ""
    filters += ["aformat=sample_fmts=s16:channel_layouts=mono", f"atrim=start_pts=0{end}"]
    return ",".join(filters)


def _counted_clock(track: Sound) -> str:
    """Count the samples of sound whose rate is not that of the file's start.

    In broadcasts, only some packets have a time stamp. libav guesses the others by the first rate.
    """
    counted = "(STARTPTS+NB_CONSUMED_SAMPLES/SR/TB)"
    near = f"lt(abs(PTS-{counted}),{MOST_GUESSED_S}/TB)"
    return f"asetpts='if(not(eq(SR,{track.rate_hz}))*{near},{counted},PTS)'"


def _mixing(track: Sound, mix: Downmix) -> list[str]:
    if mix == Downmix.FIRST:
        return ["pan=mono|c0=c0"]
    if mix == Downmix.MEAN:
        return [
            "pan=mono|c0=" + "+".join(f"{1 / track.channels}*c{n}" for n in range(track.channels))
        ]
    if mix == Downmix.DIFFERENCE:  # after a change to mono, both channels are the same
        return ["aformat=channel_layouts=stereo", "pan=mono|c0=0.5*c0-0.5*c1"]
    return []


def downmix(track: Sound) -> Downmix:
    """The rule for a layout."""
    if track.ambisonic:
        return Downmix.FIRST
    return Downmix.MEAN if track.unknown_layout else Downmix.STANDARD
