"""The tables of the page Compare: the metrics of the chosen runs with their meaning, and all runs."""

import html
from collections.abc import Sequence

import numpy as np
import streamlit as st

from aevae.figures.palette import PAPERS
from aevae.figures.static import safe
from aevae.metrics import METRICS
from aevae.metrics.metric import HIGHER, LOWER
from aevae.reporting import comparison
from aevae.reporting.comparison import describe, numbers_of
from aevae.store.checkpoints import RunInfo
from aevae.ui.compare.choice import spread_of
from aevae.ui.i18n import _
from aevae.ui.shared import markdown, run_picker

BETTER, WORSE = "rgba(0, 114, 178, 0.25)", "rgba(213, 94, 0, 0.25)"
# A row per metric and a column per model. In a narrow column the metric stands above its values, so nothing is cut.
STYLE = f"""
.metrics {{ container-type: inline-size; }}
.metrics table {{ width: 100%; border-collapse: collapse; font-size: 0.9rem; }}
.metrics :is(th, td) {{ padding: 0.3rem 0.5rem; border: 0; border-bottom: 1px solid rgba(127, 127, 127, 0.3);
  text-align: right; vertical-align: top; font-weight: 400; overflow-wrap: anywhere; }}
.metrics th:first-child {{ width: 36%; text-align: left; background: light-dark({PAPERS["light"]}, {PAPERS["dark"]}); }}
.metrics thead th {{ font-weight: 600; vertical-align: bottom; font-size: 0.85rem; }}
.metrics td {{ font-variant-numeric: tabular-nums; white-space: nowrap; }}
.metrics small {{ display: block; font-size: 0.8rem; opacity: 0.8; }}
.metrics .better {{ background: {BETTER}; }} .metrics .worse {{ background: {WORSE}; }}
@container (max-width: 640px) {{
  .metrics tr {{ display: grid; grid-template-columns: repeat(var(--models), minmax(0, 1fr)); }}
  .metrics :is(th, td) {{ padding-inline: 0.2rem; }}
  .metrics th:first-child {{ grid-column: 1 / -1; width: auto; border-bottom: 0; }}
  .metrics thead th:first-child {{ display: none; }}
}}
"""


# -- the chosen runs -------------------------------------------------------------------------------------------------


