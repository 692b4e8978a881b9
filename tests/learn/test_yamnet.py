import numpy as np
import pytest
import torch
from torch import nn

from spm.learn import pretrained, yamnet
from tests.conftest import SHARED
from tests.learn.freeze_yamnet import FILE, sounds
from tests.support.recordings import read_sound

LIMITS = (-128, 127)  # of the activations of the 8-bit runtime


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    """What the reference runtimes said."""
    with np.load(FILE) as file:
        return dict(file)


@pytest.fixture(scope="module")
def patches(golden) -> torch.Tensor:
    """The first patch of each made sound, as the reference runtimes got it."""
    return torch.from_numpy(golden["patches_milli"].astype(np.float32) / 1000)


def load(name: str, monkeypatch) -> yamnet.Yamnet:
    """YAMNet with the weights of a part, if they are on this machine."""
    if (SHARED / "models").is_dir():
        monkeypatch.setenv("SPM_PRETRAINED", str(SHARED / "models"))
    if pretrained.find(name) is None:
        pytest.skip(f"{name}: {pretrained.PARTS[name].source.remedy}")
    return yamnet.load(name)


def round_activations(network: yamnet.Yamnet, steps: np.ndarray) -> None:
    """Round input, activations, embedding and logits as the 8-bit runtime does."""

    def rounding(scale, zero):
        def round_to_step(values):
            return ((values / scale + zero).round().clamp(*LIMITS) - zero) * scale

        return round_to_step

    rounded = [rounding(*step) for step in steps.tolist()]
    network.layers[0].register_forward_pre_hook(lambda module, inputs: rounded[0](inputs[0]))
    activations = [layer for layer in network.layers if isinstance(layer, nn.ReLU6)]
    for layer, apply in zip(activations, rounded[1:-2], strict=True):
        layer.register_forward_hook(lambda module, inputs, output, apply=apply: apply(output))
    network.classifier.register_forward_pre_hook(lambda module, inputs: rounded[-2](inputs[0]))
    network.classifier.register_forward_hook(lambda module, inputs, output: rounded[-1](output))


def test_patches_are_those_of_tensorflow(patches):
    found = yamnet.log_mel_patches(torch.from_numpy(sounds()))
    assert found.shape == (3, 2, 96, 64)
    # The transforms of both have 32 bits, and the logarithm enlarges rounding near silence.
    assert found[:, 0].numpy() == pytest.approx(patches.numpy(), abs=5e-3)
    assert (found[:, 0] - patches).abs().mean() < 4e-4  # they are stored in steps of 0.001


def test_the_network_equals_the_reference_runtime(golden, patches, monkeypatch):
    network = load("yamnet", monkeypatch)
    with torch.inference_mode():
        found = network(patches)
    assert found.embeddings.numpy() == pytest.approx(golden["yamnet_embeddings"], abs=1e-4)
    assert found.logits.numpy() == pytest.approx(golden["yamnet_logits"], rel=1e-4, abs=1e-4)


def test_with_rounded_activations_it_equals_the_8_bit_runtime(golden, patches, monkeypatch):
    network = load("yamnet_coral", monkeypatch)
    steps = golden["yamnet_coral_steps"]
    round_activations(network, steps)
    with torch.inference_mode():
        logits = network(patches).logits.numpy()
    difference = np.abs(logits - golden["yamnet_coral_logits"]) / steps[-1, 0]
    assert difference.max() < 2.1  # in steps of the 8-bit logits
    assert difference.mean() < 0.5


def test_without_rounding_it_is_near_the_8_bit_runtime(golden, patches, monkeypatch):
    network = load("yamnet_coral", monkeypatch)
    with torch.inference_mode():
        found = network(patches)
    for values, name in zip(found, ("embeddings", "logits"), strict=True):
        expected = golden[f"yamnet_coral_{name}"].ravel()
        assert np.corrcoef(values.numpy().ravel(), expected)[0, 1] > 0.998


def test_sound_that_is_shorter_than_a_patch_is_extended_by_silence():
    short, longer = torch.rand(2, 8_000), torch.zeros(2, yamnet.PATCH_SAMPLES)
    longer[:, :8_000] = short
    assert torch.equal(yamnet.log_mel_patches(short), yamnet.log_mel_patches(longer))
    assert yamnet.log_mel_patches(short).shape == (2, 1, 96, 64)


def test_patches_start_every_hop():
    sound = torch.rand(16_000 * 3)
    patches = yamnet.log_mel_patches(sound, hop=50)
    assert len(patches) == 1 + (48_000 - 15_600) // 8_000
    assert torch.equal(patches[2], yamnet.log_mel_patches(sound[16_000:])[0])


def test_the_classes_have_the_names_of_audioset():
    names = yamnet.class_names()
    assert len(names) == yamnet.CLASSES
    assert (names[0], names[132], names[191]) == ("Speech", "Music", "Flute")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("video", "expected"),
    [
        ("real/videos/flute-01.mp4", "Flute"),
        ("real/videos/trumpet-01.mp4", "Trumpet"),
        ("wild/videos/harp-w1.mp4", "Harp"),
        ("wild/videos/baby-w1.mp4", "Crying, sobbing"),
    ],
)
def test_a_real_recording_is_heard(video, expected, monkeypatch):
    if not (SHARED / video).is_file():
        pytest.skip(f"there is no {SHARED / video}")
    network = load("yamnet", monkeypatch)
    patches = yamnet.log_mel_patches(read_sound(SHARED / video))
    with torch.inference_mode():
        scores = network(patches).logits.sigmoid().mean(0)
    names = yamnet.class_names()
    top = [names[index] for index in scores.topk(3).indices]
    assert expected in top
