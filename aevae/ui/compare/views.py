"""The views of the Compare page, one function each; each exports SVG, PNG or CSV."""

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
from aevae.store.checkpoints import RunInfo
from aevae.ui.digit import picker
from aevae.ui.i18n import _
from aevae.ui.shared import address, cached, image_sheets, markdown, opening, run_picker, url_values

NUM_EXTREMES, MAX_DIMS, NUM_STEPS = 8, 6, 7
MODELS_PER_ROW = 3  # models in a row
SAMPLE_GRID = (5, 8)  # samples: rows and columns
_GRID = (
    "<style>.strips{overflow-x:auto}.strips table{border-collapse:collapse}"
    ".strips th,.strips td{padding:2px 14px 6px 0;text-align:left;font-weight:400;"
    "font-size:.85rem;white-space:nowrap;border:0;vertical-align:bottom}"
    ".strips th{font-weight:600}.strips img{image-rendering:pixelated;height:34px;max-width:none;display:block}"
    ".strips i{opacity:.65;font-style:normal}</style>"
)


# -- download --------------------------------------------------------------------------------------------------------


def chart(figure: go.Figure, key: str) -> None:
    """A chart whose camera exports PNG, with its SVG and CSV below."""
    camera = {"format": "png", "scale": 3, "filename": f"aevae-{key}"}
    config = {"displaylogo": False, "modeBarButtons": [["toImage"]], "toImageButtonOptions": camera}
    st.plotly_chart(figure, key=f"compare_{key}", config=config)
    download_buttons(key, svg=lambda: to_svg(figure), csv=lambda: to_csv(figure))


def download_buttons(key: str, **files) -> None:
    """Small download buttons; svg, png, csv: functions that make the file on demand."""
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
    """Show one sentence about the models that this view cannot show."""
    if labels:
        st.caption(f"{markdown.strip(', '.join(labels))}: {why}")


# -- the views -------------------------------------------------------------------------------------------------------


def rate_and_distortion(found: Sequence[RunInfo], chosen: Sequence[str], dataset: str) -> None:
    """Rate against distortion: all runs of the table that have a KL, the chosen ones in colour."""
    term = address.pick(
        st.segmented_control, _(
            "Vertical axis"
        ), ["recon", "sse"], default="recon", required=True, key="compare_upwards",
        format_func=lambda name: {"recon": _("reconstruction error (nats)"), "sse": _("squared error")}[name],
    )  # fmt: skip
    labels = run_picker.run_labels(cached.runs())
    rated = [run for run in found if {"kl", term} <= set(comparison.numbers_of(run, dataset))]
    if not rated:
        st.info(
            _(
                "None of these models has a KL divergence, so this chart is empty. Only a code with a prior has a "
                "rate (the nats that the code costs). Choose a VAE, for example."
            )
        )
        return
    leader = next((run for run in rated if run.name in chosen), rated[0])
    kind = comparison.likelihood(leader)
    alike = [run for run in rated if term == "sse" or comparison.likelihood(run) == kind]
    bound = _gaussian(dataset) if term == "sse" else None
    figure = cached.figure(
        trade_off, report.points(alike, labels, dataset, term, chosen), comparison.axis_title(term),
        comparison.axis_title("kl"), elbo=term == "recon", bound=bound,
        bound_name=_("best possible for a Gaussian with the covariance of the images"),
        hull_name=_("best of these runs"), others_name=_("other runs in the table"),
    )  # fmt: skip
    chart(figure, "rates")
    if term == "recon":
        st.caption(
            _(
                "Lower left is better: the ELBO is the same along a dotted line. Dashed: the best trade-off that these "
                "models reach. Its slope is how much reconstruction improves per extra nat of code. A β-VAE settles "
                "where the slope equals β."
            )
        )
    else:
        st.caption(
            _(
                "Squared error of the decoded mean code. Dotted: the rate-distortion function of a Gaussian with the "
                "covariance of these images. Among all distributions with this covariance, the Gaussian is the "
                "hardest to compress."
            )
        )
    _without(
        [labels[run.name] for run in rated if run not in alike],
        _("not shown, because nats under another likelihood cannot be compared."),
    )
    others = [labels[run.name] for run in found if run.name in chosen and run not in rated]
    _without(others, _("not shown, because the KL (the rate) of this code is not known."))


