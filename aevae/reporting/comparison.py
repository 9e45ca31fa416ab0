"""Comparison of runs: metrics and their meaning, best and worst images, samples, matching latent dimensions.

Arrays and JSON in, arrays out. Functions that need only metrics import no torch.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from aevae import spread
from aevae.config import is_number
from aevae.figures.palette import family_title
from aevae.metrics import EXTRAS, METRICS, Metric, current
from aevae.metrics.metric import HIGHER, LOWER
from aevae.spread import MEDIAN, WORST
from aevae.store.checkpoints import RunInfo
from aevae.units import NATS, TERM_UNITS

OTHER_TERMS = (  # loss terms of families that have no curve of their own in `aevae.figures`
    "contraction", "hessian", "l1", "sparsity", "commit", "codebook", "code", "kl_content", "kl_style", "roughness",
    "smoothing", "transition",
)  # fmt: skip
TERM_WORDS = {"kl": "KL", "l1": "L1", "sse": "squared error"}  # parts of names of terms without a title
NOT_NUMBERS = ("samples", "seed", "images", "schema")  # keys of metrics.json that say how the metrics were measured
VARIATION = 0.3  # typical standard deviation of a cost between images, relative to its mean: 0.2 to 0.5 in MNIST
CEILING = 0.3  # nats; mutual information above log N - CEILING is at its ceiling
_OF_LIKELIHOOD = ("recon", "elbo", "objective", "iwae", "nll", "ais", "bits_per_dim")
# Numbers that can be compared only between runs with the same likelihood.
OF_LIKELIHOOD = (*_OF_LIKELIHOOD, *(name + end for name in _OF_LIKELIHOOD for end in (MEDIAN, WORST)))


def numbers_of(run: RunInfo, dataset: str) -> dict[str, float]:
    """Name -> value of the finite scalar metrics of a run on the test images of a data set, without outdated ones."""
    return {
        name: value
        for name, value in current(run, dataset).items()
        if name not in NOT_NUMBERS and is_number(value) and math.isfinite(value)
    }


def describe(name: str, *found: Mapping) -> Metric:
    """The Metric of this name. A loss term of a family only has no formula and no direction.

    found: metrics of runs. If they agree on the number of samples or images (K, N), the title states it.
    """
    if name in METRICS:
        return replace(METRICS[name], title=METRICS[name].full_title(*found))
    return Metric(name, title(name), EXTRAS[name].unit if name in EXTRAS else _family_units().get(name, ""), "", dict)


def units_of(names: Iterable[str]) -> dict[str, str]:
    """Name -> unit of these numbers; "" for a number without one."""
    return {name: describe(name).signed_unit for name in names}


def title(name: str) -> str:
    """The title in words: `objective_worst10` -> `objective: ten worst`."""
    of, statistic = name, ""
    for end, words in ((MEDIAN, ": median"), (WORST, ": ten worst")):
        if name.endswith(end) and name not in METRICS:
            of, statistic = name.removesuffix(end), words
    known = METRICS.get(of) or EXTRAS.get(of)
    return (known.title if known else " ".join(TERM_WORDS.get(word, word) for word in of.split("_"))) + statistic


def with_extras(names: Sequence[str], *found: Mapping) -> list[str]:
    """These names, each followed by its standard error and related values that at least one run has."""
    out = []
    for name in names:
        beside = METRICS[name].beside if name in METRICS else ()
        out += [name, *(extra for extra in beside if any(extra in values for values in found))]
    return list(dict.fromkeys(out))


def value_text(name: str, values: Mapping) -> str:
    """The value of this name as text, with its standard error if there is one: `98.1 ± 0.25`."""
    error = values.get(METRICS[name].error) if name in METRICS else None
    return f"{values[name]:,.6g}" + ("" if error is None else f" ± {error:.2g}")


def meaning(name: str) -> str:
    """The first sentence of a metric's help: what it says."""
    first, stop, _rest = describe(name).help.partition(". ")
    return first + "." if stop else first


def has_error(name: str, values: Mapping) -> bool:
    """Whether the standard error of a metric was measured with it."""
    return name in METRICS and METRICS[name].error in values


