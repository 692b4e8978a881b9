"""An untrained network, a video, and the localization of the video."""

from pathlib import Path

import numpy as np
import pytest
import torch

from spm.fusion import methods
from spm.fusion.settings import RunConfig
from spm.inference.localization import ClassScores, Localization
from spm.inference.localize import Localizer
from spm.learn import weights
from tests.support.web import film


@pytest.fixture(scope="session")
def network(tmp_path_factory) -> Path:
    """The weights of an untrained network, small and with maps of 4 × 4."""
    torch.manual_seed(0)
    config = RunConfig(
        method="spm", visual="mobilenet_v2", start="none", crop=64, epsilon=0.0, tau=0.5
    )
    settings = methods.settings_of(config)
    about = {"config": settings.model_dump(), "categories": {}}
    path = tmp_path_factory.mktemp("results") / "spm/network.safetensors"
    path.parent.mkdir()
    weights.save(path, methods.build(settings).state_dict(), about)
    return path


@pytest.fixture(scope="session")
def video(tmp_path_factory) -> Path:
    """A video of 3.4 s, 96 × 64 px."""
    return film(tmp_path_factory.mktemp("videos") / "a film.mp4", 3.4)


@pytest.fixture(scope="session")
def localization(network, video) -> Localization:
    """The video's maps, four per second."""
    return Localizer(network, "cpu", maps_per_s=4).localize(video)


@pytest.fixture
def class_scores() -> ClassScores:
    """Scores of three audio classes for twelve frames; the last second sounds different."""
    values = np.tile(np.float32([0.9, 0.4, 0.05]), (12, 1))
    values[8:] = [0.0, 0.2, 0.7]
    return ClassScores(("Cello", "Music", "Tuba"), values, {"cello": (0,), "tuba": (2,)})
