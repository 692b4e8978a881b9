"""SPM (Li, Zhao and Zhang, Electronics 2023): Algorithm 1, step 3.

The audio network, promoted by the clusters of the sounds, stays as it is; the rest learns which picture a sound belongs
to, by the largest value of its map. `spm/fusion/network.py` has Eqs. 1-5 and the loss.
"""

from pydantic import Field

from spm.fusion.network import FusionConfig, FusionNetwork
from spm.fusion.settings import Train


class Settings(Train):
    """The two numbers of Eq. 4."""

    epsilon: float = 0.65  # Eq. 4: the cosine at which the mask is one half
    tau: float = Field(0.03, gt=0)  # Eq. 4: temperature
    learn_scale: bool = False  # ε and τ are learnt, starting there


class Network(FusionNetwork):
    """Eqs. 1-5, learnt by matching alone."""

    def __init__(self, settings: Settings) -> None:
        shape = FusionConfig(
            visual=settings.visual,
            projection=settings.projection,
            standardize=settings.standardize,
            epsilon=settings.epsilon,
            tau=settings.tau,
            learn_scale=settings.learn_scale,
        )
        super().__init__(shape, settings.start)
