"""What the zero-shot network hears in a video: audio classes, and the things that make them."""

import numpy as np
from torch import Tensor

from spm.fusion.localization_network import LocalizationNetwork
from spm.fusion.maps import Categories
from spm.fusion.methods import zero_shot
from spm.inference.localization import ClassScores, Maps
from spm.learn import yamnet

CANDIDATES = 32  # of the zero-shot network's things, those heard most surely get maps
MOST_CATEGORIES, LOWEST_SCORE = 8, 0.1  # of these, the hottest are kept, from this score on


def class_scores(
    network: LocalizationNetwork, sounds: Tensor, categories: Categories, repeats: int
) -> ClassScores | None:
    """Scores of AudioSet's classes for each frame; None if the network names no sounds.

    Parameters
    ----------
    network : LocalizationNetwork
    sounds : Tensor, shape (clips, …)
        Sounds as the network's `heat_maps` takes them.
    categories : dict
        Categories and the numbers of their maps.
    repeats : int
        Frames per clip.
    """
    if not isinstance(network, zero_shot.Network):
        return None
    scores = network.audio_scores(sounds).cpu().numpy()  # (clips, 521)
    things = network.things
    classes_of = {
        name: things[number].audioset
        for name, number in categories.items()
        if number < len(things)  # the last map is that of categories that are no thing
    }
    return ClassScores(yamnet.class_names(), np.repeat(scores, repeats, 0), classes_of)


def audible_things(network: zero_shot.Network, sounds: Tensor) -> Categories:
    """Things that are heard in a video, at most CANDIDATES, and the numbers of their maps."""
    best = network.hear_things(sounds).certainty.amax(0)  # (things,)
    order = best.argsort(descending=True)[:CANDIDATES].tolist()
    return {network.things[n].name: n for n in order if best[n] > 0}


def hottest(by_category: dict[str, Maps]) -> dict[str, Maps]:
    """Categories with the highest scores in a video, at most MOST_CATEGORIES."""
    scores = {name: float(maps.max()) for name, maps in by_category.items()}
    kept = sorted(scores, key=lambda name: -scores[name])[:MOST_CATEGORIES]
    return {name: by_category[name] for name in sorted(kept) if scores[name] >= LOWEST_SCORE}


def generic(network: LocalizationNetwork, categories: Categories) -> frozenset[str]:
    """Categories that the network can't tell from other objects: their maps show any object."""
    if not isinstance(network, zero_shot.Network):
        return frozenset()
    seen = {number for number, thing in enumerate(network.things) if thing.imagenet}
    return frozenset(name for name, number in categories.items() if number not in seen)
