"""What the page Compare compares: runs, test images, metrics, and the reference of differences."""

from collections.abc import Sequence

import streamlit as st

from aevae import datasets, metrics, spread
from aevae.figures.palette import family_title
from aevae.reporting import comparison
from aevae.reporting.comparison import numbers_of
from aevae.store.checkpoints import RunInfo
from aevae.ui.i18n import _
from aevae.ui.shared import address, cached, markdown, run_picker

DATASET, FAMILY, NUMBERS, PIN, SPREAD = (
    "compare_set", "compare_family", "compare_numbers", "compare_pin", "compare_spread"
)  # fmt: skip
FIRST = ("recon", "kl", "elbo", "sse", "psnr", "active_units")  # default metrics
MAX_MODELS = 6  # models side by side


def finished() -> list[RunInfo]:
    """All finished runs, for every kind of input."""
    return [run for run in cached.runs() if run.status == "finished"]


def first_choice(runs: Sequence[RunInfo]) -> list[str]:
    """The widest VAE, beta-VAE, plain AE and VQ-VAE, if they exist."""
    widest = {run.family: run.name for run in sorted(runs, key=lambda run: run.latent_dim)}
    return [widest[family] for family in ("vae", "beta_vae", "ae", "vq_vae") if family in widest] or [runs[0].name]


def pick_dataset(found: Sequence[RunInfo], chosen: Sequence[RunInfo]) -> str:
    """The chosen data set of test images; the default is the one with metrics of most chosen runs, then most runs."""
    names = dict.fromkeys(name for run in found for name in run.metrics)
    count = lambda name: tuple(-sum(name in run.metrics for run in runs) for runs in (chosen, found))  # noqa: E731
    return address.pick(
        st.selectbox, _("Test set"), sorted(names, key=count), format_func=datasets.title_of, key=DATASET,
        width=250, help=_("You can only compare metrics that were measured on the same test images."),
    )  # fmt: skip


def say_missing(chosen: Sequence[RunInfo], dataset: str) -> None:
    """Show a message with the chosen runs that have no metrics on these images."""
    if missing := [run_picker.label_of(run.name) for run in chosen if dataset not in run.metrics]:
        text = _("Not in the table: {}. These models were measured on other images; choose them in *Test set*.")
        st.caption(text.format(", ".join(map(markdown.strip, missing))))


def pick_families(found: Sequence[RunInfo]) -> list[RunInfo]:
    """The runs of the chosen families; all if none is chosen."""
    families = list(dict.fromkeys(run.family for run in found))
    chosen = address.pick(
        st.multiselect, _("Families among all models"), families, format_func=family_title, key=FAMILY, wrap=True,
        placeholder=_("all"), width=250,
    )  # fmt: skip
    return [run for run in found if run.family in chosen] if chosen else list(found)


def pick_metrics(found: Sequence[RunInfo], dataset: str) -> list[str]:
    """The metrics of the table."""
    there = dict.fromkeys(name for run in found for name in numbers_of(run, dataset))
    lists = {k for run in found for k, value in run.metrics.get(dataset, {}).items() if isinstance(value, list)}
    known = [name for name in metrics.METRICS if name not in lists]
    every = dict.fromkeys([*FIRST, *there, *known])
    means = [name for name in every if not spread_of(name)]  # shown below their mean
    return address.pick(
        st.multiselect, _("Metrics"), means, default=FIRST, key=NUMBERS, wrap=True, format_func=comparison.title,
        help=_("If a metric of a chosen model is missing, you can compute it here."),
    )  # fmt: skip


def pick_spread() -> bool:
    """Whether the medians and the shares of the ten worst images are shown."""
    return st.toggle(
        _("Medians and worst images"), key=SPREAD, bind="query-params",
        help=_("A few bad images can change a mean a lot. The median and the share of the ten worst images show this."),
    )  # fmt: skip


def spread_of(name: str) -> bool:
    """Whether the metric is a median, or the share of the ten worst images."""
    return name.endswith((spread.MEDIAN, spread.WORST))


def with_extras(names: Sequence[str], found: Sequence[RunInfo], dataset: str) -> list[str]:
    """These metrics, each followed by its standard error and related metrics."""
    return comparison.with_extras(names, *(numbers_of(run, dataset) for run in found))


def pick_reference(found: Sequence[RunInfo]) -> RunInfo | None:
    """The run that the others are compared with, or None for the values themselves."""
    labels = run_picker.run_labels(found)
    name = run_picker.pick_run(
        st.selectbox, _("Show as"), [run.name for run in found], index=None, key=PIN, placeholder=_("values"),
        format_func=lambda name: _("difference from {}").format(labels[name]), width=360,
    )  # fmt: skip
    return next((run for run in found if run.name == name), None)


def summary(chosen: Sequence[RunInfo], dataset: str | None) -> str:
    """What is compared, in one line: `VAE · β-VAE, on the test images of mnist-5k`."""
    families = [family_title(run.family) for run in chosen]
    names = families if len(set(families)) == len(families) else [run_picker.label_of(run.name) for run in chosen]
    if dataset is None:  # no run has metrics
        return " · ".join(map(markdown.strip, names))
    images = markdown.strip(datasets.title_of(dataset))
    return _("{}, on the test images of {}").format(" · ".join(map(markdown.strip, names)), images)
