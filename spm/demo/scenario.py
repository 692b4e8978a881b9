"""The embedded corpus: drawn and synthesized musicians, as real video files with exact boxes.

python -m spm.demo --config '{}' --out DIR

Leaves DIR/manifest.csv, DIR/boxes.csv and DIR/videos/*.mp4, from nothing but a seed. A video is a row of scenes; each
has its own background, instrument, pose, melody and room, because a network that sees few scenes learns backgrounds.
"""

import csv
import multiprocessing
import os
import tempfile
import wave
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import ffmpeg
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from spm.base import tables
from spm.base.config import Section, UserError
from spm.base.progress import progress
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
LOOKS_A_SECOND = 4  # boxes are given at the start, quarter, half and three quarters of each second
RATES_HZ = (44_100, 48_000)
LEVELS_DB = (-26.0, -15.0)  # root mean square of a scene, re full scale
DEEP = np.int16(32767)
BOX_COLUMNS = ("video_id", "time_s", "category", "x", "y", "w", "h")


class Demo(Section):
    """How much is rendered, and how large."""

    solos: int = Field(14, ge=0)  # videos a category
    duets: int = Field(2, ge=0)  # videos a pair of categories
    scenes: int = Field(10, ge=1)  # a video
    scene_s: int = Field(2, ge=1)  # seconds
    width: int = Field(192, ge=64, multiple_of=2)  # pixels
    height: int = Field(144, ge=48, multiple_of=2)  # pixels
    fps: int = Field(12, ge=4, multiple_of=LOOKS_A_SECOND)  # frames per second
    silent_other: float = Field(
        0.15, ge=0, le=1
    )  # share of solo scenes that show a second instrument, silent
    seed: int = Field(0, ge=0)


class Video(NamedTuple):
    """One row of the manifest."""

    video_id: str
    kind: str  # solo, duet
    categories: tuple[str, ...]


class Player(NamedTuple):
    """An instrument in a scene; without notes it is there to be seen only."""

    category: str
    pose: Pose
    notes: list[Note]


class Take(NamedTuple):
    """A scene as filmed and recorded."""

    frames: NDArray[np.uint8]  # (frames, height, width, 3)
    sound: Floats  # (samples, channels), in [-1, 1]
    boxes: list[
        tuple[float, str, Box]
    ]  # time from the start of the scene in seconds, category, box


def videos(config: Demo) -> list[Video]:
    """Every video of the corpus, in the order of the manifest."""
    solos = [
        Video(f"demo-{c}-{n:02d}", "solo", (c,))
        for c in sorted(INSTRUMENTS)
        for n in range(1, config.solos + 1)
    ]
    duets = [
        Video(f"demo-duet-{'-'.join(p)}-{n:02d}", "duet", p)
        for p in PAIRS
        for n in range(1, config.duets + 1)
    ]
    return solos + duets


def _rng(config: Demo, *names: object) -> Rng:
    """Random numbers of one purpose, independent of all others and of the order in which they are drawn."""
    return np.random.default_rng([config.seed, crc32("/".join(map(str, names)).encode())])


def _pose(category: str, rng: Rng, left: float = 0, right: float = 1, share: float = 1) -> Pose:
    """Hold an instrument somewhere between two verticals."""
    shown = INSTRUMENTS[category]
    area = share * np.exp(rng.uniform(*np.log(shown.area)))
    x, y = rng.beta(0.6, 0.6, 2)  # more often near an edge than in the middle
    return Pose(x, y, area, rng.uniform(*shown.turn_deg), bool(rng.random() < 0.5), left, right)


def cast(video: Video, config: Demo, rng: Rng) -> list[Player]:
    """Choose who is in a scene, from the back to the front, and what each of them plays."""
    if video.kind == "duet":
        stages = ((0.0, 0.56), (0.44, 1.0))
        places = rng.permutation(2)
        poses = [
            _pose(c, rng, *stages[i], share=0.7)
            for c, i in zip(video.categories, places, strict=True)
        ]
    else:
        poses = [_pose(video.categories[0], rng)]
    players = [
        Player(category, pose, melody(VOICES[category], rng, config.scene_s))
        for category, pose in zip(video.categories, poses, strict=True)
    ]
    silent = video.kind == "solo" and rng.random() < config.silent_other
    return [_bystander(players[0], rng), *players] if silent else players


def _bystander(player: Player, rng: Rng) -> Player:
    """Put another instrument, smaller and silent, on the side where the player is not."""
    category = str(rng.choice([name for name in sorted(INSTRUMENTS) if name != player.category]))
    left, right = (0.0, 0.4) if player.pose.x > 0.5 else (0.6, 1.0)
    return Player(category, _pose(category, rng, left, right, share=0.4), [])


def _drive(player: Player, time_s: Floats) -> Floats | None:
    """Movement of an instrument with its notes, in [-1, 1] at each time; None if it has none."""
    if not player.notes:
        return None
    gesture = INSTRUMENTS[player.category].gesture
    if gesture == "level":
        return level(player.notes, time_s) * np.sin(2 * np.pi * time_s / 1.1)
    return (strokes if gesture == "stroke" else hits)(player.notes, time_s)


def _shake(frames: int, rng: Rng) -> Floats:
    """Hold the camera by hand in half of the scenes: a walk of whole pixels, shape (frames, 2)."""
    steps = rng.choice([-1, 0, 1], p=[0.1, 0.8, 0.1], size=(frames, 2)) * (rng.random() < 0.5)
    return np.asarray(np.cumsum(steps, 0).clip(-PAD, PAD), float)


