"""Heat maps of networks that were trained on images alone and on sounds alone, as pure functions.

`object_prior` sees the image only. `class_activation` shows the image classes that an audio tagger
says may be heard. `blend` joins both. They take feature maps, so that any pair of pretrained
networks will do; spm.learn.efficientnet and spm.learn.yamnet are one.

Scale. A map's maximum is a confidence in [0, 1]: how surely something is heard, times how surely
the image shows what can make this sound. `saturate` turns each of the two scores into such a share.
"""

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from spm.learn.sounding_things import Thing

FLOOR = 0.001  # added to audio scores, so that the image decides where the tagger hears no class
HALF_HEARD = 0.1  # score of the audio tagger at which a class is heard by one half
HALF_SEEN = 0.03  # probability of an image class at which it is seen by one half
UNKNOWN_SEEN = 0.5  # how surely a thing that the image network does not know is seen


def saturate(scores: Tensor, half: float | Tensor) -> Tensor:
    """Scores as shares of certainty: 0 → 0, `half` → 0.5, larger values towards 1."""
    return scores / (scores + half)


def image_probabilities(whole: Tensor, parts: Tensor) -> Tensor:
    """Probability of each image class: of the whole image, and of its parts, each by one half.

    From logits (B, k) and (B, parts, k) → (B, k). The whole image is at the size that the network
    was trained with; its parts show small things at this size too.
    """
    return (whole.softmax(1) + parts.softmax(2).mean(1)) / 2


