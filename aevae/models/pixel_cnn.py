"""PixelCNN: an exact distribution over grids of indices, p(k) = prod_i p(k_i | k_1 .. k_{i-1}), in raster order.

van den Oord et al. 2016, arXiv:1601.06759 (masks A and B) and arXiv:1606.05328 (gates). A cell's distribution depends
only on the cells above it and to the left in its own row. One pass gives the distributions of all cells, so the
probability of a grid is cheap; sampling goes cell by cell, and computes each layer only at that cell.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EMBEDDING_DIM = 16  # size of the embedding of an index


class Causal(nn.Conv2d):
    """A masked convolution, h (B, in, h, w) -> (B, out, h, w), of the rows above and the cells to the left.

    own: include the cell itself (mask B) or not (mask A). The kernel has no rows below the cell.
    """

    mask: Tensor

    def __init__(self, channels_in: int, channels_out: int, size: int, own: bool):
        self.reach = size // 2
        super().__init__(channels_in, channels_out, (self.reach + 1, size))
        mask = torch.ones(self.reach + 1, size)
        mask[-1, self.reach + own :] = 0
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, h: Tensor) -> Tensor:
        return self._see(F.pad(h, (self.reach, self.reach, self.reach, 0)))

    def margin(self, count: int, height: int, width: int) -> Tensor:
        """Zeros (count, in, height + reach, width + 2 reach): a grid with the border that `at` needs."""
        return self.weight.new_zeros(count, self.in_channels, height + self.reach, width + 2 * self.reach)

    def put(self, margined: Tensor, i: int, j: int, h: Tensor) -> None:
        """Write h (B, in) into cell (i, j) of a grid with border."""
        margined[:, :, i + self.reach, j + self.reach] = h

    def at(self, margined: Tensor, i: int, j: int) -> Tensor:
        """The result of `forward` in cell (i, j), (B, out, 1, 1), of a grid with border; later cells are not read."""
        return self._see(margined[:, :, i : i + self.reach + 1, j : j + 2 * self.reach + 1])

    def _see(self, h: Tensor) -> Tensor:
        return F.conv2d(h, self.weight * self.mask, self.bias)


class Gate(nn.Module):
    """h + W (tanh a * sigmoid b), (a, b) = a masked 3x3 convolution of h (arXiv:1606.05328, eq. 2)."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = Causal(width, 2 * width, 3, own=True)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, h: Tensor) -> Tensor:
        return self.mix(h, self.conv(h))

    def mix(self, h: Tensor, seen: Tensor) -> Tensor:
        a, b = seen.chunk(2, 1)
        return h + self.out(a.tanh() * b.sigmoid())


class PixelCNN(nn.Module):
    """p(k) of grids k (B, side, side) of indices 0..codes-1, optionally given a `context` (B, features, h, w)."""

    gates: Any  # a ModuleList of Gate

    def __init__(self, side: int, codes: int, features: int, layers: int):
        super().__init__()
        self.embed = nn.Embedding(codes, EMBEDDING_DIM)
        self.first = Causal(EMBEDDING_DIM, features, 7, own=False)
        self.place = nn.Parameter(torch.zeros(features, side, side))  # an offset per cell; the name is in saved weights
        self.gates = nn.ModuleList(Gate(features) for _ in range(layers))
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(features, codes, 1))

    def forward(self, indices: Tensor, context: Tensor | None = None) -> Tensor:
        """Logits (B, codes, h, w) of every cell, each given the cells before it."""
        return self.logits(self.embed(indices).movedim(-1, 1), context)

    def logits(self, h: Tensor, context: Tensor | None = None) -> Tensor:
        """`forward` for embedded indices h (B, EMBEDDING_DIM, h, w)."""
        h = self.first(h) + self.condition(context)
        for gate in self.gates:
            h = gate(h)
        return self.head(h)

    def condition(self, context: Tensor | None) -> Tensor:
        return self.place if context is None else self.place + context

    def nll(self, indices: Tensor, context: Tensor | None = None) -> Tensor:
        """-log p(k) (B,), in nats, of grids `indices` (B, h, w)."""
        return F.cross_entropy(self(indices, context), indices, reduction="none").flatten(1).sum(1)

    @torch.no_grad()
    def sample_indices(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        """Grids (B, h, w) int64 sampled from uniform numbers u (B, h, w) in [0, 1), cell by cell by inverse transform.

        Each layer caches its inputs, so all cells together cost about one pass.
        """
        indices = torch.zeros_like(u, dtype=torch.int64)
        condition = self.condition(context).expand(len(u), -1, -1, -1)
        layers = [self.first, *(gate.conv for gate in self.gates)]
        given = [layer.margin(*u.shape) for layer in layers]
        for i in range(u.shape[1]):
            for j in range(u.shape[2]):
                h = self.first.at(given[0], i, j) + condition[:, :, i : i + 1, j : j + 1]
                for gate, below in zip(self.gates, given[1:], strict=True):
                    gate.conv.put(below, i, j, h[:, :, 0, 0])
                    h = gate.mix(h, gate.conv.at(below, i, j))
                indices[:, i, j] = inverse_cdf(self.head(h)[:, :, 0, 0], u[:, i, j])
                self.first.put(given[0], i, j, self.embed(indices[:, i, j]))
        return indices


def inverse_cdf(logits: Tensor, u: Tensor) -> Tensor:
    """The smallest k with u < P(0) + .. + P(k), P = softmax(logits (B, K)); u (B,) in [0, 1). Returns (B,) int64."""
    below = logits.softmax(1).cumsum(1)
    return (below <= u[:, None]).sum(1).clamp(max=logits.shape[1] - 1)  # the rounded sum may be below 1
