"""Grids of codebook indices of a VQ model: encoding, decoding, editing, sampling.

A grid is int64 (N, side, side) of indices 0..K-1. A model has one grid per level, the top level first.
"""

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

PATCH_CELLS = 3  # width of the patches of `atlas`, in cells
MAX_EDITS, MAX_INDEX = 196, 9999  # in a text of edits
EDITS = re.compile(rf"\d{{1,4}}:\d{{1,4}}(,\d{{1,4}}:\d{{1,4}}){{0,{MAX_EDITS - 1}}}")  # cell:index, as in addresses


def indices(run, images: np.ndarray) -> list[np.ndarray]:
    """Codebook indices (N, side, side) of each level for images float32 (N, 1, 28, 28) in [0, 1]."""
    import torch

    with torch.inference_mode():
        return [level.cpu().numpy() for level in run.model.indices(_tensor(run, images))]


def decode(run, indices: list[np.ndarray]) -> np.ndarray:
    """Images float32 (N, 1, 28, 28) decoded from each level's indices (N, side, side)."""
    import torch

    with torch.inference_mode():
        return run.model.decode_indices([_tensor(run, level) for level in indices]).cpu().numpy()


def vectors(run, level: int = 0) -> np.ndarray:
    """The codebook vectors (K, D) of a level."""
    return run.model.quantisers[level].codebook.vectors.detach().cpu().numpy()


def use(indices: np.ndarray, count: int) -> np.ndarray:
    """Relative frequency (count,) of each of `count` vectors in a grid of indices; sums to 1."""
    return np.bincount(np.ravel(indices), minlength=count) / max(np.size(indices), 1)


def perplexity(share: np.ndarray) -> float:
    """exp of the entropy of shares (K,): 1 if one vector is always used, K for uniform use."""
    some = share[share > 0]
    return float(np.exp(-(some * np.log(some)).sum()))


def background(run) -> list[np.ndarray]:
    """Indices (1, side, side) of each level for a black image."""
    return indices(run, np.zeros((1, 1, 28, 28), np.float32))


def atlas(run, indices: list[np.ndarray], level: int = 0) -> np.ndarray:
    """Mean image patch of each vector, float32 (K, p, p), p = width of `PATCH_CELLS` cells in pixels.

    The average over all patches around cells with this index, in the decoded images; black for unused vectors.
    """
    count, painted, chosen = len(vectors(run, level)), decode(run, indices)[:, 0], indices[level]
    cell = 28 // chosen.shape[1]
    margin = (PATCH_CELLS // 2) * cell
    padded = np.pad(painted, ((0, 0), (margin, margin), (margin, margin)))
    around = np.lib.stride_tricks.sliding_window_view(padded, (PATCH_CELLS * cell, PATCH_CELLS * cell), (1, 2))[
        :, ::cell, ::cell
    ]
    sums = np.zeros((count, PATCH_CELLS * cell, PATCH_CELLS * cell), np.float32)
    np.add.at(sums, chosen.ravel(), around.reshape(-1, *sums.shape[1:]))
    return sums / np.maximum(np.bincount(chosen.ravel(), minlength=count), 1)[:, None, None]


def edits_text(edits: list[list[int]]) -> str:
    """At most MAX_EDITS edits [[cell, index], ...] of a grid, numbers 0..MAX_INDEX, as text for an address."""
    return ",".join(f"{cell}:{number}" for cell, number in edits)


def read_edits(text: str, cells: int, count: int) -> list[list[int]]:
    """The valid edits in a text of `edits_text`, for a grid of `cells` cells and `count` vectors."""
    found = [[int(n) for n in part.split(":")] for part in text.split(",")] if EDITS.fullmatch(text) else []
    return [[cell, number] for cell, number in found if cell < cells and number < count]


def sample_indices(run, count: int, seed: int, prior: str = "learnt") -> list[np.ndarray]:
    """`count` grids of each level, sampled from the prior.

    prior: "learnt"; "uniform": independent cells, uniform over the vectors; "use": independent cells with the
    frequencies of samples of the learned prior. Raises ValueError for another name.
    """
    import torch

    if prior not in ("learnt", "uniform", "use"):
        raise ValueError(f"prior must be learnt, uniform or use, got {prior}")
    chance = np.random.default_rng(seed)
    sides = run.config.model.sides
    if prior == "uniform":
        return [chance.integers(0, run.config.model.codes, (count, side, side)) for side in sides]
    noise = chance.standard_normal((count, run.latent_dim)).astype(np.float32)
    with torch.inference_mode():
        drawn = [level.cpu().numpy() for level in run.model.prior_indices(_tensor(run, noise))]
    if prior == "use":
        return [chance.permutation(level.ravel()).reshape(level.shape) for level in drawn]
    return drawn


def swapped(run, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Two images (1, 28, 28) with exchanged levels, by a model of two levels: (4, 1, 28, 28).

    Reconstruction of a; top of a with bottom of b; top of b with bottom of a; reconstruction of b.
    """
    top, bottom = indices(run, np.stack([a, b]))
    return decode(run, [top[[0, 0, 1, 1]], bottom[[0, 1, 0, 1]]])


def lone(run, image: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """An image (1, 28, 28) with only its top level kept, by a model of two levels: (2 + draws, 1, 28, 28).

    Its reconstruction; its top with the bottom of a black image; its top with samples of the bottom given the top.
    """
    import torch

    top, bottom = indices(run, image[None])
    model, side = run.model, bottom.shape[1]
    chance = np.random.default_rng(seed).random((draws, side, side)).astype(np.float32)
    with torch.inference_mode():
        context = model.prior_context([_tensor(run, np.repeat(top, draws, axis=0))])
        drawn = model.priors[1].sample_indices(_tensor(run, chance), context).cpu().numpy()
    return decode(run, [np.repeat(top, 2 + draws, axis=0), np.concatenate([bottom, background(run)[1], drawn])])


def _tensor(run, array: np.ndarray) -> "Tensor":
    import torch

    return torch.tensor(array).to(run.device)
