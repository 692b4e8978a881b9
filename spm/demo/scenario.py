"""The embedded corpus: drawn and synthesized musicians, as real video files with exact boxes.

python -m spm.demo --config '{}' --out DIR

Writes DIR/manifest.csv, DIR/boxes.csv and DIR/videos/*.mp4; the random numbers depend only on the
seed. A video is a sequence of scenes. Each scene has its own background, instrument, pose, melody
and room, because a network that sees few scenes learns the backgrounds.
"""

import csv
import multiprocessing
import os
import tempfile
import wave
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import ffmpeg
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spm.base import tables
from spm.base.config import Section
from spm.base.errors import UserError
from spm.base.progress import progress
from spm.base.statuses import Kind
from spm.corpus.manifest_columns import COLUMNS
from spm.corpus.media.ffmpeg import binary
from spm.demo.backdrops import PAD, backdrop, grade
from spm.demo.instruments import INSTRUMENTS
from spm.demo.pictures import Actor, Box, film
from spm.demo.shapes import Floats, Pose
from spm.demo.sounds import play, room
from spm.demo.voices import VOICES, Note, hits, level, melody, sounding, strokes

Rng = np.random.Generator

PAIRS = (
    ("violin", "acoustic_guitar"), ("saxophone", "acoustic_guitar"), ("cello", "acoustic_guitar"),
    ("flute", "violin"), ("trumpet", "tuba"), ("xylophone", "flute"),
)  # fmt: skip
BOXES_PER_S = 4  # times with boxes per second, as frames of a clip
RATES_HZ = (44_100, 48_000)
LEVELS_DB = (-26.0, -15.0)  # range of the level of a scene, relative to full scale
INT16_MAX = np.int16(32767)
BOX_COLUMNS = ("video_id", "time_s", "category", "x", "y", "w", "h")


class Demo(Section):
    """How many videos are rendered, and their size."""

    solos: int = Field(14, ge=0, description="Number of videos per category.")
    duets: int = Field(2, ge=0, description="Number of videos per pair of categories.")
    scenes: int = Field(10, ge=1, description="Number of scenes per video.")
    scene_s: int = Field(2, ge=1, description="Length of a scene, in s.")
    width: int = Field(192, ge=64, multiple_of=2, description="Width of a frame, in px.")
    height: int = Field(144, ge=48, multiple_of=2, description="Height of a frame, in px.")
    fps: int = Field(12, ge=4, multiple_of=BOXES_PER_S, description="Frames per second.")
    silent_other: float = Field(
        0.15, ge=0, le=1, description="Share of solo scenes with a second, silent instrument."
    )
    seed: int = Field(0, ge=0, description="Random seed of everything that is drawn and played.")


class DemoVideo(NamedTuple):
    """One row of the manifest."""

    video_id: str
    kind: Kind
    categories: tuple[str, ...]


class Player(NamedTuple):
    """An instrument in a scene; without notes it is visible and silent."""

    category: str
    pose: Pose
    notes: list[Note]


class Take(NamedTuple):
    """The frames, the sound and the boxes of a scene."""

    frames: NDArray[np.uint8]  # (frames, height, width, 3)
    sound: Floats  # (samples, channels), in [-1, 1]
    boxes: list[tuple[float, str, Box]]  # time from the start of the scene in s, category, box


def videos(config: Demo) -> list[DemoVideo]:
    """Every video of the corpus, in the order of the manifest."""
    listed = []
    for category in sorted(INSTRUMENTS):
        for number in range(1, config.solos + 1):
            listed.append(DemoVideo(f"demo-{category}-{number:02d}", Kind.SOLO, (category,)))
    for pair in PAIRS:
        for number in range(1, config.duets + 1):
            listed.append(DemoVideo(f"demo-duet-{'-'.join(pair)}-{number:02d}", Kind.DUET, pair))
    return listed


def _rng(config: Demo, *names: object) -> Rng:
    """Random numbers for one purpose, independent of those for other purposes."""
    return np.random.default_rng([config.seed, crc32("/".join(map(str, names)).encode())])


def _pose(category: str, rng: Rng, left: float = 0, right: float = 1, share: float = 1) -> Pose:
    """Draw a pose of an instrument between two vertical lines."""
    instrument = INSTRUMENTS[category]
    area = share * np.exp(rng.uniform(*np.log(instrument.area)))
    x, y = rng.beta(0.6, 0.6, 2)  # more often near an edge than in the middle
    return Pose(
        x, y, area, rng.uniform(*instrument.turn_deg), bool(rng.random() < 0.5), left, right
    )


