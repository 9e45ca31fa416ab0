"""Definition of a metric, and the test images for it. Imports no torch, because listings read the registry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from aevae.spread import MEDIAN, SHARE, WORST

LOWER, HIGHER = "lower", "higher"
QUICK, SLOW = "quick", "slow"  # quick: about a second; slow: a task for the queue
DISCRETE = ("bernoulli", "categorical")  # pixels with probabilities, not densities
Values = dict[str, Any]  # numbers, or lists of numbers


class Stopped(Exception):
    """`should_stop` ended the evaluation."""


class TooFew(ValueError):
    """A metric needs more images or more classes. The message is one sentence."""


class Extra(NamedTuple):
    """Title and unit of a value that is computed with a metric, e.g. its error or number of samples."""

    title: str
    unit: str


@dataclass(frozen=True)
class Metric:
    """A number of a run, its description and its computation.

    compute(run, data, seed, **options): returns name -> value, including this metric's name; metrics with the same
    `compute` are computed together; data: a `Sample`. needs: "" if the metric applies to a run (RunInfo or Run), else
    one sentence. options: keyword arguments of `compute`, with defaults. extras: name -> Extra for the other values
    that `compute` returns; error: name of the extra that is shown after ±; count: (symbol, name) of the value in the
    title.
    """

    name: str
    title: str
    unit: str
    formula: str  # LaTeX
    compute: Callable[..., Values]
    needs: Callable[[Any], str] = lambda info: ""
    cost: str = SLOW
    better: str = ""  # LOWER, HIGHER, or "" for neither
    options: dict[str, Any] = field(default_factory=dict)
    extras: dict[str, Extra] = field(default_factory=dict)
    error: str = ""
    count: tuple[str, str] = ("", "")
    help: str = ""  # first one sentence: what the number says; then the limits of its meaning
    beside: tuple[str, ...] = ()  # extras or metrics that are always shown with it
    since: int = 1  # `evaluation.SCHEMA` of the last change of its definition

    def full_title(self, *found: Mapping) -> str:
        """The title, with the count if it is the same in all values: `NLL (upper bound, K = 5,000)`."""
        symbol, name = self.count
        counts = {values[name] for values in found if name in values}
        if len(counts) != 1:
            return self.title
        text = f"{symbol} = {counts.pop():,}"
        return f"{self.title[:-1]}, {text})" if self.title.endswith(")") else f"{self.title} ({text})"

    @property
    def signed_unit(self) -> str:
        """The unit. For values in nats with the sign of log p(x) it says that larger is better."""
        signed = self.unit.startswith("nats") and self.better == HIGHER
        return f"{self.unit}, larger is better" if signed else self.unit

    def applies(self, run) -> str:
        """ "" if this metric applies to a run (Run or RunInfo), else one sentence."""
        return self.needs(getattr(run, "info", run))

    @property
    def key(self) -> str:
        """Identity of `compute`: metrics with the same key are computed together."""
        function: Any = self.compute
        return f"{function.__module__}.{function.__qualname__}"


def with_spread(mean: Metric, share: Callable[[Any], str] | None) -> tuple[Metric, ...]:
    """The metric of a mean, and the metrics of `aevae.spread` that are always shown with it: median, and share.

    share: requirement of the share of the ten worst images; None: there is no share.
    """
    symbol = rf"\mathrm{{{mean.name}}}".replace("_", r"\_")
    cost = f"-{symbol}" if mean.better == HIGHER else symbol
    median = replace(
        mean, name=mean.name + MEDIAN, title=f"{mean.title}: median", formula=rf"\mathrm{{median}}\ {symbol}",
        extras={}, error="", count=("", ""), beside=(),
        help="Half of the images have a smaller value. A few bad images do not change it.",
    )  # fmt: skip
    found = [median]
    if share is not None:
        formula = rf"\sum_{{i \in 10\ \text{{largest}}}} c_i \Big/ \sum_i c_i,\ c = {cost}"
        name, title = mean.name + WORST, f"{mean.title}: ten worst"
        help = "How much of the sum comes from the ten worst images."
        worst = {"name": name, "title": title, "unit": SHARE, "formula": formula, "better": "", "needs": share}
        found.append(replace(median, **worst, help=help))
    first = [mean.error] if mean.error in mean.beside else []
    beside = dict.fromkeys([*first, *(metric.name for metric in found), *mean.beside])
    return replace(mean, beside=tuple(beside)), *found


class Sample:
    """Test images on a device, their posteriors (computed once), and the progress callback.

    images: float32 tensor (N, 1, 28, 28) in [0, 1], or sequences of them; labels: int64 (N,).
    """

    def __init__(self, split, device="cpu", beat: Callable[[float], None] = lambda part: None):
        import torch

        self.images = torch.tensor(split.images).to(device).float().div_(255)
        self.labels = np.array(split.labels)
        self.beat = beat  # to be called often with the finished fraction 0..1; may raise Stopped
        self._posterior: dict[str, tuple] = {}

    def __len__(self) -> int:
        return len(self.images)

    def posterior(self, run) -> tuple:
        """(mu (N, D), log variance (N, D), or None for point codes), tensors on the run's device.

        Raises ValueError if a value is not finite, because the model has diverged.
        """
        import torch

        from aevae.models.blocks import batches

        if run.name not in self._posterior:
            parts = []
            with torch.inference_mode():
                for part in batches(self.images):
                    parts.append(run.model.posterior(part))
                    self.beat(0.0)
            mu, logvar = (None if each[0] is None else torch.cat(each) for each in zip(*parts, strict=True))
            if not all(t is None or bool(torch.isfinite(t).all()) for t in (mu, logvar)):
                raise ValueError(diverged(run.name))
            self._posterior[run.name] = mu, logvar
        return self._posterior[run.name]

    def codes(self, run) -> np.ndarray:
        """mu (N, D) of a run, float32."""
        return self.posterior(run)[0].float().cpu().numpy()


def diverged(name: str) -> str:
    return f"{name} has diverged: its results are not numbers"


# -- requirements on a run -------------------------------------------------------------------------------------------


def of_images(info) -> str:
    """Requires that single images have codes."""
    return "" if info.traits["input"] == "image" else f"the input of {info.family} is not a single image"


def with_codes(info) -> str:
    """Requires that single images have continuous codes."""
    return of_images(info) or ("" if info.traits["latent"] == "continuous" else f"{info.family} has discrete codes")


def with_encoder(info) -> str:
    """Requires an encoder: the code is a smooth function of the image."""
    return with_codes(info) or ("" if info.traits["has_encoder"] else f"{info.family} has no encoder")


def with_density(info) -> str:
    """Requires Gaussian q(z|x) and p(z), so that there is a log p(x) to bound."""
    return with_codes(info) or (
        "" if info.traits["generative"] else f"{info.family} has no prior: its codes are points"
    )


def with_probabilities(info) -> str:
    """Requires pixels with probabilities: -log of a density can be negative, and its zero point is arbitrary."""
    if info.likelihood in DISCRETE:
        return ""
    return f"this fraction needs pixels with probabilities; {info.likelihood} is a density"


def generative(info) -> str:
    """Requires a prior whose decoded samples are images."""
    return of_images(info) or ("" if info.traits["generative"] else f"{info.family} has no prior to sample from")


def trained_on(*names: str) -> Callable[[Any], str]:
    """Requires training on one of these data sets."""

    def needs(info) -> str:
        known = " or ".join(names)
        return "" if info.dataset in names else f"this number is for runs that were trained on {known}"

    return needs


def both(*needs: Callable[[Any], str]) -> Callable[[Any], str]:
    """Requires all of these."""
    return lambda info: next((said for need in needs if (said := need(info))), "")
