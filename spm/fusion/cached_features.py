"""Features of frames and sounds that are computed once, for several networks or combinations."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

CACHE_BYTES = 2**28  # of the features of sounds; the oldest ones are dropped


class CachedTrunk(nn.Module):
    """An image trunk that keeps the features of the last frames of each size."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.cache: dict[torch.Size, tuple[Tensor, Tensor]] = {}  # frames, features

    def forward(self, frames: Tensor) -> Tensor:
        """Features of frames: (N, 3, H, W) → (N, c, h, w)."""
        last, features = self.cache.get(frames.shape, (None, None))
        if features is None or last is None or not torch.equal(frames, last):
            features = self.trunk(frames)
            self.cache[frames.shape] = (frames, features)
        return features


def cached(trunk: nn.Sequential) -> nn.Sequential:
    """The trunk as a `CachedTrunk`, in a sequence of its own; itself if it is one."""
    if isinstance(trunk[0], CachedTrunk):
        return trunk
    return nn.Sequential(CachedTrunk(trunk))


class CachedSounds:
    """A function of sounds, (n, …) → (n, …), that computes equal sounds once."""

    def __init__(self, compute: Callable[[Tensor], Tensor]) -> None:
        self.compute = compute
        self.cache: OrderedDict[bytes, Tensor] = OrderedDict()

    def __call__(self, sounds: Tensor) -> Tensor:
        """Features of sounds. Sounds that are new are computed as one batch."""
        rows = sounds.detach().cpu().numpy()
        keys = [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]
        places = {key: n for n, key in enumerate(keys) if key not in self.cache}
        if places:
            new = self.compute(sounds[list(places.values())])
            self.cache |= dict(zip(places, new, strict=True))
        found = torch.stack([self.cache[key] for key in keys])
        while len(self.cache) * found[0].nbytes > CACHE_BYTES:
            self.cache.popitem(last=False)
        return found
