"""VQ-VAE: min -log p(x|z_q) + ||sg(z_e) - e||^2 + b ||z_e - sg(e)||^2, z_q = e_k, k = argmin_k ||z_e - e_k||, in each
cell of a grid; and a PixelCNN p(k) over the grids of indices k.

van den Oord et al. 2017, arXiv:1711.00937, eq. 1-3; codebook by moving averages: its appendix A.1. sg: stop gradient.
The gradient of z_q is copied to z_e (straight-through estimator).

Differs from the autoencoder: the code is a grid of indices 0..K-1, each of which represents a vector. Differs from the
VAE: the posterior is a point, and the prior is learned. The paper fits the prior after the autoencoder. Here both are
trained in the same steps; indices have no gradient, so the prior does not influence the autoencoder. As
p(x) = sum_k p(k) p(x|k) is at least as large as each term, -(recon + prior) is a lower bound on log p(x): the ELBO.

z is the flat grid of vectors (B, D * 7 * 7). Decoding first replaces each vector by the nearest one of the codebook.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn

from aevae.config import ModelConfig, option
from aevae.losses import tensor_sum
from aevae.models.base import Model
from aevae.models.blocks import Codebook, FixedOffset, UpConv, batches
from aevae.models.pixel_cnn import PixelCNN
from aevae.noise import uniform
from aevae.outputs import Loss

SMOOTHING = 1e-5  # cells per image added to each vector's use (Laplace), so that nothing is divided by 0
DEAD_SHARE = 0.05  # a vector that is used less than this share of uniform use is replaced


@dataclass(frozen=True)
class VQVAEConfig(ModelConfig):
    """Vector-quantised autoencoder (van den Oord et al. 2017)."""

    family: ClassVar[str] = "vq_vae"
    recipe: ClassVar[dict] = {"epochs": 15}
    recipe_large: ClassVar[dict] = {"batch_size": 128}
    network: ClassVar[str] = "conv"
    hidden: ClassVar[int]
    latent_dim: ClassVar[int]
    sides: ClassVar[tuple[int, ...]] = (7,)  # side of each level's grid
    codes: int = option(128, "vectors in the codebook, K", min=2, max=1024)
    code_dim: int = option(8, "numbers in a vector, D", min=1, max=64)
    codebook: str = option(
        "ema",
        "how the vectors learn: ema (moving average of the encoder outputs that chose the vector) or gradient",
        choices=("ema", "gradient"),
    )
    decay: float = option(0.99, "decay of the moving averages; 0: only the last batch counts", min=0.0, max=0.9999)
    commitment: float = option(  # of 0.1..2, alike to the paper; measured: 1 costs the prior less than its 0.25
        1.0,
        "b: weight of the distance from the encoder output to the chosen vector; 0: no such term",
        min=0.0,
        max=100.0,
    )
    restart: bool = option(True, "restart unused vectors at outputs of the encoder; off: the codebook may collapse")
    prior_width: int = option(48, "feature maps of the PixelCNN", min=4, max=256)
    prior_layers: int = option(3, "gated layers of the PixelCNN after its first", min=0, max=12)

    @property
    def latent_dim(self) -> int:
        """Size of z: the vectors of all cells."""
        return self.code_dim * sum(side * side for side in self.sides)


class Quantiser(nn.Module):
    """A trainable codebook: `collect` keeps a training batch, `ema_update` learns from it after the step."""

    use: Tensor
    sums: Tensor

    def __init__(self, config: VQVAEConfig, cells: int):
        super().__init__()
        self.decay, self.restart = config.decay, config.restart
        self.codebook = Codebook(config.codes, config.code_dim, learnt=config.codebook == "gradient")
        self.fair = cells / config.codes  # cells per image and vector under uniform use
        use = torch.full((config.codes,), 0.0 if config.restart else self.fair)
        self.register_buffer("use", use)  # cells per image that chose each vector (moving average)
        self.moving = config.codebook == "ema"
        if self.moving:
            self.register_buffer("sums", self.codebook.vectors * use[:, None])  # of their z_e (moving average)
        self.collected: tuple | None = None

    def forward(self, z_e: Tensor) -> Tensor:
        return self.codebook(z_e)

    def collect(self, z_e: Tensor, indices: Tensor, generator: Generator | None) -> None:
        """Store a batch z_e (B, D, h, w) with its indices (B, h, w) for `ema_update`."""
        flat = z_e.detach().to(self.use.dtype).movedim(1, -1).flatten(0, -2)  # (cells, D)
        draws = uniform(self.use.shape, generator, flat) if self.restart and generator is not None else None
        self.collected = flat, indices.flatten(), len(z_e), draws

    @torch.no_grad()
    def ema_update(self) -> None:
        """Update the codebook from the collected batch and discard the batch. Does nothing without one."""
        if self.collected is None:
            return
        (z_e, indices, images, draws), self.collected = self.collected, None
        vectors = self.codebook.vectors
        chose = (indices[:, None] == torch.arange(len(vectors), device=indices.device)).to(z_e.dtype)  # (cells, K)
        self.use.lerp_(chose.sum(0) / images, 1 - self.decay)
        if self.moving:
            self.sums.lerp_(chose.T @ z_e / images, 1 - self.decay)
            vectors.copy_(self.sums / smoothed(self.use)[:, None])
        if draws is not None:
            self._revive(z_e, (z_e - vectors[indices]).square().sum(1), draws)

    def _revive(self, z_e: Tensor, errors: Tensor, draws: Tensor) -> None:
        """Replace rarely used vectors by cells z_e (cells, D) with large errors.

        A cell is sampled with probability proportional to its squared error (k-means++, Arthur & Vassilvitskii 2007).
        At first no vector is used, so the first batch initialises the codebook. A replaced vector counts as twice the
        threshold, so it is safe until its use has halved.
        """
        dead = self.use < DEAD_SHARE * self.fair
        new = z_e[proportional(errors, draws)]  # (K, D)
        self.use.copy_(torch.where(dead, 2 * DEAD_SHARE * self.fair, self.use))
        self.codebook.vectors.copy_(torch.where(dead[:, None], new, self.codebook.vectors))
        if self.moving:
            self.sums.copy_(torch.where(dead[:, None], new * self.use[:, None], self.sums))


def smoothed(use: Tensor) -> Tensor:
    """`use` (K,) with `SMOOTHING` added and the same sum (as in the code published with the paper)."""
    total = use.sum()
    return (use + SMOOTHING) * total / (total + len(use) * SMOOTHING)


def proportional(weights: Tensor, draws: Tensor) -> Tensor:
    """Indices (K,) int64 sampled with probability proportional to `weights` (N,) >= 0; draws: uniform (K,) in [0, 1).

    Sums are taken over integers, because sums of floats are not reproducible on every device.
    """
    share = weights / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)
    bounds = (share * 2**32).long().cumsum(0)
    return torch.searchsorted(bounds, (draws * bounds[-1]).long(), right=True).clamp(max=len(weights) - 1)


def straight_through(z_e: Tensor, z_q: Tensor) -> Tensor:
    """The value of z_q, bit for bit; the gradient goes to z_e unchanged."""
    return z_q.detach() + (z_e - z_e.detach())


def squared(a: Tensor, b: Tensor) -> Tensor:
    """||a - b||^2 summed over cells and numbers, per image: (B,)."""
    return (a - b).square().flatten(1).sum(1)


def perplexity(counts: Tensor) -> float:
    """exp of the entropy of the use of the vectors, counts (K,): 1 if only one is used, K if all are used equally."""
    counts = counts.cpu().double()
    return float(torch.special.entr(counts / counts.sum()).sum().exp())


class VQVAE(Model):
    """One grid of 7 x 7 indices. Lists have one entry per level, since subclasses have several levels."""

    Config = VQVAEConfig
    config: VQVAEConfig
    quantisers: Any  # a ModuleList of Quantiser, one per level
    priors: Any  # a ModuleList of PixelCNN, one per level
    objective = "-log p(x|z_q) + ||sg z_e - e||^2 + b ||z_e - sg e||^2 - log p(k)"
    paper = "van den Oord et al. 2017"
    generative = True
    latent = "discrete"
    batched = False  # a step also changes the codebook and its moving averages
    names: ClassVar[tuple[str, ...]] = ("",)  # suffixes of the levels in `metrics`
    units: ClassVar[dict[str, str]] = {
        "perplexity": "vectors",
        "codes_used": "vectors",
        "prior_bits": "bits / image",
    }

    def build(self) -> None:
        self.quantisers = nn.ModuleList(Quantiser(self.config, side * side) for side in self.config.sides)
        self.build_networks()
        shape = (self.config.codes, self.config.prior_width, self.config.prior_layers)
        self.priors = nn.ModuleList(PixelCNN(side, *shape) for side in self.config.sides)

    def build_networks(self) -> None:
        """Create the networks of `quantize_levels` and `decode_vectors`."""
        size = self.config.code_dim
        self.encoder = nn.Sequential(
            FixedOffset(),
            nn.Conv2d(1, 32, 4, 2, 1),  # (B, 32, 14, 14)
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, 2, 1),  # (B, 64, 7, 7)
            nn.ReLU(),
            nn.Conv2d(64, size, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(size, 64, 3, 1, 1),
            nn.ReLU(),
            UpConv(64, 32),  # (B, 32, 14, 14)
            nn.ReLU(),
            UpConv(32, self.config.channels),  # (B, channels, 28, 28)
            FixedOffset(self.config.channels),
        )

    # -- images and grids of vectors

    def quantize_levels(self, x: Tensor, quantise: Callable[[int, Tensor], Tensor]) -> list[Tensor]:
        """Quantised vectors z_q (B, D, side, side) of x, one per level: quantise(level, z_e) of the encoder's z_e."""
        return [quantise(0, self.encoder(x))]

    def decode_vectors(self, vectors: Sequence[Tensor]) -> Tensor:
        """Natural parameters of p(x|z_q), (B, channels, 28, 28), of the levels' vectors z_q."""
        return self.decoder(vectors[0])

    def prior_context(self, above: Sequence[Tensor]) -> Tensor | None:
        """Condition of a level's prior: a function of the indices (B, side, side) of the levels above, or None."""
        return None

    # -- the common surface

    def posterior(self, x: Tensor) -> tuple[Tensor, None]:
        return flat(self.quantize_levels(x, lambda level, z_e: self.quantisers[level](z_e))), None

    def params(self, z: Tensor) -> Tensor:
        """Natural parameters of p(x|z), (B, channels, 28, 28), of the codebook vectors nearest to z (B, D)."""
        return self.decode_vectors([quantiser(m) for quantiser, m in zip(self.quantisers, self.split(z), strict=True)])

    def split(self, z: Tensor) -> list[Tensor]:
        """The vectors (B, D, side, side) of each level in z."""
        parts, start = [], 0
        for side in self.config.sides:
            end = start + self.config.code_dim * side * side
            parts.append(z[:, start:end].reshape(-1, self.config.code_dim, side, side))
            start = end
        return parts

    def indices(self, x: Tensor) -> list[Tensor]:
        """Codebook indices of x (B, 1, 28, 28): (B, side, side) int64 for each level."""
        found: list[Tensor] = []
        self.quantize_levels(x, lambda level, z_e: self.quantize_with_indices(level, z_e, found))
        return found

    def quantize_with_indices(self, level: int, z_e: Tensor, found: list[Tensor]) -> Tensor:
        """The vectors nearest to z_e; their indices are appended to `found`."""
        codebook = self.quantisers[level].codebook
        with torch.autocast(z_e.device.type, enabled=False):  # similar vectors must stay distinguishable
            found.append(codebook.indices(z_e.detach().to(codebook.vectors.dtype)))
        return codebook.look_up(found[-1])

    def codes_of(self, indices: Sequence[Tensor]) -> Tensor:
        """z (B, D) of the levels' indices (B, side, side)."""
        return flat([q.codebook.look_up(k) for q, k in zip(self.quantisers, indices, strict=True)])

    def decode_indices(self, indices: Sequence[Tensor]) -> Tensor:
        """The mean image (B, 1, 28, 28) of the levels' indices (B, side, side)."""
        return self.decode(self.codes_of(indices))

    def loss(self, x: Tensor, *, generator: Generator | None = None, epoch: float = math.inf) -> Loss:
        indices: list[Tensor] = []
        pairs: list[tuple[Tensor, Tensor]] = []  # z_e, z_q

        def quantise(level: int, z_e: Tensor) -> Tensor:
            pairs.append((z_e, self.quantize_with_indices(level, z_e, indices)))
            return straight_through(*pairs[-1])

        nll = self.nll(x, self.decode_vectors(self.quantize_levels(x, quantise)))  # (B,), like the next two
        recon = nll.mean()
        distance = tensor_sum(squared(z_e, z_q.detach()) for z_e, z_q in pairs)
        commit = distance.mean()
        code_nll = tensor_sum(self.prior_nll(indices))
        prior = code_nll.mean()
        terms = {"recon": recon, "commit": commit, "prior": prior, "elbo": -(recon + prior)}
        total = recon + self.config.commitment * commit + prior
        if self.config.codebook == "gradient":
            terms["codebook"] = tensor_sum(squared(z_e.detach(), z_q) for z_e, z_q in pairs).mean()
            total = total + terms["codebook"]
        if self.training:
            for quantiser, (z_e, _), k in zip(self.quantisers, pairs, indices, strict=True):
                quantiser.collect(z_e, k, generator)
        each = {}
        if not self.training:  # both distances have equal values
            each = {"recon": nll, "commit": distance, "prior": code_nll, "elbo": -(nll + code_nll)}
            each |= {"codebook": distance} if "codebook" in terms else {}
            each["objective"] = nll + self.config.commitment * distance + code_nll + each.get("codebook", 0.0)
        return Loss(total, {name: term.detach() for name, term in terms.items()}, self.per_image(**each))

    def after_step(self) -> None:
        for quantiser in self.quantisers:
            quantiser.ema_update()

    # -- the prior

    def prior_nll(self, indices: Sequence[Tensor]) -> list[Tensor]:
        """-log p of each level's indices given the levels above, (B,) each, in nats; their sum is -log p(k)."""
        return [prior.nll(indices[i], self.prior_context(indices[:i])) for i, prior in enumerate(self.priors)]

    @torch.no_grad()
    def prior_indices(self, noise: Tensor) -> list[Tensor]:
        """Indices of each level, sampled from the prior with N(0, 1) noise (B, at least the cells of all levels)."""
        drawn: list[Tensor] = []
        start = 0
        for side, prior in zip(self.config.sides, self.priors, strict=True):
            end = start + side * side
            u = torch.special.ndtr(noise[:, start:end]).unflatten(1, (side, side))
            drawn.append(prior.sample_indices(u, self.prior_context(drawn)))
            start = end
        return drawn

    def sample_prior(self, noise: Tensor) -> Tensor:
        """Codes z (B, D) sampled from the PixelCNN; each cell uses one number of the N(0, 1) noise (B, D)."""
        return self.codes_of(self.prior_indices(noise))

    @torch.inference_mode()
    def metrics(self, x: Tensor, labels: Tensor, generator: Generator) -> dict[str, float]:
        """Use of each level's codebook over all of x, and the cost of its indices under the prior."""
        counts = torch.zeros(self.levels, self.config.codes, device=x.device)
        nats = torch.zeros(self.levels, device=x.device)
        for part in batches(x):
            indices = self.indices(part)
            counts += torch.stack([torch.bincount(k.flatten(), minlength=counts.shape[1]) for k in indices])
            nats += torch.stack([level.sum() for level in self.prior_nll(indices)])
        values = {}
        for name, count, nll in zip(self.names, counts, nats, strict=True):
            values[f"perplexity{name}"] = perplexity(count)
            values[f"codes_used{name}"] = int((count > 0).sum())
            values[f"prior_bits{name}"] = float(nll) / len(x) / math.log(2)
        return values


def flat(vectors: Sequence[Tensor]) -> Tensor:
    """Vectors (B, D, side, side) of the levels as one code (B, sum of their sizes)."""
    return torch.cat([m.flatten(1) for m in vectors], 1)
