"""The network of `spm localize`: the zero-shot network, or one of the user's own."""

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import ValidationError
from safetensors.torch import save as serialize
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from spm.base.errors import UserError
from spm.base.file_digest import file_digest
from spm.fusion import maps as fusion_maps
from spm.fusion.localization_network import LocalizationNetwork
from spm.fusion.methods import zero_shot
from spm.inference import hub
from spm.inference.localization import NetworkInfo

WEIGHTS = "network.safetensors"  # of a run
ZERO_SHOT = "zero-shot"
TRUNKS = ("visual", "head", "audio")  # parts of networks that run their layers in order


class LoadedNetwork(NamedTuple):
    """A network in evaluation mode, the clusters of its categories, and its name."""

    network: LocalizationNetwork
    categories: fusion_maps.Categories
    info: NetworkInfo


def load(name: str | Path | None) -> LoadedNetwork:
    """A network for inference.

    Parameters
    ----------
    name : path or str, optional
        `network.safetensors` of a run with its JSON beside it, the folder of a run, or OWNER/NAME
        of a hub. None: the zero-shot network, which needs no training.

    Raises
    ------
    UserError
        When there is no such network, or a pretrained part of it is missing.
    """
    loaded = _zero_shot() if name is None else _trained(str(name))
    for part in TRUNKS:
        if (trunk := getattr(loaded.network, part, None)) is not None:
            fuse_batchnorm(trunk)
    return loaded


def find_weights(name: str) -> Path:
    """The weights of a network: a file, the folder of a run, or OWNER/NAME of a hub."""
    if hub.is_id(name):
        return hub.network(name)
    return Path(name, WEIGHTS) if Path(name).is_dir() else Path(name)


def run_name(name: str) -> str:
    """What a network is called: OWNER/NAME, the folder of a run, or the name of a file.

    >>> run_name("results/fusion/train/spm/network.safetensors"), run_name("mine.safetensors")
    ('spm', 'mine')
    """
    if hub.is_id(name):
        return name
    path = find_weights(name).absolute()
    return path.parent.name if path.name == WEIGHTS else path.stem


def _trained(name: str) -> LoadedNetwork:
    path = find_weights(name)
    try:
        network, crop, categories = fusion_maps.load(path)
    except (KeyError, TypeError, ValidationError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path}: not a network trained by spm ({reason}): expected {WEIGHTS} of a run, or"
            " OWNER/NAME of a hub"
        ) from error
    method = type(network).__module__.rsplit(".", 1)[-1]
    digest = file_digest(path)
    return LoadedNetwork(network, categories, NetworkInfo(run_name(name), method, digest, crop))


def _zero_shot() -> LoadedNetwork:
    network = zero_shot.pretrained_network()
    categories = {thing.name: number for number, thing in enumerate(network.things)}
    tensors = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
    digest = hashlib.sha256(serialize(tensors)).hexdigest()  # equals that of a run's file
    info = NetworkInfo(ZERO_SHOT, "zero_shot", digest, network.settings.crop)
    return LoadedNetwork(network, categories, info)


def fuse_batchnorm(module: nn.Module) -> None:
    """Merge each BatchNorm into the convolution before it; this saves 10 % or more of the time.

    The module can't be trained afterwards.
    """
    for part in module.children():
        fuse_batchnorm(part)
    for (name, layer), (norm_name, norm) in pairwise(list(module.named_children())):
        if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            fused = fuse_conv_bn_eval(layer, norm)
            setattr(module, name, fused.to(memory_format=torch.channels_last))
            setattr(module, norm_name, nn.Identity())
