"""The pictures of the Compare page, one function a view; each can be taken away as SVG, PNG or CSV."""

import base64
import csv
import html
import io
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from aevae.figures import latent_bars, tradeoff
from aevae.figures.compare import trade_off
from aevae.figures.static import safe, to_csv, to_svg
from aevae.reporting import comparison, report
from aevae.reporting.comparison import describe
from aevae.store.checkpoints import RunInfo
from aevae.ui.digit import picker
from aevae.ui.i18n import _
from aevae.ui.shared import address, cached, image_sheets, markdown, opening, run_picker, url_values

EXTREMES, DIMS, STEPS = 8, 6, 7
ACROSS = 3  # models in a row
SHEET = (5, 8)  # samples: rows and columns
_GRID = (
    "<style>.strips{overflow-x:auto}.strips table{border-collapse:collapse}"
    ".strips th,.strips td{padding:2px 14px 6px 0;text-align:left;font-weight:400;"
    "font-size:.85rem;white-space:nowrap;border:0;vertical-align:bottom}"
    ".strips th{font-weight:600}.strips img{image-rendering:pixelated;height:34px;max-width:none;display:block}"
    ".strips i{opacity:.65;font-style:normal}</style>"
)


# -- taking it away --------------------------------------------------------------------------------------------------


def chart(figure: go.Figure, key: str) -> None:
    """A chart whose camera gives PNG, with its SVG and CSV beneath."""
    camera = {"format": "png", "scale": 3, "filename": f"aevae-{key}"}
    config = {"displaylogo": False, "modeBarButtons": [["toImage"]], "toImageButtonOptions": camera}
    st.plotly_chart(figure, key=f"compare_{key}", config=config)
    take(key, svg=lambda: to_svg(figure), csv=lambda: to_csv(figure))


def take(key: str, **files) -> None:
    """Small buttons: svg, png, csv -> a function that makes the file when it is asked for."""
    kinds = {"svg": "image/svg+xml", "png": "image/png", "csv": "text/csv"}
    with st.container(horizontal=True, gap="small"):
        for kind, make in files.items():
            st.download_button(
                kind.upper(), make, f"aevae-{key}.{kind}", kinds[kind], key=f"compare_{key}_{kind}", type="tertiary",
                icon=":material/download:", on_click="ignore",
            )  # fmt: skip


