"""Codes that each name one factor. Source: Chen et al. 2018, arXiv:1802.04942, section 4."""

import itertools

import numpy as np

from aevae.checks import check
from aevae.metrics.disentanglement import entropy, information, mig


def factors() -> np.ndarray:
    """Every combination (N, 3) of factors of 4, 5 and 5 values."""
    return np.array(list(itertools.product(range(4), range(5), range(5))))


@check("MIG is 1 if the code is the factors, in any order, sign and scale", 1e-12)
def mig_aligned():
    true = factors().astype(float)
    return max(abs(mig(code, factors()) - 1) for code in (true, 7 - 3 * true[:, ::-1]))


@check("MIG is 0 if the code contains every factor twice", 1e-12)
def mig_twice():
    return abs(mig(np.hstack([factors(), factors()]).astype(float), factors()))


@check("MIG is 0 if two factors are rotated by 45 degrees", 1e-12)
def mig_turned():
    pair = factors()[:, 1:]
    return abs(mig((pair @ [[1, 1], [1, -1]]).astype(float), pair))


@check(
    "mutual information of a factor with itself is its entropy, the log of its number of values; with another factor 0",
    1e-12,
)
def information_table():
    table = information(factors().astype(float), factors())
    return np.abs(table - np.diag(np.log([4, 5, 5]))).max() + abs(entropy(factors()[:, 0]) - np.log(4))