def cast(video: DemoVideo, config: Demo, rng: Rng) -> list[Player]:
    """Draw the players of a scene, from the back to the front, with poses and melodies."""
    if video.kind == Kind.DUET:
        halves = ((0.0, 0.56), (0.44, 1.0))  # they overlap a little
        poses = []
        for category, half in zip(video.categories, rng.permutation(2), strict=True):
            poses.append(_pose(category, rng, *halves[half], share=0.7))
    else:
        poses = [_pose(video.categories[0], rng)]
    players = [
        Player(category, pose, melody(VOICES[category], rng, config.scene_s))
        for category, pose in zip(video.categories, poses, strict=True)
    ]
    if video.kind == Kind.SOLO and rng.random() < config.silent_other:
        return [_silent_player(players[0], rng), *players]
    return players


def _silent_player(player: Player, rng: Rng) -> Player:
    """Draw another instrument, smaller and silent, on the side away from the player."""
    category = str(rng.choice([name for name in sorted(INSTRUMENTS) if name != player.category]))
    left, right = (0.0, 0.4) if player.pose.x > 0.5 else (0.6, 1.0)
    return Player(category, _pose(category, rng, left, right, share=0.4), [])


def _drive(player: Player, time_s: Floats) -> Floats | None:
    """Motion of an instrument with its notes, in [-1, 1] at each time; None without notes."""
    if not player.notes:
        return None
    gesture = INSTRUMENTS[player.category].gesture
    if gesture == "level":
        return level(player.notes, time_s) * np.sin(2 * np.pi * time_s / 1.1)
    if gesture == "stroke":
        return strokes(player.notes, time_s)
    return hits(player.notes, time_s)


def _shake(frames: int, rng: Rng) -> Floats:
    """Shake the camera in half of the scenes: a random walk in whole pixels, (frames, 2)."""
    steps = rng.choice([-1, 0, 1], p=[0.1, 0.8, 0.1], size=(frames, 2)) * (rng.random() < 0.5)
    return np.asarray(np.cumsum(steps, 0).clip(-PAD, PAD), float)


def _mix(players: Sequence[Player], config: Demo, rng: Rng, rate: int, channels: int) -> Floats:
    """Record the players: (samples, channels); in stereo, each comes from its place."""
    level_db = rng.uniform(*LEVELS_DB)
    mixed = np.zeros((round(config.scene_s * rate), channels))
    for player in players:
        dry = play(VOICES[player.category], player.notes, rng, rate, config.scene_s)
        sound = room(dry, rng, rate, level_db)
        gains = np.array([1.2 - 0.4 * player.pose.x, 0.8 + 0.4 * player.pose.x])
        mixed += sound[:, None] * (gains if channels == 2 else 1.0)
    return mixed.clip(-1, 1)


