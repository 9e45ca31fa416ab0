"""ELBO: What does a VAE maximise, and why two terms?

icon: balance
"""

import zlib

import numpy as np
import streamlit as st

from aevae.comparison import likelihood
from aevae.metrics.bound import DRAWS, bound
from aevae.ui import digits, kept, lab, live, loaders, pictures, state
from aevae.ui.i18n import _

MOST = 16  # draws
MOVED = {"q_a": (0.0, -20.0, 20.0), "q_b": (0.0, -20.0, 20.0), "q_spread": (1.0, 0.01, 10.0), "q_draws": (8, 1, MOST)}
FAMILIES = ("vae", "beta_vae", "skip_vae", "iwae")
TARGETS = {  # p, or where it begins; the stretch of the line; the least and the largest sigma; where q begins; height
    "two": ([(0.5, -2.0, 0.5), (0.5, 2.0, 0.5)], (-6, 6), (0.2, 5), (0.6, 1.0), 0.5),
    "any": ([(1.0, 0.0, 1.0)], (-4, 4), (0.2, 4), (1.5, 0.5), 0.8),
    "narrow": ([(1.0, 0.0, 0.01)], (-0.08, 0.08), (0.002, 0.05), (0.03, 0.02), 40.0),
}


@st.cache_data(max_entries=256, show_spinner=False)
def numbers(name: str, picture: bytes):
    import torch

    x = torch.tensor(np.frombuffer(picture, np.float32).reshape(1, 1, 28, 28))
    return tuple(bound(loaders.run(name).model, x))


def posterior(name: str, x: np.ndarray) -> None:
    """The digit's posterior, to be moved, with its bars."""
    import torch

    model = loaders.run(name).model
    with torch.inference_mode():
        mu, logvar = (t[0].numpy() for t in model.posterior(torch.tensor(x[None])))
    plane = sorted(int(i) for i in loaders.latent_summary(name)["order"][:2])
    at = kept.numbers(MOVED)
    live.mount(
        "posterior",
        "posterior",
        {
            "key": f"{name}|{zlib.crc32(x.tobytes())}",
            "start": {key: at[f"q_{key}"] for key in ("a", "b", "spread", "draws")},
            "plane": plane,
            "most": MOST,
            "picker": "digit",
            "texts": {
                "plane": _("Numbers {} and {} of the code. Drag, or use the arrow keys, to move the mean of q.").format(
                    plane[0] + 1, plane[1] + 1
                ),
                "spread": _("Stretch σ"),
                "draws": _("Draws R"),
                "times": "× {value}",
                "back": _("Back to what the encoder says"),
                "decoded": _("z = μ + σ ε, decoded: the noise ε stays, μ and σ move"),
                "recon": _("reconstruction, −log p(x|z)"),
                "now": _("q as it is now"),
                "base": _("q of the encoder"),
                "sum": _("{recon} + {kl} = {sum} nats = −ELBO"),
            },
        },
        {
            "x": x.reshape(-1).astype(np.float32),
            "mu": mu,
            "std": np.exp(0.5 * logvar),
            "eps": np.random.default_rng(0).standard_normal((MOST, len(mu))).astype(np.float32),
        },
        programs=[name],
        height=430,
        on_send=kept.taker({key[2:]: key for key in MOVED}, MOVED),
    )  # fmt: skip


def divergence() -> None:
    """Forward and reverse KL, by hand."""
    st.subheader(_("Two ways to be near"), anchor=False)
    titles = {"two": _("two bumps"), "any": _("a Gaussian"), "narrow": "N(0, 0.01²)"}
    target = st.segmented_control(
        "p", list(TARGETS), default="two", required=True, key="target", bind="query-params", format_func=titles.get
    )
    if problem := live.trouble([]):
        st.caption(problem)
        return
    parts, (low, high), (least, most), (m, s), unit = TARGETS[target]
    ranges = {f"m_{target}": (m, low, high), f"s_{target}": (s, least / 10, 10 * most)}
    names = {"m": f"m_{target}", "s": f"s_{target}"}
    if free := target == "any":
        ranges |= {"p_mean": (0.0, low, high), "p_spread": (1.0, least / 10, 10 * most)}
        names |= {"pm": "p_mean", "ps": "p_spread"}
    at = kept.numbers(ranges)
    if free:
        parts = [(1.0, at["p_mean"], at["p_spread"])]
    live.mount(
        "divergence",
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
                "p": _("p, which the sliders move, too") if free else _("p, which stays"),
                "q": _("q = N(μ, σ²), which you drag"),
                "nats": _("{value} nats"),
                "slide": _("Slide down"),
                "closed": _("In closed form KL(q ‖ p) = {value} nats."),
            },
        },
        height=490 if free else 430,
        on_send=kept.taker(names, ranges),
    )  # fmt: skip


