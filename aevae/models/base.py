"""The surface that every family shares: encode, decode, forward, loss.

A model knows no file, device, optimizer or screen; tensors follow the inputs' device. All randomness comes from the
`generator` argument: without one, every call is deterministic (z = mu, no corruption).
"""

import math
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from aevae import losses
from aevae.config import ModelConfig
from aevae.models import blocks
from aevae.noise import normal
from aevae.outputs import Loss, Output

BLACK = 1 / 510  # half a grey level: the logit of a pixel that is always black stays finite
MIN_LOGVAR = math.log(1e-4)  # of a learned pixel variance: black border pixels would drive it to 0 and the NLL to -inf
FIRST_LOGVAR = math.log(0.1)  # near the variance of MNIST, 0.095


class ExpectedLevel(nn.Module):
    """Logits of the levels (B, L, H, W) -> mean level (B, 1, H, W)."""

    def forward(self, logits: Tensor) -> Tensor:
        return losses.expected_level(logits)


class ContinuousMean(nn.Module):
    """Logits -> means of continuous Bernoullis, of the same shape."""

    def forward(self, logits: Tensor) -> Tensor:
        return losses.continuous_bernoulli_mean(logits)


DISCRETE = ("bernoulli", "categorical")  # likelihoods whose pixels have probabilities, not densities
MEANS = {"continuous_bernoulli": ContinuousMean, "categorical": ExpectedLevel}  # of more than a sigmoid or a clamp


