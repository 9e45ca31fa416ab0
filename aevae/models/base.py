"""The interface that every family shares: encode, decode, forward, loss.

A model knows no file, device, optimizer or screen; its tensors are on the device of the inputs. All randomness comes
from the `generator` argument: without one, every call is deterministic (z = mu, no corruption).
"""

import math
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn

from aevae import losses
from aevae.config import ModelConfig
from aevae.models import blocks
from aevae.noise import normal
from aevae.outputs import Loss, Output

HALF_GREY_LEVEL = 1 / 510  # keeps the logit of a pixel that is always black finite
MIN_LOGVAR = math.log(1e-4)  # of learned pixel variances: pixels that are always black would drive the NLL to -inf
INITIAL_LOGVAR = math.log(0.1)  # close to the variance of MNIST's pixels, 0.095


class ExpectedLevel(nn.Module):
    """Logits of the levels (B, L, H, W) -> mean level (B, 1, H, W)."""

    def forward(self, logits: Tensor) -> Tensor:
        return losses.expected_level(logits)


class ContinuousMean(nn.Module):
    """Logits -> means of continuous Bernoullis, of the same shape."""

    def forward(self, logits: Tensor) -> Tensor:
        return losses.continuous_bernoulli_mean(logits)


DISCRETE = ("bernoulli", "categorical")  # likelihoods with probabilities instead of densities
MEAN_LAYERS = {"continuous_bernoulli": ContinuousMean, "categorical": ExpectedLevel}  # instead of a sigmoid or a clamp


