"""The lab β: the models of the sweep, their traversals, and the data for `beta.js`."""

import numpy as np
import streamlit as st

from aevae import datasets
from aevae.figures.rates import Outcome, rate_distortion
from aevae.latent.traversal import walks
from aevae.store import bundles
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import cached, image_sheets, run_picker, url_values

NUM_STEPS = 9
BETA_ONE = 2  # place of β = 1 in the sweep


@st.cache_resource(max_entries=1, show_spinner=False)
def sweep() -> list[tuple[bundles.Member, object]]:
    """(member, torch model) of the sweep, by ascending β."""
    return [(member, member.model()) for member in bundles.load("beta").values()]


@st.cache_data(max_entries=64, show_spinner=False)
def traversals(image: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(images uint8 (F, 1 + D, NUM_STEPS, 784), dimensions (F, D), their KL (F, D), descending) for F values of β.

    The first row: the digit itself and decoded samples of its posterior; then a traversal of each dimension.
    """
    x = np.frombuffer(image, np.float32).reshape(1, 1, 28, 28)
    frames, orders, kls = [], [], []
    for member, model in sweep():
        kl = member.history["kl_per_dim"][-1]
        order = np.argsort(-kl, kind="stable")
        frames.append(image_sheets.to_bytes(walks(model, x, order, NUM_STEPS)))
        orders.append(order)
        kls.append(kl[order])
    return np.stack(frames), np.stack(orders), np.stack(kls)


def drawn(x: np.ndarray) -> int:
    """Show the traversals of all β with one slider; returns the index of the chosen β."""
    found = sweep()
    frames, orders, kls = traversals(np.ascontiguousarray(x, np.float32).tobytes())
    at = {"beta_at": (BETA_ONE, 0, len(found) - 1)}
    now = int(url_values.numbers(at)["beta_at"])
    said = [
        {
            "label": f"β = {member.name}",
            "note": _("reconstruction {:.1f} + KL {:.1f} nats; {} of {} dimensions active").format(
                member.numbers["recon"], member.numbers["kl"], int((kl > 0.05).sum()), len(kl)
            ),
            "rows": [
                {"name": _("the digit, 8 samples"), "bar": 0},
                *(
                    {"name": _("dimension {}: {:.2f} nats").format(d + 1, v), "bar": float(v / kls.max())}
                    for d, v in zip(order, kl, strict=True)
                ),
            ],
        }
        for (member, _model), order, kl in zip(found, orders, kls, strict=True)
    ]
    if problem := component.trouble([], has_server_version=True):
        st.caption(problem)
        image_sheets.show(frames[now].reshape(-1, 28, 28), NUM_STEPS, alt=_("One row per dimension of the code"))
        return now
    texts = {
        "slider": _("Weight of the KL"),
        "images": _("One dimension of the code changes from −3 to 3"),
        "heads": ["−3", "", "−1.5", "", "0", "", "1.5", "", "3"],
        "heads_of": _("value of the dimension"),
    }
    spec = {"key": "beta", "frame": now, "frames": said, "texts": texts}
    component.mount(
        "beta",
        "frames",
        spec,
        {"images": frames},
        height=480,
        on_send=url_values.number_handler({"frame": "beta_at"}, at),
    )
    return now


def rates(now: int) -> None:
    """Show every model as a point: reconstruction against KL."""
    out = [Outcome(_("sweep"), f"β={m.name}", m.numbers["kl"], m.numbers["recon"]) for m, _model in sweep()]
    others = []
    if st.toggle(_("Show the runs of this lab as well"), key="beta_runs", bind="query-params"):
        for run in cached.finished(("vae", "beta_vae", "iwae", "skip_vae")):
            terms = run.metrics.get(datasets.EMBEDDED, {})
            if "kl" in terms and run.likelihood == "bernoulli":
                others.append(Outcome(_("runs"), run_picker.label_of(run.name), terms["kl"], terms["recon"]))
    chart = rate_distortion([*out, *others], height=420)
    if others:
        chart.data[-1].update(mode="markers", text=None)
    here = out[now]
    chart.add_scatter(
        x=[here.x], y=[here.recon], mode="markers", showlegend=False, hoverinfo="skip",
        marker={"size": 20, "symbol": "circle-open", "line": {"width": 2}, "color": "#D55E00"},
    )  # fmt: skip
    st.plotly_chart(chart, key="rates", config={"displayModeBar": False})
