"""The Compare page: the choice of runs, the table of their numbers, and the queue that computes missing ones."""

import time
from collections.abc import Sequence

import numpy as np
import streamlit as st

from aevae import datasets, metrics, spread
from aevae.figures.palette import family_title
from aevae.figures.static import safe
from aevae.queue import jobs
from aevae.queue.queuefile import Job, QueueBroken
from aevae.reporting import comparison
from aevae.reporting.comparison import describe, numbers_of
from aevae.store.checkpoints import RunInfo
from aevae.ui.frame import access
from aevae.ui.i18n import _
from aevae.ui.shared import address, cached, markdown, redraw, run_picker

DATASET, FAMILY, NUMBERS, PIN = "compare_set", "compare_family", "compare_numbers", "compare_pin"
KIND = "evaluate"
FIRST = ("recon", "kl", "elbo", "sse", "psnr", "active_units")  # default columns
MAX_MODELS = 6  # models side by side
BETTER, WORSE = "rgba(0, 114, 178, 0.25)", "rgba(213, 94, 0, 0.25)"
POLL_SECONDS = 1.0  # interval of reading the queue
_ASKED, _SAID = "compare_asked", "compare_said"  # session: evaluations that were queued automatically; last problem


# -- selection -------------------------------------------------------------------------------------------------------


def finished() -> list[RunInfo]:
    """All finished runs, for every kind of input."""
    return [run for run in cached.runs() if run.status == "finished"]


def first_choice(runs: Sequence[RunInfo]) -> list[str]:
    """The widest plain AE, VAE and beta-VAE, if they exist."""
    widest = {run.family: run.name for run in sorted(runs, key=lambda run: run.latent_dim)}
    return [widest[family] for family in ("vae", "beta_vae", "ae", "vq_vae") if family in widest] or [runs[0].name]


def pick_dataset(found: Sequence[RunInfo], chosen: Sequence[RunInfo]) -> str:
    """The chosen data set of test images; the default is the one with numbers of most chosen runs, then most runs."""
    names = dict.fromkeys(name for run in found for name in run.metrics)
    count = lambda name: tuple(-sum(name in run.metrics for run in runs) for runs in (chosen, found))  # noqa: E731
    return address.pick(
        st.selectbox, _("Test set"), sorted(names, key=count), format_func=datasets.title_of, key=DATASET,
        width=250, help=_("You can only compare numbers that were measured on the same test images."),
    )  # fmt: skip


def say_missing(chosen: Sequence[RunInfo], dataset: str) -> None:
    """Show a message with the chosen runs that have no numbers on these images."""
    if missing := [run_picker.label_of(run.name) for run in chosen if dataset not in run.metrics]:
        text = _("Not in the table: {}. These models were measured on other images; choose them in *Test set*.")
        st.caption(text.format(", ".join(map(markdown.strip, missing))))


def pick_families(found: Sequence[RunInfo]) -> list[RunInfo]:
    """The runs of the chosen families; all if none is chosen."""
    families = list(dict.fromkeys(run.family for run in found))
    chosen = address.pick(
        st.multiselect, _("Families"), families, format_func=family_title, key=FAMILY, wrap=True,
        placeholder=_("all"), width=250,
    )  # fmt: skip
    return [run for run in found if run.family in chosen] if chosen else list(found)


def pick_numbers(found: Sequence[RunInfo], dataset: str) -> list[str]:
    """The columns of the table."""
    there = dict.fromkeys(name for run in found for name in numbers_of(run, dataset))
    lists = {k for run in found for k, value in run.metrics.get(dataset, {}).items() if isinstance(value, list)}
    known = [name for name in metrics.METRICS if name not in lists]
    every = dict.fromkeys([*FIRST, *there, *known])
    means = [name for name in every if not name.endswith((spread.MEDIAN, spread.WORST))]  # shown beside their mean
    return address.pick(
        st.multiselect, _("Numbers"), means, default=FIRST, key=NUMBERS, wrap=True, format_func=comparison.title,
        help=_(
            "If a number of a chosen model is missing, you can compute it here. Beside each mean you see its median "
            "and the share of the ten worst images, because a few bad images can change a mean a lot."
        ),
    )  # fmt: skip


def with_extras(names: Sequence[str], found: Sequence[RunInfo], dataset: str) -> list[str]:
    """The columns for these numbers; each brings its standard error and related columns."""
    return comparison.with_extras(names, *(numbers_of(run, dataset) for run in found))


def pick_reference(found: Sequence[RunInfo]) -> RunInfo | None:
    """The run that the others are compared with, or None."""
    labels = run_picker.run_labels(found)
    name = run_picker.pick_run(
        st.selectbox, _(
            "Show differences to"
        ), [run.name for run in found], index=None, format_func=labels.get, key=PIN,
        placeholder=_("no model: show the numbers"), width=290,
    )  # fmt: skip
    return next((run for run in found if run.name == name), None)