class Model(nn.Module):
    """An encoder, a code of `latent_dim` numbers, a decoder and a likelihood. Families override what differs."""

    Config: Any = ModelConfig  # a family's own subclass
    objective: str
    paper: str
    encoder: Any  # layers, which differ between families and options
    decoder: Any
    has_encoder = True
    generative = False  # True: the code has a prior, so decoded prior samples are samples of the model
    latent = "continuous"  # or "discrete"
    input = "image"  # or "sequence"
    levels = 1
    shape: ClassVar[tuple[int, ...]] = blocks.SHAPE  # shape of one training example
    extra_inputs: ClassVar[tuple[str, ...]] = ()  # arguments of `loss` besides x: "labels", "index"
    batched = True  # several models can be trained as one (torch.func.vmap), because a step changes only the weights
    max_test_images: int | None = None  # limit of the test pass of an epoch, if images are expensive; None: all
    batchable_hparams: ClassVar[tuple[str, ...]] = ()  # may differ between models that are trained as one
    varying_hparams: frozenset[str] = frozenset()  # do differ between the models that are trained as one
    units: ClassVar[dict[str, str]] = {}  # name -> unit of the family's own loss terms and metrics

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        for name in self.batchable_hparams:
            self.register_buffer(name, torch.tensor(float(getattr(config, name))), persistent=False)
        self.build()
        if config.likelihood in ("gaussian_learned", "gaussian_pixel"):
            shape = () if config.likelihood == "gaussian_learned" else blocks.SHAPE
            self.pixel_logvar = nn.Parameter(torch.full(shape, INITIAL_LOGVAR))
        if config.likelihood in MEAN_LAYERS:
            self.pixel_mean = MEAN_LAYERS[config.likelihood]()

    def build(self) -> None:
        """Create the layers."""
        self.encoder, width = blocks.encoder(self.config)
        self.build_code(width)
        self.decoder = blocks.decoder(self.config)

    def build_code(self, width: int) -> None:
        """Create the layers from h (B, width) to the code."""
        raise NotImplementedError

    def is_active(self, hparam: str, neutral: float) -> bool:
        """Whether a hyperparameter differs from its neutral value; if not, its operation is skipped."""
        return hparam in self.varying_hparams or getattr(self.config, hparam) != neutral

    def init_from_mean(self, mean: Tensor) -> None:
        """Centre the encoder's inputs and the untrained decoder's outputs at the mean training image (1, 28, 28).

        Both offsets are constants. They do not change the set of functions that the model can represent; without them
        the first steps would learn them. LeCun et al. 1998, Efficient BackProp, section 4.3. Only the decoder's mean is
        clamped, for finite logits: a pixel that is always black must be 0 for the encoder, or its weights would act as
        a bias.
        """
        self.encoder[0].set_offset(-mean)
        self.decoder[-1].set_offset(self.params_of(mean.clamp(HALF_GREY_LEVEL, 1 - HALF_GREY_LEVEL)))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """q(z|x) of x (B, 1, 28, 28): (mean (B, D), log variance (B, D), or None if the code is a point)."""
        raise NotImplementedError

    def encode(self, x: Tensor) -> Tensor:
        """The code mu (B, D) of x (B, 1, 28, 28) in [0, 1]. Deterministic."""
        return self.posterior(x)[0]

    def params(self, z: Tensor) -> Tensor:
        """Natural parameters of p(x|z), (B, C, 28, 28), of z (B, D)."""
        return self.decoder(z)

    def decode(self, z: Tensor) -> Tensor:
        """The mean image (B, 1, 28, 28) in [0, 1] of z (B, D)."""
        return self.mean(self.params(z))

    def kl_per_dim(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """KL(q(z_j|x) || p(z_j)) of each latent, in nats. mu, logvar: (B, D). Returns (B, D)."""
        return losses.gaussian_kl_per_dim(mu, logvar)

    def mean(self, params: Tensor) -> Tensor:
        """The mean image (B, 1, 28, 28) in [0, 1] of the decoder's output `params`."""
        kind = self.config.likelihood
        if kind in MEAN_LAYERS:
            return self.pixel_mean(params)
        return params.sigmoid() if kind == "bernoulli" else params.clamp(0, 1)

    def params_of(self, mean: Tensor) -> Tensor:
        """Natural parameters (channels, 28, 28) whose mean image is `mean` (1, 28, 28), in (0, 1).

        For categorical pixels, many distributions have this mean; returned is the one with the largest entropy,
        p(x) ~ exp(eta x) over the levels.
        """
        if self.config.likelihood == "bernoulli":
            return mean.logit()
        if self.config.likelihood not in MEAN_LAYERS:
            return mean
        many = self.config.channels > 1
        levels = torch.linspace(0, 1, self.config.channels, device=mean.device).view(-1, 1, 1) if many else 1
        bound = 2 / HALF_GREY_LEVEL
        eta = rising_root(lambda eta: self.mean((eta * levels).unsqueeze(0))[0] - mean, -bound, bound, mean)
        return eta * levels

    def nll(self, x: Tensor, params: Tensor) -> Tensor:
        """-log p(x|z) per image (B,), in nats, for the decoder's output `params`."""
        kind = self.config.likelihood
        if kind == "bernoulli":
            return losses.bernoulli_nll(x, params)
        if kind == "continuous_bernoulli":
            return losses.continuous_bernoulli_nll(x, params)
        if kind == "categorical":
            return losses.categorical_nll(x, params)
        return losses.gaussian_nll(x, params, self.pixel_variance_log())

    def pixel_variance_log(self) -> Tensor | float:
        """log sigma^2 of Gaussian pixels: one number, or an image (1, 28, 28)."""
        if self.config.likelihood == "gaussian":
            return 2 * math.log(self.config.sigma)
        return self.pixel_logvar.clamp(min=MIN_LOGVAR)

    def forward(self, x: Tensor, generator: Generator | None = None) -> Output:
        """The Output for x. z is sampled if q(z|x) is a distribution and a generator is given; otherwise z = mu."""
        mu, logvar = self.posterior(x)
        z = mu if logvar is None or generator is None else sample(mu, logvar, generator)
        return Output(params=self.params(z), z=z, mu=mu, logvar=logvar)

    def loss(self, x: Tensor, *, generator: Generator | None = None, epoch: float = math.inf) -> Loss:
        """The Loss of a batch x (B, 1, 28, 28). epoch: training time of schedules; the default is after their end.

        Families with `extra_inputs` also get labels (B,) int64, or index (B,) int64, the positions of the images in
        the training set; None if unknown (test images have no index).
        """
        raise NotImplementedError

    @property
    def density_terms(self) -> tuple[str, ...]:
        """Names of the terms that contain -log of a pixel density, whose zero point depends on the unit of a pixel."""
        return () if self.config.likelihood in DISCRETE else ("recon", "elbo", "iwae", "objective", "nll", "ais")

    def per_image(self, **values: Tensor) -> dict[str, Tensor]:
        """`Loss.per_image`: the values (B,), detached; {} in training, which needs only means."""
        return {} if self.training else {name: value.detach() for name, value in values.items()}

    def parameter_groups(self) -> list[dict]:
        """Parameters in groups {"params": [...], "scale": factor on the learning rate, "rows": bool}.

        rows: only the rows that a batch looked up are updated, and only their moments (embeddings with sparse
        gradients, torch.optim.SparseAdam). Each parameter is in exactly one group.
        """
        return [{"params": list(self.parameters())}]

    def setup(self, num_train: int) -> None:
        """Called once before the optimizer is created. num_train: number of training images."""

    def after_step(self) -> None:
        """Called after each optimizer step, for projections and codebook updates."""

    def sample_prior(self, noise: Tensor) -> Tensor:
        """Samples z (B, D) of the prior, a deterministic function of N(0, 1) noise (B, D).

        Families without a prior return the noise, which shows how they decode points far from any training code.
        """
        return noise

    @property
    def prior_scale(self) -> float:
        """s0 of the prior N(0, s0^2 I) of the code; 0 for no prior or another prior."""
        return float(self.generative and self.latent == "continuous")

    def training_codes(self, count: int) -> tuple[Tensor, Tensor | None]:
        """(mean, log variance or None) of the learned codes of the first `count` training images; if no encoder."""
        raise NotImplementedError

    def preview_rows(self, x: Tensor) -> Tensor:
        """Preview images (rows, columns, 28, 28) of a model whose input is not a single image."""
        raise NotImplementedError

    def metrics(self, x: Tensor, labels: Tensor, generator: Generator) -> dict[str, float]:
        """Name -> value of metrics that only this family has, on test images x (N, 1, 28, 28) with `labels` (N,)."""
        return {}

    @property
    def traits(self) -> dict:
        """Properties for listings; stored in state.json, so that listings need no torch."""
        names = ("input", "latent", "has_encoder", "generative", "levels")
        return {name: getattr(self, name) for name in names} | {"latent_dim": self.config.latent_dim}


def sample(mu: Tensor, logvar: Tensor, generator: Generator) -> Tensor:
    """z = mu + exp(logvar / 2) * eps, eps ~ N(0, I): the reparameterisation (arXiv:1312.6114, section 2.4)."""
    return mu + torch.exp(0.5 * logvar) * normal(mu.shape, generator, mu)


def rising_root(f, low: float, high: float, like: Tensor) -> Tensor:
    """Roots (shaped as `like`) of the elementwise increasing function f in low..high, by bisection."""
    left, right = torch.full_like(like, low), torch.full_like(like, high)
    for _ in range(50):
        middle = (left + right) / 2
        below = f(middle) < 0
        left, right = torch.where(below, middle, left), torch.where(below, right, middle)
    return (left + right) / 2