def standard_error(name: str, values: Mapping) -> float | None:
    """Standard error of a metric over the test images; None for a count, or if it cannot be estimated.

    values: metrics.json of a run on a data set. Without a measured error it is estimated with VARIATION.
    """
    value = values.get(name)
    if not is_number(value) or not math.isfinite(value):
        return None
    if has_error(name, values):
        return values[METRICS[name].error]
    if isinstance(value, int) or not values.get("images"):
        return None
    return VARIATION * abs(value) / math.sqrt(values["images"])


def decimals(errors: Iterable[float | None]) -> int | None:
    """Digits after the point so that the last one is the first digit of the smallest error; None without an error."""
    known = [error for error in errors if error]
    return max(-math.floor(math.log10(min(known))), 0) if known else None


def rounded(value: float, digits: int | None, signed: bool = False) -> str:
    """The value with so many digits after the point; None: a count is shown whole, another value with 4 digits."""
    form = f",.{digits}f" if digits is not None else "," if float(value).is_integer() else ",.4g"
    text = format(int(value) if form == "," else value, f"+{form}" if signed else form)
    return text.replace("-", "\N{MINUS SIGN}")


def at_ceiling(values: Mapping) -> bool:
    """Whether the mutual information is within CEILING of log N, the largest value that N images can show."""
    known = "index_code_mi" in values and "aggregate_images" in values
    return known and math.log(values["aggregate_images"]) - values["index_code_mi"] < CEILING


@cache
def _family_units() -> dict[str, str]:
    from aevae.models import FAMILIES, family_class

    terms = dict.fromkeys(OTHER_TERMS, NATS) | TERM_UNITS
    families = {name: unit for family in FAMILIES for name, unit in family_class(family).units.items()}
    return spread.units(terms) | terms | families


def column_head(metric: Metric) -> str:
    """Column head of a metric: `recon ↓ (nats / image)`. Beside costs, the unit of a bound of log p(x) has its sign."""
    arrow = {LOWER: " ↓", HIGHER: " ↑"}.get(metric.better, "")
    unit = metric.signed_unit
    if unit.startswith(metric.title):
        return unit + arrow
    return f"{metric.title}{arrow}" + (f" ({unit})" if unit else "")


def axis_title(term: str) -> str:
    """Axis title of the rate (kl) or of a distortion (recon, sse), with its unit."""
    known = {
        "kl": "rate: KL, what the code costs (nats / image)",
        "recon": "distortion: reconstruction error (nats / image)",
        "sse": "distortion: squared error / image",
    }
    return known[term]


def gain(metric: Metric, value: float, reference: float) -> int:
    """1 if `value` is better than `reference`, -1 if worse, 0 if equal or if the metric has no direction."""
    if not metric.better or value == reference:
        return 0
    return 1 if (value < reference) == (metric.better == LOWER) else -1


def likelihood(run: RunInfo) -> str:
    """Name of the likelihood of a run's pixels; binarized images count as another likelihood. See OF_LIKELIHOOD."""
    return ", ".join(part for part in (run.likelihood, run.option("binarise")) if part != "none")


def beta(run: RunInfo) -> float:
    """The weight of the KL term in the run's objective."""
    value = run.option("beta")
    return 1.0 if value is None else float(value)


def curve_key(run: RunInfo) -> str:
    """A key that is equal for runs that differ only in beta and seed: points of one curve."""
    model = {k: v for k, v in run.config.get("model", {}).items() if k != "beta"}
    return repr((sorted(model.items(), key=str), run.config.get("train"), run.config.get("data")))


def titles(runs: Sequence[RunInfo]) -> dict[str, str]:
    """Run name -> unique title: `VAE, 20 numbers`, with digits of the fingerprint if several would have the same."""
    plain = {run.name: _title(run) for run in runs}
    taken = list(plain.values())
    return {name: f"{text} {name[-12:-6]}" if taken.count(text) > 1 else text for name, text in plain.items()}


