"""YAMNet: scores of 521 AudioSet classes, and embeddings, of 16 kHz sound.

Plakal and Ellis, https://github.com/tensorflow/models/tree/master/research/audioset/yamnet. The
network is MobileNetV1 (Howard et al., 2017) on log-mel patches of 0.96 s. Weights: the parts
`yamnet` and `yamnet_coral` of spm.learn.pretrained; both files hold 8-bit weights, and batch
normalization is part of the convolutions. The network here calculates with 32-bit activations.
"""

import csv
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NamedTuple
from zipfile import ZipFile

import numpy as np
import torch
from torch import Tensor, nn

from spm.base.constants import SAMPLE_RATE_HZ
from spm.learn import pretrained
from spm.learn.same_padding import SameConv2d

Name = Literal["yamnet", "yamnet_coral"]
CLASSES, FEATURES = 521, 1024
WINDOW, HOP, FFT = 400, 160, 512  # samples: 25 ms, 10 ms, and the length of the transform
MELS, LOWEST_HZ, HIGHEST_HZ = 64, 125.0, 7500.0
LOG_OFFSET = 0.001  # added to the mel magnitudes
FRAMES = 96  # of a patch
PATCH_SAMPLES = WINDOW + (FRAMES - 1) * HOP  # 15,600: 0.975 s
PATCH_HOP = 48  # frames from one patch to the next: 0.48 s
# Channels and stride of the depthwise separable convolutions.
SEPARABLE = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)
)  # fmt: skip


class Heard(NamedTuple):
    """What YAMNet says about patches."""

    embeddings: Tensor  # (..., 1024)
    logits: Tensor  # (..., 521); their sigmoids are the scores of the classes


