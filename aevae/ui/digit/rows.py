"""Which test images the picker's row shows, and in which order."""

from collections.abc import Sequence

import numpy as np

NUM_SHOWN = 10  # images in a row


def in_order(labels: np.ndarray, first: Sequence[int] = ()) -> np.ndarray:
    """All image numbers, mixed: one of each class, then another of each class, and so on.

    first: images that come before the others of their class.
    """
    mixed = np.random.default_rng(0).permutation(len(labels))
    mixed = np.concatenate([np.array(first, int), mixed[~np.isin(mixed, first)]])
    rank = np.empty(len(labels), int)  # place within its class
    for c in np.unique(labels):
        of_class = mixed[labels[mixed] == c]
        rank[of_class] = np.arange(len(of_class))
    return np.lexsort((labels, rank))


def handful(
    labels: np.ndarray, wanted: int, turn: int, chosen: int, first: Sequence[int] = (), count: int = NUM_SHOWN
) -> list[int]:
    """Numbers of `count` images of class `wanted` (-1: all), others at each turn; they include `chosen` if it fits."""
    pool = in_order(labels, first)
    pool = pool if wanted < 0 else pool[labels[pool] == wanted]
    shown = np.roll(pool, -turn * count)[:count].tolist()
    if chosen in shown or chosen not in pool:
        return shown
    same = [i for i, number in enumerate(shown) if labels[number] == labels[chosen]]
    shown[same[0] if same else 0] = int(chosen)
    return shown
