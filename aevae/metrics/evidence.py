"""The bound and its parts on test pictures. Sums over pixels and latents, means over images, in nats."""

import torch
from torch import Generator, Tensor

from aevae.models.base import Model
from aevae.models.blocks import batches

UNITS = {"recon": "nats / image", "kl": "nats / image", "elbo": "nats / image", "objective": "nats / image"}


@torch.inference_mode()
def evidence(model: Model, x: Tensor, generator: Generator, samples: int = 1, labels=None) -> dict[str, float]:
    """Mean terms of the model's own loss over x (N, 1, 28, 28), `samples` draws of its noise each.

    labels (N,) int64: their classes, for a family that wants them.
    """
    model.eval()
    sums: dict[str, float] = {}
    for _ in range(samples):
        for rows in batches(torch.arange(len(x), device=x.device)):
            part, told = x[rows], {"labels": labels[rows]} if "labels" in model.wants and labels is not None else {}
            loss = model.loss(part, generator=generator, **told)
            for name, term in {**loss.terms, "objective": loss.total}.items():
                sums[name] = sums.get(name, 0.0) + float(term) * len(part)
    return {name: total / (len(x) * samples) for name, total in sums.items()}


@torch.inference_mode()
def posterior(model: Model, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """mu (N, D) and KL per dimension (N, D) in nats, or None where the code is a point; on the CPU."""
    model.eval()
    pairs = [model.posterior(part) for part in batches(x)]
    mu = torch.cat([m for m, _ in pairs])
    if pairs[0][1] is None:
        return mu.cpu(), None
    return mu.cpu(), model.kl_per_dim(mu, torch.cat([v for _, v in pairs])).cpu()
