"""Training with a frozen visual network, and with YAMNet as the audio network."""

import pytest
import torch

from spm.audio.network import AudioNetwork
from spm.base import tables
from spm.base.errors import UserError
from spm.corpus import clip_reader
from spm.fusion import dataset, maps, methods, train
from spm.fusion.batches import batches, whole_frames
from spm.fusion.maps import Maps
from spm.fusion.methods.spm import Settings
from spm.fusion.settings import RunConfig
from spm.learn import weights
from spm.learn.dataloading import make_generator

SETTINGS = {
    "visual": "efficientnet_lite0",
    "start": "none",
    "crop": 64,
    "negatives": "all",
    "batch": 16,
    "device": "cpu",
    "epochs": 1,
    "freeze_visual": True,
}
CPU = torch.device("cpu")
INDICES = torch.tensor([3, 0, 5])


@pytest.fixture(scope="module")
def yamnet(tmp_path_factory):
    """YAMNet's published weights, as the stage `pretrain` writes them."""
    path = tmp_path_factory.mktemp("yamnet") / "audio.safetensors"
    network = AudioNetwork("yamnet")
    network.load_yamnet()
    weights.save(path, network.state_dict(), {"config": {"network": "yamnet"}})
    return path


def run(squares, folder, pretrained, **changes):
    """Train, and return the network's tensors and what its JSON file says."""
    out = folder / "network.safetensors"
    train.run(
        methods.settings_of(RunConfig(**{**SETTINGS, **changes})),
        index=squares.index,
        clips=squares.clips,
        spectrograms=squares.spectrograms,
        mosaics=None,
        pretrained=pretrained,
        out=out,
        history=folder / "history.parquet",
        state=folder / "state",
    )
    return out, *weights.load(out)


@pytest.fixture(scope="module")
def trained(squares, yamnet, tmp_path_factory):
    return run(squares, tmp_path_factory.mktemp("trained"), yamnet)


def test_a_frozen_visual_network_keeps_its_weights_and_the_projections_learn(trained, yamnet):
    _, tensors, _ = trained
    before = train.build(Settings(**SETTINGS, audio_network="yamnet"), yamnet).state_dict()
    changed = {name for name in tensors if not torch.equal(tensors[name], before[name])}
    assert not any(name.startswith("visual.") for name in changed)
    assert "visual_proj.0.weight" in changed


def test_a_promoted_run_has_the_audio_network_of_its_weights(trained, yamnet):
    _, tensors, about = trained
    assert about["config"]["audio_network"] == "yamnet"
    published, _ = weights.load(yamnet)
    assert all(torch.equal(tensors[f"audio.{name}"], published[name]) for name in published)


def test_maps_of_a_network_with_yamnet_read_the_sound_of_the_clips(squares, trained, tmp_path):
    files = {"clips": squares.clips, "spectrograms": squares.spectrograms}
    out = tmp_path / "maps.parquet"
    config = Maps(device="cpu", batch=5)
    maps.run(config, network=trained[0], index=squares.index, testset="solo", out=out, **files)
    rows = clip_reader.select(squares.index, split="test", kind="solo", audible=False)
    assert set(tables.read(out)["clip_id"].to_pylist()) == set(rows["clip_id"].to_pylist())


@pytest.mark.slow
def test_stored_features_are_those_of_the_frames(squares, yamnet, tmp_path):
    settings = Settings(**SETTINGS, audio_network="yamnet")
    network = train.build(settings, yamnet).eval()
    rows = clip_reader.select(squares.index, split="train").slice(0, 6)
    files = {"mapped": tmp_path / "mapped", "state": tmp_path / "state"}
    frozen = dataset.load(rows, squares.clips, squares.spectrograms, network, settings, **files)
    assert list((tmp_path / "state").iterdir()) == []  # its files have no names
    trainable = settings.model_copy(update={"freeze_visual": False})
    decoded = dataset.load(rows, squares.clips, squares.spectrograms, network, trainable)
    features, images = (
        next(whole_frames(clips, [INDICES], 64, device=CPU, generator=make_generator(1))).images
        for clips in (frozen, decoded)
    )
    assert features.shape == (3, 320, 4, 4)
    expected = network.visual_features(images).detach()
    torch.testing.assert_close(features, expected, rtol=2e-3, atol=2e-3)  # stored with 16 bits
    batch = next(batches(frozen, settings, 2, make_generator(0), device=CPU))
    assert torch.equal(batch.images[:6], batch.images[6:])