def choose() -> str:
    """A model whose code is a distribution: by default one with two numbers, of which the plane shows all."""
    runs = [run for run in loaders.finished(FAMILIES) if likelihood(run).startswith("bernoulli")]  # as the bars are
    runs = sorted(runs, key=lambda run: (run.latent_dim != 2, run.family != "vae"))
    if not runs:
        state.pick_model("elbo_model", families=FAMILIES)  # says what is missing, and stops
    return st.selectbox(
        _("Model"), [run.name for run in runs], format_func=state.label_of, key="elbo_model", bind="query-params"
    )


lab.begin(__doc__)
left, right = st.columns([2, 5], gap="medium")
with left:
    name = choose()
    x, label, number = digits.pick_digit(default=7, models=())
with right, st.spinner(_("Opening the model")):
    if problem := live.trouble([name]):
        st.caption(problem)
        pictures.show(loaders.run(name).reconstruct(x[None]), 1, scale=6, alt=_("The digit, decoded from its mean"))
    else:
        posterior(name, x)
divergence()
with st.spinner(_("Drawing from q")):
    found = numbers(name, np.ascontiguousarray(x, np.float32).tobytes())
likelihood, kl, joint, entropy, log_p, gap, closed, drawn, effective = found
lab.end(
    notice=[
        _("Move q away from the circle and the digit is drawn badly: reconstruction grows. Shrink σ and KL grows."),
        _("The noise ε does not move, so each code follows μ and σ smoothly: that is why a gradient can pass."),
        _("KL(p‖q) makes q cover both bumps and the void between; KL(q‖p), which a VAE uses, makes it choose one."),
    ],
    tries=[
        _("Drag q into the middle of the plane: KL is near its least, and the digit is lost."),
        _(
            "The known failure: shrink σ to × 0.01, as a plain AE does. No noise, hardly a better picture, and a KL "
            "that grows without end."
        ),
        _("Take p = N(0, 0.01²) and pull μ to 0.08, which N(0, 1) would not notice: more than 30 nats."),
    ],
    formula=r"\begin{aligned}\log p(x)\ge\mathrm{ELBO}&=\mathbb E_q\log p(x|z)-\mathrm{KL}(q(z|x)\Vert p(z))\\"
    r"&=\log p(x)-\mathrm{KL}(q(z|x)\Vert p(z|x))\\&=\mathbb E_q\log p(x,z)+H(q)\end{aligned}",
    numbers=_(
        "This digit, {draws} draws, in nats:\n\n"
        "| form | | ELBO |\n|:--|--:|--:|\n"
        "| 1: log-likelihood − KL | {a:.2f} − {b:.2f} | **{one:.2f}** |\n"
        "| 2: log p(x) − gap to the true posterior | {c:.2f} − {d:.2f} | **{two:.2f}** |\n"
        "| 3: log p(x, z) + entropy of q | {e:.2f} + ({f:.2f}) | **{three:.2f}** |\n\n"
        "One draw is off by ± {s:.2f} with the KL in closed form (± {t:.2f} with everything drawn); R draws by that "
        "/ √R. log p(x) is itself estimated from the same draws, of which {k:.0f} count{few}."
    ).format(
        few="" if effective > 5 else _(": so few that it is a guess, and too low"),
        draws=DRAWS, a=likelihood, b=kl, one=likelihood - kl, c=log_p, d=gap, two=log_p - gap, e=joint, f=entropy,
        three=joint + entropy, s=closed, t=drawn, k=effective,
    ),
    more=_(
        "The **first** form is what is trained: draw the digit again, and do not spend more nats on the code than it "
        "is worth. The **second** says why: the bound falls short of log p(x) by exactly the divergence of q from the "
        "true posterior. The **third** is physics: low energy and high entropy. They are one number; that the table's "
        "differ in the last digits is chance, since what has no closed form is a mean of draws. The mean of R "
        "logarithms stays an ELBO; the logarithm of a mean of weights would be the tighter bound of IWAE.\n\n"
        r"Between Gaussians $\mathrm{KL}=\log\frac{\sigma_2}{\sigma_1}+\frac{\sigma_1^2+(\mu_1-\mu_2)^2}{2\sigma_2^2}"
        r"-\frac12$. To $N(0, 0.01^2)$ it is $5000\,(\mu^2+\sigma^2)-\log\sigma-5.105$."
    ),
    sources="Kingma & Welling 2014; Burda et al. 2016",
)  # fmt: skip
