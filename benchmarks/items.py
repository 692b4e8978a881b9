"""Speed of loading training items from our tables, compared with the files that peers store.

python -m benchmarks.items [--videos FOLDER] [--rounds 5]

The seconds of the .mp4 files of --videos are stored twice; without --videos, eleven videos of the
embedded corpus are rendered at 640×360 px. Peers (DSOL): four JPEGs of 640×360 px and a pickled
log-mel per second. To make an item, DSOL's loader lists the folder of a second and the folder of
another video, unpickles the log-mel, opens one JPEG of each folder, flips both images, changes
their brightness and color, resizes and crops them. Ours: the tables are read once. An item is a
row of the log-mels and one JPEG, and the other images of the batch are its negatives.

Both make batches of 32 in one process with one thread, in turn. Printed: the median items per
second of CPU time, and files and bytes per item. The time to read our tables, once per training,
is printed apart, in ms per item. Target: 8 times the items of the peers' loader.
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
from spm.corpus import clips, spectrograms
from spm.corpus.media.ffmpeg import binary
from spm.demo import scenario
from spm.fusion import dataset, losses
from spm.learn import dataloading

TARGET = 8
BATCH, CROP = 32, 224
WIDTH, HEIGHT, FRAMES_PER_S = 640, 360, 4
# JPEGs as small as those of OpenCV's quality 95, or smaller
JPEG = ["-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p"]

Batch = tuple[Tensor, ...]


def render_videos(folder: Path) -> list[Path]:
    """Render six seconds of each instrument, in the size of the published recordings."""
    config = scenario.Demo(solos=1, duets=0, scenes=3, width=WIDTH, height=HEIGHT)
    folder.mkdir()
    for video in scenario.videos(config):
        scenario.render(video, config=config, folder=folder)
    return sorted(folder.glob("*.mp4"))


# --------------------------------------------------------------------------------------------------
# Ours
# --------------------------------------------------------------------------------------------------


def make_tables(videos: Sequence[Path], folder: Path) -> pa.Table:
    """Cut the videos with our stages; the index of their clips."""
    ledger = [{"video_id": video.stem, "path": str(video), "status": "ok"} for video in videos]
    tables.write_rows(folder / "ledger.parquet", schemas.LEDGER, ledger)
    paths = {"clips": folder / "clips/0000.parquet", "videos": folder / "videos.parquet"}
    clips.run(clips.Clips(), ledger=folder / "ledger.parquet", threads=1, **paths)
    config = spectrograms.Spectrograms(dtype="float32")
    mels = folder / "spectrograms/0000.parquet"
    spectrograms.run(config, clips=paths["clips"], out=mels)
    ids = tables.read(paths["clips"], ["clip_id", "video_id"]).to_pylist()
    rows = [clip | {"kind": "solo", "shard": 0, "row": row} for row, clip in enumerate(ids)]
    return pa.Table.from_pylist(rows, schemas.INDEX.schema)


def our_epoch(data: dataset.ClipDataset, number: int) -> Iterator[Batch]:
    """What `Trainer.batches` gives to the network: images, log-mels and negatives."""
    generator = dataloading.make_generator(0, number)
    for indices in dataloading.shuffled_batches(len(data), BATCH, generator):
        images = dataset.random_frames(data, indices, CROP, generator)
        mask = losses.negative_mask(data.videos[indices])
        yield images, data.log_mels[indices], losses.sample_one_negative(mask, generator)


# --------------------------------------------------------------------------------------------------
# The peers'
# --------------------------------------------------------------------------------------------------


class Second(NamedTuple):
    """One second of a video, as the peers store it."""

    video: str
    frames: Path  # folder of JPEGs
    sound: Path  # pickled log-mel, (201, 64) float32


def make_files(videos: Sequence[Path], mels: dict[str, list[Tensor]], folder: Path) -> list[Second]:
    """Write a folder of frames and a pickle for every second."""
    seconds = []
    for video in videos:
        images = folder / "video_frames" / f"{video.stem}_0_1000"
        images.mkdir(parents=True)
        scaled = ["-i", str(video), "-vf", f"fps={FRAMES_PER_S},scale={WIDTH}:{HEIGHT}", *JPEG]
        subprocess.run([binary(), "-v", "error", *scaled, str(images / "%06d.jpg")], check=True)
        jpegs = sorted(images.glob("*.jpg"))
        sounds = folder / "audio_frames" / images.name
        sounds.mkdir(parents=True)
        for number, log_mel in enumerate(mels[video.stem]):
            frames = images / f"frame_{number:03d}"
            frames.mkdir()
            for jpeg in jpegs[number * FRAMES_PER_S : (number + 1) * FRAMES_PER_S]:
                jpeg.rename(frames / jpeg.name)
            sound = sounds / f"{number:03d}.pkl"
            sound.write_bytes(pickle.dumps(log_mel.numpy()))
            seconds.append(Second(video.stem, frames, sound))
    return [second for second in seconds if any(second.frames.iterdir())]


TRANSFORM = transforms.Compose(
    [
        transforms.Resize((256, 256)),
        transforms.RandomCrop(CROP),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
)


def augmented(folder: Path, generator: random.Random) -> Tensor:
    """A random frame of a second, augmented as published: (3, 224, 224)."""
    image = Image.open(folder / generator.choice(os.listdir(folder)))
    if generator.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = ImageEnhance.Brightness(image).enhance(generator.uniform(0.7, 1.3))
    image = ImageEnhance.Color(image).enhance(generator.uniform(0.7, 1.3))
    return TRANSFORM(image)


def make_item(second: Second, others: Sequence[Second], generator: random.Random) -> Batch:
    """Log-mel (1, 201, 64), an image of the second, and an image of another video."""
    with second.sound.open("rb") as file:
        log_mel = torch.from_numpy(pickle.load(file))[None]
    other = generator.choice(others)
    while other.video == second.video:
        other = generator.choice(others)
    return log_mel, augmented(second.frames, generator), augmented(other.frames, generator)


def peers_epoch(seconds: Sequence[Second], number: int) -> Iterator[Batch]:
    """Batches of items in random order, collated as by a DataLoader without workers."""
    generator = random.Random(number)
    order = generator.sample(seconds, len(seconds))
    for start in range(0, len(order), BATCH):
        items = [make_item(second, seconds, generator) for second in order[start : start + BATCH]]
        yield tuple(torch.stack(parts) for parts in zip(*items, strict=True))


# --------------------------------------------------------------------------------------------------


def items_per_s(epoch: Iterator[Batch]) -> float:
    """Items per second of CPU time."""
    start_s = time.process_time()
    items = sum(len(batch[0]) for batch in epoch)
    return items / (time.process_time() - start_s)


def print_row(name: str, rates: Sequence[float], folder: Path, items: int) -> None:
    """Print the speed, and the files and bytes per item."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    stored = f"{len(sizes) / items:6.3f} files/item {sum(sizes) / items:9.0f} bytes/item"
    print(f"{name:<6} {median(rates):7.0f} items/s {stored}")