def window_means(features: Tensor) -> Tensor:
    """Mean features of 3 × 3 windows, each with half of the height and of the width.

    (B, c, h, w) → (B, 9, c).
    """
    height, width = (max(size // 2, 1) for size in features.shape[2:])
    tops = (0, (features.shape[2] - height) // 2, features.shape[2] - height)
    lefts = (0, (features.shape[3] - width) // 2, features.shape[3] - width)
    means = [
        features[:, :, top : top + height, left : left + width].mean((2, 3))
        for top, left in product(tops, lefts)
    ]
    return torch.stack(means, 1)


def hear_things(scores: Tensor, things: Sequence[Thing]) -> Tensor:
    """How surely each thing is heard, from the scores of the tagger's classes.

    A thing has the best score of its own classes. A general class (a parent of any thing) counts
    for its members in proportion to their scores: the best member gets all of it. As a thing's own
    class (of an oboe: woodwind instrument), it counts as far as no member explains it: its score
    less the best member's.

    Parameters
    ----------
    scores : Tensor, shape (B, a), in [0, 1]
        Score of each class of AudioSet.
    things : sequence of t Thing

    Returns
    -------
    Tensor, shape (B, t), in [0, 1]
    """
    members = members_of_parents(things)
    special = scores.clone()  # (B, a): scores of classes that are no parents
    special[:, list(members)] = 0
    named = torch.stack([special[:, thing.audioset].amax(1) for thing in things], 1)  # (B, t)
    unexplained = scores.clone()
    for parent, indices in members.items():
        unexplained[:, parent] -= named[:, indices].amax(1)
    unexplained = unexplained.clamp_min(0)
    own = torch.stack([unexplained[:, thing.audioset].amax(1) for thing in things], 1)
    thing_scores = own.clone()
    for parent, indices in members.items():
        share = (own[:, indices] + FLOOR) / (own[:, indices].amax(1, keepdim=True) + FLOOR)
        thing_scores[:, indices] = torch.maximum(
            thing_scores[:, indices], share * scores[:, parent, None]
        )
    return thing_scores


def members_of_parents(things: Sequence[Thing]) -> dict[int, list[int]]:
    """Indices of the members of each parent class: things that AudioSet has an own class for."""
    parents = {parent for thing in things for parent in thing.parents}
    members: dict[int, list[int]] = {}
    for index, thing in enumerate(things):
        is_named = not parents.issuperset(thing.audioset)
        for parent in thing.parents if is_named else ():
            members.setdefault(parent, []).append(index)
    return members


def smooth(
    scores: Tensor, videos: Sequence[str], starts_s: Sequence[float], radius_s: float
) -> Tensor:
    """Mean of the scores of the clips of the same video that start at most `radius_s` s apart.

    Parameters
    ----------
    scores : Tensor, shape (n, a)
    videos : sequence of n str
        Video of each clip.
    starts_s : sequence of n float
        Start of each clip, in s.
    radius_s : float
        0 leaves the scores unchanged.

    Returns
    -------
    Tensor, shape (n, a)
    """
    smoothed = scores.clone()
    clips_of: dict[str, list[int]] = {}
    for clip, video in enumerate(videos):
        clips_of.setdefault(video, []).append(clip)
    starts = torch.tensor(list(starts_s), dtype=torch.float64)
    for clips in clips_of.values():
        distance = (starts[clips, None] - starts[clips]).abs()
        near = (distance <= radius_s + 1e-6).to(scores)  # (clips, clips)
        smoothed[clips] = near @ scores[clips] / near.sum(1, keepdim=True)
    return smoothed


def object_prior(features: Tensor) -> Tensor:
    """Strength of an image's features: the L1 norm over the channels.

    Parameters
    ----------
    features : Tensor, shape (B, c, h, w)
        The last feature map of an image network, before its pooling.

    Returns
    -------
    Tensor, shape (B, h, w), not negative
    """
    return features.abs().sum(1)


def image_links(things: Sequence[Thing], classes: int) -> Tensor:
    """Whether a thing has an image class: bool, (things, classes)."""
    links = torch.zeros(len(things), classes, dtype=torch.bool)
    for index, thing in enumerate(things):
        links[index, list(thing.imagenet)] = True
    return links


def class_evidence(thing_scores: Tensor, probabilities: Tensor, links: Tensor) -> Tensor:
    """Weight of each image class: (its best audio score + FLOOR) × its probability in the image.

    Parameters
    ----------
    thing_scores : Tensor, shape (B, t), in [0, 1]
        Audio score of each thing.
    probabilities : Tensor, shape (B, k)
        Probability of each image class.
    links : bool Tensor, shape (t, k)
        Image classes of each thing.

    Returns
    -------
    Tensor, shape (B, k), not negative
        0 for image classes without a thing.
    """
    scores = (thing_scores[:, :, None] * links).amax(1)  # (B, k)
    return (scores + FLOOR * links.any(0)) * probabilities


def class_activations(features: Tensor, classifier: Tensor) -> Tensor:
    """Class activation maps (Zhou et al., CVPR 2016), without their negative parts.

    Parameters
    ----------
    features : Tensor, shape (B, c, h, w)
        The feature map whose mean over positions the classifier takes.
    classifier : Tensor, shape (k, c)
        Weights of the classifier.

    Returns
    -------
    Tensor, shape (B, k, h, w), not negative
        max(Σ_c classifier_kc · features_c, 0).
    """
    return torch.einsum("kc,bchw->bkhw", classifier, features).relu()


def weighted_sum(activations: Tensor, evidence: Tensor) -> Tensor:
    """Σ_k evidence_k · activations_k: (B, k, h, w) and (B, k) → (B, h, w)."""
    return torch.einsum("bk,bkhw->bhw", evidence, activations)


def thing_maps(activations: Tensor, probabilities: Tensor, links: Tensor) -> Tensor:
    """One map per thing: its image classes, added up by their probabilities in the image.

    Parameters
    ----------
    activations : Tensor, shape (B, k, h, w)
        Output of `class_activations`.
    probabilities : Tensor, shape (B, k)
        Probability of each image class.
    links : bool Tensor, shape (t, k)
        Image classes of each thing.

    Returns
    -------
    Tensor, shape (B, t, h, w), not negative
        0 for things without image class.
    """
    weighted = (activations * probabilities[..., None, None]).flatten(2)  # (B, k, h · w)
    maps = links.to(weighted) @ weighted  # (B, t, h · w)
    return maps.view(*maps.shape[:2], *activations.shape[2:])


def certainty_heard(thing_scores: Tensor, noise: Tensor) -> Tensor:
    """How certain it is that a thing is heard, next to silence and noise: (B, t) and (B, 1)."""
    return saturate(thing_scores, HALF_HEARD + noise)


def certainty_seen(probabilities: Tensor, links: Tensor) -> Tensor:
    """How certain it is that each thing is seen.

    Parameters
    ----------
    probabilities : Tensor, shape (B, k)
        Probability of each image class.
    links : bool Tensor, shape (t, k)
        Image classes of each thing.

    Returns
    -------
    Tensor, shape (B, t), in [0, 1]
    """
    seen = saturate(probabilities @ links.to(probabilities).T, HALF_SEEN)
    return torch.where(links.any(1), seen, UNKNOWN_SEEN)


def scale_to_maximum(maps: Tensor) -> Tensor:
    """Maps (…, h, w), not negative, with maximum 1 each; a map of zeros stays one."""
    return maps / maps.amax((-2, -1), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)


def average_scales(maps: Sequence[Tensor]) -> Tensor:
    """Mean of maps of the same images at several image sizes, each scaled to maximum 1.

    Parameters
    ----------
    maps : sequence of Tensor, each of shape (B, h, w) or (B, t, h, w)
        Not negative; the heights and widths may differ.

    Returns
    -------
    Tensor, shape (B, H, W) or (B, t, H, W), in [0, 1]
        On the largest grid.
    """
    size = max(each.shape[-2:] for each in maps)
    resized = []
    for each in maps:
        single = each.reshape(-1, 1, *each.shape[-2:])  # (B · t, 1, h, w)
        larger = interpolate(single, size, mode="bilinear")
        resized.append(scale_to_maximum(larger.view(*each.shape[:-2], *size)))
    return scale_to_maximum(torch.stack(resized).mean(0))


def half_size(frames: Tensor) -> Tensor:
    """Frames with half of the height and of the width: (B, 3, H, W) → (B, 3, H / 2, W / 2)."""
    return interpolate(frames, scale_factor=0.5, mode="area")


def blend(activation: Tensor, prior: Tensor, evidence: Tensor, doubt: float = 0.01) -> Tensor:
    """Class activation where there is evidence of a class, the object prior where there is none.

    Parameters
    ----------
    activation, prior : Tensor, shape (B, h, w), not negative
        Maps of `class_activation` and of `object_prior`; each is scaled to maximum 1.
    evidence : Tensor, shape (B, k)
        Weights of `class_evidence`.
    doubt : float
        Sum of the evidence at which both maps count the same.

    Returns
    -------
    Tensor, shape (B, h, w), in [0, 1]
    """
    total = evidence.sum(1)[:, None, None]
    share = total / (total + doubt)
    return share * scale_to_maximum(activation) + (1 - share) * scale_to_maximum(prior)
