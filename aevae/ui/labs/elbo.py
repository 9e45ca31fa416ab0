"""The lab ELBO: the bound, and the data for `elbo.js` and `elbo_divergence.js`."""

import zlib

import numpy as np
import streamlit as st

from aevae.metrics.bound import bound
from aevae.reporting.comparison import likelihood
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import address, cached, run_picker, url_values

MAX_SAMPLES = 16
PLACE = (0.0, -20.0, 20.0)
MOVED = {"q_a": PLACE, "q_b": PLACE, "q_spread": (1.0, 0.01, 10.0), "q_draws": (8, 1, MAX_SAMPLES)}
FAMILIES = ("vae", "beta_vae", "skip_vae", "iwae")
TARGETS = {  # p, or where it begins; the stretch of the line; the least and the largest sigma; where q begins; height
    "two": ([(0.5, -2.0, 0.5), (0.5, 2.0, 0.5)], (-6, 6), (0.2, 5), (0.6, 1.0), 0.5),
    "any": ([(1.0, 0.0, 1.0)], (-4, 4), (0.2, 4), (1.5, 0.5), 0.8),
    "narrow": ([(1.0, 0.0, 0.01)], (-0.08, 0.08), (0.002, 0.05), (0.03, 0.02), 40.0),
}


@st.cache_data(max_entries=256, show_spinner=False)
def numbers(name: str, image: bytes):
    import torch

    x = torch.tensor(np.frombuffer(image, np.float32).reshape(1, 1, 28, 28))
    return tuple(bound(cached.run(name).model, x))


def to_the_middle(name: str, x: np.ndarray) -> dict[str, float]:
    """The session's values with which q of a digit has its mean in the middle of the plane."""
    mu, _logvar = cached.computed(moments, cached.run(name), x)
    return {f"q_{key}": -float(mu[d]) for key, d in zip("ab", plane_of(name), strict=True)} | {"q_spread": 1.0}


def plane_of(name: str) -> list[int]:
    """The two most used latent dimensions of a run, ascending."""
    return sorted(int(i) for i in cached.latent_summary(name)["order"][:2])


def moments(run, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, log variance) of q(z|x), each (D,)."""
    import torch

    with torch.inference_mode():
        mu, logvar = (t[0].numpy() for t in run.model.posterior(torch.tensor(x[None])))
    return mu, logvar


def posterior(name: str, x: np.ndarray) -> None:
    """Show the digit's posterior, which can be moved, with its ELBO terms."""
    mu, logvar = cached.computed(moments, cached.run(name), x)
    plane = plane_of(name)
    at = url_values.numbers(MOVED)
    component.mount(
        "elbo",
        "posterior",
        {
            "key": f"{name}|{zlib.crc32(x.tobytes())}",
            "start": {key: at[f"q_{key}"] for key in ("a", "b", "spread", "draws")},
            "plane": plane,
            "most": MAX_SAMPLES,
            "picker": "digit",
            "texts": {
                "plane": _(
                    "Dimensions {} and {} of the code. Drag, or use the arrow keys, to move the mean of q."
                ).format(
                    plane[0] + 1, plane[1] + 1
                ),
                "axes": [_("dimension {}").format(d + 1) for d in plane],
                "x": _("x, the digit"),
                "legend": {
                    "prior": _("prior p: 1 and 2 σ"),
                    "one": _("q now: 1 and 2 σ"),
                    "home": _("mean of the encoder's q"),
                    "dot": _("samples z"),
                },
                "spread": _("Scale σ by"),
                "draws": _("Samples R"),
                "times": "× {value}",
                "back": _("Reset q to the encoder"),
                "decoded": _("z = μ + σ ε, decoded. The noise ε stays fixed."),
                "recon": _("reconstruction, −log p(x|z)"),
                "now": _("q now"),
                "base": _("q of the encoder"),
                "sum": _("{recon} + {kl} = {sum} nats = −ELBO"),
            },
        },
        {
            "x": x.reshape(-1).astype(np.float32),
            "mu": mu,
            "std": np.exp(0.5 * logvar),
            "eps": np.random.default_rng(0).standard_normal((MAX_SAMPLES, len(mu))).astype(np.float32),
        },
        programs=[name],
        height=430,
        on_send=url_values.number_handler({key[2:]: key for key in MOVED}, MOVED),
    )  # fmt: skip


def divergence() -> None:
    """Show forward and reverse KL of two densities that can be moved."""
    st.header(_("The two directions of the KL"), anchor=False)
    titles = {"two": _("two modes"), "any": _("a Gaussian"), "narrow": "N(0, 0.01²)"}
    target = address.pick(
        st.segmented_control, "p", list(TARGETS), default="two", required=True, key="target", format_func=titles.get
    )
    if problem := component.trouble([], has_server_version=False):
        st.caption(problem)
        return
    parts, (low, high), (least, most), (m, s), unit = TARGETS[target]
    ranges = {f"m_{target}": (m, low, high), f"s_{target}": (s, least / 10, 10 * most)}
    names = {"m": f"m_{target}", "s": f"s_{target}"}
    if free := target == "any":
        ranges |= {"p_mean": (0.0, low, high), "p_spread": (1.0, least / 10, 10 * most)}
        names |= {"pm": "p_mean", "ps": "p_spread"}
    at = url_values.numbers(ranges)
    if free:
        parts = [(1.0, at["p_mean"], at["p_spread"])]
    component.mount(
        "elbo_divergence",
        "divergence",
        {
            "key": target,
            "free": free,
            "p": [{"w": w, "m": mean, "s": std} for w, mean, std in parts],
            "low": low, "high": high, "least": least, "most": most, "unit": unit,
            "digits": 4 if target == "narrow" else 2,
            "start": {"m": at[f"m_{target}"], "s": at[f"s_{target}"]},
            "texts": {
                "plot": _("Densities of p and q; drag to move the mean of q."),
                "p": _("p, set by the sliders") if free else _("p, fixed"),
                "q": _("q = N(μ, σ²), drag it"),
                "nats": _("{value} nats"),
                "slide": _("Minimise the KL"),
                "closed": _("In closed form: KL(q ‖ p) = {value} nats."),
            },
        },
        height=490 if free else 430,
        on_send=url_values.number_handler(names, ranges),
    )  # fmt: skip


def choose() -> str:
    """Name of a model with a distribution as code; by default one with latent_dim 2, all of which the plane shows."""
    runs = [run for run in cached.finished(FAMILIES) if likelihood(run).startswith("bernoulli")]  # like the bars
    runs = sorted(runs, key=lambda run: (run.latent_dim != 2, run.family != "vae"))
    if not runs:
        run_picker.pick_model("elbo_model", families=FAMILIES)  # shows a message and stops the page
    return run_picker.pick_run(st.selectbox, _("Model"), [run.name for run in runs], key="elbo_model")
