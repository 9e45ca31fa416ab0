"""Runs laid side by side: their numbers and what those mean, images they do well and badly, codes that correspond.

Arrays and JSON in, arrays out; no torch where only numbers are asked for, no screen.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from aevae import spread
from aevae.figures.curves import UNITS
from aevae.figures.palette import family_title
from aevae.metrics import EXTRAS, METRICS, Metric, current
from aevae.metrics.metric import HIGHER, LOWER
from aevae.spread import MEDIAN, WORST
from aevae.store.checkpoints import RunInfo

OTHER_TERMS = (  # of the families' losses, beside those that figures know
    "contraction", "hessian", "l1", "sparsity", "commit", "codebook", "code", "kl_content", "kl_style", "roughness",
    "smoothing", "transition",
)  # fmt: skip
NOT_NUMBERS = ("samples", "seed", "images", "schema")  # of a metrics table: how it was measured
CEILING = 0.1  # nats below log N in which the mutual information is at its ceiling
_OF_LIKELIHOOD = ("recon", "elbo", "objective", "iwae", "nll", "ais", "bits_per_dim")
# numbers that compare between runs of the same likelihood only
OF_LIKELIHOOD = (*_OF_LIKELIHOOD, *(name + end for name in _OF_LIKELIHOOD for end in (MEDIAN, WORST)))


def numbers_of(run: RunInfo, dataset: str) -> dict[str, float]:
    """The finite single numbers of a run on the test images of a data set, without outdated ones."""
    return {
        name: value
        for name, value in current(run, dataset).items()
        if name not in NOT_NUMBERS and _is_number(value) and math.isfinite(value)
    }


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def describe(name: str, *found: Mapping) -> Metric:
    """What a number is; one that only a family knows has no formula, and is neither better nor worse.

    found: numbers of runs. Where they agree on the count behind it (K samples, N images), the title names it.
    """
    if name in METRICS:
        return replace(METRICS[name], title=METRICS[name].full_title(*found))
    return Metric(name, title(name), EXTRAS[name].unit if name in EXTRAS else _family_units().get(name, ""), "", dict)


def units_of(names: Iterable[str]) -> dict[str, str]:
    """Name -> unit of these numbers; "" for a number without one."""
    return {name: describe(name).signed_unit for name in names}


def title(name: str) -> str:
    known = METRICS.get(name) or EXTRAS.get(name)
    return known.title if known else name.replace("_", " ")


def with_extras(names: Sequence[str], *found: Mapping) -> list[str]:
    """These numbers, each with the error and the other values beside it that one of the runs has."""
    out = []
    for name in names:
        beside = METRICS[name].beside if name in METRICS else ()
        out += [name, *(extra for extra in beside if any(extra in values for values in found))]
    return list(dict.fromkeys(out))


def said(name: str, values: Mapping) -> str:
    """A number as text, with its standard error where it has one: `98.1 ± 0.25`."""
    error = values.get(METRICS[name].error) if name in METRICS else None
    return f"{values[name]:,.6g}" + ("" if error is None else f" ± {error:.2g}")


def at_ceiling(values: Mapping) -> bool:
    """Is the mutual information within CEILING of log N, the largest value that N images can show?"""
    known = "index_code_mi" in values and "aggregate_images" in values
    return known and math.log(values["aggregate_images"]) - values["index_code_mi"] < CEILING


@cache
def _family_units() -> dict[str, str]:
    from aevae.models import FAMILIES, family_class

    terms = dict.fromkeys(OTHER_TERMS, "nats / image") | UNITS
    families = {name: unit for family in FAMILIES for name, unit in family_class(family).units.items()}
    return spread.units(terms) | terms | families


def head(metric: Metric) -> str:
    """`recon ↓ (nats / image)`: for the head of a column."""
    arrow = {LOWER: " ↓", HIGHER: " ↑"}.get(metric.better, "")
    if metric.unit.startswith(metric.title):
        return metric.unit + arrow
    return f"{metric.title}{arrow}" + (f" ({metric.unit})" if metric.unit else "")


def gain(metric: Metric, value: float, reference: float) -> int:
    """1 if `value` is better than `reference`, -1 if worse, 0 if neither can be said."""
    if not metric.better or value == reference:
        return 0
    return 1 if (value < reference) == (metric.better == LOWER) else -1


def likelihood(run: RunInfo) -> str:
    """Of its pixels, black and white ones apart from grey: what is OF_LIKELIHOOD compares between runs of one alone."""
    return ", ".join(part for part in (run.likelihood, run.option("binarise")) if part != "none")


def beta(run: RunInfo) -> float:
    """The weight of the KL in its objective."""
    value = run.option("beta")
    return 1.0 if value is None else float(value)


def kinship(run: RunInfo) -> str:
    """The same text for runs that differ in nothing but beta and seed: points of one curve."""
    model = {k: v for k, v in run.config.get("model", {}).items() if k != "beta"}
    return repr((sorted(model.items(), key=str), run.config.get("train"), run.config.get("data")))


def titles(runs: Sequence[RunInfo]) -> dict[str, str]:
    """Run name -> what a person reads, unique: `VAE d=20`, with a piece of the fingerprint where two are alike."""
    plain = {run.name: _title(run) for run in runs}
    taken = list(plain.values())
    return {name: f"{text} {name[-12:-6]}" if taken.count(text) > 1 else text for name, text in plain.items()}


def _title(run: RunInfo) -> str:
    weight = f" β={beta(run):g}" if beta(run) != 1 else ""
    network = " conv" if run.option("network") == "conv" else ""
    return f"{family_title(run.family)} d={run.latent_dim}{weight}{network}"


# -- over training ---------------------------------------------------------------------------------------------------


def film_kl(film: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """KL to N(0, I) of each dimension in each frame of a film (E, D), in nats, mean over the images it follows.

    None where the code is a point, or its prior another one (then the film's own KL says otherwise).
    """
    if "std" not in film or "kl_nats" not in film:
        return None
    std = np.maximum(film["std"].astype(np.float64), 1e-12)  # (E, P, D)
    mu = film["codes"][:, : std.shape[1]].astype(np.float64)
    kl = (0.5 * (mu**2 + std**2 - 1) - np.log(std)).mean(1)  # (E, D)
    known = film["kl_nats"].astype(np.float64).mean(1)
    return kl if np.allclose(kl.sum(1), known, rtol=0.05, atol=0.05) else None


def frame_at(epochs: np.ndarray, epoch: float) -> int:
    """The last frame of a film that is not later than `epoch`; the first if all are."""
    return max(int(np.searchsorted(epochs, epoch + 1e-6, side="right")) - 1, 0)


# -- images --------------------------------------------------------------------------------------------------------


def squared_errors(images: np.ndarray, x_hat: np.ndarray) -> np.ndarray:
    """Squared error of each image (N,); both (N, 1, 28, 28)."""
    return np.square(images.astype(np.float64) - x_hat).reshape(len(images), -1).sum(1)


def extremes(errors: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the `count` images with the smallest errors, best first, and with the largest, worst first.

    One that is not finite is the worst there is. Both lists are shorter where there are few images.
    """
    errors = np.where(np.isfinite(errors), errors, np.inf)
    order = np.argsort(errors, kind="stable")
    count = min(count, len(order))
    return order[:count], order[::-1][:count]


def samples(run, count: int, seed: int) -> np.ndarray:
    """Images (count, 1, 28, 28) decoded from draws of the run's prior: of N(0, I), or of its PixelCNN.

    The same seed gives models with codes of one size the same noise. Raises ValueError for a model without a prior.
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
    """A walk along one dimension of one model: images (S, 1, 28, 28), its number, and r with the leader's."""

    dim: int
    r: float
    images: np.ndarray


def aligned(runs: Sequence, codes: Sequence[np.ndarray], image: int, dims: Sequence[int], steps: int = 7) -> list:
    """A list per run: for each of `dims` of the first run the Strip of the dimension that says most nearly the same.

    codes: of the same images under each run (N, D); the walk begins at image number `image` and goes along one
    dimension over 2.5 standard deviations of its codes to both sides, backwards where r is negative. None where a run
    has fewer dimensions than partners are needed.
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