def _sounding_boxes(
    players: Sequence[Player], boxes: Sequence[Sequence[Box | None]], config: Demo
) -> Iterator[tuple[float, str, Box]]:
    """Boxes of the instruments that sound in a second, at BOXES_PER_S times of that second."""
    for number in range(config.scene_s * BOXES_PER_S):
        second = number // BOXES_PER_S
        for player, player_boxes in zip(players, boxes, strict=True):
            box = player_boxes[number * config.fps // BOXES_PER_S]
            if box and sounding(player.notes, second, second + 1):
                yield number / BOXES_PER_S, player.category, box


def shoot(
    video: DemoVideo, scene: int, config: Demo, rate: int, channels: int, *, shown: bool = True
) -> Take:
    """Film and record one scene.

    Parameters
    ----------
    video : DemoVideo
        The video, whose categories play.
    scene : int
        Number of the scene in the video. The random numbers of a scene depend on this number, the
        id of the video, and the seed.
    config : Demo
        Size and length.
    rate, channels : int
        Sample rate of the sound in Hz, and 1 or 2 channels.
    shown : bool
        Whether instruments are visible; without them the frames show the background.
    """
    frames, size = config.scene_s * config.fps, (config.width, config.height)
    players = cast(video, config, _rng(config, video.video_id, scene, "cast"))
    rng = _rng(config, video.video_id, scene, "look")
    background, table, shake = backdrop(rng, size), grade(rng), _shake(frames, rng)
    time_s = np.arange(frames) / config.fps
    actors = [Actor(INSTRUMENTS[p.category].draw(rng), p.pose, _drive(p, time_s)) for p in players]
    pictures, boxes = film(background, actors if shown else [], shake, table, size)
    playing = [player for player in players if player.notes]
    sound = _mix(playing, config, _rng(config, video.video_id, scene, "sound"), rate, channels)
    listed = list(_sounding_boxes(players, boxes, config)) if shown else []
    return Take(pictures, sound, listed)


def _write_wav(path: Path, sound: Floats, rate: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(sound.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((sound * INT16_MAX).round().astype("<i2").tobytes())


def encode(path: Path, frames: NDArray[np.uint8], fps: int, sound: Floats, rate: int) -> None:
    """Write an mp4 file with H.264 and AAC.

    One ffmpeg process with one thread writes it, so that the same input gives the same bytes.

    Raises
    ------
    UserError
        When this ffmpeg can't write it.
    """
    height, width = frames.shape[1:3]
    bitexact = {"fflags": "+bitexact", "flags:v": "+bitexact", "flags:a": "+bitexact"}
    with (
        tables.atomic_write(path) as part,
        tempfile.NamedTemporaryFile(suffix=".wav") as wav,
        tempfile.NamedTemporaryFile(suffix=".rgb") as rgb,  # a pipe takes 4 kB at once
    ):
        _write_wav(Path(wav.name), sound, rate)
        frames.tofile(rgb.name)
        pictures = ffmpeg.input(
            rgb.name, format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", r=fps
        )
        command = ffmpeg.output(
            pictures, ffmpeg.input(wav.name), str(part), format="mp4", vcodec="libx264",
            preset="veryfast", crf=20, pix_fmt="yuv420p", acodec="aac", aac_coder="fast",
            audio_bitrate="128k", threads=1, map_metadata=-1, sws_flags="bitexact+accurate_rnd",
            **bitexact,
        )  # fmt: skip
        try:
            command.overwrite_output().run(cmd=binary(), quiet=True)
        except ffmpeg.Error as error:
            lines = error.stderr.decode(errors="replace").strip().splitlines()
            raise UserError(
                f"{binary()} could not write {path.name} ({' '.join(lines[-1:])}): expected an"
                " ffmpeg with libx264 and aac"
            ) from error


def render(video: DemoVideo, config: Demo, folder: Path) -> list[tuple[str, ...]]:
    """Render one video into a folder.

    Returns
    -------
    list of tuple
        The rows of the video in boxes.csv.
    """
    rng = _rng(config, video.video_id)
    rate, channels = int(rng.choice(RATES_HZ)), int(rng.integers(1, 3))
    takes = [shoot(video, scene, config, rate, channels) for scene in range(config.scenes)]
    frames = np.concatenate([take.frames for take in takes])
    sound = np.concatenate([take.sound for take in takes])
    with _same_time_if_equal(folder / f"{video.video_id}.mp4") as path:
        encode(path, frames, config.fps, sound, rate)
    rows = []
    for scene, take in enumerate(takes):
        for time_s, category, box in take.boxes:
            time = f"{scene * config.scene_s + time_s:.2f}"
            rows.append((video.video_id, time, category, *[f"{side:.6f}" for side in box]))
    return rows


@contextmanager
def _same_time_if_equal(path: Path) -> Iterator[Path]:
    """Keep the time of a file that is written again with the same bytes: so, nothing reruns."""
    before = (path.read_bytes(), path.stat()) if path.is_file() else None
    yield path
    if before and path.read_bytes() == before[0]:
        os.utime(path, ns=(before[1].st_atime_ns, before[1].st_mtime_ns))


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with tables.atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def run(config: Demo, *, out: Path, processes: int | None = None) -> None:
    """Render all videos, one job per video; without `processes`, one process per processor."""
    listed = videos(config)
    work = partial(render, config=config, folder=out / "videos")
    workers = processes or os.cpu_count()
    boxes: list[tuple[str, ...]] = []
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for video_boxes in progress(pool.map(work, listed), "videos", len(listed)):
            boxes += video_boxes
    _write_csv(out / "boxes.csv", BOX_COLUMNS, boxes)
    rows = []
    for video in listed:
        url = f"videos/{video.video_id}.mp4"
        rows.append((video.video_id, url, video.kind, " ".join(video.categories)))
    _write_csv(out / "manifest.csv", COLUMNS, rows)
