"""How many training items a second come from our tables, beside a file an item as the peers store them.

python -m benchmarks.items [--videos FOLDER] [--rounds 5]

Takes the .mp4 files of a folder, or renders eleven of the embedded corpus at 640×360, and stores their seconds twice.
Peers (DSOL): four JPEGs of 640×360 and a pickled log-mel a second; an item lists the folder of its second and that of
another video, unpickles, opens one JPEG of each, and mirrors, brightens, colors, resizes and crops both. Ours: tables
read once; an item is a row of the log-mels and one JPEG, and the other pictures of the batch are its negatives. Both
end as batches of 32, in one process and on one thread; they take turns, and each figure is a median of the processor's
time. Reading our tables counts apart, once a training. Target: 8 times the items.
"""

import argparse
import os
import pickle
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pyarrow as pa
import torch
from PIL import Image, ImageEnhance
from threadpoolctl import threadpool_limits
from torch import Tensor
from torchvision import transforms

from spm.base import schemas, tables
from spm.corpus import clips as cutting
from spm.corpus import spectrograms as sounds
from spm.corpus.media.ffmpeg import binary
from spm.demo import scenario
from spm.fusion import dataset as clips_of_run
from spm.fusion import losses
from spm.learn import dataloading

TARGET = 8
BATCH, CROP = 32, 224
WIDTH, HEIGHT, PER_SECOND = 640, 360, 4
LIKE_OPENCV = [
    "-c:v",
    "mjpeg",
    "-q:v",
    "2",
    "-pix_fmt",
    "yuvj420p",
]  # as small as OpenCV's quality 95, or smaller

Batch = tuple[Tensor, ...]


def render_videos(folder: Path) -> list[Path]:
    """Six seconds of each instrument of the embedded corpus, as large as the published recordings."""
    config = scenario.Demo(solos=1, duets=0, scenes=3, width=WIDTH, height=HEIGHT)
    folder.mkdir()
    for video in scenario.videos(config):
        scenario.render(video, config=config, folder=folder)
    return sorted(folder.glob("*.mp4"))


# ----------------------------------------------------------------------------------------------------------------------
# Ours
# ----------------------------------------------------------------------------------------------------------------------


def make_tables(videos: Sequence[Path], folder: Path) -> pa.Table:
    """Cut the videos with our stages; the index of their clips."""
    ledger = [{"video_id": video.stem, "path": str(video), "status": "ok"} for video in videos]
    tables.write_rows(folder / "ledger.parquet", schemas.LEDGER, ledger)
    paths = {"clips": folder / "clips/0000.parquet", "videos": folder / "videos.parquet"}
    cutting.run(cutting.Clips(), ledger=folder / "ledger.parquet", threads=1, **paths)
    sounds.run(
        sounds.Spectrograms(dtype="float32"),
        clips=paths["clips"],
        out=folder / "spectrograms/0000.parquet",
    )
    clips = tables.read(paths["clips"], ["clip_id", "video_id"]).to_pylist()
    return pa.Table.from_pylist(
        [clip | {"shard": 0, "row": row} for row, clip in enumerate(clips)], schemas.INDEX.schema
    )


def our_epoch(data: clips_of_run.ClipDataset, number: int) -> Iterator[Batch]:
    """What `Lesson.batches` feeds the network: pictures, log-mels, and which pictures are negatives of which sound."""
    generator = dataloading.make_generator(0, number)
    for at in dataloading.shuffled_batches(len(data), BATCH, generator):
        images = clips_of_run.random_frames(data, at, CROP, generator)
        yield (
            images,
            data.log_mels[at],
            losses.sample_one_negative(losses.negative_mask(data.videos[at]), generator),
        )


# ----------------------------------------------------------------------------------------------------------------------
# The peers'
# ----------------------------------------------------------------------------------------------------------------------


class Second(NamedTuple):
    """One second of a video, as the peers store it."""

    video: str
    frames: Path  # folder of JPEGs
    sound: Path  # pickled log-mel, (201, 64) float32