def rows_csv(head: Sequence[str], rows: Sequence[Sequence]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([head, *([safe(cell) for cell in row] for row in rows)])
    return out.getvalue()


def _without(labels: Sequence[str], why: str) -> None:
    """One sentence for the models that this view has nothing of."""
    if labels:
        st.caption(f"{markdown.strip(', '.join(labels))}: {why}")


# -- the views -------------------------------------------------------------------------------------------------------


def rate_and_distortion(found: Sequence[RunInfo], chosen: Sequence[str], dataset: str) -> None:
    """What the code costs against what it leaves: all runs of the table that have a KL, the chosen ones in colour."""
    term = address.pick(
        st.segmented_control, _("Upwards"), ["recon", "sse"], default="recon", required=True, key="compare_upwards",
        format_func=lambda name: {"recon": _("nats still to be said"), "sse": _("squared error")}[name],
    )  # fmt: skip
    labels = run_picker.run_labels(cached.runs())
    rated = [run for run in found if {"kl", term} <= set(comparison.numbers_of(run, dataset))]
    if not rated:
        st.info(_("None of these models has a KL: a code without a prior costs no nats that could be counted."))
        return
    leader = next((run for run in rated if run.name in chosen), rated[0])
    kind = comparison.likelihood(leader)
    alike = [run for run in rated if term == "sse" or comparison.likelihood(run) == kind]
    bound = _gaussian(dataset) if term == "sse" else None
    figure = cached.drawn(
        trade_off, report.points(alike, labels, dataset, term, chosen), comparison.head(describe(term)),
        comparison.head(describe("kl")), elbo=term == "recon", bound=bound,
        bound_name=_("best code of a Gaussian with the pictures' covariance"),
        hull_name=_("best of these runs"), others_name=_("other runs of the table"),
    )  # fmt: skip
    chart(figure, "rates")
    if term == "recon":
        st.caption(
            _(
                "On a dotted line the ELBO is the same; the further down on the left, the better. Dashed: the true "
                "trade-off of these runs, their lower hull. Its slope says what one nat more of code saves; a model "
                "trained with weight β on the KL is to stop where that slope is β."
            )
        )
    else:
        st.caption(
            _(
                "Squared error of the decoded mean code. Dotted: the rate-distortion function of a Gaussian with the "
                "covariance of these pictures, the hardest source of all with that covariance."
            )
        )
    _without(
        [labels[run.name] for run in rated if run not in alike],
        _("left out, since nats of pixels with another likelihood do not compare."),
    )
    others = [labels[run.name] for run in found if run.name in chosen and run not in rated]
    _without(others, _("no KL of this code is known, so that there is no rate."))


@st.cache_data(max_entries=4, show_spinner=False)
def _gaussian(dataset: str) -> tuple[np.ndarray, np.ndarray] | None:
    try:
        return tradeoff.gaussian_bound(cached.test_digits(dataset)[0])
    except (ValueError, OSError):
        return None


def _film_kl(run) -> np.ndarray | None:
    """KL over training (E, D); None where there is none, or where the film is damaged, which is said."""
    try:
        return comparison.film_kl(run.film)
    except ValueError as problem:
        st.warning(markdown.escape(problem))
        return None


def kl_over_training(runs: Sequence) -> None:
    """KL of each dimension, a chart per model, at an epoch of the film."""
    films = {run.name: kl for run in runs if (kl := _film_kl(run)) is not None}
    rated = [run for run in runs if run.name in films]
    if rated:
        times = sorted({float(t) for run in rated for t in run.film["epoch"]})
        epoch = st.select_slider(
            _("Epoch"), times, value=times[-1], format_func=lambda t: f"{t:.3g}", key="compare_epoch",
            persist_state="session",
        ) if len(times) > 1 else times[0]  # fmt: skip
        top = 1.05 * max(float(kl.max()) for kl in films.values())
    across = min(ACROSS, len(rated))
    for row in range(0, len(rated), ACROSS):
        for column, run in zip(st.columns(across), rated[row : row + ACROSS], strict=False):
            kl = films[run.name]
            now = kl[comparison.frame_at(run.film["epoch"], epoch)]
            order = np.argsort(-kl[-1], kind="stable")
            figure = latent_bars(now[order], [f"z{d}" for d in order], family=run.info.family, height=240)
            figure.update_yaxes(range=[0, top])
            with column:
                st.markdown(f"**{markdown.strip(run_picker.label_of(run.name))}**")
                st.caption(_("{:.1f} nats in all").format(now.sum()))
                chart(figure, f"kl_{run.config.fingerprint}")
    if rated:
        st.caption(
            _(
                "Mean over the 16 pictures that the film follows; dimensions in the order of the end. "
                "A bar at 0 is a dimension that says nothing: the posterior has collapsed to the prior."
            )
        )
    _without(
        [run_picker.label_of(run.name) for run in runs if run.name not in films],
        _("no KL per dimension, since the code is a point or has another prior."),
    )


def dimensions(runs: Sequence, dataset: str) -> None:
    """Walks along the dimensions of the first model, and along those of the others that say most nearly the same."""
    smooth = [run for run in runs if run.model.latent == "continuous"]
    if smooth:
        _image, _label, number = picker.pick_digit(upload=False, dataset=dataset, label=_("The digit to start from"))
        with st.spinner(_("Finding the codes of the test digits ...")):
            codes = [cached.codes(run.name, dataset) for run in smooth]
            dims = [int(d) for d in cached.latent_summary(smooth[0].name)["order"][:DIMS]]
            walks = comparison.aligned(smooth, codes, number, dims, STEPS)
        labels = [run_picker.label_of(run.name) for run in smooth]
        st.html(strips_html(labels, walks))
        blank = np.full((STEPS, 1, 28, 28), np.nan, np.float32)
        flat = [strip.images if strip else blank for row in zip(*walks, strict=True) for strip in row]
        pairs = [
            (label, f"z{dims[i]}", f"z{strip.dim}", round(strip.r, 4))
            for label, walk in zip(labels, walks, strict=True)
            for i, strip in enumerate(walk)
            if strip
        ]
        head = ("model", f"dimension of {labels[0]}", "dimension", "r")
        take(
            "dimensions", png=lambda: report.sheet(np.concatenate(flat), STEPS * len(smooth)),
            csv=lambda: rows_csv(head, pairs),
        )  # fmt: skip
        st.caption(
            _(
                "From left to right one number of the code moves over ±2.5 standard deviations, the others stay. "
                "Partners have the largest correlations r in all that a one-to-one pairing allows, over {:,} digits; "
                "where r is negative, the walk goes the other way."
            ).format(len(codes[0]))
        )
    _without(
        [run_picker.label_of(run.name) for run in runs if run not in smooth],
        _("the code is of whole vectors from a codebook, so that no single number can be moved."),
    )


def strips_html(labels: Sequence[str], walks: Sequence[Sequence[comparison.Strip | None]]) -> str:
    """A table: a column per model, a row per dimension of the first."""
    head = "".join(f"<th>{html.escape(label)}</th>" for label in labels)
    rows = "".join(
        f"<tr>{''.join(_strip(strip, leads=i == 0) for i, strip in enumerate(row))}</tr>"
        for row in zip(*walks, strict=True)
    )
    return f'{_GRID}<div class="strips"><table><tr>{head}</tr>{rows}</table></div>'


def _strip(strip: comparison.Strip | None, leads: bool) -> str:
    if strip is None:
        return f"<td><i>{html.escape(_('no partner left'))}</i></td>"
    png = base64.b64encode(image_sheets.raw_sheet(strip.images, len(strip.images))).decode()
    said = html.escape(_("a walk along dimension {}").format(strip.dim))
    how = "" if leads else f" <i>r = {strip.r:+.2f}</i>"
    return f'<td>z{strip.dim}{how}<img src="data:image/png;base64,{png}" alt="{said}"></td>'


def errors(runs: Sequence, dataset: str) -> None:
    """What each model reconstructs best and worst."""
    images, labels = cached.test_digits(dataset)
    names, rows = cached.class_names(dataset), []
    for run in runs:
        label = run_picker.label_of(run.name)
        with st.spinner(_("Reconstructing the test digits ...")):
            x_hat, error = _reconstructed(run.name, run.info.state.get("created", 0), dataset)
        rows += [(label, i, names[labels[i]], float(error[i])) for i in range(len(error))]
        st.markdown(
            f"**{markdown.strip(label)}** · " + _("squared error in the middle: {:.1f}").format(np.median(error))
        )
        for column, chosen, title in zip(
            st.columns(2), comparison.extremes(error, EXTREMES), (_("Best"), _("Worst")), strict=True
        ):
            with column:
                image_sheets.show(
                    np.concatenate([images[chosen], x_hat[chosen]]), len(chosen), caption=title, width="stretch",
                    labels=[*[""] * len(chosen), *(f"{error[i]:.1f}" for i in chosen)],
                    alt=_("{} reconstructions of {}, below the digits").format(title, label),
                )  # fmt: skip
    take("errors", csv=lambda: rows_csv(("model", "picture", "class", "squared error / image"), rows))
    st.caption(_("Above: the digit. Below: what the model makes of it, with the squared error of the whole picture."))


@st.cache_data(max_entries=12, show_spinner=False)
def _reconstructed(name: str, created: float, dataset: str) -> tuple[np.ndarray, np.ndarray]:
    images = cached.test_digits(dataset)[0]
    x_hat = cached.run(name).decode(cached.codes(name, dataset))
    return x_hat, comparison.squared_errors(images, x_hat)


def samples(runs: Sequence) -> None:
    """Draws of each prior, decoded."""
    seed = url_values.field(st.number_input, _("Seed"), 0, 2**31 - 1, 0, key=run_picker.SEED, width=150)
    generative = [run for run in runs if run.model.generative]
    across = min(ACROSS, len(generative))
    for row in range(0, len(generative), ACROSS):
        for column, run in zip(st.columns(across), generative[row : row + ACROSS], strict=False):
            drawn = _drawn(run.name, run.info.state.get("created", 0), int(seed))
            label = run_picker.label_of(run.name)
            with column:
                st.markdown(f"**{markdown.strip(label)}**")
                image_sheets.show(drawn, SHEET[1], alt=_("Samples of {}").format(label), width="stretch")
                take(f"samples_{run.config.fingerprint}", png=lambda drawn=drawn: report.sheet(drawn, SHEET[1]))
    if generative:
        st.caption(
            _("Codes drawn from each model's own prior, N(0, I) or the PixelCNN of a codebook, decoded. Nobody chose.")
        )
    _without(
        [run_picker.label_of(run.name) for run in runs if run not in generative],
        _("no prior was learnt or asked for, so that there is nothing to draw from."),
    )


@st.cache_data(max_entries=64, show_spinner=False)  # a PixelCNN draws cell by cell
def _drawn(name: str, created: float, seed: int) -> np.ndarray:
    return comparison.samples(cached.run(name), SHEET[0] * SHEET[1], seed)


def report_button(chosen: Sequence[RunInfo], dataset: str) -> None:
    """One HTML file about the chosen runs."""
    st.download_button(
        _("Report"), lambda: report.report(chosen, dataset), "aevae-report.html", "text/html", key="compare_report",
        icon=":material/description:", on_click="ignore", type="primary",
        help=_("One page to keep or hand in: figures, numbers, configs, and the commands that make it again."),
    )  # fmt: skip


def open_alike(names: Sequence[str]) -> tuple[list, str]:
    """The opened runs and the data set whose pictures all of them show."""
    runs = opening.open_runs(names)
    return runs, opening.common_set(runs)
