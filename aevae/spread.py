"""Statistics beside a mean over images: the median, and the share of the ten worst images in the sum.

A single image can dominate the mean of an unbounded cost. For N test images with costs c_1 >= c_2 >= ... >= c_N

    <term>_median = median(c),    <term>_worst10 = (c_1 + ... + c_10) / (c_1 + ... + c_N)

For equal costs, ten images of 10,000 have a share of 0.001. The share is undefined for negative costs, and for -log of
a pixel density (Gaussian, Laplace, continuous Bernoulli), whose zero point depends on the unit of a pixel. `elbo` and
`iwae` are gains: their cost is the negative value, their median keeps the sign.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # listings import this module without torch
    from aevae.outputs import Loss

NUM_WORST = 10  # images
GAINS = ("elbo", "iwae")  # terms for which larger is better
ROUNDING = 1e-3  # nats; rounding error of a float32 sum over 784 pixels, which may make a cost of 0 negative
SHARE = "fraction of the sum"  # unit
MEDIAN, WORST = "_median", f"_worst{NUM_WORST}"


def worst_share(costs: np.ndarray, count: int = NUM_WORST) -> float | None:
    """Share of the `count` largest costs in the sum of costs (N,), 0..1; 1 if N <= count.

    None if a cost is negative or all are 0.
    """
    costs = np.asarray(costs, np.float64)
    if not len(costs) or costs.min() < -ROUNDING or costs.mean() <= ROUNDING:
        return None
    costs = np.sort(costs.clip(0))
    return float(costs[-count:].sum() / costs.sum())


def spread(values: Mapping[str, np.ndarray], without_share: Collection[str] = ()) -> dict[str, float]:
    """`<term>_median` and `<term>_worst10` of each term's values (N,), and `kl_max`, the largest KL in nats.

    Terms in `without_share`, and terms for which `worst_share` is None, have only a median.
    """
    found: dict[str, float] = {}
    for name, each in values.items():
        found[name + MEDIAN] = float(np.median(each))
        share = None if name in without_share else worst_share(-each if name in GAINS else each)
        if share is not None:
            found[name + WORST] = share
    if "kl" in values:
        found["kl_max"] = float(np.max(values["kl"]))
    return found


def units(terms: Mapping[str, str]) -> dict[str, str]:
    """Name -> unit of the results of `spread`. terms: name -> unit of each term."""
    medians = {name + MEDIAN: unit for name, unit in terms.items()}
    return medians | {name + WORST: SHARE for name in terms} | ({"kl_max": terms["kl"]} if "kl" in terms else {})


class Tally:
    """Accumulates the losses of the batches of a test set."""

    def __init__(self):
        self._sums: dict[str, float] = {}
        self._values: dict[str, list[np.ndarray]] = {}
        self._images = 0

    def add(self, loss: "Loss", images: int) -> None:
        """Add the loss of the next batch. images: number of images in the batch."""
        self._images += images
        for name, term in {**loss.terms, "objective": loss.total}.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(term) * images
        for name, each in loss.per_image.items():
            self._values.setdefault(name, []).append(each.cpu().double().numpy())

    def means(self) -> dict[str, float]:
        """Mean of each term over the images, and the `objective`."""
        return {name: total / self._images for name, total in self._sums.items()}

    def per_image(self, draws: int = 1) -> dict[str, np.ndarray]:
        """Name -> values (N,) of each term that has values per image, averaged over `draws` passes over the images."""
        return {name: np.concatenate(parts).reshape(draws, -1).mean(0) for name, parts in self._values.items()}
