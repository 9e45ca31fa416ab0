"""Divergences, likelihoods, bounds, noise. Sources: Kingma & Welling 2014; Vincent et al. 2010."""

import math

import torch
from torch.distributions import Bernoulli, Independent, MultivariateNormal, Normal, kl_divergence

from aevae import losses
from aevae.checks import check, randn, rng, same_loss
from aevae.corruption import corrupt
from aevae.models.base import sample


@check("KL(N(0, I) || N(0, I)) = 0", 0)
def kl_zero():
    return losses.gaussian_kl(torch.zeros(1, 4), torch.zeros(1, 4)).abs()


@check("KL at mu = 1, logvar = 0 is D/2", 1e-12)
def kl_half():
    one = torch.ones(1, 6, dtype=torch.float64)
    return (losses.gaussian_kl(one, 0 * one) - 3).abs()


@check("KL at mu = 1, logvar = 1 is D(e - 1)/2", 1e-12)
def kl_e():
    one = torch.ones(1, 6, dtype=torch.float64)
    return (losses.gaussian_kl(one, one) - 6 * (math.e - 1) / 2).abs()


@check("KL to N(0, I) equals torch.distributions", 1e-10)
def kl_torch():
    mu, logvar = randn(50, 7), randn(50, 7, seed=1)
    theirs = kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(torch.zeros_like(mu), torch.ones_like(mu))).sum(1)
    return (losses.gaussian_kl(mu, logvar) - theirs).abs().max()


@check("KL between two Gaussians equals torch.distributions", 1e-10)
def kl_between():
    a, b, c, d = (randn(50, 7, seed=i) for i in range(4))
    theirs = kl_divergence(Normal(a, (0.5 * b).exp()), Normal(c, (0.5 * d).exp())).sum(1)
    return (losses.gaussian_kl_between(a, b, c, d) - theirs).abs().max()


@check("KL(N(mu, s^2) || N(0, 0.01^2)) = 5000 (mu^2 + s^2) - log s + log 0.01 - 1/2", 1e-8)
def kl_narrow_prior():
    mu, logvar = randn(20, 1), randn(20, 1, seed=1)
    narrow = torch.full_like(mu, 2 * math.log(0.01))
    ours = losses.gaussian_kl_between(mu, logvar, torch.zeros_like(mu), narrow)
    s2 = logvar.exp()
    return (ours - (5000 * (mu**2 + s2) - 0.5 * logvar - 5.105170185988091)[:, 0]).abs().max()


