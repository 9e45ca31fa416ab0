"""Likelihoods of a pixel, bounds on log p(x) and estimators. Sources: Kingma & Welling 2014; Burda et al. 2016."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, ContinuousBernoulli, Independent, MultivariateNormal, Normal, kl_divergence

from aevae import losses
from aevae.checks import check, digits, randn, rng, same_loss
from aevae.config import LIKELIHOODS
from aevae.models import build_model, family_class
from aevae.models.base import HALF_GREY_LEVEL, sample


def model(family: str, **options) -> Any:
    """A small model in float64."""
    return build_model(family_class(family).Config(**{"latent_dim": 5, "hidden": 32} | options), seed=3).double()


def gradients(of, total: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(total, list(of.parameters())))


def furthest(a: list[Tensor], b: list[Tensor]) -> Tensor:
    return torch.stack([(x - y).abs().max() for x, y in zip(a, b, strict=True)]).max()


# -- likelihoods -----------------------------------------------------------------------------------------------------


@check("a variance for each pixel: the NLL equals torch.distributions", 1e-9)
@torch.no_grad()
def pixel_variances():
    vae, x = model("vae", likelihood="gaussian_pixel"), digits(4).double()
    vae.pixel_logvar.copy_(randn(1, 28, 28))
    mean = randn(4, 1, 28, 28, seed=1)
    theirs = Independent(Normal(mean, (0.5 * vae.pixel_logvar).exp()), 3).log_prob(x)
    return (vae.nll(x, mean) + theirs).abs().max()


@check("categorical NLL and mean equal torch.distributions (levels from black to white)", 1e-9)
def categorical_torch():
    level, logits = torch.randint(16, (4, 1, 28, 28), generator=rng()), randn(4, 16, 28, 28)
    theirs = Categorical(logits=logits.movedim(1, -1))
    nll = losses.categorical_nll(level.double() / 15, logits) + theirs.log_prob(level.squeeze(1)).flatten(1).sum(1)
    probs: Any = theirs.probs
    mean = losses.expected_level(logits)[:, 0] - probs @ torch.linspace(0, 1, 16, dtype=torch.float64)
    return torch.maximum(nll.abs().max(), mean.abs().max())


@check("categorical of 2 levels is Bernoulli: NLL on binary images, and mean", 1e-10)
def two_levels():
    x, logits = (randn(4, 1, 28, 28) > 0).double(), randn(4, 1, 28, 28, seed=1)
    both = torch.cat([torch.zeros_like(logits), logits], 1)
    nll = (losses.categorical_nll(x, both) - losses.bernoulli_nll(x, logits)).abs().max()
    return torch.maximum(nll, (losses.expected_level(both) - logits.sigmoid()).abs().max())


@check("continuous Bernoulli integrates to 1, also at p = 1/2", 1e-9)
def continuous_integral():
    nodes, weights = gauss_legendre(200)
    logits = torch.tensor([-30.0, -4.0, -0.2, -1e-3, 0.0, 1e-9, 0.1999, 0.2001, 2.0, 30.0], dtype=torch.float64)
    x, eta = nodes[:, None].expand(-1, len(logits)), logits.expand(len(nodes), -1)
    density = torch.exp(-losses.continuous_bernoulli_nll(x.reshape(-1, 1), eta.reshape(-1, 1))).view_as(x)
    return ((weights[:, None] * density).sum(0) - 1).abs().max()


@check("constant of the continuous Bernoulli: C(.1) = 2.746531, C(.5) = 2", 5e-7)
def continuous_constant():
    lam = torch.tensor([0.1, 0.5], dtype=torch.float64)
    return (losses.log_normaliser(lam.logit()).exp() - torch.tensor([2.746531, 2.0], dtype=torch.float64)).abs().max()


@check("continuous Bernoulli: NLL and mean equal torch.distributions", 1e-8)
def continuous_torch():
    logits = 3 * randn(50, 1)
    logits = logits[logits.abs() > 0.3].view(-1, 1)  # torch uses a coarser series around 0
    theirs, x = ContinuousBernoulli(logits=logits), torch.rand(len(logits), 1, generator=rng(), dtype=torch.float64)
    nll = losses.continuous_bernoulli_nll(x, logits) + theirs.log_prob(x).sum(1)
    return torch.cat([nll.abs(), (losses.continuous_bernoulli_mean(logits) - theirs.mean).abs().flatten()]).max()


@check("continuous Bernoulli: series and formula agree where they meet, for log C, its derivative and the mean", 1e-8)
def continuous_series():
    near = torch.tensor([-1.0, 1.0], dtype=torch.float64) * losses.TAYLOR
    sides = [(near * factor).requires_grad_() for factor in (1 - 1e-10, 1 + 1e-10)]
    values = [losses.log_normaliser(side) for side in sides]
    gradients = [torch.autograd.grad(v.sum(), s)[0] for v, s in zip(values, sides, strict=True)]
    means = [losses.continuous_bernoulli_mean(side.detach()) for side in sides]
    low, high = ([v.detach(), gradient, mean] for v, gradient, mean in zip(values, gradients, means, strict=True))
    return furthest(low, high)


@check("continuous Bernoulli: the mean is lambda minus the derivative of log C", 1e-9)
def continuous_mean():
    logits = (5 * randn(200)).requires_grad_()
    gradient = torch.autograd.grad(losses.log_normaliser(logits).sum(), logits)[0]
    return (logits.sigmoid() - gradient - losses.continuous_bernoulli_mean(logits)).detach().abs().max()


@check("natural parameters of a mean image decode to this image, for every likelihood", 1e-9)
def centred():
    mean = torch.linspace(HALF_GREY_LEVEL, 1 - HALF_GREY_LEVEL, 784, dtype=torch.float64).view(1, 28, 28)
    found = [model("vae", likelihood=kind) for kind in LIKELIHOODS]
    return max((each.mean(each.params_of(mean).unsqueeze(0))[0] - mean).abs().max() for each in found)


@check(
    "sum of squares + KL is the Gaussian VAE of variance 1/2; with the mean over pixels, the KL has 784 times the "
    "weight",
    1e-9,
)
def mean_or_sum():
    """Mistake 5: 'MSE + KL' is another objective, by a factor of 784 in beta."""
    x, worst = digits().double(), []
    for beta, scale in ((1.0, 1.0), (784.0, 784.0)):
        vae = model("beta_vae", likelihood="gaussian", beta=beta)
        out = vae(x, rng(1))
        errors, kl = losses.sse(x, out.params).mean(), losses.gaussian_kl(out.mu, out.logvar).mean()
        theirs = scale * ((errors if beta == 1 else errors / 784) + kl)
        ours = vae.loss(x, generator=rng(1)).total
        worst.append((ours - theirs - 392 * math.log(math.pi)).detach().abs() / 784)
        worst.append(furthest(gradients(vae, ours), gradients(vae, theirs)))
    return max(worst)


# -- divergences -----------------------------------------------------------------------------------------------------


def full_kl(mu1: Tensor, cov1: Tensor, mu2: Tensor, cov2: Tensor) -> Tensor:
    """KL(N(mu1, cov1) || N(mu2, cov2)) = (tr(cov2^-1 cov1) + dm^T cov2^-1 dm - d + log det cov2 / det cov1) / 2."""
    inverse, step = torch.linalg.inv(cov2), mu2 - mu1
    rest = torch.logdet(cov2) - torch.logdet(cov1) - len(mu1)
    return 0.5 * (torch.trace(inverse @ cov1) + step @ inverse @ step + rest)


def covariance(seed: int, d: int = 5) -> Tensor:
    a = randn(d, d, seed=seed)
    return a @ a.T + torch.eye(d, dtype=torch.float64)


@check("KL of full covariances equals torch.distributions", 1e-10)
def kl_full():
    (m1, m2), (c1, c2) = randn(2, 5), (covariance(1), covariance(2))
    return (full_kl(m1, c1, m2, c2) - kl_divergence(MultivariateNormal(m1, c1), MultivariateNormal(m2, c2))).abs()


@check("KL of diagonal covariances equals the KL of full covariances", 1e-10)
def kl_diagonal():
    m1, v1, m2, v2 = randn(4, 5)
    theirs = full_kl(m1, torch.diag(v1.exp()), m2, torch.diag(v2.exp()))
    return (losses.gaussian_kl_between(*(t.unsqueeze(0) for t in (m1, v1, m2, v2)))[0] - theirs).abs()


@check("KL >= 0, and 0 for equal distributions", 1e-12)
def kl_sign():
    a, b, c, d = randn(4, 500, 3, seed=4)
    equal = losses.gaussian_kl_between(a, b, a, b).abs().max()
    return torch.maximum(equal, -losses.gaussian_kl_between(a, b, c, d).min())


@check("VAE with the prior N(0, 0.01^2): KL = 5000 (mu^2 + s^2) - log s - 5.105170, per dimension", 1e-8)
def kl_prior():
    """Mistake 2: the constant is log 0.01 - 1/2, not -5."""
    mu, logvar = randn(2, 20, 5)
    theirs = 5000 * (mu.square() + logvar.exp()) - 0.5 * logvar + math.log(0.01) - 0.5
    vae = model("vae", prior_std=0.01)
    vae.prior_std.fill_(0.01)  # in float64
    return (vae.kl_per_dim(mu, logvar) - theirs).abs().max()


@check("reverse KL: the best diagonal q of a Gaussian with correlation .8 misses .510826 nats", 5e-7)
def best_diagonal():
    rho = 0.8
    cov = torch.tensor([[1, rho], [rho, 1]], dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)
    logvar = torch.full((2,), math.log(1 - rho**2), dtype=torch.float64, requires_grad=True)  # 1 / diag of cov^-1
    kl = full_kl(zero, torch.diag(logvar.exp()), zero, cov)
    gradient = torch.autograd.grad(kl, logvar)[0].abs().max()
    kl = kl.detach()
    return max(gradient, (kl - 0.510826).abs(), (kl + 0.5 * math.log(1 - rho**2)).abs())


@check("forward KL: the best Gaussian has mean and variance of p, though p has two modes", 1e-9)
def moment_match():
    x = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    p = 0.3 * Normal(-3.0, 0.7).log_prob(x).exp() + 0.7 * Normal(2.0, 1.0).log_prob(x).exp()
    p = p / p.sum()
    mean = (p * x).sum()
    mu, logvar = mean.clone().requires_grad_(), (p * (x - mean).square()).sum().log().requires_grad_()
    cross_entropy = -(p * losses.gaussian_log_prob(x.unsqueeze(1), mu, logvar)).sum()
    return torch.stack(torch.autograd.grad(cross_entropy, (mu, logvar))).abs().max()


# -- the ELBO --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PPCA:
    """x = mean + W z + sigma eps, z ~ N(0, I). W has orthogonal columns, so the posterior's covariance is diagonal."""

    w: Tensor  # (d, k)
    mean: Tensor  # (d,)
    s2: float
    x: Tensor  # (d,)

    @property
    def posterior(self) -> tuple[Tensor, Tensor]:
        """Mean and log variance of p(z|x)."""
        precision = self.w.square().sum(0) / self.s2 + 1
        return (self.x - self.mean) @ self.w / self.s2 / precision, -precision.log()

    @property
    def log_p(self) -> Tensor:
        cov = self.w @ self.w.T + self.s2 * torch.eye(len(self.x), dtype=torch.float64)
        return MultivariateNormal(self.mean, cov).log_prob(self.x)

    def log_joint(self, z: Tensor) -> Tensor:
        """log p(x, z) of z (..., k)."""
        log_x = losses.gaussian_log_prob(self.x, self.mean + z @ self.w.T, math.log(self.s2))
        return log_x + losses.gaussian_log_prob(z, 0.0, 0.0)

    def recon(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """E_q -log p(x|z), in closed form."""
        spread = 0.5 / self.s2 * (logvar.exp() * self.w.square().sum(0)).sum()
        return spread - losses.gaussian_log_prob(self.x, self.mean + mu @ self.w.T, math.log(self.s2))

    def elbo(self, mu: Tensor, logvar: Tensor) -> Tensor:
        return -self.recon(mu, logvar) - losses.gaussian_kl(mu.unsqueeze(0), logvar.unsqueeze(0))[0]


def ppca() -> PPCA:
    u = torch.linalg.qr(randn(8, 3))[0]
    return PPCA(u * torch.tensor([2.0, 1.3, 0.6], dtype=torch.float64), randn(8, seed=1), 0.3, randn(8, seed=2))


def perturbed(toy: PPCA) -> tuple[Tensor, Tensor]:
    """(mean, log variance) of a q that differs from the posterior."""
    mu, logvar = toy.posterior
    return mu + 0.3, logvar + 0.5


def weights(toy: PPCA, mu: Tensor, logvar: Tensor, *shape: int) -> Tensor:
    """log p(x, z) - log q(z|x) of samples z ~ q, of this shape."""
    z = sample(mu.expand(*shape, -1), logvar, rng())
    return toy.log_joint(z) - losses.gaussian_log_prob(z, mu, logvar)


@check("three forms of the ELBO agree: E log p(x|z) - KL, E log p(x, z) + H(q), log p(x) - KL(q || p(z|x))", 1e-10)
def three_forms():
    """Mistake 4: the second form contains the joint log p(z, x), not log p(z|x)."""
    toy = ppca()
    mu, logvar = perturbed(toy)
    entropy = 0.5 * (logvar + 1 + math.log(2 * math.pi)).sum()
    log_prior = losses.gaussian_log_prob(mu, 0.0, 0.0) - 0.5 * logvar.exp().sum()  # E_q
    second = -toy.recon(mu, logvar) + log_prior + entropy
    gap = losses.gaussian_kl_between(*(t.unsqueeze(0) for t in (mu, logvar, *toy.posterior)))[0]
    first = toy.elbo(mu, logvar)
    return max((first - second).abs(), (first - (toy.log_p - gap)).abs())


@check("KL of the joints, p~(x) q(z|x) and p(z) p(x|z), is the mean -ELBO minus the entropy of p~", 1e-12)
def joint_form():
    """Mistake 6, in this package's notation: encoder q, model p."""
    data = torch.softmax(randn(4), 0)
    q, p_x = torch.softmax(randn(4, 3, seed=1), 1), torch.softmax(randn(3, 4, seed=2), 1)  # rows: x; z
    prior = torch.softmax(randn(3, seed=3), 0)
    ours, theirs = data[:, None] * q, (prior[:, None] * p_x).T
    elbo = (q * (theirs.log() - q.log())).sum(1)
    entropy = -(data * data.log()).sum()
    return ((ours * (ours / theirs).log()).sum() - (-(data * elbo).sum() - entropy)).abs()


@check("log p(x, z) - log q and the closed KL have the same mean, in standard errors", 4)
def estimators():
    toy = ppca()
    mu, logvar = perturbed(toy)
    drawn = weights(toy, mu, logvar, 100_000)
    return (drawn.mean() - toy.elbo(mu, logvar)).abs() / (drawn.std() / len(drawn) ** 0.5)


@check("at the exact posterior log p(x, z) - log q(z|x) is log p(x) for every z; with the closed KL it varies", 1e-10)
def no_variance():
    toy = ppca()
    mu, logvar = toy.posterior
    z = sample(mu.expand(1000, -1), logvar, rng())
    closed = toy.log_joint(z) - losses.gaussian_log_prob(z, 0.0, 0.0)  # log p(x|z), less a constant KL
    spread = (weights(toy, mu, logvar, 1000) - toy.log_p).abs().max()
    return spread if closed.var() > 0.1 else closed.var() + 1


@check("the pathwise gradient varies less than REINFORCE's: ratio of variances, d/dmu E z^2", 0.5)
def pathwise_variance():
    mu, s = 0.7, 0.5
    eps = randn(100_000)
    z = mu + s * eps
    reinforce = z.square() * (z - mu) / s**2  # f(z) d log q / d mu
    if (reinforce.mean() - 2 * mu).abs() > 4 * reinforce.std() / len(z) ** 0.5:
        return math.inf  # not an estimator of the same value
    return (2 * z).var() / reinforce.var()


@check("R samples: the VAE's objective is the mean of the R objectives with one sample", 1e-9)
@torch.no_grad()
def mean_of_logs():
    """Mistake 7: a mean of logs, not the log of a mean, which is IWAE."""
    x, many = digits().double(), model("vae", samples=4)
    mu, logvar = many.posterior(x)
    z = many.reparameterize(mu, logvar, rng(1))
    single = torch.stack([many.nll(x, many.params(each)) for each in z]) + many.kl_per_dim(mu, logvar).sum(1)
    return (many.loss(x, generator=rng(1)).total - single.mean()).abs()


# -- importance weights ----------------------------------------------------------------------------------------------


@check("IWAE with one sample is the VAE, loss and gradient, bit for bit", 0)
def iwae_is_vae():
    return same_loss("iwae", {"samples": 1}, "vae", {})


@check("pPCA and a wrong q: L_1 + .1 < L_5 + .02 < L_50 <= log p(x), and L_50 is within .05 of it", 5e-3)
def iwae_order():
    toy = ppca()
    log_w = weights(toy, *perturbed(toy), 50, 4000)
    l1, l5, l50 = log_w.mean(), losses.log_mean_exp(log_w.view(5, -1)).mean(), losses.log_mean_exp(log_w).mean()
    return max(l1 + 0.1 - l5, l5 + 0.02 - l50, l50 - toy.log_p, toy.log_p - 0.05 - l50)


@check("the IWAE gradient is the sum of the samples' gradients with normalised weights", 1e-9)
def iwae_gradient():
    x, iwae = digits().double(), model("iwae", samples=3)
    mu, logvar = iwae.posterior(x)
    z = iwae.reparameterize(mu, logvar, rng(1))
    log_ratio = Normal(0.0, 1.0).log_prob(z) - Normal(mu, (0.5 * logvar).exp()).log_prob(z)
    log_w = log_ratio.sum(2) - torch.stack([iwae.nll(x, iwae.params(each)) for each in z])  # (K, B)
    share = log_w.softmax(0).detach()
    theirs = gradients(iwae, -(share * log_w).sum(0).mean())
    return furthest(gradients(iwae, iwae.loss(x, generator=rng(1)).total), theirs)


@check("code with two numbers: IWAE with 5000 samples equals the integral of p(x|z) p(z) on a grid of 200 x 200", 0.05)
def quadrature():
    hidden, out, x = 1.5 * randn(2, 8), randn(8, 12, seed=1), (randn(1, 12, seed=2) > 0).double()

    def log_joint(z: Tensor) -> Tensor:
        """log p(x, z) of z (N, 2), decoded to 12 binary pixels."""
        recon = losses.bernoulli_nll(x.expand(len(z), -1), torch.tanh(z @ hidden) @ out)
        return losses.gaussian_log_prob(z, 0.0, 0.0) - recon

    side = torch.linspace(-6, 6, 200, dtype=torch.float64)
    z = torch.cartesian_prod(side, side)
    on_grid = log_joint(z)
    log_p = on_grid.logsumexp(0) + 2 * (side[1] - side[0]).log()
    share = on_grid.softmax(0).unsqueeze(1)
    mu = (share * z).sum(0)
    logvar = (share * (z - mu).square()).sum(0).log()  # the best Gaussian, by forward KL
    drawn = sample(mu.expand(5000, -1), logvar, rng(3))
    log_w = log_joint(drawn) - losses.gaussian_log_prob(drawn, mu, logvar)
    loose = log_p - log_w.mean()  # the ELBO must be looser, or the check is trivial
    return (losses.log_mean_exp(log_w) - log_p).abs() if loose > 0.1 else math.inf


def gauss_legendre(count: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights on 0..1 (Golub & Welsch 1969)."""
    k = torch.arange(1, count, dtype=torch.float64)
    off = k / (4 * k * k - 1).sqrt()
    nodes, vectors = torch.linalg.eigh(torch.diag(off, 1) + torch.diag(off, -1))
    return (nodes + 1) / 2, vectors[0].square()