def show_metrics(chosen: Sequence[RunInfo], names: Sequence[str], pin: RunInfo | None, dataset: str) -> None:
    """A table of the chosen runs: a row per metric with its meaning and better direction, a column per run."""
    shown = [run for run in chosen if dataset in run.metrics]
    if not shown:
        return
    heads = "".join(f'<th scope="col">{html.escape(run_picker.label_of(run.name))}</th>' for run in shown)
    rows = "".join(_row(name, shown, pin, dataset) for name in names)
    st.html(
        f'<style>{STYLE}</style><div class="metrics" style="--models: {len(shown)}"><table><thead><tr>'
        f'<th scope="col">{html.escape(_("metric"))}</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )
    if pin is not None:
        text = _("Differences from **{}**, whose own values are shown. Blue: better, orange: worse.")
        st.caption(text.format(markdown.strip(run_picker.label_of(pin.name))))
    full = [run for run in shown if comparison.at_ceiling(numbers_of(run, dataset))]
    if full and "index_code_mi" in names:
        st.caption(
            _(
                "The mutual information of {} has reached its upper limit log N. The estimate cannot be larger, but "
                "the true value can. The total correlation is then too large."
            ).format(", ".join(markdown.strip(run_picker.label_of(run.name)) for run in full))
        )


def _row(name: str, runs: Sequence[RunInfo], pin: RunInfo | None, dataset: str) -> str:
    metric = describe(name, *(numbers_of(run, dataset) for run in runs))
    about = ["" if metric.unit.startswith(metric.title) else metric.unit, direction(name)]
    said = html.escape(comparison.meaning(name))
    head = f"<b>{html.escape(metric.title)}</b> {html.escape(', '.join(filter(None, about)))}<small>{said}</small>"
    cells = zip(cell_texts(name, runs, pin, dataset), _verdicts(name, runs, pin, dataset), strict=True)
    kinds = {1: ' class="better"', -1: ' class="worse"', 0: ""}
    return f'<tr><th scope="row">{head}</th>{"".join(f"<td{kinds[sign]}>{text}</td>" for text, sign in cells)}</tr>'


def without_errors(names: Sequence[str]) -> list[str]:
    """These metrics without the standard errors, which stand after their metric."""
    errors = {metric.error for metric in METRICS.values()}
    return [name for name in names if name not in errors]


def direction(name: str) -> str:
    """Which values are better, in words; "" if neither."""
    words = {LOWER: _("↓ lower is better"), HIGHER: _("↑ higher is better")}
    return words.get(describe(name).better, "")


def cell_texts(name: str, runs: Sequence[RunInfo], pin: RunInfo | None, dataset: str) -> list[str]:
    """The values of a metric, or their differences from the run `pin`, with as many digits as their error allows."""
    values = {run.name: numbers_of(run, dataset).get(name) for run in runs}
    base = numbers_of(pin, dataset).get(name) if pin else None
    errors = [comparison.standard_error(name, run.metrics.get(dataset, {})) for run in runs]
    digits = comparison.decimals(errors)
    texts = []
    for run, error in zip(runs, errors, strict=True):
        value, is_own = values[run.name], pin is None or run.name == pin.name
        if value is None or (not is_own and base is None):
            texts.append("–")
        elif is_own:
            known = comparison.has_error(name, run.metrics.get(dataset, {}))
            texts.append(comparison.rounded(value, digits) + (f" ± {error:.2g}" if known else ""))
        else:
            texts.append(comparison.rounded(value - base, digits, signed=True))
    return texts


def _verdicts(name: str, runs: Sequence[RunInfo], pin: RunInfo | None, dataset: str) -> list[int]:
    base = numbers_of(pin, dataset).get(name) if pin else None
    if pin is None or base is None:
        return [0] * len(runs)
    kind, found = comparison.likelihood(pin), []
    for run in runs:
        value = numbers_of(run, dataset).get(name)
        alike = comparison.likelihood(run) == kind
        found.append(0 if value is None or run.name == pin.name else verdict(name, value - base, alike))
    return found


def verdict(name: str, difference: float, alike: bool = True) -> int:
    """1: better by this difference; -1: worse; 0: neither, or not comparable (`alike`: same likelihood of a pixel)."""
    if not np.isfinite(difference) or (not alike and name in comparison.OF_LIKELIHOOD):
        return 0
    return comparison.gain(describe(name), difference, 0.0)


# -- all runs --------------------------------------------------------------------------------------------------------


def table(found: Sequence[RunInfo], chosen: Sequence[str], dataset: str, names: Sequence[str], pin: RunInfo | None):
    """A pandas.DataFrame indexed by run name, chosen runs first: label, these metrics (NaN: missing), chosen or not.

    pin: a reference run; the rows of the others are then differences from it.
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


def heads(found: Sequence[RunInfo], dataset: str, names: Sequence[str]) -> dict[str, str]:
    """The head of each column: title, direction, unit, and the number of samples if all runs share it."""
    values = [numbers_of(run, dataset) for run in found]
    return {name: comparison.column_head(describe(name, *values)) for name in names}


def show_table(frame, found: Sequence[RunInfo], names: Sequence[str], pin: RunInfo | None, dataset: str) -> None:
    """The table of all runs; better differences are blue, worse ones orange."""
    config = {
        "chosen": st.column_config.CheckboxColumn(_("chosen"), width="small"),
        "model": st.column_config.TextColumn(_("model"), width=220, pinned=True),
    }
    arrows = {LOWER: " ↓", HIGHER: " ↑"}
    styled = frame.style
    for name, text in heads(found, dataset, names).items():
        metric = describe(name)
        said = " · ".join(filter(None, (text, comparison.meaning(name))))
        title = metric.title + arrows.get(metric.better, "")
        config[name] = st.column_config.NumberColumn(title, help=said, width="small")
        digits = comparison.decimals([comparison.standard_error(name, r.metrics.get(dataset, {})) for r in found])
        form = lambda value, digits=digits: comparison.rounded(value, digits, signed=pin is not None)  # noqa: E731
        styled = styled.format({name: form}, na_rep="–")
    if pin is not None:
        others = [name for name in frame.index if name != pin.name]
        kinds = {run.name: comparison.likelihood(run) for run in found}
        styled = styled.apply(_tints, axis=1, subset=(others, list(names)), kinds=kinds, pin=pin.name)
    st.dataframe(
        styled,
        hide_index=True,
        column_config=config,
        key="compare_table",
        placeholder="–",
        height=40 + 35 * min(max(len(frame), 1), 10),
    )
    st.caption(_("The first column stays in place: scroll the table sideways if it is wider than the page."))


def _tints(row, kinds: dict[str, str], pin: str) -> list[str]:
    """The background of each cell of a row of differences."""
    colours = {1: f"background-color: {BETTER}", -1: f"background-color: {WORSE}"}
    alike = kinds.get(row.name) == kinds.get(pin)
    return [colours.get(verdict(name, value, alike), "") for name, value in row.items()]


def definitions(names: Sequence[str]) -> None:
    """The meaning of the metrics of the table: sentences first, then formulas."""
    with st.popover(_("What these metrics mean"), icon=":material/function:", key="compare_formulas"):
        for name in names:
            metric = describe(name)
            st.markdown(" · ".join(filter(None, (f"**{metric.title}**", metric.unit, direction(name)))))
            if metric.help:
                st.markdown(metric.help)
            if metric.formula and not spread_of(name):
                st.latex(metric.formula)


def table_csv(frame, found: Sequence[RunInfo], names: Sequence[str], dataset: str) -> str:
    """The table as CSV with full precision; the heads have the units, the first column the run's name."""
    out = frame.drop(columns="chosen").rename(columns=heads(found, dataset, names))
    out["model"] = [safe(text) for text in out["model"]]
    return out.to_csv(index_label="run")