@pytest.mark.parametrize(
    "method", ["dsol", "sspl", "dmc", "attention", "lvs", "ez_vsl", "iterative_contrastive"]
)
def test_methods_take_features_of_yamnet_and_of_a_frozen_visual_network(method):
    common = {
        "method": method,
        "audio_network": "yamnet",
        "width": 32,
        "projected": 32,
        "epochs": 2,
    }
    fields = methods.named(method).Settings.model_fields
    settings = {key: value for key, value in (SETTINGS | common).items() if key in fields}
    network = methods.build(methods.named(method).Settings(**settings))
    visual, sounds = torch.randn(4, 320, 4, 4), torch.randn(4, 96, 64)
    negative = ~torch.eye(4, dtype=torch.bool)
    loss = network.loss(visual, network.audio_features(sounds), negative).loss
    assert torch.isfinite(loss)
    heat = network.heat_maps(torch.randn(4, 1, 3, 64, 64), sounds).sounding
    assert heat.shape == (4, 1, 4, 4)


@pytest.mark.slow
def test_dsol_learns_clusters_of_objects_from_stored_features(squares, yamnet, tmp_path):
    """Its classifiers learn from a loss that no weight of the run's optimizer takes part in.

    There are as many clusters as categories, because no number is set.
    """
    dsol = {"method": "dsol", "promote": True, "epochs": 2, "mosaic_epochs": 0}
    _, tensors, about = run(squares, tmp_path, yamnet, passes=1, **dsol)
    assert tensors["dictionary"].abs().sum() > 0
    assert tensors["frozen_audio_head.weight"].shape == (2, 1024)
    assert about["config"]["clusters"] == 2


@pytest.mark.slow
def test_lcbm_learns_the_categories_of_the_corpus_beside_negative_sounds(squares, yamnet, tmp_path):
    shares = {"silence_share": 0.1, "noise_share": 0.1, "offscreen_share": 0.1}
    changes = {"method": "lcbm", "promote": True, "epochs": 4, "projection_lr": 0.001}
    out, tensors, about = run(squares, tmp_path, yamnet, **changes, **shares)
    assert about["config"]["classes"] == ["cello", "flute"]
    assert tensors["class_head.weight"].shape == (2, 128)
    history = tables.read(tmp_path / "history.parquet").to_pylist()
    accuracies = [row["value"] for row in history if row["name"] == "accuracy"]
    assert accuracies[-1] > 0.7
    network, _, _ = maps.load(out)
    assert network.class_head.out_features == 2


@pytest.mark.slow
def test_an_iteration_takes_pseudo_labels_from_the_epoch_before(squares, yamnet, tmp_path):
    changes = {"method": "iterative_contrastive", "promote": True, "epochs": 2}
    _, one, _ = run(squares, tmp_path, yamnet, **changes | {"epochs": 1})
    _, two, _ = run(squares, tmp_path, yamnet, **changes)
    name = "visual_proj.0.weight"
    assert torch.equal(two[f"previous.{name}"], one[name])
    assert not torch.equal(two[name], one[name])


def test_sound_of_pixels_needs_spectrograms():
    settings = methods.named("sound_of_pixels").Settings(
        method="sound_of_pixels", start="none", audio_network="yamnet"
    )
    with pytest.raises(UserError, match=r"train\.audio_network: yamnet, but sound_of_pixels"):
        methods.build(settings)
