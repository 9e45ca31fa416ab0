"""Loss terms: pure functions, per image, in nats; sums over pixels or latents. Batch means are taken elsewhere."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def sse(x: Tensor, x_hat: Tensor) -> Tensor:
    """Squared error summed over pixels. x, x_hat: (B, ...). Returns (B,)."""
    return (x - x_hat).square().flatten(1).sum(1)


def bernoulli_nll(x: Tensor, logits: Tensor) -> Tensor:
    """-log Bernoulli(x; sigmoid(logits)) summed over pixels (B,), in nats.

    For grey x in [0, 1] this is the cross-entropy, a pseudo-likelihood: its floor is the entropy of the grey pixels,
    not 0. Kingma & Welling 2014, arXiv:1312.6114, appendix C.1.
    """
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


def gaussian_nll(x: Tensor, mean: Tensor, logvar: Tensor | float) -> Tensor:
    """-log N(x; mean, exp(logvar)) summed over pixels (B,), in nats. `logvar`: scalar, or like x.

    Minimal in one shared variance at s^2 = SSE / D (Rybkin et al. 2021, arXiv:2006.13202).
    """
    logvar = torch.as_tensor(logvar, dtype=x.dtype, device=x.device)
    return (0.5 * ((x - mean).square() * torch.exp(-logvar) + logvar + math.log(2 * math.pi))).flatten(1).sum(1)


def gaussian_kl_per_dim(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu_j, exp logvar_j) || N(0, 1)) of each latent. mu, logvar: (B, D). Returns (B, D), >= 0."""
    return 0.5 * (mu.square() + logvar.exp() - logvar - 1)


def gaussian_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, diag exp logvar) || N(0, I)) per image, in nats.

    mu, logvar: (B, D). Returns (B,), >= 0, zero iff mu = 0 and logvar = 0.
    Closed form: Kingma & Welling 2014, arXiv:1312.6114, appendix B.
    """
    return gaussian_kl_per_dim(mu, logvar).sum(1)


def gaussian_kl_between(mu1: Tensor, logvar1: Tensor, mu2: Tensor, logvar2: Tensor) -> Tensor:
    """KL(N(mu1, diag exp logvar1) || N(mu2, diag exp logvar2)) per image (B,), in nats. All (B, D)."""
    ratio = torch.exp(logvar1 - logvar2) + (mu1 - mu2).square() * torch.exp(-logvar2)
    return 0.5 * (ratio - 1 + logvar2 - logvar1).sum(1)
