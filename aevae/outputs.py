"""What a model hands back."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Output:
    """One pass through a model. `logvar` is None where the code is a point."""

    params: Tensor  # (B, C, H, W) natural parameters of p(x|z): logits, or the mean of a Gaussian
    z: Tensor  # (B, D) the code that was decoded
    mu: Tensor  # (B, D)
    logvar: Tensor | None  # (B, D) log variance of q(z|x)


@dataclass(frozen=True)
class Loss:
    """`total` is minimised; `terms` are detached means over the batch, in nats per image."""

    total: Tensor  # scalar, with gradient
    terms: dict[str, Tensor]
