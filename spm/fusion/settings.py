"""What every run is set by, whatever its method; each method adds its own keys beside it."""

from typing import Literal

from pydantic import ConfigDict, Field

from spm.base.config import Section
from spm.fusion.losses import Negatives
from spm.learn.backbones import Start, Visual

Kind = Literal["solo", "duet"]


class Row(Section):
    """A run as the workflow hands it on: its method, and keys that only the method's own settings can judge."""

    model_config = ConfigDict(frozen=True, extra="allow")

    method: str = "spm"


class Train(Section):
    """One run; `methods:` lays a method's keys over this section, and `runs:` a run's."""

    method: str = "spm"  # a file of spm/fusion/methods
    promote: bool = (
        True  # the audio network starts from the pseudo-labels (steps 1 and 2); false: from nothing
    )
    audio: str = "main"  # which promoted network: a row of the config's `audio`
    freeze: bool = True  # a promoted audio network is left as it is, BatchNorm statistics included
    kinds: tuple[Kind, ...] = Field(("solo", "duet"), min_length=1)  # of the training clips
    augment: Literal["none", "A", "B", "C"] = (
        "none"  # Table 2: another frame, the most similar sound, or both
    )
    augment_share: float = Field(0.5, ge=0, le=1)  # of the clips that augment changes
    augment_outside: Literal["clip", "video"] = "clip"  # where the most similar sound is looked for
    visual: Visual = "resnet18"
    start: Start = "imagenet"  # of the visual network
    crop: int = Field(224, ge=32)  # px, of the clips' frames
    projection: int = Field(128, ge=0)  # channels compared; 0 compares f_v and f_a themselves
    standardize: bool = (
        False  # the sounds' features have mean 0 and deviation 1 before they are projected
    )
    negatives: Negatives = "one"  # a sound: one picture of another video, or all of the batch
    lr: float = Field(1e-4, gt=0)  # Adam, of both backbones
    projection_lr: float = Field(
        1e-4, gt=0
    )  # Adam, of what starts from nothing: projections, and a learnt ε and τ
    weight_decay: float = Field(1e-4, ge=0)
    batch: int = Field(32, ge=2)
    epochs: int = Field(15, ge=1)
    keep: Literal["last", "best"] = "last"  # best: smallest validation loss; wants index.val_solos
    half: bool = True  # half precision on a GPU
    compile: bool = False  # torch.compile of the trunks that learn: minutes at the start, less time a step; wants g++
    seed: int = 0
    device: str = "auto"

    @property
    def frozen(self) -> bool:
        """Whether the audio network is left as it is."""
        return self.promote and self.freeze

    @property
    def lasts(self) -> int:
        """Epochs in all; a method of several stages says more."""
        return self.epochs

    @property
    def wants(self) -> tuple[str, ...]:
        """What it learns from beside its clips: mosaics, duets."""
        return ()
