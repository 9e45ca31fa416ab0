"""Density, score and optimal denoiser of a mixture of Gaussians, in closed form.

A denoising autoencoder estimates this score (Vincent 2011; Alain & Bengio 2014, JMLR 15:3743). All functions are of
p_sigma = p * N(0, sigma^2 I), p = sum_k weight_k N(mean_k, std_k^2 I). Shapes: x (B, n), weights and stds (K,), means
(K, n).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mixture:
    """p(x) = sum_k weights_k N(x; means_k, stds_k^2 I)."""

    weights: Tensor  # (K,), sum 1
    means: Tensor  # (K, n)
    stds: Tensor  # (K,)

    def _joint(self, x: Tensor, sigma: float) -> Tensor:
        """log weight_k N(x; mean_k, (std_k^2 + sigma^2) I): (B, K)."""
        variance = self.stds.square() + sigma**2
        distance = (x.unsqueeze(1) - self.means).square().sum(2)
        normaliser = x.shape[1] / 2 * torch.log(2 * math.pi * variance)
        return self.weights.log() - normaliser - distance / (2 * variance)

    def log_density(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """log p_sigma(x), (B,), in nats."""
        return self._joint(x, sigma).logsumexp(1)

    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        """grad log p_sigma(x), (B, n): sum_k w_k(x) (mean_k - x) / (std_k^2 + sigma^2)."""
        share = self._joint(x, sigma).softmax(1) / (self.stds.square() + sigma**2)  # (B, K)
        return share @ self.means - x * share.sum(1, keepdim=True)

    def denoised(self, noisy: Tensor, sigma: float) -> Tensor:
        """E[x | noisy], (B, n), for noisy = x + sigma eps: the output of an optimal denoising autoencoder."""
        share = self._joint(noisy, sigma).softmax(1)
        trust = self.stds.square() / (self.stds.square() + sigma**2)  # weight of the noisy image, per component
        return noisy * (share @ trust).unsqueeze(1) + (share * (1 - trust)) @ self.means
