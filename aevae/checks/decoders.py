"""Codes learned without an encoder. Sources: Bojanowski et al. 2018; Zadeh et al. 2019."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from aevae import losses
from aevae.checks import check, digits, randn, rng
from aevae.config import TrainConfig
from aevae.latent.fitting import nll_of_codes
from aevae.models import build_model, family_class
from aevae.models.auto_decoder import refine
from aevae.models.base import Model
from aevae.training.optimizers import optimizers


def make(family: str = "auto_decoder", images: int = 12, **options) -> Any:
    """A small model with a table of codes."""
    model = build_model(family_class(family).Config(**{"latent_dim": 4, "hidden": 16, **options}), seed=3)
    model.setup(images)
    return model


def linear(family: str, weight: Tensor, **options) -> Any:
    """A model in float64 whose decoder is z -> W z, W (784, D)."""
    settings: dict[str, Any] = {"latent_dim": weight.shape[1], "likelihood": "gaussian", "fit_steps": 200} | options
    model = make(family, **settings).double()
    layer = nn.Linear(*reversed(weight.shape), bias=False).double()
    layer.weight.data.copy_(weight)
    model.decoder = nn.Sequential(layer, nn.Unflatten(1, (1, 28, 28)))
    return model


def train(model: Model, x: Tensor, steps: int, batch: int = 0, lr: float = 0.02) -> dict:
    """The optimizers after `steps` training steps on the first `batch` images of x (0: all)."""
    made = optimizers(model, TrainConfig(lr=lr), torch.device("cpu"))
    index = torch.arange(batch or len(x))
    for step in range(steps):
        model.loss(x[index], generator=rng(step), index=index).total.backward()  # ty: ignore[unknown-argument]
        for optimizer in made.values():
            optimizer.param_groups[0]["lr"] = lr * optimizer.scale * (1 - step / steps)
            optimizer.step_fused()
        model.after_step()
    return made


def columns(count: int = 3) -> Tensor:
    """W (784, count) of orthogonal columns, of lengths 2, 1.3, 0.6."""
    return torch.linalg.qr(randn(784, count))[0] * torch.tensor([2.0, 1.3, 0.6], dtype=torch.float64)[:count]


@check("linear auto-decoder: the squared error is that of the truncated SVD (Eckart-Young), relative", 1e-3)
def eckart_young():
    x = randn(20, 3, seed=1) @ columns().T * 3 + 0.02 * randn(20, 784, seed=2)
    model = linear("auto_decoder", 0.1 * randn(784, 2, seed=4), ball=False, code_rate=5.0)
    model.setup(len(x))
    train(model, x.view(-1, 1, 28, 28), 150)
    bound = torch.linalg.svdvals(x)[2:].square().sum()
    x_hat = model.params(model.training_codes(len(x))[0]).flatten(1)
    return ((x - x_hat).square().sum() / bound - 1).abs().detach()


@check("linear auto-decoder with l2 |z|^2: the code from the search is the ridge solution", 1e-4)
def ridge():
    w, x = columns(), randn(5, 784, seed=1)
    found = linear("auto_decoder", w, ball=False, l2=0.7).encode(x.view(-1, 1, 28, 28))  # sigma^2 = 1/2: SSE
    return (found - x @ w @ torch.linalg.inv(w.T @ w + 0.7 * torch.eye(3).double())).abs().max()


@check(
    "linear auto-decoder in the unit ball: no code is longer than 1, and each has the direction of the best code", 1e-4
)
def ball():
    w, x = torch.linalg.qr(randn(784, 3))[0], 5 * randn(5, 784, seed=1)
    found = linear("auto_decoder", w).encode(x.view(-1, 1, 28, 28))
    return (found - nn.functional.normalize(x @ w)).abs().max()  # orthonormal columns: nearest on the sphere


@check("linear variational auto-decoder: the mean from the search is the ridge solution at lambda = sigma^2", 2e-3)
def variational_ridge():
    w, x = columns(), randn(5, 784, seed=1)
    model = linear("variational_auto_decoder", w, sigma=math.sqrt(0.3))
    return (
        (model.encode(x.view(-1, 1, 28, 28)) - x @ w @ torch.linalg.inv(w.T @ w + 0.3 * torch.eye(3).double()))
        .abs()
        .max()
    )


@check("linear variational auto-decoder: the bound from the search is log p(x), in nats", 0.02)
def variational_bound():
    w, s2 = columns(), 0.3
    x = randn(5, 3, seed=1) @ w.T + math.sqrt(s2) * randn(5, 784, seed=2)
    model = linear("variational_auto_decoder", w, sigma=math.sqrt(s2), fit_steps=400)
    mu, logvar = (part.detach() for part in model.posterior(x.view(-1, 1, 28, 28)))
    spread = 0.5 / s2 * (logvar.exp() * w.square().sum(0)).sum(1)
    bound = -(losses.gaussian_nll(x, mu @ w.T, math.log(s2)) + spread + losses.gaussian_kl(mu, logvar))
    exact = MultivariateNormal(x.new_zeros(784), w @ w.T + s2 * torch.eye(784).double()).log_prob(x)
    return (exact - bound).abs().max()


@check("variational auto-decoder whose rows are a VAE's posteriors: the VAE's loss, bit for bit", 0)
def variational_is_vae():
    vae: Any = build_model(family_class("vae").Config(latent_dim=4, hidden=16), seed=1)
    model, x = make("variational_auto_decoder"), digits()
    model.decoder = vae.decoder
    model.codes.fill(torch.cat(vae.posterior(x), 1).detach())
    ours = model.loss(x, generator=rng(), index=torch.arange(len(x)))
    return (ours.total - vae.loss(x, generator=rng()).total).abs().detach()


@check("a step changes only the codes of the batch and their optimizer moments", 0)
def only_the_batch():
    model, x = make(), digits(12)
    train(model, x, 3)
    made = optimizers(model, TrainConfig(), torch.device("cpu"))
    before, still, kept = model.codes.weight.detach().clone(), 0.0, []
    for batch in (torch.arange(6), torch.arange(3)):
        model.loss(x[batch], index=batch).total.backward()
        for optimizer in made.values():
            optimizer.step_fused()
        model.after_step()
        slots = made["rows"].state[model.codes.weight]
        middle = [v[3:6].clone() for v in (model.codes.weight.detach(), slots["exp_avg"], slots["exp_avg_sq"])]
        if len(batch) == 6:
            kept = middle
    still = max((a - b).abs().max() for a, b in zip(middle, kept, strict=True))
    untouched = [model.codes.weight.detach()[6:] - before[6:], slots["exp_avg"][6:], slots["exp_avg_sq"][6:]]
    moved = (model.codes.weight.detach()[:6] != before[:6]).any(1).all()
    return max(still, *(t.abs().max() for t in untouched)) if moved else math.inf


@check("trained codes stay in the unit ball: max ||z|| - 1", 1e-6)
def in_the_ball():
    model = make(code_rate=100.0)
    train(model, digits(12), 10)
    return model.codes.weight.detach().norm(dim=1).max() - 1


@check("amortisation gap: a search from the encoder's f(x) ends no worse, -log p(x|z*) <= -log p(x|f(x))", 0)
def amortisation():
    model, x = build_model(family_class("ae").Config(latent_dim=4, hidden=16), seed=3), digits()
    cost, start = nll_of_codes(model, x), model.encode(x).detach()
    gaps = [cost(start, 0) - cost(refine(cost, start, 30, rate), 0) for rate in (0.05, 50.0)]  # the second overshoots
    return -min(gap.min() for gap in gaps) if gaps[0].mean() > 0 else math.inf


@check("learning new images: decoder, old codes and old images stay as they were, bit for bit", 0)
def frozen():
    model, x = make(fit_steps=5), digits(12)
    train(model, x, 3)
    before, images = {k: v.clone() for k, v in model.state_dict().items()}, model.decode(model.training_codes(12)[0])
    model.add(digits(16)[12:])
    after = model.state_dict()
    grown = after["codes.weight"].shape[0] == 16
    after["codes.weight"] = after["codes.weight"][:12]
    changes = [(after[k] - v).abs().max() for k, v in before.items()]
    changes.append((model.decode(model.training_codes(12)[0]) - images).abs().max())
    return max(changes).detach() if grown else math.inf


@check("completion: the hidden pixels do not change the code from the search", 0)
def covered():
    model, x = make(fit_steps=10), digits()
    mask = torch.ones(1, 1, 28, 28)
    mask[..., 14:, :] = 0
    return (model.fit(x, mask) - model.fit(torch.where(mask > 0, x, 1 - x), mask)).abs().max()


@check("samples of the auto-decoder have mean and covariance of the learnt codes", 1e-4)
def gaussian_fit():
    model = make(images=200).double()
    mu = model.training_codes(200)[0]
    mean, factor = model.sample_prior(mu.new_zeros(1, 4)), model.sample_prior(torch.eye(4).double())
    covariance = (factor - mean).T @ (factor - mean)
    return max((mean - mu.mean(0)).abs().max(), (covariance - mu.T.cov()).abs().max())
