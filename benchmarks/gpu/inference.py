"""Networks that are not trained: our stages, the same networks on resident data, plain loops."""

import io
from collections.abc import Callable
from itertools import count
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.functional import pil_to_tensor

from benchmarks.gpu.bench import Bench, Meter
from spm.base import tables
from spm.base.statuses import Split
from spm.boxes import detect
from spm.corpus import clip_reader
from spm.fusion import maps
from spm.learn import device as devices
from spm.learn import transforms

PLAIN_BATCH = 8  # frames
MAP_CLIPS = 16  # per batch, on the card
DECODE_BATCH = 128


def detect_stage(bench: Bench, meter: Meter) -> Callable[[], object]:
    """The stage on one table, again and again."""
    frames = sum(len(clip) for clip in tables.read(bench.detect_clips, ["frames"])["frames"])
    config, out = detect.Detect(device=bench.device.type), bench.new_folder() / "out.parquet"

    def run() -> None:
        detect.run(config, clips=bench.detect_clips, weights=bench.detector_weights, out=out)
        meter.count(frames)

    return run


@torch.inference_mode()
def _detect_repeatedly(bench: Bench, meter: Meter, images: Callable[[], Tensor]) -> None:
    network = detect.load(bench.detector_weights)[0].to(bench.device)
    while True:
        batch = images()
        network(list(batch.to(bench.device) / 255))
        meter.count(len(batch))


def detect_resident(bench: Bench, meter: Meter) -> Callable[[], object]:
    """The detector, with the stage's precision, on images that are on the card."""
    size = detect.Detect().batch if bench.device.type == "cuda" else detect.CPU_BATCH
    images = transforms.decode(bench.jpegs[:size]).to(bench.device)

    def run() -> None:
        with devices.autocast(bench.device):
            _detect_repeatedly(bench, meter, lambda: images)

    return run


def _pillow_batches(bench: Bench, size: int) -> Callable[[], Tensor]:
    """A function that decodes the next JPEGs with Pillow: (size, 3, H, W), uint8."""
    starts = count(0, size)

    def images() -> Tensor:
        start = next(starts) % (len(bench.jpegs) - size + 1)
        jpegs = bench.jpegs[start : start + size]
        return torch.stack([pil_to_tensor(Image.open(io.BytesIO(jpeg))) for jpeg in jpegs])

    return images


def detect_plain(bench: Bench, meter: Meter) -> Callable[[], object]:
    """The loop of torchvision's reference code: Pillow, batches of 8, no overlap, float32."""
    return lambda: _detect_repeatedly(bench, meter, _pillow_batches(bench, PLAIN_BATCH))


def maps_stage(bench: Bench, meter: Meter) -> Callable[[], object]:
    """The stage on the test clips, again and again."""
    rows = clip_reader.select(bench.corpus.index, split=Split.TEST)
    frames = len(bench.frames_of(rows))
    config, out = maps.Maps(device=bench.device.type), bench.new_folder() / "maps.parquet"

    def run() -> None:
        maps.run(
            config,
            network=bench.network_weights,
            index=bench.corpus.index,
            clips=bench.corpus.clips,
            spectrograms=bench.corpus.spectrograms,
            testset="solo",
            out=out,
        )
        meter.count(frames)

    return run


@torch.inference_mode()
def _map_repeatedly(bench: Bench, meter: Meter, images: Callable[[], Tensor]) -> None:
    """Maps of images (clips, 3, crop, crop), with one frame per clip."""
    network = maps.load(bench.network_weights)[0].to(bench.device)
    sounds = bench.log_mels.sounds(range(MAP_CLIPS)).to(bench.device)
    while True:
        batch = images().to(bench.device)[:, None]  # (clips, 1, 3, crop, crop)
        network.heat_maps(batch, sounds[: len(batch)])
        meter.count(len(batch))


def maps_resident(bench: Bench, meter: Meter) -> Callable[[], object]:
    """The network, with the stage's precision, on images that are on the card."""
    decoded = transforms.decode(bench.jpegs[:MAP_CLIPS])
    images = transforms.resize_normalize(decoded, bench.crop).to(bench.device)

    def run() -> None:
        with devices.autocast(bench.device):
            _map_repeatedly(bench, meter, lambda: images)

    return run


def maps_plain(bench: Bench, meter: Meter) -> Callable[[], object]:
    """Pillow, resizing and the network in one thread, batches of 8, no overlap, float32."""
    decoded = _pillow_batches(bench, PLAIN_BATCH)

    def images() -> Tensor:
        return transforms.resize_normalize(decoded(), bench.crop)

    return lambda: _map_repeatedly(bench, meter, images)


def _decode_repeatedly(
    bench: Bench, meter: Meter, decode: Callable[[list[Any]], object], jpegs: list[Any]
) -> Callable[[], object]:
    def run() -> None:
        for start in range(0, len(jpegs), DECODE_BATCH):
            part = jpegs[start : start + DECODE_BATCH]
            decode(part)
            meter.count(len(part))

    return run


def decode_loader(bench: Bench, meter: Meter) -> Callable[[], object]:
    """The loader's decoder, in one thread of the CPU."""
    return _decode_repeatedly(bench, meter, transforms.decode, bench.jpegs)


def decode_card(bench: Bench, meter: Meter) -> Callable[[], object]:
    """nvJPEG, the decoder of the card; on a CPU, torchvision's decoder."""
    buffers = [torch.frombuffer(bytearray(jpeg), dtype=torch.uint8) for jpeg in bench.jpegs]

    def decode(part: list[Tensor]) -> object:
        return decode_jpeg(part, ImageReadMode.RGB, device=bench.device)

    return _decode_repeatedly(bench, meter, decode, buffers)