def _title(run: RunInfo) -> str:
    weight = f" · β = {beta(run):g}" if beta(run) != 1 else ""
    network = " · conv" if run.option("network") == "conv" else ""
    return run.title or f"{family_title(run.family)}, {run.latent_dim} numbers{weight}{network}"


# -- over training ---------------------------------------------------------------------------------------------------


def film_kl(film: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """KL to N(0, 1) of each dimension in each frame of a film (E, D), in nats, averaged over its followed images.

    None for point codes and for another prior (which the film's own KL shows).
    """
    if "std" not in film or "kl_nats" not in film:
        return None
    std = np.maximum(film["std"].astype(np.float64), 1e-12)  # (E, P, D)
    mu = film["codes"][:, : std.shape[1]].astype(np.float64)
    kl = (0.5 * (mu**2 + std**2 - 1) - np.log(std)).mean(1)  # (E, D)
    known = film["kl_nats"].astype(np.float64).mean(1)
    return kl if np.allclose(kl.sum(1), known, rtol=0.05, atol=0.05) else None


def frame_at(epochs: np.ndarray, epoch: float) -> int:
    """Index of the last frame of a film at or before `epoch`; 0 if there is none."""
    return max(int(np.searchsorted(epochs, epoch + 1e-6, side="right")) - 1, 0)


# -- images --------------------------------------------------------------------------------------------------------


def squared_errors(images: np.ndarray, x_hat: np.ndarray) -> np.ndarray:
    """Squared error of each image (N,), summed over pixels. images, x_hat: (N, 1, 28, 28)."""
    return np.square(images.astype(np.float64) - x_hat).reshape(len(images), -1).sum(1)


def extremes(errors: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(best, worst): indices of the `count` images with the smallest and the largest errors, most extreme first.

    An error that is not finite counts as the worst. Both arrays are shorter if there are few images.
    """
    errors = np.where(np.isfinite(errors), errors, np.inf)
    order = np.argsort(errors, kind="stable")
    count = min(count, len(order))
    return order[:count], order[::-1][:count]


def samples(run, count: int, seed: int) -> np.ndarray:
    """Images (count, 1, 28, 28) decoded from samples of the run's prior: N(0, I), or its PixelCNN.

    With one seed, models with equal latent size get the same noise. Raises ValueError for a model without a prior.
    """
    import torch

    from aevae.latent import sampling

    if not run.model.generative:
        raise ValueError(f"{run.name} has no prior to sample from")
    noise = torch.from_numpy(sampling.prior(count, run.latent_dim, seed)).to(run.device)
    with torch.inference_mode():
        z = run.model.sample_prior(noise)
    return run.decode(z.cpu().numpy())


# -- traversals ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Strip:
    """A traversal of one latent dimension: images (S, 1, 28, 28), dimension, correlation r with the first run's."""

    dim: int
    r: float
    images: np.ndarray


def aligned(runs: Sequence, codes: Sequence[np.ndarray], image: int, dims: Sequence[int], steps: int = 7) -> list:
    """One list per run: for each of `dims` of the first run, the Strip of the most correlated dimension, or None.

    codes: (N, D) of the same images in each run. A traversal starts at the code of image number `image` and covers 2.5
    standard deviations to both sides, in reverse order if r is negative. None if the run has too few dimensions.
    """
    from aevae.latent.alignment import match
    from aevae.latent.traversal import strip_values, traverse

    found = []
    for i, (run, own) in enumerate(zip(runs, codes, strict=True)):
        partners, r = match(codes[0], own) if i else (np.arange(own.shape[1]), np.ones(own.shape[1]))
        mean, std = own.mean(0), own.std(0)
        chosen = [int(partners[dim]) for dim in dims]
        walks = [
            traverse(own[image], p, mean[p] + std[p] * strip_values(steps, 2.5) * (-1 if r[dim] < 0 else 1))
            for dim, p in zip(dims, chosen, strict=True)
            if p >= 0
        ]
        images = iter(run.decode(np.concatenate(walks)).reshape(len(walks), steps, 1, 28, 28) if walks else ())
        pairs = zip(dims, chosen, strict=True)
        found.append([Strip(p, float(r[dim]), next(images)) if p >= 0 else None for dim, p in pairs])
    return found
