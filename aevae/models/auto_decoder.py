"""Auto-decoder: min over the decoder g and one code z_i for each training image of mean_i -log p(x_i | g(z_i)).

There is no encoder: codes are learned like weights. Bojanowski et al. 2018 (GLO), arXiv:1707.05776, eq. 1, with
||z_i|| <= 1 and a larger learning rate for the codes; Park et al. 2019 (DeepSDF), arXiv:1901.05103, eq. 9 adds
l2 ||z||^2. With a linear g it is matrix factorisation. The code of a new image is optimised with g frozen, so there is
no amortisation gap: min_z -log p(x|z) <= -log p(x|f(x)) for every encoder f. The likelihoods of this package replace
GLO's distance between Laplacian pyramids (`gaussian` is its squared error).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from aevae.config import ModelConfig, likelihoods, option
from aevae.models import blocks
from aevae.models.base import HALF_GREY_LEVEL, Model
from aevae.outputs import Loss

MAX_STARTS = 1000  # learned codes that are candidates for the start of a search for a new image's code
FIT_BETAS = (0.9, 0.99)  # Adam's betas in such a search
EDGE_NORM = 0.99  # a code with at least this norm counts as at the edge of the ball
ELSEWHERE = ("gaussian_pixel", "categorical")  # likelihoods that are not a sum of one function over the pixels


@dataclass(frozen=True)
class AutoDecoderConfig(ModelConfig):
    """Auto-decoder (Bojanowski et al. 2018)."""

    family: ClassVar[str] = "auto_decoder"
    recipe: ClassVar[dict] = {"epochs": 25, "batch_size": 64}  # each code is updated once per epoch
    latent_dim: int = option(32, "numbers in the code z", min=1, max=784)
    likelihood: str = likelihoods("gaussian", without=ELSEWHERE)
    ball: bool = option(
        True, "keep the codes in the unit ball; off: their norms drift, and samples do not match the codes"
    )
    l2: float = option(0.0, "weight of ||z||^2, a Gaussian prior of the code (DeepSDF); 0: none", min=0.0, max=1000.0)
    code_rate: float = option(
        20.0, "learning rate of the codes, as a multiple of the decoder's", min=0.1, max=1000.0, log=True
    )
    fit_steps: int = option(60, "steps of Adam in the search for the code of a new image", min=1, max=5000)
    restarts: int = option(
        1, "number of learnt codes from which this search starts; the best result counts", min=1, max=50
    )


class Codes(nn.Module):
    """A table of learned rows `weight` (N, width), one for each training image. Loading a state changes its size.

    Its gradients are sparse if the device has sparse tensors: only rows that a batch looked up are updated.
    """

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(0, width))
        self.register_load_state_dict_pre_hook(_fit_table)

    def fill(self, rows: Tensor) -> None:
        """Replace the table by `rows` (N, width)."""
        self.weight = nn.Parameter(rows)

    def forward(self, index: Tensor) -> Tensor:
        sparse = self.weight.device.type in ("cpu", "cuda")
        return nn.functional.embedding(index, self.weight, sparse=sparse)


def _fit_table(module: nn.Module, state_dict: dict[str, Tensor], prefix: str, *_) -> None:
    """Called before a table of codes loads a state: give it as many rows as the saved one has."""
    assert isinstance(module, Codes)
    saved, weight = state_dict.get(prefix + "weight"), module.weight
    if saved is not None and saved.shape[1:] == weight.shape[1:] and len(saved) != len(weight):
        module.fill(weight.new_zeros(saved.shape))


class AutoDecoder(Model):
    """A decoder and one free code for each training image."""

    Config = AutoDecoderConfig
    config: AutoDecoderConfig
    objective = "-log p(x_i | g(z_i)), each z_i learnt"
    paper = "Bojanowski et al. 2018"
    has_encoder = False
    extra_inputs = ("index",)
    batched = False
    max_test_images = 100
    units: ClassVar[dict[str, str]] = {"code_norm": "mean length of the codes", "at_edge": "fraction of the codes"}
    per_dim = 1  # learned numbers per latent dimension
    fit_rate = 0.1  # initial learning rate of the search for a code

    def build(self) -> None:
        self.seed = int(torch.randint(2**31, ()))  # seed of the initial codes, which `setup` creates
        self.updated_rows: Tensor | None = None  # rows that the next step changes; None: possibly all
        self.codes = Codes(self.per_dim * self.config.latent_dim)
        self.decoder = blocks.decoder(self.config)

    def init_from_mean(self, mean: Tensor) -> None:
        """Make the untrained decoder's output close to the mean training image (1, 28, 28)."""
        self.decoder[-1].set_offset(self.params_of(mean.clamp(HALF_GREY_LEVEL, 1 - HALF_GREY_LEVEL)))

    # -- the table --

    def initial_rows(self, images: int, generator: Generator) -> Tensor:
        """Rows (images, width) of the table before training: N(0, I / D), projected into the ball. GLO, section 3.2."""
        return self.project(self.spread(torch.randn(images, self.config.latent_dim, generator=generator)))

    def spread(self, noise: Tensor) -> Tensor:
        """Initial codes (N, D) computed from N(0, 1) noise."""
        return noise / math.sqrt(self.config.latent_dim)

    def setup(self, num_train: int) -> None:
        self.codes.fill(self.initial_rows(num_train, torch.Generator().manual_seed(self.seed)).to(self.codes.weight))

    def parameter_groups(self) -> list[dict]:
        """Two groups: the decoder, and the codes with a larger learning rate and sparse updates."""
        plain = [p for p in self.parameters() if p is not self.codes.weight]
        return [{"params": plain}, {"params": [self.codes.weight], "scale": self.config.code_rate, "rows": True}]

    def project(self, rows: Tensor) -> Tensor:
        """The nearest rows in the ball (N, width): z / max(1, ||z||). GLO, section 3.1."""
        return rows / rows.norm(dim=1, keepdim=True).clamp(min=1) if self.config.ball else rows

    @torch.no_grad()
    def after_step(self) -> None:
        rows = slice(None) if self.updated_rows is None else self.updated_rows
        self.codes.weight[rows] = self.project(self.codes.weight[rows])

    def look_up(self, index: Tensor) -> Tensor:
        """Rows (B, width) of the training images `index` (B,)."""
        self.updated_rows = index
        return self.codes(index)

    def split(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """(mean (N, D), log variance (N, D) or None) of rows of the table (N, width)."""
        return rows, None

    def training_codes(self, count: int) -> tuple[Tensor, Tensor | None]:
        """(mean, log variance or None) of the first `count` training images, repeated if there are fewer."""
        return self.split(self.codes.weight.detach()[torch.arange(count) % len(self.codes.weight)])

    def sample_prior(self, noise: Tensor) -> Tensor:
        """Samples (B, D) of a Gaussian with full covariance, fitted to the learned codes (section 3.2)."""
        mu = self.split(self.codes.weight.detach())[0]
        if len(mu) < 2:
            return self.spread(noise)
        jitter = 1e-4 * mu.var(0).mean() + 1e-12  # the codes may span fewer than D dimensions
        covariance = mu.T.cov().reshape(len(mu.T), -1) + jitter * torch.eye(len(mu.T)).to(mu)
        return mu.mean(0) + noise @ torch.linalg.cholesky(covariance.cpu()).to(mu).T

    # -- codes of images --

    def cost(self, x: Tensor, rows: Tensor, noise: Tensor | None, mask: Tensor | None = None) -> Tensor:
        """The objective per image (B,), in nats. rows: (B, width); mask: see `fit`; noise: to sample codes."""
        return self.seen(x, self.params(rows), mask) + self.config.l2 * rows.square().sum(1)

    def seen(self, x: Tensor, params: Tensor, mask: Tensor | None) -> Tensor:
        """-log p of the visible pixels (`mask`) of x (B, 1, 28, 28): (B,), in nats."""
        if mask is None:
            return self.nll(x, params)
        pixels = self.nll(x.reshape(-1, 1), params.reshape(-1, 1)).view(x.shape)  # images of one pixel each
        return (pixels * mask).flatten(1).sum(1)

    def noise(self, steps: int, like: Tensor) -> Sequence[Tensor | None]:
        """Noise of each step of a search, then of the comparison of its results; equal in every call."""
        return [None] * (steps + 1)

    def fit(
        self, x: Tensor, mask: Tensor | None = None, start: Tensor | None = None, steps: int = 0, restarts: int = 0
    ) -> Tensor:
        """Rows (B, width) for images x (B, 1, 28, 28), found by optimisation; the model is not changed.

        mask: like x or (1, 1, 28, 28), 1 for visible pixels and 0 for covered ones. start: initial rows (B, width);
        by default the learned rows that fit best. The result is never worse than the start. steps, restarts: 0 selects
        the config's values. Deterministic.
        """
        steps, restarts = steps or self.config.fit_steps, restarts or self.config.restarts
        with torch.inference_mode(False), torch.enable_grad():
            x, mask = x.clone(), mask if mask is None else mask.clone().to(x)
            starts = self.starts(x, mask, restarts) if start is None else start.detach().clone().unsqueeze(0)
            noise = self.noise(steps, x)
            ends = [
                refine(
                    lambda rows, step: self.cost(x, rows, noise[step], mask), start, steps, self.fit_rate, self.project
                )
                for start in starts
            ]
            if len(ends) == 1:
                return ends[0]
            with torch.no_grad():
                best = torch.stack([self.cost(x, rows, noise[-1], mask) for rows in ends]).argmin(0)  # (B,)
            return torch.stack(ends)[best, torch.arange(len(x), device=x.device)]

    @torch.no_grad()
    def starts(self, x: Tensor, mask: Tensor | None, count: int) -> Tensor:
        """The learned rows (count, B, width) whose images are nearest to x, best first; zeros before training."""
        rows = self.codes.weight.detach()[:MAX_STARTS]
        if not len(rows):
            return rows.new_zeros(count, len(x), rows.shape[1])
        images = self.decode(self.split(rows)[0]).flatten(1)  # (N, 784)
        seen = (torch.ones_like(x) if mask is None else mask.expand_as(x)).flatten(1)
        far = seen @ images.square().T - 2 * (seen * x.flatten(1)) @ images.T  # (B, N) up to a constant
        return rows[far.topk(min(count, len(rows)), largest=False).indices.T]

    def add(self, x: Tensor) -> Tensor:
        """Append the codes of new images x (B, 1, 28, 28) to the table. Returns the codes (B, D)."""
        rows = self.fit(x)
        with torch.inference_mode(False), torch.no_grad():
            self.codes.fill(torch.cat([self.codes.weight.detach(), rows]))
        return self.split(rows)[0]

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """(codes (B, D), log variance or None) of x (B, 1, 28, 28), which `fit` finds by optimisation."""
        return self.split(self.fit(x))

    def loss(
        self,
        x: Tensor,
        *,
        generator: Generator | None = None,
        epoch: float = math.inf,
        index: Tensor | None = None,
    ) -> Loss:
        """Objective of a batch: with the learned codes of the images `index`; without index with the codes of `fit`."""
        rows = self.fit(x) if index is None else self.look_up(index)
        nll, size = self.nll(x, self.params(rows)), rows.square().sum(1)  # (B,) each
        recon, code = nll.mean(), self.config.l2 * size.mean()
        terms = {"recon": recon.detach()} | ({"code": code.detach()} if self.config.l2 else {})
        each = {} if self.training else {"recon": nll, "objective": nll + self.config.l2 * size}
        each |= {"code": self.config.l2 * size} if each and self.config.l2 else {}
        return Loss(recon + code, terms, self.per_image(**each))

    def metrics(self, x: Tensor, labels: Tensor, generator: Generator) -> dict[str, float]:
        """Mean norm of the learned codes, and the share of codes at the edge of the ball."""
        norms = self.training_codes(len(self.codes.weight))[0].norm(dim=1)
        values = {"code_norm": float(norms.mean())}
        return values | ({"at_edge": float((norms > EDGE_NORM).float().mean())} if self.config.ball else {})


def refine(
    cost: Callable[[Tensor, int], Tensor],
    start: Tensor,
    steps: int,
    rate: float,
    project: Callable[[Tensor], Tensor] = lambda z: z,
) -> Tensor:
    """Codes (B, D) that minimise cost(z, step) (B,), by Adam from `start` (B, D) with a linearly falling learning rate.

    A result whose final cost(z, -1) is higher than that of its start is replaced by the start. If an encoder's f(x) is
    the start, the difference is the amortisation gap (Cremer et al. 2018, arXiv:1801.03558). Only z has gradients.
    """
    z, moment, square = start.detach().clone(), torch.zeros_like(start), start.new_zeros(len(start), 1)
    for step in range(steps):
        z.requires_grad_()
        (gradient,) = torch.autograd.grad(cost(z, step).sum(), z)
        z = z.detach()
        moment = FIT_BETAS[0] * moment + (1 - FIT_BETAS[0]) * gradient
        # One second moment per code: steps scaled per dimension would slide along the ball's edge past the optimum.
        square = FIT_BETAS[1] * square + (1 - FIT_BETAS[1]) * gradient.square().mean(1, keepdim=True)
        root = (square / (1 - FIT_BETAS[1] ** (step + 1))).sqrt() + 1e-8
        direction = moment / (1 - FIT_BETAS[0] ** (step + 1)) / root
        z = project(z - rate * (1 - step / steps) * direction)
    with torch.no_grad():
        better = cost(z, -1) < cost(start, -1)  # False for NaN
        return torch.where(better.unsqueeze(1), z, start)
