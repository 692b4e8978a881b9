"""SPM (Li, Zhao and Zhang, Electronics 2023): Algorithm 1, step 3.

The audio network is pretrained on the clusters of the sounds and frozen. The other parts learn
which frame a sound belongs to, by the maximum of its map. Eqs. 1-4 and the loss are in
spm/fusion/network.py.
"""

from pydantic import Field

from spm.fusion.network import FusionConfig, FusionNetwork
from spm.fusion.settings import Train


class Settings(Train):
    """SPM (Li et al., Electronics 2023)."""

    epsilon: float = Field(
        0.65, ge=-1, le=1, description="Eq. 4: ε, the cosine at which the mask is one half."
    )
    tau: float = Field(0.03, gt=0, le=100, description="Eq. 4: τ, the temperature of the mask.")
    learn_scale: bool = Field(False, description="Train ε and τ, starting from these values.")


class Network(FusionNetwork):
    """The shared network, with the matching loss only."""

    def __init__(self, settings: Settings) -> None:
        config = FusionConfig.of(
            settings, epsilon=settings.epsilon, tau=settings.tau, learn_scale=settings.learn_scale
        )
        super().__init__(config, settings.start)
