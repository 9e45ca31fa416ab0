"""t-SNE: affinities, divergence, gradient. Source: van der Maaten & Hinton 2008, JMLR 9:2579."""

import numpy as np
import torch

from aevae.checks import check, randn
from aevae.embeddings import tsne
from aevae.embeddings.config import EmbedConfig, initial_positions, nearest_others
from aevae.embeddings.methods import compute_map

PERPLEXITY = 10.0


def points() -> np.ndarray:
    """Three clusters of points, (60, 5)."""
    return (randn(60, 5).numpy() + 4 * np.repeat(np.eye(3, 5), 20, 0)).astype(np.float32)


def affinities():
    """P (60, 60), a sparse matrix."""
    return tsne.affinities(points(), EmbedConfig("tsne", perplexity=PERPLEXITY), lambda *_: None).P


def divergence(y: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """KL(P || Q), Q of the points y (N, 2) by Student's t, from its definition."""
    w = 1 / (1 + (y[:, None] - y[None]).square().sum(2))
    q = w / (w.sum() - len(y))
    return (p[p > 0] * (p[p > 0] / q[p > 0]).log()).sum()


@check("t-SNE: each row of the affinities has the requested perplexity, relative", 1e-4)
def rows_have_the_perplexity():
    from openTSNE import affinity

    rows = affinity.joint_probabilities_nn(
        *nearest_others(points(), 30), [PERPLEXITY], symmetrize=False, normalization="point-wise"
    )
    nats = [-(row.data[row.data > 0] * np.log(row.data[row.data > 0])).sum() for row in rows]
    return np.abs(np.exp(nats) / PERPLEXITY - 1).max()


@check("t-SNE: P is symmetric, sums to 1, and no point is its own neighbour", 1e-12)
def affinities_are_joint():
    p = affinities().toarray()
    return max(abs(p.sum() - 1), np.abs(p - p.T).max(), p.diagonal().max())


@check("t-SNE: divergence and gradient 4 sum (P - Q)(y_i - y_j) / (1 + d^2) equal autograd's", 1e-9)
def gradient():
    p, y = affinities(), randn(60, 2, seed=1).requires_grad_()
    kl = divergence(y, torch.tensor(p.toarray()))
    (gradient,) = torch.autograd.grad(kl, y)
    ours, quarter = tsne.Exact(p, "cpu")(y.detach().numpy(), p, should_eval_error=True)
    return max(abs(ours - float(kl.detach())), np.abs(4 * quarter - gradient.numpy()).max())


@check("t-SNE: a rotated and shifted map has the same divergence", 1e-12)
def turned():
    p, y = torch.tensor(affinities().toarray()), randn(60, 2, seed=1)
    turn = torch.linalg.qr(randn(2, 2, seed=2))[0]
    return (divergence(y @ turn + 3, p) - divergence(y, p)).abs()


@check("t-SNE: the result has a smaller divergence than the start: remaining fraction", 0.5)
def divergence_falls():
    config = EmbedConfig("tsne", perplexity=PERPLEXITY)
    found = compute_map(points(), config)[0]
    p = torch.tensor(affinities().toarray())
    first = divergence(torch.tensor(np.asarray(initial_positions(points(), config.seed), np.float64)), p)
    return divergence(torch.tensor(found, dtype=torch.float64), p) / first