def _mix(players: Sequence[Player], config: Demo, rng: Rng, rate: int, channels: int) -> Floats:
    """Record what is played: each instrument in its place between the channels."""
    level_db = rng.uniform(*LEVELS_DB)
    mixed = np.zeros((round(config.scene_s * rate), channels))
    for player in players:
        heard = room(
            play(VOICES[player.category], player.notes, rng, rate, config.scene_s),
            rng,
            rate,
            level_db,
        )
        pan = np.array(
            [1.0, 1.0] if channels == 1 else [1.2 - 0.4 * player.pose.x, 0.8 + 0.4 * player.pose.x]
        )
        mixed += heard[:, None] * pan[:channels]
    return mixed.clip(-1, 1)


def _looks(
    players: Sequence[Player], boxes: Sequence[Sequence[Box | None]], config: Demo
) -> Iterator[tuple[float, str, Box]]:
    """Boxes of what sounds in each second, at the quarters of that second."""
    for look in range(config.scene_s * LOOKS_A_SECOND):
        second = look // LOOKS_A_SECOND
        for player, seen in zip(players, boxes, strict=True):
            box = seen[look * config.fps // LOOKS_A_SECOND]
            if box and sounding(player.notes, second, second + 1):
                yield look / LOOKS_A_SECOND, player.category, box


def shoot(
    video: Video, scene: int, config: Demo, rate: int, channels: int, *, shown: bool = True
) -> Take:
    """Film and record one scene.

    Parameters
    ----------
    video : Video
        Whose categories play.
    scene : int
        Its number within the video: everything about it follows from this, the video's id and the seed.
    config : Demo
        Size and length.
    rate, channels : int
        Of the sound, in Hz and 1 or 2.
    shown : bool
        Whether the instruments are seen: without them, what is left is the background.
    """
    frames, size = config.scene_s * config.fps, (config.width, config.height)
    players = cast(video, config, _rng(config, video.video_id, scene, "cast"))
    look = _rng(config, video.video_id, scene, "look")
    background, table, shake = backdrop(look, size), grade(look), _shake(frames, look)
    time_s = np.arange(frames) / config.fps
    actors = [Actor(INSTRUMENTS[p.category].draw(look), p.pose, _drive(p, time_s)) for p in players]
    pictures, boxes = film(background, actors if shown else [], shake, table, size)
    heard = [player for player in players if player.notes]
    sound = _mix(heard, config, _rng(config, video.video_id, scene, "sound"), rate, channels)
    return Take(pictures, sound, list(_looks(players, boxes, config)) if shown else [])


def _write_wav(path: Path, sound: Floats, rate: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(sound.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((sound * DEEP).round().astype("<i2").tobytes())


def encode(path: Path, frames: NDArray[np.uint8], fps: int, sound: Floats, rate: int) -> None:
    """Write H.264 and AAC in an mp4 file, by one ffmpeg process on one thread: the same bytes for the same input.

    Raises
    ------
    UserError
        Where this ffmpeg cannot do it.
    """
    height, width = frames.shape[1:3]
    with tables.atomic_write(path) as part, tempfile.NamedTemporaryFile(suffix=".wav") as wav:
        _write_wav(Path(wav.name), sound, rate)
        pictures = ffmpeg.input(
            "pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", r=fps
        )
        command = ffmpeg.output(
            pictures, ffmpeg.input(wav.name), str(part), format="mp4", vcodec="libx264", preset="veryfast", crf=20,
            pix_fmt="yuv420p", acodec="aac", aac_coder="fast", audio_bitrate="128k", threads=1, map_metadata=-1,
            fflags="+bitexact", sws_flags="bitexact+accurate_rnd", **{"flags:v": "+bitexact", "flags:a": "+bitexact"},
        )  # fmt: skip
        try:
            command.overwrite_output().run(cmd=binary(), input=frames.tobytes(), quiet=True)
        except ffmpeg.Error as error:
            reason = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise UserError(
                f"{binary()} could not write {path.name}: {' '.join(reason)}"
            ) from error


def render(video: Video, config: Demo, folder: Path) -> list[tuple[str, ...]]:
    """Render one video into a folder.

    Returns
    -------
    list of tuple
        Its rows of boxes.csv.
    """
    rng = _rng(config, video.video_id)
    rate, channels = int(rng.choice(RATES_HZ)), int(rng.integers(1, 3))
    takes = [shoot(video, scene, config, rate, channels) for scene in range(config.scenes)]
    frames, sound = (
        np.concatenate([t.frames for t in takes]),
        np.concatenate([t.sound for t in takes]),
    )
    encode(folder / f"{video.video_id}.mp4", frames, config.fps, sound, rate)
    return [
        (
            video.video_id,
            f"{scene * config.scene_s + time_s:.2f}",
            category,
            *(f"{side:.6f}" for side in box),
        )
        for scene, take in enumerate(takes)
        for time_s, category, box in take.boxes
    ]


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with tables.atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def run(config: Demo, *, out: Path, processes: int | None = None) -> None:
    """Render every video, one job each, on as many processes as there are processors unless told otherwise."""
    todo = videos(config)
    work = partial(render, config=config, folder=out / "videos")
    workers = processes or os.cpu_count()
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        boxes = [
            row for rows in progress(pool.map(work, todo), "videos", len(todo)) for row in rows
        ]
    _write_csv(out / "boxes.csv", BOX_COLUMNS, boxes)
    rows = [(v.video_id, f"videos/{v.video_id}.mp4", v.kind, " ".join(v.categories)) for v in todo]
    _write_csv(out / "manifest.csv", ("video_id", "url", "kind", "categories"), rows)
