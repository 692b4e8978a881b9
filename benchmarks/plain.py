"""Plain loops, written as most training code is, that the benchmarks compare ours with."""

import io
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torchvision import models, transforms

from spm.learn.transforms import JITTER, LUMA, MEAN, STD

CLASSES = 11


def reference_batches(
    jpegs: Sequence[bytes], batch: int, crop: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Augmented images (B, 3, crop, crop): Pillow, one thread, image by image.

    The loader that spm had before it read through worker processes: Pillow decodes each JPEG in the
    training's own thread, each image is cropped and mirrored, and one matrix per image changes the
    colors and normalizes them.
    """
    for indices in torch.randperm(len(jpegs), generator=generator).split(batch):
        images = []
        for index in indices.tolist():
            array = np.array(Image.open(io.BytesIO(jpegs[index])))
            image = torch.from_numpy(array).permute(2, 0, 1)
            top, left = torch.randint(0, image.shape[1] - crop + 1, (2,), generator=generator)
            part = image[:, top : top + crop, left : left + crop]
            images.append(part.flip(2) if torch.rand(1, generator=generator) < 0.5 else part)
        factors = 1 + JITTER * (2 * torch.rand(2, len(images), generator=generator) - 1)
        yield _recolor(torch.stack(images), *factors)


def _recolor(images: Tensor, brightness: Tensor, color: Tensor) -> Tensor:
    """Change brightness and color, and normalize: (B, 3, H, W) uint8 → float32."""
    gray = torch.ones(3, 1) * LUMA
    mix = color[:, None, None] * torch.eye(3) + (1 - color)[:, None, None] * gray
    matrix = brightness[:, None, None] * mix / (255 * STD[:, None])
    pixels = images.flatten(2).float()
    return torch.baddbmm(-(MEAN / STD)[:, None], matrix, pixels).view(images.shape)


class Pictures(Dataset[tuple[Tensor, int]]):
    """JPEGs in memory, augmented by torchvision's transforms, with a class each."""

    def __init__(self, jpegs: Sequence[bytes], crop: int) -> None:
        self.jpegs = jpegs
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(crop),
                transforms.RandomHorizontalFlip(),
                transforms.ColorJitter(brightness=JITTER, saturation=JITTER),
                transforms.ToTensor(),
                transforms.Normalize(MEAN.tolist(), STD.tolist()),
            ]
        )

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.jpegs)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """A picture (3, crop, crop) and its class."""
        image = Image.open(io.BytesIO(self.jpegs[index])).convert("RGB")
        return self.transform(image), index % CLASSES


def sound_classes(log_mels: Tensor) -> TensorDataset:
    """Log-mels (n, 201, 64) as pictures with one channel, with a class each."""
    return TensorDataset(log_mels[:, None].float(), torch.arange(len(log_mels)) % CLASSES)


class Classifying:
    """Training of torchvision's ResNet-18, as in its reference code: SGD and cross-entropy.

    Parameters
    ----------
    data : Dataset
        Pictures (channels, H, W), with a class each.
    channels : int
        Channels of the pictures.
    batch, workers : int
        Pictures per batch, and worker processes of the DataLoader.
    device : device
        On a GPU, the network computes with half precision and reads pinned memory.
    """

    def __init__(
        self, data: Dataset, channels: int, batch: int, workers: int, device: torch.device
    ) -> None:
        self.network = models.resnet18(num_classes=CLASSES)
        if channels != 3:
            self.network.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        self.network.to(device)
        self.optimizer = torch.optim.SGD(self.network.parameters(), 0.1, momentum=0.9)
        self.device, self.cuda = device, device.type == "cuda"
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.cuda)
        self.loader = DataLoader(
            data, batch, shuffle=True, drop_last=True, num_workers=workers, pin_memory=self.cuda
        )

    def epoch(self) -> Iterator[int]:
        """Train one epoch; after each step, the number of pictures in it."""
        self.network.train()
        for pictures, classes in self.loader:
            inputs = pictures.to(self.device, non_blocking=True)
            targets = classes.to(self.device, non_blocking=True)
            with torch.autocast(self.device.type, torch.float16, enabled=self.cuda):
                loss = cross_entropy(self.network(inputs), targets)
            self.optimizer.zero_grad()
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            loss.item()  # for the log, as in the reference code
            yield len(pictures)
