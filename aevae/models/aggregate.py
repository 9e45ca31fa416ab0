"""The aggregate posterior q(z) = (1/N) sum_i q(z|x_i), and the decomposition of a VAE's KL with it.

E_x KL(q(z|x) || p(z)) = I_q(x; z) + TC + sum_j KL(q(z_j) || p(z_j)): the mutual information of code and image index,
the total correlation TC = KL(q(z) || prod_j q(z_j)), and the dimension-wise KL.
Hoffman & Johnson 2016; Chen et al. 2018 (beta-TCVAE), arXiv:1802.04942, eq. 2.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from aevae.units import NATS

PARTS = ("index_code_mi", "total_correlation", "dimensionwise_kl")
UNITS = dict.fromkeys(PARTS, NATS) | {"aggregate_images": "images"}
MAX_IMAGES = 10_000  # largest N: components of the mixture q(z)
MAX_SAMPLES = 1000  # samples over which log q(z) is averaged
BLOCK_DENSITIES = 1 << 18  # densities in memory at a time: 2 MB in float64


def evenly(images: int, count: int) -> Tensor:
    """Indices (count,) in 0..images-1, evenly spaced, because MNIST's first test digits are easier than the last."""
    return torch.arange(count) * images // count


def decompose(mu: Tensor, logvar: Tensor, eps: Tensor, kl: Tensor) -> dict[str, float]:
    """The three parts over N posteriors, in nats; they add up to `kl.sum()`.

    mu, logvar: (N, D); eps: (M, D), N(0, 1) noise for the images `evenly(N, M)`; kl: (D,), mean KL of each dimension
    over these images. q(z) is the exact mixture of all N posteriors, so I <= log N. If the posteriors do not overlap,
    the estimate of I is log N, whatever the true I is. Sums are in float64. The noise is scaled to mean square 1, which
    makes E log q(z|x) exact, and a collapsed code gives exactly 0, 0, 0.
    """
    mu, logvar, eps, kl = (t.cpu().double() for t in (mu, logvar, eps, kl))
    rows = evenly(len(mu), len(eps))
    z = mu[rows] + torch.exp(0.5 * logvar[rows]) * eps / eps.square().mean(0).sqrt()
    own = -0.5 * (logvar[rows] + 1 + math.log(2 * math.pi)).mean(0).sum()  # E log q(z|x)
    joint, single = (torch.cat(parts).mean(0) for parts in zip(*_densities(z, mu, logvar), strict=True))
    parts = own - joint, joint - single.sum(), single.sum() - own + kl.sum()
    return dict(zip(PARTS, map(float, parts), strict=True))


def _densities(z: Tensor, mu: Tensor, logvar: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """log q(z) (n,) and log q(z_j) (n, D) of z (M, D), n rows at a time; q: the mixture of N(mu_i, exp logvar_i)."""
    mu, scale, shift = mu.T.contiguous(), -0.5 * torch.exp(-logvar).T, -0.5 * (logvar + math.log(2 * math.pi)).T
    scale, shift, images = scale.contiguous(), shift.contiguous(), mu.shape[1]
    for rows in z.split(max(1, BLOCK_DENSITIES // images)):
        joint, single = rows.new_zeros(len(rows), images), []
        for j in range(z.shape[1]):
            each = (rows[:, j, None] - mu[j]).square_().mul_(scale[j]).add_(shift[j])  # (n, N), in place: 1.6 x faster
            joint += each
            single.append(each.exp_().sum(1).log())  # the sum is not 0, as it includes z's own posterior
        yield joint.logsumexp(1) - math.log(images), torch.stack(single, 1) - math.log(images)


def minibatch_total_correlation(z: Tensor, mu: Tensor, logvar: Tensor, images: Tensor) -> Tensor:
    """Estimate of TC, a scalar in nats with gradient, from a batch z, mu, logvar (B, D) of a training set.

    images: scalar, the size N of the training set. q(z) is estimated by stratified sampling: weight 1/N for a code's
    own posterior, the other posteriors of the batch represent the rest. arXiv:1802.04942, appendix C.2. Biased, because
    of the logarithm; 0 for a single image.
    """
    each = log_normal(z[:, None], mu, logvar)  # (B, B, D): log q(z_a,j | x_b)
    weights = stratified(len(z), images).log()
    joint = (weights + each.sum(2)).logsumexp(1)
    single = (weights.unsqueeze(2) + each).logsumexp(1)  # (B, D)
    return (joint - single.sum(1)).mean()


def stratified(batch: int, images: Tensor) -> Tensor:
    """Weights (B, B) of x_b in the estimate of q(z_a); each row sums to 1."""
    own = torch.eye(batch, dtype=images.dtype, device=images.device)
    if batch == 1:
        return own
    count, others = images.clamp(min=batch), batch - 1
    rest = (count - others) / (count * others)  # weight of the image that represents all images outside the batch
    return 1 / others + own * (1 / count - 1 / others) + own.roll(1, 1) * (rest - 1 / others)


def log_normal(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """log N(z; mu, exp logvar), element by element."""
    return -0.5 * ((z - mu).square() * torch.exp(-logvar) + logvar + math.log(2 * math.pi))
