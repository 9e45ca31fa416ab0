"""Densities of the classes as a classifier. Sources: Hastie et al. 2009, section 4.3; Burda et al. 2016."""

import numpy as np
from torch.distributions import MultivariateNormal

from aevae.checks import check, randn
from aevae.checks.bounds import covariance
from aevae.metrics import class_densities as densities

PIXELS, HIDDEN, CODE = 12, 7, 3


def nets() -> dict[str, np.ndarray]:
    """Weights of ten small VAEs, float64, in the format of `class_densities.layers`."""
    shapes = {
        "w1": (HIDDEN, PIXELS), "b1": (HIDDEN,), "wm": (CODE, HIDDEN), "bm": (CODE,), "wv": (CODE, HIDDEN),
        "bv": (CODE,), "w2": (HIDDEN, CODE), "b2": (HIDDEN,), "w3": (PIXELS, HIDDEN), "b3": (PIXELS,),
    }  # fmt: skip
    return {name: randn(10, *shape, seed=i).numpy() for i, (name, shape) in enumerate(shapes.items())}


def binary(count: int = 9) -> np.ndarray:
    return (randn(count, PIXELS, seed=20) > 0).double().numpy()


@check("two Gaussian densities with one covariance classify like LDA: log-odds w x + c, w = S^-1 (m1 - m2)", 1e-10)
def generative_is_lda():
    x, (m1, m2), cov = randn(50, 5), randn(2, 5, seed=1), covariance(2)
    shares = densities.softmax(np.stack([MultivariateNormal(m, cov).log_prob(x).numpy() for m in (m1, m2)], 1))
    w = (m1 - m2) @ cov.inverse()
    line = x @ w - 0.5 * (m1 + m2) @ w
    return np.abs(np.log(shares[:, 0] / shares[:, 1]) - line.numpy()).max()


@check("another order of the classes only permutes their scores", 0)
def order_permutes():
    eps, order = randn(4, CODE, seed=21).numpy(), np.random.default_rng(0).permutation(10)
    turned = {name: value[order] for name, value in nets().items()}
    return np.abs(densities.scores(turned, binary(), eps) - densities.scores(nets(), binary(), eps)[:, order]).max()


@check("density of a class with R samples >= mean of the R bounds with one sample: largest violation", 1e-12)
def draws_only_help():
    eps = randn(16, CODE, seed=22).numpy()
    one = np.mean([densities.scores(nets(), binary(), eps[r : r + 1]) for r in range(16)], 0)
    many = densities.scores(nets(), binary(), eps)
    return max(0.0, (one - many).max()) if (many - one).mean() > 0.1 else np.inf
