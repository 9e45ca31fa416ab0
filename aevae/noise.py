"""Where a model's chance comes from: a torch generator, or draws that were made beforehand.

`torch.func.vmap`, which trains several models as one, cannot draw from several generators. So the draws of a step are
made first, each model's from its own generator, just as it would have made them alone, and handed out in order.
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor


class Prepared:
    """Hands out `draws`, in order."""

    def __init__(self, draws: Sequence[Tensor]):
        self.draws = list(draws)

    def next(self) -> Tensor:
        return self.draws.pop(0)


class Noted:
    """Draws from a generator, and notes kind and shape of each draw in `asked`."""

    def __init__(self, generator: Generator):
        self.generator = generator
        self.asked: list[tuple] = []


def normal(shape: Sequence[int], source: "Generator | Prepared | Noted", like: Tensor) -> Tensor:
    """N(0, 1) of `shape`, in the dtype and on the device of `like`."""
    return _draw(torch.randn, shape, source, like)


def uniform(shape: Sequence[int], source: "Generator | Prepared | Noted", like: Tensor) -> Tensor:
    """Uniform in [0, 1) of `shape`, in the dtype and on the device of `like`."""
    return _draw(torch.rand, shape, source, like)


def _draw(kind, shape, source, like: Tensor) -> Tensor:
    if isinstance(source, Prepared):
        return source.next()
    if isinstance(source, Noted):
        source.asked.append((kind, tuple(shape)))
        source = source.generator
    dtype = like.dtype if source.device.type == like.device.type else torch.float32  # not all devices have float64
    return kind(tuple(shape), generator=source, device=source.device, dtype=dtype).to(like.device).to(like.dtype)


def prepare(asked: Sequence[tuple], generators: Sequence[Generator], like: Tensor) -> list[Tensor]:
    """The draws that `Noted.asked` lists, from each generator in turn, stacked: (M, *shape) each."""
    drawn = [[_draw(kind, shape, generator, like) for kind, shape in asked] for generator in generators]
    return [torch.stack(draws) for draws in zip(*drawn, strict=True)]