@st.cache_data(max_entries=4, show_spinner=False)
def _gaussian(dataset: str) -> tuple[np.ndarray, np.ndarray] | None:
    try:
        return tradeoff.gaussian_bound(cached.shown_digits(dataset)[0])
    except (ValueError, OSError):
        return None


def _film_kl(run) -> np.ndarray | None:
    """KL over training (E, D); None without one, or (with a message) if the film is damaged."""
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
    across = min(MODELS_PER_ROW, len(rated))
    for row in range(0, len(rated), MODELS_PER_ROW):
        for column, run in zip(st.columns(across), rated[row : row + MODELS_PER_ROW], strict=False):
            kl = films[run.name]
            now = kl[comparison.frame_at(run.film["epoch"], epoch)]
            order = np.argsort(-kl[-1], kind="stable")
            figure = latent_bars(now[order], [f"z{d}" for d in order], family=run.info.family, height=240)
            figure.update_yaxes(range=[0, top])
            with column:
                st.markdown(f"**{markdown.strip(run_picker.label_of(run.name))}**")
                st.caption(_("{:.1f} nats in total").format(now.sum()))
                chart(figure, f"kl_{run.config.fingerprint}")
    if rated:
        st.caption(
            _(
                "Mean over the 16 images that the film follows. The dimensions stand in the order of the last epoch. "
                "A bar at 0 is a dimension without information: its posterior is equal to the prior (posterior "
                "collapse)."
            )
        )
    _without(
        [run_picker.label_of(run.name) for run in runs if run.name not in films],
        _("no KL per dimension, because the code is a point or has another prior."),
    )


def dimensions(runs: Sequence, dataset: str) -> None:
    """Traversals of the first model's dimensions, and of the best matching dimensions of the others."""
    smooth = [run for run in runs if run.model.latent == "continuous"]
    if smooth:
        _image, _label, number = picker.pick_digit(upload=False, dataset=dataset, label=_("Start image"))
        with st.spinner(_("Encoding the test images ...")):
            codes = [cached.codes(run.info, dataset) for run in smooth]
            dims = [int(d) for d in cached.latent_summary(smooth[0].info)["order"][:MAX_DIMS]]
            weights = [run.info.weights_checksum for run in smooth]
            walks = _walks(weights, codes, number, dims, smooth)
        labels = [run_picker.label_of(run.name) for run in smooth]
        st.html(strips_html(labels, walks))
        blank = np.full((NUM_STEPS, 1, 28, 28), np.nan, np.float32)
        flat = [strip.images if strip else blank for row in zip(*walks, strict=True) for strip in row]
        pairs = [
            (label, f"z{dims[i]}", f"z{strip.dim}", round(strip.r, 4))
            for label, walk in zip(labels, walks, strict=True)
            for i, strip in enumerate(walk)
            if strip
        ]
        head = ("model", f"dimension of {labels[0]}", "dimension", "r")
        download_buttons(
            "dimensions", png=lambda: report.sheet(np.concatenate(flat), NUM_STEPS * len(smooth)),
            csv=lambda: rows_csv(head, pairs),
        )  # fmt: skip
        st.caption(
            _(
                "Each row changes one latent dimension over ±2.5 standard deviations, from left to right. The "
                "other dimensions stay fixed. Dimensions of two models are paired one to one, so that their "
                "correlations r over {:,} images are as large as possible in total. If r is negative, the row runs in "
                "the opposite direction."
            ).format(len(codes[0]))
        )
    _without(
        [run_picker.label_of(run.name) for run in runs if run not in smooth],
        _("not shown: its code consists of whole codebook vectors, so no single dimension can change."),
    )


@st.cache_data(max_entries=12, show_spinner=False)
def _walks(weights: list[str], codes: list[np.ndarray], number: int, dims: list[int], _runs: Sequence):
    return comparison.aligned(_runs, codes, number, dims, NUM_STEPS)


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
        return f"<td><i>{html.escape(_('no dimension left to pair'))}</i></td>"
    png = base64.b64encode(image_sheets.raw_sheet(strip.images, len(strip.images))).decode()
    said = html.escape(_("the images along dimension {}").format(strip.dim))
    how = "" if leads else f" <i>r = {strip.r:+.2f}</i>"
    return f'<td>z{strip.dim}{how}<img src="data:image/png;base64,{png}" alt="{said}"></td>'


