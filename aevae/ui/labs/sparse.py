"""The lab Sparse: decoder columns of units, and the data for `sparse.js` and `sparse_penalty.js`."""

import zlib

import numpy as np
import streamlit as st

from aevae.figures import signed
from aevae.figures.chosen import chosen_curve
from aevae.latent import filters
from aevae.metrics.reconstruction import sse
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import address, cached, url_values

FAMILIES = ("k_sparse", "sparse", "sparse_kl")
CURVE_COLOURS = ("#0072B2", "#56B4E9", "#2F7D22", "#A47A08", "#D55E00")  # of the five settings of k
CURVE = {"rho": (0.25, 0.01, 0.99), "rho_hat": (0.6, 0.01, 0.99)}


@st.cache_resource(max_entries=6, show_spinner=False)
def drawn_by(name: str) -> dict:
    """Decoder of a run: offset (784,), filters (D, 784); mean (D,) and active share (D,) of units; squared error."""
    from aevae.metrics import linear

    run, images = cached.run(name), cached.shown_digits()[0]
    offset, columns = linear.columns(run.model)
    h = cached.codes(name)
    on = h > 0.5 if run.config.model.family == "sparse_kl" else h != 0
    error = float(sse(images, run.reconstruct(images)).mean())
    return {"offset": offset, "columns": columns, "mean": h.mean(0), "used": on.mean(0), "on": on, "error": error}


def show_metrics(of: dict) -> None:
    """Show three metrics of a run."""
    st.metric(
        _("active units / digit"),
        f"{of['on'].sum(1).mean():.0f}",
        help=_(
            "Mean over 1,000 test digits. In the Sparse AE (KL) a unit is active if its value is above 0.5, in the "
            "other models if it is not 0."
        ),
        width="content",
    )
    st.metric(
        _("dead units"), int((of["used"] == 0).sum()), help=_("Units that none of 1,000 test digits activates."),
        width="content",
    )  # fmt: skip
    st.metric(_("squared error"), f"{of['error']:.1f}", help=_("Mean over the test digits."), width="content")


def one_digit(name: str, of: dict, digit: np.ndarray) -> None:
    """Show the digit as a sum of units, in the browser."""
    run = cached.run(name)
    d = run.latent_dim
    h = cached.applied(run, "encode", digit[None])[0]
    bounds = {"units_kept": (-1, -1, d)}
    component.mount(
        "sparse",
        "units",
        {
            "key": f"{name}-{zlib.crc32(digit.tobytes())}",
            "picker": "digit",
            "units": d,
            "kept": url_values.numbers(bounds)["units_kept"],
            "sigmoid": run.config.model.likelihood == "bernoulli",
            "texts": {
                "slider": _("Units kept"),
                "of": _("{k} of {on} active"),
                "clean": _("digit"),
                "made": _("from its units"),
                "verdict": _("Squared error of this digit with its {k} strongest units: {error}"),
                "parts": _("The strongest units (orange: ink, blue: less ink), and how much of each the digit has"),
                "sheet": _("All {} units, most used first. White frame: the digit uses this unit.").format(d),
            },
        },
        {
            "offset": of["offset"].astype(np.float32),
            "filters": of["columns"].astype(np.float16).ravel(),
            "h": h.astype(np.float32),
            "digit": digit.reshape(-1).astype(np.float32),
            "shown": np.argsort(-of["used"], kind="stable").astype(np.int32),
        },
        programs=[name],
        shape={"height": 520, "narrow": 640},
        on_send=url_values.number_handler({"kept": "units_kept"}, bounds),
    )


def fewer() -> None:
    """Show the filters of k-sparse models for decreasing k, and their dead units."""
    st.header(_("From 70 units to 10"), anchor=False)
    titles = {name: f"k = {name}" for name in filters.SETTINGS} | {"10-cold": _("k = 10 from the first step")}
    chosen = address.pick(
        st.segmented_control, _("Active units for each digit, of 200"), filters.SETTINGS, default="70", required=True,
        key="allowed", format_func=titles.get, wrap=True,
    )  # fmt: skip
    stored = filters.stored()
    left, right = st.columns([1.15, 1], gap="medium")
    with left:
        st.image(
            signed.sheet(stored[chosen]["filters"], 10), width="stretch",
            caption=_("The 60 most used units. Orange: ink, blue: less ink."),
            alt=_("What sixty units of a k-sparse autoencoder show, {}").format(titles[chosen]),
        )  # fmt: skip
    with right:
        units = np.arange(1, 201)
        curves = {titles[name]: (units, (100 * stored[name]["used"]).round(2)) for name in filters.SETTINGS}
        colours = dict(zip(curves, CURVE_COLOURS, strict=True))
        axes = _("unit, most used first"), _("% of test digits that activate it")
        out = chosen_curve(curves, titles[chosen], colours, *axes)
        st.plotly_chart(out, key="use", config={"displayModeBar": False})
    st.markdown(
        _(
            "**{}**: squared error {:.1f} per test digit, **{} of 200 units dead** (no test digit activates them)."
        ).format(titles[chosen], stored[chosen]["sse"], stored[chosen]["dead"])
    )


def penalty(name: str, of: dict) -> None:
    """Show the KL of a unit, with a point that can be dragged."""
    st.header(_("The cost of a unit's activity"), anchor=False)
    found = url_values.numbers(CURVE)
    family = cached.run(name).config.model.family
    component.mount(
        "sparse_penalty",
        "penalty",
        {
            "rho": found["rho"],
            "hat": found["rho_hat"],
            "texts": {
                "rho": _("target ρ"),
                "hat": _("ρ̂ of a unit"),
                "image": _("KL in nats over ρ̂; drag to move ρ̂"),
                "across": _("ρ̂, the mean activation of a unit"),
                "up": _("KL (nats)"),
                "verdict": _("KL(ρ ‖ ρ̂) = {cost} nats, slope {slope}: the penalty pushes ρ̂ against the slope."),
            },
        },
        {"units": (of["mean"] if family == "sparse_kl" else np.zeros(0)).astype(np.float32)},
        shape={"height": 400, "narrow": 280},
        on_send=url_values.number_handler({"rho": "rho", "hat": "rho_hat"}, CURVE),
    )
    if family == "sparse_kl":
        st.caption(_("Bars: the mean activations of the units of the model above. Its target was ρ = {:g}.").format(
            cached.run(name).config.model.rho))  # fmt: skip
    else:
        st.caption(_("To see its units in this chart, choose the Sparse AE (KL) above."))


def in_numbers(run, of: dict) -> str:
    """The penalty of this run as a LaTeX formula with its numbers."""
    model, error = run.config.model, of["error"]
    if model.family == "sparse":
        size = float(np.abs(cached.codes(run.info)).sum(1).mean())
        return _("This run: squared error {:.1f}, λ Σ|h| = {:g} × {:.1f} = **{:.1f}** per digit.").format(
            error, model.lam, size, model.lam * size
        )
    if model.family == "sparse_kl":
        rho, hat = model.rho, of["mean"]
        total = float((rho * np.log(rho / hat) + (1 - rho) * np.log((1 - rho) / (1 - hat))).sum())
        return _("This run: β Σ KL(ρ ‖ ρ̂) = {:g} × {:.2f} = **{:.2f}** nats; ρ = {:g}, mean ρ̂ = {:.3f}.").format(
            model.beta, total, model.beta * total, rho, hat.mean()
        )
    return _("This run: k = **{}** of {} units, squared error **{:.1f}** per digit.").format(
        model.k, model.latent_dim, error
    )
