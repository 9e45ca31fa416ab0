"""What a mean over images hides: the median beside it, and the share that the ten worst images have in the sum.

A cost without a bound can be ruined by one image. Of a test set of N images with costs c_1 >= c_2 >= ... >= c_N

    <term>_median = median(c),    <term>_worst10 = (c_1 + ... + c_10) / (c_1 + ... + c_N)

Ten images of 10,000 with equal costs have a share of 0.001. Negative costs have no share: their sum may be 0. Nor has
-log of a density of the pixels (Gaussian, Laplace, continuous Bernoulli), which depends on the unit of a pixel up to a
constant. `elbo` and `iwae` are gains: their cost is the negative, their median keeps the sign.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # listings, which import no torch, know these numbers
    from aevae.outputs import Loss

NUM_WORST = 10  # images
GAINS = ("elbo", "iwae")  # terms of which more is better
ROUNDING = 1e-3  # nats; float32 sums over 784 pixels of a cost that is >= 0 may be this far below 0
SHARE = "fraction of the sum"  # unit
MEDIAN, WORST = "_median", f"_worst{NUM_WORST}"


def worst_share(costs: np.ndarray, count: int = NUM_WORST) -> float | None:
    """Share of the `count` largest of costs (N,) in their sum, 0..1; 1 if N <= count.

    None where a cost is negative, or where all are 0.
    """
    costs = np.asarray(costs, np.float64)
    if not len(costs) or costs.min() < -ROUNDING or costs.mean() <= ROUNDING:
        return None
    costs = np.sort(costs.clip(0))
    return float(costs[-count:].sum() / costs.sum())


def spread(values: Mapping[str, np.ndarray], without_share: Collection[str] = ()) -> dict[str, float]:
    """`<term>_median` and `<term>_worst10` of the values (N,) of each term, and `kl_max`, the largest KL in nats.

    Terms `without_share`, and those whose costs have none (see `worst_share`), have the median alone.
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
    """Units of the numbers of `spread`, of terms with these units."""
    medians = {name + MEDIAN: unit for name, unit in terms.items()}
    return medians | {name + WORST: SHARE for name in terms} | ({"kl_max": terms["kl"]} if "kl" in terms else {})


class Tally:
    """Adds up the losses of batches of a test set."""

    def __init__(self):
        self._sums: dict[str, float] = {}
        self._values: dict[str, list[np.ndarray]] = {}
        self._images = 0

    def add(self, loss: "Loss", images: int) -> None:
        """The loss of the next batch, of so many images."""
        self._images += images
        for name, term in {**loss.terms, "objective": loss.total}.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(term) * images
        for name, each in loss.per_image.items():
            self._values.setdefault(name, []).append(each.cpu().double().numpy())

    def means(self) -> dict[str, float]:
        """Mean of each term over the images, and the `objective`."""
        return {name: total / self._images for name, total in self._sums.items()}

    def per_image(self, draws: int = 1) -> dict[str, np.ndarray]:
        """Values (N,) of each term that has them; means over `draws` passes through the same images."""
        return {name: np.concatenate(parts).reshape(draws, -1).mean(0) for name, parts in self._values.items()}