# -- the table -------------------------------------------------------------------------------------------------------


def table(found: Sequence[RunInfo], chosen: Sequence[str], dataset: str, names: Sequence[str], pin: RunInfo | None):
    """A pandas.DataFrame indexed by run name, chosen runs first: label, these numbers (NaN: missing), chosen or not.

    pin: a reference run; the rows of the others are then differences to it.
    """
    import pandas as pd

    labels, base = run_picker.run_labels(found), numbers_of(pin, dataset) if pin else {}
    rows, places = {}, {name: i for i, name in enumerate(chosen)}
    for run in sorted(found, key=lambda run: places.get(run.name, len(places))):
        values = numbers_of(run, dataset)
        if pin is not None and run.name != pin.name:
            values = {k: v - base[k] for k, v in values.items() if k in base}
        cells = {name: float(values.get(name, np.nan)) for name in names}
        rows[run.name] = {"model": labels[run.name], **cells, "chosen": run.name in chosen}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["model", *names, "chosen"])


def verdict(name: str, difference: float, alike: bool = True) -> int:
    """1: better by this difference; -1: worse; 0: neither, or not comparable (`alike`: same likelihood of a pixel)."""
    if not np.isfinite(difference) or (not alike and name in comparison.OF_LIKELIHOOD):
        return 0
    return comparison.gain(describe(name), difference, 0.0)


def heads(found: Sequence[RunInfo], dataset: str, names: Sequence[str]) -> dict[str, str]:
    """The head of each column: title, direction, unit, and the number of samples if all runs share it."""
    values = [numbers_of(run, dataset) for run in found]
    return {name: comparison.column_head(describe(name, *values)) for name in names}


def show_table(frame, found: Sequence[RunInfo], names: Sequence[str], pin: RunInfo | None, dataset: str) -> None:
    """The table with units in its heads; better differences are blue, worse ones orange."""
    config = {
        "chosen": st.column_config.CheckboxColumn(_("chosen"), width="small"),
        "model": st.column_config.TextColumn(_("model"), width=220, pinned=True),
    }
    for name, text in heads(found, dataset, names).items():
        config[name] = st.column_config.NumberColumn(text, help=describe(name).help or None)
    styled = frame.style.format(dict.fromkeys(names, "{:,.5g}"), na_rep="–")
    if pin is not None:
        others = [name for name in frame.index if name != pin.name]
        kinds = {run.name: comparison.likelihood(run) for run in found}
        styled = styled.format(dict.fromkeys(names, "{:+,.4g}"), na_rep="–", subset=(others, list(names)))
        styled = styled.apply(_tints, axis=1, subset=(others, list(names)), kinds=kinds, pin=pin.name)
    st.dataframe(
        styled,
        hide_index=True,
        column_config=config,
        key="compare_table",
        placeholder="–",
        height=40 + 35 * min(max(len(frame), 1), 10),
    )
    if pin is not None:
        st.caption(
            _(
                "The table shows differences to **{}**. The row of this model shows its own numbers. Blue: better, "
                "orange: worse."
            ).format(markdown.strip(frame.loc[pin.name, "model"]))
        )
    full = [run.name for run in found if run.name in frame.index and comparison.at_ceiling(numbers_of(run, dataset))]
    if full and "index_code_mi" in names:
        st.caption(
            _(
                "The mutual information of {} has reached its upper limit log N. The estimate cannot be larger, but "
                "the true value can. The total correlation is then too large."
            ).format(", ".join(markdown.strip(frame.loc[name, "model"]) for name in full))
        )


def _tints(row, kinds: dict[str, str], pin: str) -> list[str]:
    """The background of each cell of a row of differences."""
    colours = {1: f"background-color: {BETTER}", -1: f"background-color: {WORSE}"}
    alike = kinds.get(row.name) == kinds.get(pin)
    return [colours.get(verdict(name, value, alike), "") for name, value in row.items()]


def formulas(names: Sequence[str]) -> None:
    """The meaning of the numbers of the table, folded."""
    senses = {"lower": _("lower is better"), "higher": _("higher is better")}
    with st.popover(_("What these numbers mean"), icon=":material/function:", key="compare_formulas"):
        for metric in map(describe, names):
            said = [f"**{metric.title}**", metric.signed_unit, senses.get(metric.better, "")]
            st.markdown(" · ".join(filter(None, said)))
            if metric.formula:
                st.latex(metric.formula)
            if metric.help:
                st.caption(metric.help)


def table_csv(frame, found: Sequence[RunInfo], names: Sequence[str], dataset: str) -> str:
    """The table as CSV with full precision; the heads have the units, the first column the run's name."""
    out = frame.drop(columns="chosen").rename(columns=heads(found, dataset, names))
    out["model"] = [safe(text) for text in out["model"]]
    return out.to_csv(index_label="run")


