"""Maps of numbers: what a model with a codebook makes of images, and images of maps that no image was made into.

A map is int64 (N, side, side) of numbers 0..K-1; a model has one for each level, the top one first.
"""

import re

import numpy as np

PATCH_CELLS = 3  # cells across what `atlas` shows of a vector
EDITS = re.compile(r"\d{1,4}:\d{1,4}(,\d{1,4}:\d{1,4}){0,195}")  # cell:number, as an address keeps them


def indices(run, images: np.ndarray) -> list[np.ndarray]:
    """Numbers of the vectors that images float32 (N, 1, 28, 28) in [0, 1] are made into."""
    import torch

    with torch.inference_mode():
        return [level.cpu().numpy() for level in run.model.indices(_tensor(run, images))]


def decode(run, indices: list[np.ndarray]) -> np.ndarray:
    """Images float32 (N, 1, 28, 28) of each level's numbers (N, side, side)."""
    import torch

    with torch.inference_mode():
        return run.model.decode_indices([_tensor(run, level) for level in indices]).cpu().numpy()


def vectors(run, level: int = 0) -> np.ndarray:
    """The codebook (K, D) of a level."""
    return run.model.quantisers[level].codebook.vectors.detach().cpu().numpy()


def use(indices: np.ndarray, count: int) -> np.ndarray:
    """How often each of `count` vectors is chosen in a map of numbers: shares (count,) that sum to 1."""
    return np.bincount(np.ravel(indices), minlength=count) / max(np.size(indices), 1)


def perplexity(share: np.ndarray) -> float:
    """exp of the entropy of shares (K,): 1 if it is always one vector, K if all are used alike."""
    some = share[share > 0]
    return float(np.exp(-(some * np.log(some)).sum()))


def background(run) -> list[np.ndarray]:
    """The maps (1, side, side) of a black image."""
    return indices(run, np.zeros((1, 1, 28, 28), np.float32))


def atlas(run, indices: list[np.ndarray], level: int = 0) -> np.ndarray:
    """What each vector is used for: float32 (K, p, p), p = the pixels of `PATCH_CELLS` cells.

    The mean of what is painted around the cells that chose it, in the images of these maps; black where none did.
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


def edits_text(edits) -> str | None:
    """Changes [[cell, number], ...] of a map as text for an address; None for anything else."""
    if not isinstance(edits, list) or not all(
        isinstance(e, list) and [type(n) for n in e] == [int, int] for e in edits
    ):
        return None
    text = ",".join(f"{cell}:{number}" for cell, number in edits)
    return text if not text or EDITS.fullmatch(text) else None


def read_edits(text: str, cells: int, count: int) -> list[list[int]]:
    """The changes in such a text that fit a map of `cells` cells and `count` vectors."""
    found = [[int(n) for n in part.split(":")] for part in text.split(",")] if EDITS.fullmatch(text) else []
    return [[cell, number] for cell, number in found if cell < cells and number < count]


def draw(run, count: int, seed: int, prior: str = "learnt") -> list[np.ndarray]:
    """`count` maps of each level: drawn from the learnt prior; `uniform`: every cell for itself, each vector alike.

    `use`: every cell for itself, as often as the prior's draws use each vector. Raises ValueError for another word.
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
    """Of two images (1, 28, 28) by a model of two levels: (4, 1, 28, 28).

    a, top of a with bottom of b, top of b with bottom of a, b; the first and the last are reconstructions.
    """
    top, bottom = indices(run, np.stack([a, b]))
    return decode(run, [top[[0, 0, 1, 1]], bottom[[0, 1, 0, 1]]])


def lone(run, image: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """What the top of an image (1, 28, 28) says alone, by a model of two levels: (2 + draws, 1, 28, 28).

    Its reconstruction; its top with the bottom of a black image; its top with bottoms drawn given it.
    """
    import torch

    top, bottom = indices(run, image[None])
    model, side = run.model, bottom.shape[1]
    chance = np.random.default_rng(seed).random((draws, side, side)).astype(np.float32)
    with torch.inference_mode():
        context = model.prior_context([_tensor(run, np.repeat(top, draws, axis=0))])
        drawn = model.priors[1].draw(_tensor(run, chance), context).cpu().numpy()
    return decode(run, [np.repeat(top, 2 + draws, axis=0), np.concatenate([bottom, background(run)[1], drawn])])


def _tensor(run, array: np.ndarray):
    import torch

    return torch.tensor(array).to(run.device)
