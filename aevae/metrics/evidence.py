"""The ELBO and its terms on test images: sums over pixels and latents, means over images, in nats."""

import torch
from torch import Generator, Tensor

from aevae.models.base import Model
from aevae.models.blocks import batches
from aevae.models.tally import tally_losses
from aevae.spread import spread


def evidence(model: Model, x: Tensor, generator: Generator, samples: int = 1, labels=None) -> dict[str, float]:
    """Mean loss terms over x (N, 1, 28, 28) with `samples` noise samples each, and their `aevae.spread`.

    labels (N,) int64: classes, for families that use them.
    """
    found = tally_losses(model, x, generator, samples, labels)
    return found.means() | spread(found.per_image(samples), model.density_terms)


@torch.inference_mode()
def posterior(model: Model, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """(mu (N, D), KL per dimension (N, D) in nats, or None for point codes), on the CPU."""
    model.eval()
    pairs = [model.posterior(part) for part in batches(x)]
    mu = torch.cat([m for m, _ in pairs])
    if pairs[0][1] is None:
        return mu.cpu(), None
    return mu.cpu(), model.kl_per_dim(mu, torch.cat([v for _, v in pairs if v is not None])).cpu()