# -- missing numbers -------------------------------------------------------------------------------------------------


def gaps(chosen: Sequence[RunInfo], names: Sequence[str], dataset: str) -> dict[str, dict[str, list[str]]]:
    """Run -> cost ("quick", "slow") -> numbers that the run could have on this data set but lacks."""
    requested = [name for name in names if name in metrics.METRICS and name not in FIRST]  # FIRST: every run has them
    found: dict[str, dict[str, list[str]]] = {}
    for run in chosen:
        has = numbers_of(run, dataset)
        for name in metrics.missing(run, requested, dataset):
            if name not in has:
                found.setdefault(run.name, {}).setdefault(metrics.METRICS[name].cost, []).append(name)
    return found


def find_missing(chosen: Sequence[RunInfo], names: Sequence[str], dataset: str) -> None:
    """Queue quick evaluations at once, offer a button for slow ones, and show their progress."""
    lacking = gaps(chosen, names, dataset)
    requested = st.session_state.setdefault(_ASKED, set())
    quick = {run: costs["quick"] for run, costs in lacking.items() if "quick" in costs}
    new = {run: wanted for run, wanted in quick.items() if (run, dataset, *wanted) not in requested}
    if new:
        requested.update((run, dataset, *wanted) for run, wanted in new.items())
        ask(new, dataset)
    slow = {run: costs["slow"] for run, costs in lacking.items() if "slow" in costs}
    active = _tasks()
    if slow and not any(job.active for job in active):
        titles = dict.fromkeys(comparison.title(name) for wanted in slow.values() for name in wanted)
        with st.container(horizontal=True, vertical_alignment="center"):
            title = _("Compute {} for {} models").format(", ".join(titles), len(slow))
            if st.button(title, key="compare_compute", icon=":material/calculate:"):
                ask(slow, dataset)
                st.rerun()
            st.caption(_("This takes seconds to minutes. You can leave the page meanwhile."))
    if problem := st.session_state.pop(_SAID, ""):
        st.error(markdown.escape(problem))
    if any(job.active for job in active):
        redraw.fragment(_under_way, run_every=POLL_SECONDS)()
    shown = {run.name for run in chosen}
    for job in active:
        wanted = job.config.get("metrics", ())
        if job.state == "failed" and job.run in shown and set(wanted) & set(names):
            st.warning(f"{markdown.strip(run_picker.label_of(job.run))}: {markdown.strip(job.error)}")


def ask(wanted: dict[str, list[str]], dataset: str) -> None:
    """Queue the evaluation."""
    try:
        began = time.time()
        for run, names in wanted.items():
            job = jobs.submit_task(KIND, run, {"run": run, "metrics": names, "dataset": dataset})
            access.remember([job] if job.created >= began else [])
        jobs.ensure_worker(jobs.TASKS_LANE)
    except (QueueBroken, OSError) as problem:
        st.session_state[_SAID] = str(problem)


def _tasks() -> list[Job]:
    """The newest evaluation of each run that waits, runs, or failed recently."""
    try:
        listing = [job for job in jobs.jobs(lane=jobs.TASKS_LANE) if job.kind == KIND]
    except QueueBroken:
        return []
    newest = {job.run: job for job in sorted(listing, key=lambda job: job.id)}
    return [job for job in newest.values() if job.state in ("queued", "running", "failed")]


def _under_way() -> None:
    """Progress and Cancel of each evaluation; the page runs again after each finished one."""
    active = [job for job in _tasks() if job.active]
    before = st.session_state.get("compare_under_way")
    st.session_state["compare_under_way"] = len(active)
    if not active or (before is not None and len(active) < before):
        st.session_state.pop("compare_under_way", None)
        cached.runs.clear()
        st.rerun()
    try:
        jobs.ensure_worker(jobs.TASKS_LANE)
    except QueueBroken as problem:
        st.error(markdown.escape(problem))
    for job in active:
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.container(width="stretch"):
                text = job.progress.get("text") or _("waiting")
                st.progress(
                    min(max(float(job.progress.get("fraction", 0)), 0.0), 1.0),
                    f"{markdown.strip(run_picker.label_of(job.run))}: {text}",
                )
            st.button(
                _("Cancel"), key=f"compare_cancel_{job.id}", icon=":material/stop:", on_click=_cancel, args=(job.id,),
                disabled=job.cancel or not access.may_handle([job.id]),
            )  # fmt: skip


def _cancel(number: int) -> None:
    try:
        if not access.may_handle([number]):
            raise ValueError(access.refusal())
        jobs.cancel(number)
    except (QueueBroken, OSError, ValueError) as problem:
        st.session_state[_SAID] = str(problem)
