"""How many frames a second are looked at, beside a plain torchvision loop over the same frames and network.

python -m benchmarks.detect [--clips 96] [--rounds 3] [--model mobilenet_v2] [--size 160]

The loop decodes with Pillow, stacks batches of 8 and calls the network, as torchvision's reference code does; the stage
reads its table, decodes a batch ahead, calls the network, on larger batches where there is a GPU, and writes every
detection. They take turns; each figure is a median. Also how long the decoding alone takes. Target: the stage is at
least as fast, and decoding takes less than a tenth of its time.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision.transforms.functional import pil_to_tensor

from spm.base import schemas, tables
from spm.boxes.detect import Detect, load, run
from spm.boxes.network import build
from spm.demo.scenario import PAIRS, Demo, DemoVideo, shoot
from spm.learn import device, transforms, weights

CLASSES = ["accordion", "cello", "flute", "guitar", "saxophone", "trumpet", "violin"]
SIDE, FRAMES, PLAIN_BATCH = 256, 4, 8  # px, frames a clip, frames at once in the loop


def write_clips(path: Path, clips: int) -> list[bytes]:
    """A clips table of scenes of the embedded corpus; its frames as JPEG."""
    config = Demo(scene_s=1, width=SIDE, height=SIDE, fps=FRAMES)
    takes = [
        shoot(DemoVideo("detect", "duet", PAIRS[n % len(PAIRS)]), n, config, 8000, 1) for n in range(24)
    ]
    scenes = [[_jpeg(frame) for frame in take.frames] for take in takes]
    rows = [
        {
            "clip_id": f"v_{n:07d}",
            "video_id": "v",
            "frame_time_s": [0.0] * FRAMES,
            "frames": scenes[n % len(scenes)],
        }
        for n in range(clips)
    ]
    tables.write_rows(path, schemas.CLIPS, rows)
    return [jpeg for row in rows for jpeg in row["frames"]]


def _jpeg(frame: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(frame).save(out, "JPEG", quality=95)
    return out.getvalue()


@torch.inference_mode()
def plain(network: nn.Module, jpegs: list[bytes], where: torch.device) -> int:
    """A loop as one writes it first; the number of detections."""
    found = 0
    for start in range(0, len(jpegs), PLAIN_BATCH):
        images = [
            pil_to_tensor(Image.open(io.BytesIO(jpeg)))
            for jpeg in jpegs[start : start + PLAIN_BATCH]
        ]
        found += sum(
            len(each["scores"].cpu())
            for each in network([image.to(where) / 255 for image in images])
        )
    return found


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    start_s = time.perf_counter()
    work()
    return time.perf_counter() - start_s


def main() -> None:
    """Compare the rates, then what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="mobilenet_v2")
    parser.add_argument("--size", type=int, default=160)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        clips, path, out = (
            Path(scratch, name) for name in ("clips.parquet", "weights.safetensors", "out.parquet")
        )
        jpegs, where = write_clips(clips, given.clips), device.pick_device("auto")
        torch.manual_seed(0)
        network = build("torchvision", given.model, CLASSES, given.size)
        about = {
            "backend": "torchvision",
            "model": given.model,
            "size": given.size,
            "categories": CLASSES,
        }
        weights.save(path, network.state_dict(), about)
        network = load(path)[0].to(where)
        works = {
            "plain loop, batch 8": lambda: plain(network, jpegs, where),
            "the stage": lambda: run(Detect(), clips=clips, weights=path, out=out),
            "decoding alone": lambda: [
                transforms.decode(jpegs[n : n + 32]) for n in range(0, len(jpegs), 32)
            ],
        }
        turns = [
            {name: seconds(work) for name, work in works.items()} for _ in range(given.rounds + 1)
        ][1:]
        rows, expected = tables.read(out).num_rows, plain(network, jpegs, where)
    print(
        f"{len(jpegs)} frames of {SIDE} px, {given.model} at {given.size} px on {where}, {given.rounds} rounds"
    )
    for name in works:
        print(f"{name:<20} {len(jpegs) / median(turn[name] for turn in turns):8.1f} frames/s")
    ratio = median(turn["plain loop, batch 8"] / turn["the stage"] for turn in turns)
    share = median(turn["decoding alone"] / turn["the stage"] for turn in turns)
    print(
        f"the stage: {ratio:.2f} × the loop (target: 1); decoding is {share:.1%} of its time (target: 10 %)"
    )
    print(f"detections: {rows} of the stage, {expected} of the loop")


if __name__ == "__main__":
    main()