@cache
def _mel_filters() -> Tensor:
    """Triangles that are linear in mels (TensorFlow's), not in Hz (torchaudio's): (257, 64)."""
    bins_hz = np.arange(FFT // 2 + 1) * SAMPLE_RATE_HZ / FFT
    mels = 1127 * np.log1p(bins_hz / 700)[:, None]  # (257, 1)
    lowest, highest = 1127 * np.log1p(np.array([LOWEST_HZ, HIGHEST_HZ]) / 700)
    edges = np.linspace(lowest, highest, MELS + 2)
    width = edges[1] - edges[0]
    rising, falling = (mels - edges[:-2]) / width, (edges[2:] - mels) / width
    return torch.from_numpy(np.minimum(rising, falling).clip(0)).float()


def log_mel_patches(sound: Tensor, hop: int = PATCH_HOP) -> Tensor:
    """Log-mel patches, as YAMNet was trained with.

    Parameters
    ----------
    sound : Tensor, shape (..., samples), float32
        Mono sound at 16 kHz in [-1, 1]. Less than a patch (15,600 samples) is extended by silence.
    hop : int
        Frames of 10 ms from the start of one patch to the start of the next.

    Returns
    -------
    Tensor, shape (..., patches, 96, 64), float32
        log(mel magnitude + 0.001). Patch n starts at n · hop · 10 ms; samples that fill no patch at
        the end are left out.
    """
    missing = max(PATCH_SAMPLES - sound.shape[-1], 0)
    frames = nn.functional.pad(sound, (0, missing)).unfold(-1, WINDOW, HOP)
    spectrum = torch.fft.rfft(frames * torch.hann_window(WINDOW), FFT).abs()  # (..., frames, 257)
    log_mel = torch.log(spectrum @ _mel_filters() + LOG_OFFSET)  # (..., frames, 64)
    return log_mel.unfold(-2, FRAMES, hop).transpose(-1, -2)


class Yamnet(nn.Module):
    """YAMNet with random weights, or with those of a pretrained part (`load`)."""

    def __init__(self, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        layers: list[nn.Module] = [SameConv2d(1, 32, 3, stride=2), activation()]
        channels = 32
        for outputs, stride in SEPARABLE:
            depthwise = SameConv2d(channels, channels, 3, stride, groups=channels)
            layers += [depthwise, activation(), SameConv2d(channels, outputs, 1), activation()]
            channels = outputs
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Linear(FEATURES, CLASSES)

    def forward(self, patches: Tensor) -> Heard:
        """Log-mel patches (..., 96, 64) → embeddings (..., 1024) and logits (..., 521)."""
        features = self.layers(patches.reshape(-1, 1, FRAMES, MELS))  # (B, 1024, 3, 2)
        embeddings = features.mean((2, 3)).view(*patches.shape[:-2], FEATURES)
        return Heard(embeddings, self.classifier(embeddings))


def load(name: Name = "yamnet") -> Yamnet:
    """YAMNet with pretrained weights, in evaluation mode, on the CPU.

    Raises
    ------
    UserError
        If the file of the weights can't be had.
    """
    path = pretrained.path(name)
    network, read = (Yamnet(nn.ReLU), _read_onnx)
    if name == "yamnet_coral":
        network, read = (Yamnet(nn.ReLU6), _read_tflite)
    tensors = (torch.from_numpy(tensor) for tensor in read(path))
    state = zip(network.state_dict().items(), tensors, strict=True)
    network.load_state_dict({key: tensor.view_as(own) for (key, own), tensor in state})
    return network.to(memory_format=torch.channels_last).eval()


def _read_onnx(path: Path) -> list[np.ndarray]:
    """Weights and biases of the layers, in their order: (out, in, height, width) and (out,)."""
    # Imported only here: reading the file needs it, the network does not.
    import onnx

    with ZipFile(path) as archive:
        members = {name.rsplit("/", 1)[-1]: archive.read(name) for name in archive.namelist()}
    graph = onnx.load_from_string(members["model.onnx"]).graph
    tensors = {}
    for tensor in graph.initializer:
        external = {entry.key: entry.value for entry in tensor.external_data}
        if external:  # large tensors are in a second file
            offset = int(external.get("offset", 0))
            tensor.raw_data = members[external["location"]][offset:][: int(external["length"])]
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
        tensors[tensor.name] = np.array(onnx.numpy_helper.to_array(tensor))
    layers = [node.input for node in graph.node if node.op_type in ("Conv", "Gemm")]
    # A layer's weights are in the file as 32-bit numbers, which the graph rounds to `name_qdq`.
    return [tensors[name.removesuffix("_qdq")] for inputs in layers for name in inputs[1:]]


def _read_tflite(path: Path) -> list[np.ndarray]:
    """The same, of an 8-bit TensorFlow Lite model with channels last."""
    # Imported only here: reading the file needs it, the network does not.
    import tflite

    model = tflite.Model.GetRootAs(path.read_bytes())
    graph = model.Subgraphs(0)
    tensors = []
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        if operator.InputsLength() == 3:  # convolution or dense layer: input, weights, bias
            weights = _dequantize(model, graph.Tensors(operator.Inputs(1)))
            bias = _dequantize(model, graph.Tensors(operator.Inputs(2)))
            if weights.ndim == 4:  # (out, height, width, in), or (1, height, width, out)
                axes = (3, 0, 1, 2) if len(weights) != len(bias) else (0, 3, 1, 2)
                weights = weights.transpose(axes)
            tensors += [np.ascontiguousarray(weights), bias]
    return tensors


def _dequantize(model: Any, tensor: Any) -> np.ndarray:
    """Numbers of a tensor, with a scale per channel or one scale; its zero point is 0."""
    shape, quantization = tensor.ShapeAsNumpy(), tensor.Quantization()
    dtype = np.int8 if len(shape) > 1 else np.int32  # weights and biases
    numbers = model.Buffers(tensor.Buffer()).DataAsNumpy().view(dtype).reshape(shape)
    scales = quantization.ScaleAsNumpy()
    along = np.ones(len(shape), int)
    along[quantization.QuantizedDimension()] = len(scales)
    values: np.ndarray = numbers.astype(np.float32) * scales.reshape(along)
    return values


@cache
def class_names() -> tuple[str, ...]:
    """AudioSet's 521 class names, in the order of the scores.

    Source: yamnet_class_map.csv of TensorFlow Models, Apache-2.0.
    """
    with (files("spm.learn") / "audioset_classes.csv").open(encoding="utf-8") as file:
        return tuple(row["display_name"] for row in csv.DictReader(file))
