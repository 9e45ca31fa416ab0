"""What a model returns."""

from dataclasses import dataclass, field

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
    """`total` is minimised; `terms` are detached means over the batch, in nats per image.

    `per_image`, filled in evaluation only: the values (B,) whose mean a term is (`objective`: whose mean `total` is).
    A term that is a statistic of the batch (total correlation, mean activation, free bits) has none.
    """

    total: Tensor  # scalar, with gradient
    terms: dict[str, Tensor]
    per_image: dict[str, Tensor] = field(default_factory=dict)
