"""Vector quantisation and priors over grids of indices. Sources: van den Oord et al. 2016, 2017; Razavi et al. 2019."""

import dataclasses
import itertools
import math
from typing import Any

import torch
from torch import Tensor

from aevae import losses
from aevae.checks import check, digits, randn, rng
from aevae.models import build_model
from aevae.models.blocks import Codebook
from aevae.models.pixel_cnn import EMBEDDING_DIM, PixelCNN, inverse_cdf
from aevae.models.vq_vae import Quantiser, VQVAEConfig, perplexity, smoothed, straight_through
from aevae.models.vq_vae2 import VQVAE2Config

SMALL: dict[str, Any] = {"codes": 12, "code_dim": 3, "prior_width": 8, "prior_layers": 1}


def model(config=None, **options) -> Any:
    """A small VQ model in float64."""
    return build_model(config or VQVAEConfig(**SMALL | options), seed=3).double()


def images(count: int = 4) -> Tensor:
    return digits(count).double()


def pixel_cnn(side: int, codes: int, layers: int = 2) -> PixelCNN:
    """A small PixelCNN whose weights are all far from 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = PixelCNN(side, codes, 6, layers).double()
        for p in net.parameters():
            torch.nn.init.normal_(p, std=0.7)
    return net.requires_grad_(False)


def every_map(side: int, codes: int) -> Tensor:
    """All possible grids (codes^(side^2), side, side)."""
    return torch.tensor(list(itertools.product(range(codes), repeat=side * side))).unflatten(1, (side, side))


@check("straight through: z_q in value and dL/dz_e = dL/dz_q, exactly", 0)
def straight():
    z_e, z_q = randn(2, 3, 4, 4).requires_grad_(), randn(2, 3, 4, 4, seed=1).requires_grad_()
    weight = randn(2, 3, 4, 4, seed=2)
    passed = straight_through(z_e, z_q)
    (to_e,) = torch.autograd.grad((passed.sin() * weight).sum(), z_e)
    (to_q,) = torch.autograd.grad((z_q.sin() * weight).sum(), z_q)
    return max((passed - z_q).abs().max(), (to_e - to_q).abs().max())


@check("the gradient of the codebook is 0 exactly on the rows that no cell chose", 0)
def used_rows():
    vq, x = model(codebook="gradient"), images()
    vq.loss(x).total.backward()
    moved = vq.quantisers[0].codebook.vectors.grad.abs().sum(1) > 0
    chosen = torch.zeros(12, dtype=torch.bool)
    chosen[vq.indices(x)[0].unique()] = True
    return (moved != chosen).sum() + chosen.all().long()  # if all were chosen, the check would be trivial


@check("the nearest vector equals the one found by comparing all", 0)
def nearest():
    book = Codebook(40, 5, learnt=False).double()
    book.vectors.copy_(randn(40, 5))
    z_e = randn(3, 5, 6, 6, seed=1)
    brute = torch.cdist(z_e.movedim(1, -1).reshape(-1, 5), book.vectors).argmin(1)
    return (book.indices(z_e).flatten() != brute).sum()


@check("quantising a row of the codebook returns the row and its index", 0)
def rows():
    book = Codebook(40, 5, learnt=False).double()
    book.vectors.copy_(randn(40, 5))
    z_e = book.vectors[:, :, None, None]
    return (book.indices(z_e).flatten() != torch.arange(40)).sum() + (book(z_e) - z_e).abs().max()


@check("perplexity is K for equal use, 1 for one vector, 2 sqrt 2 for use 2:1:1", 1e-12)
def perplexities():
    cases = ((torch.full((37,), 5.0), 37), (torch.tensor([0.0, 9, 0]), 1), (torch.tensor([2.0, 1, 1]), 2 * 2**0.5))
    return max(abs(perplexity(counts) - expected) for counts, expected in cases)


@check("moving averages with decay 0 are the means of the inputs that chose each vector (k-means)", 1e-4)
def batch_means():
    book = Quantiser(VQVAEConfig(codes=5, code_dim=2, decay=0.0, restart=False), cells=400).double()
    z_e = randn(1, 2, 20, 20)
    indices = book.codebook.indices(z_e)
    book.collect(z_e, indices, None)
    book.ema_update()
    cells, chose = z_e[0].flatten(1).T, indices.flatten()
    means = torch.stack([cells[chose == k].mean(0) for k in range(5)])
    return (book.codebook.vectors - means).abs().max()


@check("moving averages: N = sum g^(t-s) (1-g) n_s + g^t N_0, and e = m / N", 1e-5)
def memory():
    book = Quantiser(VQVAEConfig(codes=4, code_dim=2, decay=0.9, restart=False), cells=100).double()
    use, sums = book.use.clone(), book.sums.clone()
    for t in range(5):
        z_e = randn(2, 2, 10, 10, seed=t)
        indices = book.codebook.indices(z_e)
        book.collect(z_e, indices, None)
        book.ema_update()
        one_hot = torch.nn.functional.one_hot(indices.flatten(), 4).double()
        use = 0.9 * use + 0.1 * one_hot.sum(0) / 2
        sums = 0.9 * sums + 0.1 * one_hot.T @ z_e.movedim(1, -1).reshape(-1, 2) / 2
    return max((book.use - use).abs().max(), (book.codebook.vectors - sums / use[:, None]).abs().max())


@check("Laplace smoothing keeps the sum and gives every vector a count above 0", 1e-12)
def laplace():
    use = torch.tensor([3.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    after = smoothed(use)
    return (after.sum() - 4).abs() + (after <= 0).sum()


@check("codebook + b commitment = (1 + b) squared error in value", 1e-9)
def both_costs():
    vq, x = model(codebook="gradient", commitment=0.4), images()
    out = vq.loss(x)
    (z_e,) = vq.quantize_levels(x, lambda level, z_e: z_e)
    error = losses.sse(z_e, vq.quantisers[0](z_e)).mean()
    return (out.total - out.terms["recon"] - out.terms["prior"] - 1.4 * error).abs()


@check("elbo = -(recon + prior): p(x) >= p(k) p(x|k)", 1e-9)
def bound():
    vq, x = model(), images()
    z = vq.encode(x)
    joint = -vq.nll(x, vq.params(z)) - sum(vq.prior_nll(vq.indices(x)))
    return (joint.mean() - vq.loss(x).terms["elbo"]).abs()


@check("the gradient of the prior's cost reaches only the prior", 0)
def detached():
    vq = model(codebook="gradient")
    sum(vq.prior_nll(vq.indices(images()))).mean().backward()
    outside = [p.grad for name, p in vq.named_parameters() if not name.startswith("priors") and p.grad is not None]
    return sum((g.abs().sum() for g in outside), torch.zeros(())) + (vq.priors[0].embed.weight.grad.abs().sum() == 0)


@check("PixelCNN: d out[i] / d in[j] = 0 for every j >= i in raster order, exactly", 0)
def causality():
    net, side = pixel_cnn(5, 4), 5
    h = randn(1, EMBEDDING_DIM, side, side).requires_grad_()
    out = (net.logits(h) * randn(1, 4, side, side, seed=1)).sum(1).flatten()
    gradients = torch.stack([torch.autograd.grad(o, h, retain_graph=True)[0].abs().sum(1).flatten() for o in out])
    seen = gradients.diagonal(-1)  # gradient with respect to the previous cell in raster order
    return gradients.triu().max() + (seen == 0).reshape(-1)[: side - 1].sum()


@check("PixelCNN: the probabilities of all maps (2 x 2, K = 2 and 3) sum to 1", 1e-12)
def sums_to_one():
    errors = [pixel_cnn(2, k).nll(every_map(2, k)).neg().exp().sum() - 1 for k in (2, 3)]
    return max(error.abs() for error in errors)


@check("PixelCNN: sampling cell by cell equals one full pass with the same random numbers", 0)
def one_cell_at_a_time():
    net, context = pixel_cnn(6, 5), randn(20, 6, 6, 6)
    u = torch.rand(20, 6, 6, generator=rng(1), dtype=torch.float64)
    drawn = net.sample_indices(u, context)
    whole = net(drawn, context).movedim(1, -1).flatten(0, 2)  # (cells, K)
    return (inverse_cdf(whole, u.flatten()) != drawn.flatten()).sum() + (drawn.unique().numel() < 5)


@check("PixelCNN: the frequencies of sampled maps are their probabilities, in standard errors", 4.5)
def draws():
    net, n = pixel_cnn(2, 2), 4_000
    drawn = net.sample_indices(torch.rand(n, 2, 2, generator=rng(), dtype=torch.float64))
    p = net.nll(every_map(2, 2)).neg().exp()
    share = torch.bincount(drawn.flatten(1) @ torch.tensor([8, 4, 2, 1]), minlength=16) / n
    return ((share - p).abs() / (p * (1 - p) / n).sqrt()).max()


@check("a uniform prior costs 49 log2 K bits", 1e-4)
def uniform_prior():
    vq = model().requires_grad_(False)
    vq.priors[0].head[-1].weight.zero_()
    vq.priors[0].head[-1].bias.zero_()
    return abs(vq.metrics(images(), torch.zeros(4), rng())["prior_bits"] - 49 * math.log2(12))


@check("two levels: log p(k) = log p(top) + log p(bottom | top), and the second term depends on the top", 1e-9)
def two_levels():
    vq, x = model(VQVAE2Config(**SMALL)), images()
    top, bottom = vq.indices(x)
    p_top, p_bottom = vq.priors[0].nll(top), vq.priors[1].nll(bottom, vq.condition(top))
    other = vq.priors[1].nll(bottom, vq.condition((top + 1) % 12))
    return ((p_top + p_bottom).mean() - vq.loss(x).terms["prior"]).abs() + (p_bottom == other).sum()


@check("two levels: p(top) p(bottom | top) sums to 1 over all maps (1 x 1 and 2 x 2, K = 2)", 1e-12)
def two_levels_sum():
    top, bottom, context = pixel_cnn(1, 2), pixel_cnn(2, 2), randn(2, 6, 2, 2)
    p_top = top.nll(every_map(1, 2)).neg().exp()
    p_bottom = torch.stack([bottom.nll(every_map(2, 2), context[k : k + 1]).neg().exp() for k in range(2)])
    spread = (p_bottom[0] - p_bottom[1]).abs().max()  # the condition must have an effect
    return (p_top @ p_bottom.sum(1) - 1).abs() + (spread < 1e-3)


@check("two levels: the loss is the sum of the costs of both quantisers", 1e-9)
def two_costs():
    config = dataclasses.replace(VQVAE2Config(**SMALL), commitment=0.4)
    vq, x, pairs = model(config), images(), []

    def quantise(level, z_e):
        pairs.append((z_e, vq.quantisers[level](z_e)))
        return pairs[-1][1]

    vq.quantize_levels(x, quantise)
    return (vq.loss(x).terms["commit"] - losses.tensor_sum(losses.sse(*pair) for pair in pairs).mean()).abs()


@check("VQ-VAE-2 with one level (empty bottom) equals the VQ-VAE with the same layers, loss and gradient", 1e-9)
def one_level():
    two, one, x = model(VQVAE2Config(**SMALL, codebook="gradient")), model(codebook="gradient"), images()
    with torch.no_grad():
        for silent in (*two.to_bottom.parameters(), two.quantisers[1].codebook.vectors, two.priors[1].head[-1].weight):
            silent.zero_()  # z_e = 0 = every vector, so the first is chosen
        two.priors[1].head[-1].bias.copy_(torch.eye(12)[0] * 1e4)  # with certainty
    wide = two.decoder[0]
    narrow = torch.nn.Conv2d(32, 32, 3, 1, 1).double()
    narrow.weight.data, narrow.bias = wide.weight[:, :32].detach(), wide.bias
    one.encoder = torch.nn.Sequential(two.encoder, two.to_top)
    one.decoder = torch.nn.Sequential(two.up_top, narrow, *two.decoder[1:])
    one.quantisers[0], one.priors[0] = two.quantisers[0], two.priors[0]
    shared, sides = [p for p in one.parameters() if p is not narrow.weight], []
    for vq, weight in ((one, narrow.weight), (two, wide.weight)):
        loss = vq.loss(x).total
        gradient, *gradients = torch.autograd.grad(loss, [weight, *shared])
        sides.append([loss.detach(), gradient[:, :32], *gradients])
    return max((a - b).abs().max() for a, b in zip(*sides, strict=True))