def make_files(
    videos: Sequence[Path], log_mels: dict[str, list[Tensor]], folder: Path
) -> list[Second]:
    """A folder of frames and a pickle for every second."""
    seconds = []
    for video in videos:
        pictures = folder / "video_frames" / f"{video.stem}_0_1000"
        pictures.mkdir(parents=True)
        scaled = ["-i", str(video), "-vf", f"fps={PER_SECOND},scale={WIDTH}:{HEIGHT}", *LIKE_OPENCV]
        subprocess.run([binary(), "-v", "error", *scaled, str(pictures / "%06d.jpg")], check=True)
        drawn = sorted(pictures.glob("*.jpg"))
        sound = folder / "audio_frames" / pictures.name
        sound.mkdir(parents=True)
        for number, log_mel in enumerate(log_mels[video.stem]):
            second = Second(
                video.stem, pictures / f"frame_{number:03d}", sound / f"{number:03d}.pkl"
            )
            second.frames.mkdir()
            for frame in drawn[number * PER_SECOND : (number + 1) * PER_SECOND]:
                frame.rename(second.frames / frame.name)
            second.sound.write_bytes(pickle.dumps(log_mel.numpy()))
            seconds.append(second)
    return [second for second in seconds if any(second.frames.iterdir())]


TRANSFORM = transforms.Compose(
    [
        transforms.Resize((256, 256)),
        transforms.RandomCrop(CROP),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
)


def picture(folder: Path, draw: random.Random) -> Tensor:
    """A random frame of a second, augmented as published: (3, 224, 224)."""
    image = Image.open(folder / draw.choice(os.listdir(folder)))
    if draw.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = ImageEnhance.Brightness(image).enhance(draw.uniform(0.7, 1.3))
    image = ImageEnhance.Color(image).enhance(draw.uniform(0.7, 1.3))
    return TRANSFORM(image)


def item(second: Second, others: Sequence[Second], draw: random.Random) -> Batch:
    """Log-mel (1, 201, 64), a picture of the second, and one of another video."""
    with second.sound.open("rb") as file:
        log_mel = torch.from_numpy(pickle.load(file))[None]
    other = next(
        other for other in iter(lambda: draw.choice(others), None) if other.video != second.video
    )
    return log_mel, picture(second.frames, draw), picture(other.frames, draw)


def their_epoch(seconds: Sequence[Second], number: int) -> Iterator[Batch]:
    """Batches of items in random order, collated as a DataLoader without workers does."""
    draw = random.Random(number)
    order = draw.sample(seconds, len(seconds))
    for start in range(0, len(order), BATCH):
        items = [item(second, seconds, draw) for second in order[start : start + BATCH]]
        yield tuple(torch.stack(parts) for parts in zip(*items, strict=True))


# ----------------------------------------------------------------------------------------------------------------------


def rate(epoch: Iterator[Batch]) -> float:
    """Items a second of the processor's time."""
    start_s = time.process_time()
    items = sum(len(batch[0]) for batch in epoch)
    return items / (time.process_time() - start_s)


def weigh(folder: Path) -> tuple[int, int]:
    """Files and bytes under a folder."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def main() -> None:
    """Store the seconds both ways, then compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=Path, help="a folder of .mp4 files")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch, threadpool_limits(1):
        ours, theirs = Path(scratch, "ours"), Path(scratch, "theirs")
        videos = (
            sorted(given.videos.glob("*.mp4"))
            if given.videos
            else render_videos(Path(scratch, "videos"))
        )
        rows = make_tables(videos, ours)
        start_s = time.process_time()
        data = clips_of_run.load(rows, ours / "clips", ours / "spectrograms", None)
        loading_s = time.process_time() - start_s
        log_mels: dict[str, list[Tensor]] = {video.stem: [] for video in videos}
        for video, log_mel in zip(rows["video_id"].to_pylist(), data.log_mels, strict=True):
            log_mels[video].append(log_mel)
        seconds = make_files(videos, log_mels, theirs)
        turns = [
            (rate(their_epoch(seconds, n)), rate(our_epoch(data, n)))
            for n in range(given.rounds + 1)
        ][1:]
        stored = {"peers": weigh(theirs), "ours": weigh(ours)}
    for name, rates, count in zip(
        stored, zip(*turns, strict=True), (len(seconds), len(data)), strict=True
    ):
        files, size = stored[name]
        stored_as = f"{files / count:6.3f} files/item {size / count:9.0f} bytes/item"
        print(f"{name:<6} {median(rates):7.0f} items/s {stored_as}")
    ratio = median(our / their for their, our in turns)
    print(f"{ratio:.1f} × the items (target {TARGET})")
    print(f"reading the tables, once a training: {1000 * loading_s / len(data):.2f} ms/item")


if __name__ == "__main__":
    main()