def errors(runs: Sequence, dataset: str) -> None:
    """The best and the worst reconstructions of each model."""
    images, labels = cached.shown_digits(dataset)
    names, rows = cached.class_names(dataset), []
    for run in runs:
        label = run_picker.label_of(run.name)
        with st.spinner(_("Reconstructing the test images ...")):
            x_hat, error = _reconstructed(run.name, run.info.state.get("created", 0), dataset)
        rows += [(label, i, names[labels[i]], float(error[i])) for i in range(len(error))]
        st.markdown(f"**{markdown.strip(label)}** · " + _("median squared error: {:.1f}").format(np.median(error)))
        for column, chosen, title in zip(
            st.columns(2), comparison.extremes(error, NUM_EXTREMES), (_("Best"), _("Worst")), strict=True
        ):
            with column:
                image_sheets.show(
                    np.concatenate([images[chosen], x_hat[chosen]]), len(chosen), caption=title, width="stretch",
                    labels=[*[""] * len(chosen), *(f"{error[i]:.1f}" for i in chosen)],
                    alt=_("{} reconstructions of {}, below the original images").format(title, label),
                )  # fmt: skip
    download_buttons("errors", csv=lambda: rows_csv(("model", "image", "class", "squared error / image"), rows))
    st.caption(_("Top: the original image. Bottom: its reconstruction, with the squared error of the whole image."))


@st.cache_data(max_entries=12, show_spinner=False)
def _reconstructed(name: str, created: float, dataset: str) -> tuple[np.ndarray, np.ndarray]:
    images = cached.shown_digits(dataset)[0]
    x_hat = cached.run(name).decode(cached.codes(name, dataset))
    return x_hat, comparison.squared_errors(images, x_hat)


def samples(runs: Sequence) -> None:
    """Decoded samples of each prior."""
    seed = url_values.field(st.number_input, _("Seed"), 0, 2**31 - 1, 0, key=run_picker.SEED, width=150)
    generative = [run for run in runs if run.model.generative]
    across = min(MODELS_PER_ROW, len(generative))
    for row in range(0, len(generative), MODELS_PER_ROW):
        for column, run in zip(st.columns(across), generative[row : row + MODELS_PER_ROW], strict=False):
            drawn = _drawn(run.name, run.info.state.get("created", 0), int(seed))
            label = run_picker.label_of(run.name)
            with column:
                st.markdown(f"**{markdown.strip(label)}**")
                image_sheets.show(drawn, SAMPLE_GRID[1], alt=_("Samples of {}").format(label), width="stretch")
                download_buttons(
                    f"samples_{run.config.fingerprint}", png=lambda drawn=drawn: report.sheet(drawn, SAMPLE_GRID[1])
                )
    if generative:
        st.caption(
            _(
                "Each code is sampled from the prior of its model (N(0, I), or the PixelCNN of a codebook model) and "
                "decoded. The samples are not selected by hand."
            )
        )
    _without(
        [run_picker.label_of(run.name) for run in runs if run not in generative],
        _("no samples, because the model has no prior."),
    )


@st.cache_data(max_entries=64, show_spinner=False)  # a PixelCNN draws cell by cell
def _drawn(name: str, created: float, seed: int) -> np.ndarray:
    return comparison.samples(cached.run(name), SAMPLE_GRID[0] * SAMPLE_GRID[1], seed)


def report_button(chosen: Sequence[RunInfo], dataset: str) -> None:
    """One HTML file about the chosen runs."""
    st.download_button(
        _("Report"), lambda: report.report(chosen, dataset), "aevae-report.html", "text/html", key="compare_report",
        icon=":material/description:", on_click="ignore", type="primary",
        help=_("Downloads one page to keep or hand in: figures, metrics, configs, and the commands that reproduce "
               "them."),
    )  # fmt: skip


def open_alike(names: Sequence[str]) -> tuple[list, str]:
    """The opened runs and the data set whose images all of them show."""
    runs = opening.open_runs(names)
    return runs, opening.common_set(runs)
