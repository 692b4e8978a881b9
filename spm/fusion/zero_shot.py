"""Heat maps of networks that were trained on images alone and on sounds alone, as pure functions.

`object_prior` sees the image only. `class_activation` shows the image classes that an audio tagger
says may be heard. `blend` joins both. They take feature maps, so that any pair of pretrained
networks will do; spm.learn.efficientnet and spm.learn.yamnet are one.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

FLOOR = 0.001  # added to audio scores, so that the image decides where the tagger hears no class


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


def class_evidence(audio_scores: Tensor, image_logits: Tensor, links: Tensor) -> Tensor:
    """Weight of each image class: (its best audio score + FLOOR) × its probability in the image.

    Parameters
    ----------
    audio_scores : Tensor, shape (B, a), in [0, 1]
        Score of each audio class.
    image_logits : Tensor, shape (B, k)
        Logits of the image classes.
    links : bool Tensor, shape (a, k)
        Whether things of image class k make the sound of audio class a.

    Returns
    -------
    Tensor, shape (B, k), not negative
        0 for image classes without an audio class.
    """
    scores = audio_scores.new_zeros(len(audio_scores), links.shape[1])
    for audio_class in links.any(1).nonzero()[:, 0]:
        linked = links[audio_class] * audio_scores[:, audio_class, None]
        scores = torch.maximum(scores, linked)
    return (scores + FLOOR * links.any(0)) * image_logits.softmax(1)


def class_activation(features: Tensor, classifier: Tensor, evidence: Tensor) -> Tensor:
    """Class activation maps (Zhou et al., CVPR 2016) of the image classes, added up by evidence.

    Parameters
    ----------
    features : Tensor, shape (B, c, h, w)
        The feature map whose mean over positions the classifier takes.
    classifier : Tensor, shape (k, c)
        Weights of the classifier.
    evidence : Tensor, shape (B, k)
        Weight of each class. Classes of weight 0 are not computed.

    Returns
    -------
    Tensor, shape (B, h, w), not negative
        Σ_k evidence_k · max(Σ_c classifier_kc · features_c, 0).
    """
    used = evidence.any(0)
    activations = torch.einsum("kc,bchw->bkhw", classifier[used], features).relu()
    return torch.einsum("bk,bkhw->bhw", evidence[:, used], activations)


def scale_to_maximum(maps: Tensor) -> Tensor:
    """Maps (B, h, w), not negative, with maximum 1 each; a map of zeros stays one."""
    return maps / maps.amax((1, 2), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)


def average_scales(maps: Sequence[Tensor]) -> Tensor:
    """Mean of maps of the same images at several image sizes, each scaled to maximum 1.

    Parameters
    ----------
    maps : sequence of Tensor, each of shape (B, h, w)
        Not negative; the sizes may differ.

    Returns
    -------
    Tensor, shape (B, H, W), in [0, 1]
        On the largest grid.
    """
    size = max(each.shape[1:] for each in maps)
    resized = [interpolate(each[:, None], size, mode="bilinear")[:, 0] for each in maps]
    return scale_to_maximum(torch.stack([scale_to_maximum(each) for each in resized]).mean(0))


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
