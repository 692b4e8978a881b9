"""Speed of the stage `detect`, compared with a plain torchvision loop over the same frames.

python -m benchmarks.detect [--clips 96] [--rounds 3] [--model mobilenet_v2] [--size 160]

Loop: it decodes JPEGs with Pillow, stacks batches of 8, and calls the network, as the reference
code of torchvision does. Ours: `spm.boxes.detect.run` with the same weights. It reads the table of
clips, decodes one batch ahead, uses larger batches if there is a GPU, and writes every detection.
The network is not trained. Both systems run in turn. Printed: the median frames per second of
both, and of decoding without the network, and the numbers of detections. Targets: the stage is at
least as fast as the loop, and decoding takes less than 10 % of the time of the stage.
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
from spm.learn import transforms, weights
from spm.learn.device import pick_device

CLASSES = ["accordion", "cello", "flute", "guitar", "saxophone", "trumpet", "violin"]
SIDE = 256  # px
FRAMES = 4  # per clip
SCENES = 24
LOOP_BATCH, DECODING_BATCH = 8, 32  # frames
LOOP, STAGE, DECODING = f"plain loop, batch {LOOP_BATCH}", "the stage", "decoding alone"


def write_clips(path: Path, clips: int) -> list[bytes]:
    """Write a table of clips of the embedded corpus; its frames as JPEG."""
    config = Demo(scene_s=1, width=SIDE, height=SIDE, fps=FRAMES)
    scenes = []
    for number in range(min(SCENES, clips)):
        video = DemoVideo("detect", "duet", PAIRS[number % len(PAIRS)])
        take = shoot(video, number, config, 8000, 1)
        scenes.append([_jpeg(frame) for frame in take.frames])
    rows, jpegs = [], []
    for number in range(clips):
        scene = scenes[number % len(scenes)]
        ids = {"clip_id": f"v_{number:07d}", "video_id": "v"}
        rows.append({**ids, "frame_time_s": [0.0] * FRAMES, "frames": scene})
        jpegs += scene
    tables.write_rows(path, schemas.CLIPS, rows)
    return jpegs


def _jpeg(frame: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(frame).save(out, "JPEG", quality=95)
    return out.getvalue()


def write_weights(path: Path, model: str, size: int) -> None:
    """Write a network that was not trained."""
    torch.manual_seed(0)
    network = build("torchvision", model, CLASSES, size)
    about = {"backend": "torchvision", "model": model, "size": size, "categories": CLASSES}
    weights.save(path, network.state_dict(), about)


@torch.inference_mode()
def loop(network: nn.Module, jpegs: list[bytes], device: torch.device) -> int:
    """Detect in batches of 8, without any overlap; the number of detections."""
    detections = 0
    for start in range(0, len(jpegs), LOOP_BATCH):
        batch = []
        for jpeg in jpegs[start : start + LOOP_BATCH]:
            batch.append(pil_to_tensor(Image.open(io.BytesIO(jpeg))).to(device) / 255)
        for result in network(batch):
            detections += len(result["scores"].cpu())
    return detections


def decode(jpegs: list[bytes]) -> None:
    """Decode all frames as the stage does."""
    for start in range(0, len(jpegs), DECODING_BATCH):
        transforms.decode(jpegs[start : start + DECODING_BATCH])


def wall_time_s(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start_s = time.perf_counter()
    work()
    return time.perf_counter() - start_s


def measure(given: argparse.Namespace, folder: Path) -> None:
    """Time the loop, the stage and the decoding; print the figures."""
    clips, path, out = folder / "clips.parquet", folder / "net.safetensors", folder / "out.parquet"
    jpegs, device = write_clips(clips, given.clips), pick_device("auto")
    write_weights(path, given.model, given.size)
    network = load(path)[0].to(device)
    works = {
        LOOP: lambda: loop(network, jpegs, device),
        STAGE: lambda: run(Detect(), clips=clips, weights=path, out=out),
        DECODING: lambda: decode(jpegs),
    }
    rounds = []
    for number in range(given.rounds + 1):
        times_s = {name: wall_time_s(work) for name, work in works.items()}
        if number:  # the first round is not counted
            rounds.append(times_s)
    model = f"{given.model} at {given.size} px on {device}"
    print(f"{len(jpegs)} frames of {SIDE} px, {model}, {given.rounds} rounds")
    print_table(rounds, len(jpegs))
    found, expected = tables.read(out).num_rows, loop(network, jpegs, device)
    print(f"detections: {found} of the stage, {expected} of the loop")


def print_table(rounds: list[dict[str, float]], frames: int) -> None:
    """Print the speeds and the two figures that have targets."""
    for name in rounds[0]:
        print(f"{name:<20} {frames / median(times_s[name] for times_s in rounds):8.1f} frames/s")
    ratio = median(times_s[LOOP] / times_s[STAGE] for times_s in rounds)
    share = median(times_s[DECODING] / times_s[STAGE] for times_s in rounds)
    print(f"the stage: {ratio:.2f} × the loop (target: 1);", end=" ")
    print(f"decoding takes {share:.1%} of its time (target: 10 %)")


def main() -> None:
    """Compare the speeds and the numbers of detections."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="mobilenet_v2")
    parser.add_argument("--size", type=int, default=160)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measure(given, Path(scratch))


if __name__ == "__main__":
    main()