class Model(nn.Module):
    """An encoder, a code of `latent_dim` numbers, a decoder and a likelihood. Families override what differs."""

    Config = ModelConfig
    has_encoder = True
    generative = False  # True: the code has a prior, so decoded draws of it are samples of the model
    latent = "continuous"  # or "discrete"
    input = "image"  # or "sequence"
    levels = 1
    shape: ClassVar[tuple[int, ...]] = blocks.SHAPE  # of one training example
    wants: ClassVar[tuple[str, ...]] = ()  # what `loss` is told of a training batch besides x: "labels", "index"
    batched = True  # several models can be trained as one (torch.func.vmap): no state but weights changes in a step
    test_pictures: int | None = None  # how many of them an epoch's pass looks at, where each is dear; None: all
    knobs: ClassVar[tuple[str, ...]] = ()  # numbers of the config that models trained side by side may differ in
    varied: frozenset[str] = frozenset()  # those in which they do
    units: ClassVar[dict[str, str]] = {}  # of `numbers`

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        for name in self.knobs:
            self.register_buffer(name, torch.tensor(float(getattr(config, name))), persistent=False)
        self.build()
        if config.likelihood in ("gaussian_learned", "gaussian_pixel"):
            shape = () if config.likelihood == "gaussian_learned" else blocks.SHAPE
            self.pixel_logvar = nn.Parameter(torch.full(shape, FIRST_LOGVAR))
        if config.likelihood in MEANS:
            self.pixel_mean = MEANS[config.likelihood]()

    def build(self) -> None:
        """Make the layers."""
        self.encoder, width = blocks.encoder(self.config)
        self.build_code(width)
        self.decoder = blocks.decoder(self.config)

    def build_code(self, width: int) -> None:
        """Make the layers from h (B, width) to the code."""
        raise NotImplementedError

    def is_set(self, knob: str, neutral: float) -> bool:
        """Whether `knob` has another value than the one at which it does nothing: else its operations are left out."""
        return knob in self.varied or getattr(self.config, knob) != neutral

    def start_from(self, mean: Tensor) -> None:
        """Begin at the mean image (1, 28, 28) of the training set: encoder inputs of mean 0, decoder outputs near it.

        Both are constants, so no function of x becomes unreachable; the first steps need not find them.
        LeCun et al. 1998, Efficient BackProp, section 4.3. Only the decoder's mean is clamped, for finite logits: a
        pixel that is never lit must enter the encoder as 0, or its weights would act as a bias.
        """
        self.encoder[0].start(-mean)
        self.decoder[-1].start(self.params_of(mean.clamp(BLACK, 1 - BLACK)))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """q(z|x) of x (B, 1, 28, 28): mean (B, D) and log variance (B, D), or None where the code is a point."""
        raise NotImplementedError

    def encode(self, x: Tensor) -> Tensor:
        """The code mu (B, D) of x (B, 1, 28, 28) in [0, 1]. Deterministic."""
        return self.posterior(x)[0]

    def params(self, z: Tensor) -> Tensor:
        """Natural parameters of p(x|z), (B, C, 28, 28), of z (B, D)."""
        return self.decoder(z)

    def decode(self, z: Tensor) -> Tensor:
        """The mean picture (B, 1, 28, 28) in [0, 1] of z (B, D)."""
        return self.mean(self.params(z))

    def kl_per_dim(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """KL(q(z_j|x) || p(z_j)) of each latent, in nats. mu, logvar: (B, D). Returns (B, D)."""
        return losses.gaussian_kl_per_dim(mu, logvar)

    def mean(self, params: Tensor) -> Tensor:
        """Mean picture in [0, 1] of the decoder's output."""
        kind = self.config.likelihood
        if kind in MEANS:
            return self.pixel_mean(params)
        return params.sigmoid() if kind == "bernoulli" else params.clamp(0, 1)

    def params_of(self, mean: Tensor) -> Tensor:
        """Natural parameters (maps, 28, 28) of this mean picture (1, 28, 28) in (0, 1); `mean` undone.

        Of all distributions with that mean the one that says least besides: p(x) ~ exp(eta x) on its levels.
        """
        if self.config.likelihood == "bernoulli":
            return mean.logit()
        if self.config.likelihood not in MEANS:
            return mean
        slope = torch.linspace(0, 1, self.config.maps, device=mean.device).view(-1, 1, 1) if self.config.maps > 1 else 1
        eta = rising_root(lambda eta: self.mean((eta * slope).unsqueeze(0))[0] - mean, -2 / BLACK, 2 / BLACK, mean)
        return eta * slope

    def nll(self, x: Tensor, params: Tensor) -> Tensor:
        """-log p(x|z) per image (B,), in nats, from the decoder's output."""
        kind = self.config.likelihood
        if kind == "bernoulli":
            return losses.bernoulli_nll(x, params)
        if kind == "continuous_bernoulli":
            return losses.continuous_bernoulli_nll(x, params)
        if kind == "categorical":
            return losses.categorical_nll(x, params)
        return losses.gaussian_nll(x, params, self.pixel_variance_log())

    def pixel_variance_log(self) -> Tensor | float:
        """log sigma^2 of a Gaussian pixel: one number, or a picture (1, 28, 28)."""
        if self.config.likelihood == "gaussian":
            return 2 * math.log(self.config.sigma)
        return self.pixel_logvar.clamp(min=MIN_LOGVAR)

    def forward(self, x: Tensor, generator: Generator | None = None) -> Output:
        """Encode, draw z where q is a distribution and a generator is given, decode."""
        mu, logvar = self.posterior(x)
        z = mu if logvar is None or generator is None else sample(mu, logvar, generator)
        return Output(params=self.params(z), z=z, mu=mu, logvar=logvar)

    def loss(self, x: Tensor, *, generator: Generator | None = None, epoch: float = math.inf) -> Loss:
        """Objective of a batch x (B, 1, 28, 28). `epoch`: training time that schedules follow; default: their end.

        A family that `wants` labels (B,) int64 or the pictures' numbers in the training set, index (B,) int64, takes
        them by these names, None where nobody knows them (test pictures have no index).
        """
        raise NotImplementedError

    @property
    def density_terms(self) -> tuple[str, ...]:
        """Terms with -log of a density of the pixels in them: in these a constant depends on a pixel's unit."""
        return () if self.config.likelihood in DISCRETE else ("recon", "elbo", "iwae", "objective")

    def per_image(self, **values: Tensor) -> dict[str, Tensor]:
        """`Loss.per_image` of values (B,): detached in evaluation; {} in a training step, which needs only means."""
        return {} if self.training else {name: value.detach() for name, value in values.items()}

    def parameter_groups(self) -> list[dict]:
        """What is learnt: groups {"params": [...], "scale": factor on the learning rate, "rows": bool}.

        `rows`: of these only the rows that a batch looked up move, and only their moments (embeddings with sparse
        gradients, torch.optim.SparseAdam). Each parameter is in one group.
        """
        return [{"params": list(self.parameters())}]

    def begin(self, pictures: int) -> None:
        """Called once with the number of training pictures, before there is an optimizer."""

    def after_step(self) -> None:
        """Called after each step of the optimizer: projections, codebooks."""

    def prior(self, noise: Tensor) -> Tensor:
        """Codes z (B, D) drawn from the prior, out of N(0, 1) numbers (B, D): the same noise, the same codes.

        For a code without a prior they show what lies where no code was.
        """
        return noise

    @property
    def prior_scale(self) -> float:
        """s0 of the prior N(0, s0^2 I) of the code; 0: it has none, or another kind of prior."""
        return float(self.generative and self.latent == "continuous")

    def known(self, count: int) -> tuple[Tensor, Tensor | None]:
        """Mean and log variance of the codes learnt for the first `count` training pictures; without an encoder."""
        raise NotImplementedError

    def sheet(self, x: Tensor) -> Tensor:
        """Rows of pictures (rows, columns, 28, 28) that show what a model of another input than pictures does."""
        raise NotImplementedError

    def numbers(self, x: Tensor, labels: Tensor, generator: Generator) -> dict[str, float]:
        """What only this family measures, on test pictures x (N, 1, 28, 28) of classes `labels` (N,); see `units`."""
        return {}

    @property
    def traits(self) -> dict:
        """What listings must know of a run to use it, without torch."""
        names = ("input", "latent", "has_encoder", "generative", "levels")
        return {name: getattr(self, name) for name in names} | {"latent_dim": self.config.latent_dim}


def sample(mu: Tensor, logvar: Tensor, generator: Generator) -> Tensor:
    """z = mu + exp(logvar / 2) * eps, eps ~ N(0, I): the reparameterisation (arXiv:1312.6114, section 2.4)."""
    return mu + torch.exp(0.5 * logvar) * normal(mu.shape, generator, mu)


def rising_root(f, low: float, high: float, like: Tensor) -> Tensor:
    """Where each of the rising functions f, like -> like, is 0 in low..high. By bisection."""
    low, high = torch.full_like(like, low), torch.full_like(like, high)
    for _ in range(50):
        middle = (low + high) / 2
        below = f(middle) < 0
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2
