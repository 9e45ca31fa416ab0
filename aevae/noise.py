"""Random tensors of a model, from a torch generator or drawn in advance.

`torch.func.vmap`, which trains several models as one, cannot use several generators. Therefore the random tensors of a
step are drawn in advance, for each model from its own generator, and then replayed.
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor


class ReplayRng:
    """A source that returns the tensors in `draws`, in order."""

    def __init__(self, draws: Sequence[Tensor]):
        self.draws = list(draws)

    def next(self) -> Tensor:
        return self.draws.pop(0)


class RecordingRng:
    """A generator that records (function, shape) of every call in `requests`."""

    def __init__(self, generator: Generator):
        self.generator = generator
        self.requests: list[tuple] = []


def normal(shape: Sequence[int], source: "Generator | ReplayRng | RecordingRng", like: Tensor) -> Tensor:
    """N(0, 1) samples of this shape, with the dtype and device of `like`."""
    return _draw(torch.randn, shape, source, like)


def uniform(shape: Sequence[int], source: "Generator | ReplayRng | RecordingRng", like: Tensor) -> Tensor:
    """Uniform samples in [0, 1) of this shape, with the dtype and device of `like`."""
    return _draw(torch.rand, shape, source, like)


def _draw(kind, shape, source, like: Tensor) -> Tensor:
    if isinstance(source, ReplayRng):
        return source.next()
    if isinstance(source, RecordingRng):
        source.requests.append((kind, tuple(shape)))
        source = source.generator
    dtype = like.dtype if source.device.type == like.device.type else torch.float32  # not all devices have float64
    return kind(tuple(shape), generator=source, device=source.device, dtype=dtype).to(like.device).to(like.dtype)


def predraw(requests: Sequence[tuple], generators: Sequence[Generator], like: Tensor) -> list[Tensor]:
    """The random tensors for `RecordingRng.requests`, (M, *shape) each: drawn from each of M generators and stacked."""
    draws = [[_draw(kind, shape, generator, like) for kind, shape in requests] for generator in generators]
    return [torch.stack(each) for each in zip(*draws, strict=True)]
