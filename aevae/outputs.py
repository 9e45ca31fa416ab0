"""Return types of models."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Output:
    """Result of a forward pass. `logvar` is None if the code is a point."""

    params: Tensor  # (B, C, H, W) natural parameters of p(x|z): logits, or the mean of a Gaussian
    z: Tensor  # (B, D) the code that was decoded
    mu: Tensor  # (B, D)
    logvar: Tensor | None  # (B, D) log variance of q(z|x)


@dataclass(frozen=True)
class Loss:
    """Result of `Model.loss`. `total` is minimised; `terms` are detached means over the batch, in nats per image.

    `per_image`, in evaluation only: name -> values (B,) whose mean is the term of that name (`objective`: is `total`).
    Terms that are statistics of the batch (total correlation, mean activation, free bits) have no values per image.
    """

    total: Tensor  # scalar, with gradient
    terms: dict[str, Tensor]
    per_image: dict[str, Tensor] = field(default_factory=dict)