def measure(videos: Sequence[Path], folder: Path, rounds: int) -> None:
    """Store the seconds both ways, load them in turn, and print the figures."""
    rows = make_tables(videos, folder / "ours")
    start_s = time.process_time()
    data = dataset.load(rows, folder / "ours/clips", folder / "ours/spectrograms", None)
    reading_s = time.process_time() - start_s
    mels: dict[str, list[Tensor]] = {video.stem: [] for video in videos}
    for video, log_mel in zip(rows["video_id"].to_pylist(), data.log_mels, strict=True):
        mels[video].append(log_mel)
    seconds = make_files(videos, mels, folder / "peers")
    peers_rates, our_rates = [], []
    for number in range(rounds + 1):
        peers_rates.append(items_per_s(peers_epoch(seconds, number)))
        our_rates.append(items_per_s(our_epoch(data, number)))
    del peers_rates[0], our_rates[0]  # the first round is not counted
    print_row("peers", peers_rates, folder / "peers", len(seconds))
    print_row("ours", our_rates, folder / "ours", len(data))
    ratio = median(ours / peers for peers, ours in zip(peers_rates, our_rates, strict=True))
    print(f"{ratio:.1f} × the items (target: {TARGET})")
    print(f"reading the tables, once per training: {1000 * reading_s / len(data):.2f} ms/item")


def main() -> None:
    """Compare the loaders."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=Path, help="a folder of .mp4 files")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch, threadpool_limits(1):
        folder = Path(scratch)
        if given.videos:
            videos = sorted(given.videos.glob("*.mp4"))
        else:
            videos = render_videos(folder / "videos")
        measure(videos, folder, given.rounds)


if __name__ == "__main__":
    main()