@check("KL by Monte Carlo agrees with the closed form, in standard errors", 3)
def kl_monte_carlo():
    mu, logvar = randn(1, 3).repeat(100_000, 1), randn(1, 3, seed=1).repeat(100_000, 1)
    z = sample(mu, logvar, rng(2))
    drawn = (Normal(mu, (0.5 * logvar).exp()).log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(1)
    return (drawn.mean() - losses.gaussian_kl(mu, logvar)[0]).abs() / (drawn.std() / len(z) ** 0.5)


@check("Bernoulli NLL at x_hat = 0.5 is 784 log 2", 1e-9)
def bernoulli_half():
    x = torch.rand(3, 1, 28, 28, generator=rng(), dtype=torch.float64)
    return (losses.bernoulli_nll(x, torch.zeros_like(x)) - 784 * math.log(2)).abs().max()


@check("Bernoulli NLL equals torch.distributions on binary images", 1e-9)
def bernoulli_torch():
    x, logits = (randn(4, 784) > 0).double(), randn(4, 784, seed=1)
    return (losses.bernoulli_nll(x, logits) + Independent(Bernoulli(logits=logits), 1).log_prob(x)).abs().max()


@check("Gaussian NLL equals torch.distributions", 1e-9)
def gaussian_torch():
    x, mean, logvar = randn(4, 784), randn(4, 784, seed=1), randn(4, 784, seed=2)
    theirs = Normal(mean, (0.5 * logvar).exp()).log_prob(x).sum(1)
    return (losses.gaussian_nll(x, mean, logvar) + theirs).abs().max()


@check("Gaussian NLL at sigma^2 = 1/2 is SSE + (D/2) log pi", 1e-9)
def gaussian_sse():
    x, mean = randn(4, 784), randn(4, 784, seed=1)
    expected = losses.sse(x, mean) + 392 * math.log(math.pi)
    return (losses.gaussian_nll(x, mean, math.log(0.5)) - expected).abs().max()


@check("the best shared variance is SSE / D: there the derivative is 0", 1e-9)
def sigma_optimal():
    x, mean = randn(1, 784), randn(1, 784, seed=1)
    logvar = (losses.sse(x, mean) / 784).log().requires_grad_()
    return torch.autograd.grad(losses.gaussian_nll(x, mean, logvar).sum(), logvar)[0].abs()


@check("reparameterisation: d/dmu E[z^2] = 2 mu and d/ds E[z^2] = 2 s, in standard errors", 4)
def pathwise_gradient():
    n = 200_000
    mu = torch.full((n, 1), 0.7, dtype=torch.float64, requires_grad=True)
    logvar = torch.full((n, 1), 2 * math.log(0.5), dtype=torch.float64, requires_grad=True)
    g_mu, g_logvar = torch.autograd.grad(sample(mu, logvar, rng()).square().sum(), (mu, logvar))
    g_s = g_logvar * 2 / 0.5  # d logvar / d s = 2 / s
    errors = [(g.mean() - 2 * v).abs() / (g.std() / n**0.5) for g, v in ((g_mu, 0.7), (g_s, 0.5))]
    return max(errors)


@check("linear VAE (pPCA): at the exact posterior the ELBO is log p(x)", 1e-9)
def ppca_elbo():
    # Columns of W orthogonal: W = U (L - s^2)^(1/2), so the posterior N(M^-1 W^T (x - m), s^2 M^-1) is diagonal.
    d, k, s2 = 8, 3, 0.3
    u = torch.linalg.qr(randn(d, k))[0]
    w = u * torch.tensor([2.0, 1.3, 0.6], dtype=torch.float64)
    mean, x = randn(d, seed=1), randn(5, d, seed=2)
    precision = w.T @ w + s2 * torch.eye(k, dtype=torch.float64)  # M, diagonal
    mu = (x - mean) @ w @ torch.linalg.inv(precision)
    logvar = (s2 / precision.diagonal()).log().expand_as(mu)
    # E_q log p(x|z) in closed form: the NLL at mu plus the spread of W z
    spread = 0.5 / s2 * (logvar.exp() * w.square().sum(0)).sum(1)
    recon = losses.gaussian_nll(x, mean + mu @ w.T, math.log(s2)) + spread
    exact = MultivariateNormal(mean, w @ w.T + s2 * torch.eye(d, dtype=torch.float64)).log_prob(x)
    return (-(recon + losses.gaussian_kl(mu, logvar)) - exact).abs().max()


@check("on a table: log p(x) = ELBO + KL(q || p(z|x))", 1e-12)
def table_elbo():
    joint = torch.rand(6, generator=rng(), dtype=torch.float64) / 6  # p(x, z) for one x and six z
    q = torch.softmax(randn(6, seed=1), 0)
    elbo = (q * (joint.log() - q.log())).sum()
    posterior = joint / joint.sum()
    return (joint.sum().log() - elbo - (q * (q / posterior).log()).sum()).abs()


@check("the denoising objective of the worked example is 0.25", 1e-12)
def denoising_example():
    # one white pixel each, so that log p of the notes' four reconstructions is -.1, -.2 (image 1), -.3, -.4 (2)
    p = torch.tensor([[-0.1], [-0.2], [-0.3], [-0.4]], dtype=torch.float64).exp()
    return (losses.bernoulli_nll(torch.ones_like(p), p.logit()).mean() - 0.25).abs()


@check("denoising without noise is the autoencoder, loss and gradient, bit for bit", 0)
def denoising_is_ae():
    return same_loss("denoising", {"noise_level": 0.0}, "ae", {})


@check("beta-VAE at beta 1 is the VAE, loss and gradient, bit for bit", 0)
def beta_is_vae():
    return same_loss("beta_vae", {"beta": 1.0, "warmup_epochs": 2.0}, "vae", {"warmup_epochs": 2.0})


@check("masking keeps a pixel with probability 1 - nu, in standard errors", 4)
def masking_mean():
    kept = corrupt(torch.ones(1, 1, 1000, 1000), "masking", 0.3, rng()).mean()
    return (kept - 0.7).abs() / math.sqrt(0.3 * 0.7 / 1e6)


@check("Gaussian noise has variance sigma^2, relative", 0.01)
def gaussian_variance():
    noisy = corrupt(torch.zeros(1, 1, 1000, 1000), "gaussian", 0.5, rng(), clip=False)
    return (noisy.var() / 0.25 - 1).abs()


@check("salt and pepper: half of the changed pixels become 1, in standard errors", 4)
def salt_and_pepper_halves():
    noisy = corrupt(torch.full((1, 1, 1000, 1000), 0.5), "salt_and_pepper", 0.4, rng())
    errors = [((noisy == v).double().mean() - p).abs() for v, p in ((0.0, 0.2), (1.0, 0.2), (0.5, 0.6))]
    return max(errors) / math.sqrt(0.2 * 0.8 / 1e6)


@check("linear denoising: the best map S (S + s^2 I)^-1 shrinks each component by l / (l + s^2)", 1e-10)
def linear_denoising():
    a = randn(6, 6)
    s = a @ a.T
    values, vectors = torch.linalg.eigh(s)
    best = s @ torch.linalg.inv(s + 0.25 * torch.eye(6, dtype=torch.float64))
    return (vectors.T @ best @ vectors - torch.diag(values / (values + 0.25))).abs().max()
