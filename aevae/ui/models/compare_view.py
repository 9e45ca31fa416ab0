"""Runs side by side: the options in which they differ, their metrics and their curves."""

from collections.abc import Sequence

import streamlit as st

from aevae.figures.curves import loss_curves
from aevae.reporting import comparison
from aevae.store.checkpoints import RunInfo
from aevae.ui.i18n import _
from aevae.ui.models.metrics import finite_metrics, unit_of
from aevae.ui.shared import cached, run_picker
from aevae.ui.train import run_panel


def compare() -> None:
    """Show differing fields, metrics and curves of the chosen runs."""
    names = run_picker.pick_models(label=_("Runs side by side"))
    runs = sorted((run for run in cached.finished() if run.name in names), key=lambda run: names.index(run.name))
    labels = {run.name: run_picker.label_of(run.name) for run in runs}
    differ, same = differences({labels[run.name]: run.config for run in runs})
    st.markdown(f"**{_('What differs')}**")
    if differ:
        st.dataframe(differ, hide_index=True, key="models_differ")
    else:
        st.caption(_("No option differs. Choose at least two different runs."))
    st.markdown(f"**{_('Metrics on the test images')}**")
    st.dataframe(metric_table(runs, labels), hide_index=True, key="models_compare_metrics")
    run_picker.say_rises({labels[run.name]: run for run in runs})
    st.markdown(f"**{_('Curves')}**")
    histories = {labels[run.name]: run_panel.read_history(run.path) for run in runs}
    terms = run_panel.terms(histories)
    if terms:
        term = st.segmented_control(
            _("Loss term"), terms, default=terms[0], required=True, key="models_term", label_visibility="collapsed",
            persist_state="session", wrap=True,
        )  # fmt: skip
        families = {labels[run.name]: run.family for run in runs}
        chart = loss_curves(histories, term, families=families, height=480)
        st.plotly_chart(chart, key="models_compare_curve", config={"displayModeBar": False})
    if len(runs) > 1:
        st.markdown(f"**{_('How the first two runs learnt, side by side')}**")
        run_panel.play(runs[:2], "models_pair")
    with st.expander(_("Options that are the same"), key="models_same"):
        st.dataframe(same, hide_index=True, key="models_same_table")


def flat(config: dict, before: str = "") -> dict[str, object]:
    """{"model": {"beta": 4}} -> {"model.beta": 4}."""
    out: dict[str, object] = {}
    for key, value in config.items():
        out |= flat(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": value}
    return out


def differences(configs: dict[str, dict]) -> tuple[list[dict], list[dict]]:
    """Rows of a table with one column per config: the fields in which they differ, and those in which they agree."""
    plain = {label: flat(config) for label, config in configs.items()}
    differ, same = [], []
    for key in dict.fromkeys(key for config in plain.values() for key in config):
        values = {label: str(config.get(key, "—")) for label, config in plain.items()}
        (differ if len(set(values.values())) > 1 else same).append({_("option"): key, **values})
    return differ, same


def metric_table(runs: Sequence[RunInfo], labels: dict[str, str]) -> list[dict]:
    """A row per data set and metric, a column per run."""
    found = {run.name: {d: finite_metrics(values) for d, values in run.metrics.items()} for run in runs}
    keys = dict.fromkeys((d, key) for sets in found.values() for d, values in sets.items() for key in values)
    rows = []
    for dataset, key in keys:
        cells = {labels[n]: sets.get(dataset, {}).get(key) for n, sets in found.items()}
        rows.append({_("test set"): dataset, _("metric"): comparison.title(key), _("unit"): unit_of(key), **cells})
    return rows
