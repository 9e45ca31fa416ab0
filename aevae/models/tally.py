"""The losses of a model over a set of images, in batches, with the same noise in every epoch and every run."""

from typing import Any

import torch
from torch import Generator, Tensor

from aevae.models.base import Model
from aevae.models.blocks import batches
from aevae.spread import Tally

TEST_SEED = 1_000_003  # seed of the noise in test passes and film frames


@torch.inference_mode()
def tally_losses(
    model: Model, x: Tensor, generator: Generator, samples: int = 1, labels: Tensor | None = None
) -> Tally:
    """The Tally of the losses of x (N, ...), float32 in [0, 1] or uint8, in `samples` passes with new noise each.

    labels (N,) int64: classes, for families that use them. Leaves the model in evaluation mode.
    """
    model.eval()
    labels = labels if "labels" in model.extra_inputs else None
    found = Tally()
    for _ in range(samples):
        for rows in batches(torch.arange(len(x), device=x.device)):
            part = x[rows]
            part = part.float().div_(255) if part.dtype == torch.uint8 else part
            extra: dict[str, Any] = {} if labels is None else {"labels": labels[rows]}
            found.add(model.loss(part, generator=generator, **extra), len(rows))
    return found
