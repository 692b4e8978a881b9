"""The network of `spm localize`: the zero-shot network, or one of the user's own."""

import hashlib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from safetensors.torch import save as serialize
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from spm.base.errors import UserError
from spm.base.file_digest import file_digest
from spm.base.words import closest
from spm.fusion import maps as fusion_maps
from spm.fusion.localization_network import LocalizationNetwork
from spm.fusion.methods import zero_shot
from spm.inference import hub
from spm.inference.localization import NetworkInfo
from spm.learn import weights

WEIGHTS = "network.safetensors"  # of a run
RUNS = Path("results/fusion/train")
EXPECTED = f"expected {WEIGHTS} of a run, the folder of a run, or OWNER/NAME of a hub"
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
    if name is not None:
        _check_exists(str(name))
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


def _check_exists(name: str) -> None:
    """Raise an error when a name is neither of a hub nor of weights that exist."""
    if hub.is_id(name) or find_weights(name).is_file():
        return
    if Path(name).is_dir():
        raise UserError(f"{name} has no {WEIGHTS}; {EXPECTED}")
    parents = (Path(name).parent, RUNS)
    runs = {
        run.parent.name: run.parent for parent in parents for run in parent.glob(f"*/{WEIGHTS}")
    }
    found = closest(Path(name).name, runs)
    question = f"; did you mean {runs[found]}?" if found else ""
    raise UserError(f"{name}: no such network; {EXPECTED}{question}")


def _what_else(about: Mapping[str, Any]) -> str:
    """What the weights are that this JSON describes, if they are no localizer of spm."""
    if "model" in about and "categories" in about:
        return "weights of a detector, not of a localizer"
    if "sizes" in about:
        return "centroids of the stage clusters, not a localizer"
    if "head_lr" in (about.get("config") or {}):
        return "an audio network of the stage pretrain, not a localizer"
    return ""


def _trained(name: str) -> LoadedNetwork:
    path = find_weights(name)
    try:
        network, crop, categories = fusion_maps.load(path)
    except (KeyError, TypeError, ValidationError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        kind = _what_else(weights.load_about(path)) or f"not a network trained by spm ({reason})"
        raise UserError(f"{path}: {kind}: {EXPECTED}") from error
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
