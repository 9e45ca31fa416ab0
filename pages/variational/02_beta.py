"""β: What does a stricter KL buy, and what does it cost?

icon: tune
"""

import numpy as np
import streamlit as st

from aevae import bundles
from aevae.figures.rates import Outcome, rate_distortion
from aevae.latent.traversal import strip_values, traverse
from aevae.ui import digits, kept, lab, live, loaders, pictures, state
from aevae.ui.i18n import _

STEPS = 9


@st.cache_resource(max_entries=1, show_spinner=False)
def sweep() -> list[tuple[bundles.Member, object]]:
    """The models of the sweep, β rising, opened."""
    return [(member, member.model()) for member in bundles.load("beta").values()]


@st.cache_data(max_entries=64, show_spinner=False)
def traversals(picture: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 (F, 1 + D, STEPS, 784) and KL of each number of the code (F, D), most first, for every β.

    The first row: the digit itself, and what draws of its posterior decode to.
    """
    import torch

    x = torch.tensor(np.frombuffer(picture, np.float32).reshape(1, 1, 28, 28))
    frames, kls = [], []
    eps = torch.randn(STEPS - 1, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for member, model in sweep():
            mu, logvar = model.posterior(x)
            kl = member.history["kl_per_dim"][-1]
            order = np.argsort(-kl, kind="stable")
            walk = [traverse(mu[0].numpy(), int(j), strip_values(STEPS)) for j in order]
            z = torch.cat([mu + (0.5 * logvar).exp() * eps, torch.tensor(np.concatenate(walk))])
            back = torch.cat([x, model.decode(z)])
            frames.append((back * 255).round().byte().numpy().reshape(1 + len(order), STEPS, 784))
            kls.append(kl[order])
    return np.stack(frames), np.stack(kls)


def drawn(x: np.ndarray) -> int:
    """The walks of every β under one slider; returns which β it rests at."""
    found = sweep()
    frames, kls = traversals(np.ascontiguousarray(x, np.float32).tobytes())
    at = {"beta_at": (4, 0, len(found) - 1)}
    now = int(kept.numbers(at)["beta_at"])
    said = [
        {
            "label": f"β = {member.name}",
            "note": _("reconstruction {:.1f} + KL {:.1f} nats; {} of {} numbers used").format(
                member.numbers["recon"], member.numbers["kl"], int((kl > 0.05).sum()), len(kl)
            ),
            "rows": [
                {"name": _("digit, draws"), "bar": 0},
                *({"name": _("{:.2f} nats").format(v), "bar": float(v / kls.max())} for v in kl),
            ],
        }
        for (member, _model), kl in zip(found, kls, strict=True)
    ]
    if problem := live.trouble([]):
        st.caption(problem)
        pictures.show(frames[now].reshape(-1, 28, 28), STEPS, alt=_("Walks along each number of the code"))
        return now
    texts = {"slider": _("Weight of the KL"), "pictures": _("A walk along one number of the code, from −3 to 3")}
    spec = {"key": "beta", "frame": now, "frames": said, "texts": texts}
    live.mount("frames", "frames", spec, {"pictures": frames}, height=390, on_send=kept.taker({"frame": "beta_at"}, at))
    return now


def rates(now: int) -> None:
    """Every model as a point: what its code costs, against what is left to say."""
    out = [Outcome(_("sweep"), f"β={m.name}", m.numbers["kl"], m.numbers["recon"]) for m, _model in sweep()]
    others = []
    if st.toggle(_("Show the runs of this lab, too"), key="beta_runs", bind="query-params"):
        for run in loaders.finished(("vae", "beta_vae", "iwae", "skip_vae")):
            terms = run.metrics.get("mnist-5k", {})
            if "kl" in terms and run.config["model"].get("likelihood") == "bernoulli":
                others.append(
                    Outcome(_("runs"), state.label_of(run.name).partition(" · mnist")[0], terms["kl"], terms["recon"])
                )
    chart = rate_distortion([*out, *others], height=420)
    if others:
        chart.data[-1].update(mode="markers", text=None)
    here = out[now]
    chart.add_scatter(
        x=[here.x], y=[here.recon], mode="markers", showlegend=False, hoverinfo="skip",
        marker={"size": 20, "symbol": "circle-open", "line": {"width": 2}, "color": "#D55E00"},
    )  # fmt: skip
    st.plotly_chart(chart, key="rates", config={"displayModeBar": False})


lab.begin(__doc__)
left, right = st.columns([2, 5], gap="medium")
with left:
    x, label, number = digits.pick_digit(default=7, models=())
with right, st.spinner(_("Opening seven models")):
    now = drawn(x)
st.subheader(_("Rate and distortion"), anchor=False)
rates(now)
member = sweep()[now][0]
beta, recon, kl = float(member.name), member.numbers["recon"], member.numbers["kl"]
lab.end(
    notice=[
        _("From left to right each row changes one number of the code; the bar is what that number costs."),
        _("As β rises, numbers fall silent one by one: their rows stop changing, and the digit blurs."),
        _("The curve bends: the first nats of code save many of picture, the last ones hardly any. β is its slope."),
    ],
    tries=[
        _("The known failure: go to β = 16. Digits become one picture, their code says nearly nothing (collapse)."),
        _("Go to β = 0.1. The picture is at its sharpest, but the ELBO is worse than at 1: the code is dear."),
        _("Find the smallest β at which one of the rows no longer moves. How long is its bar?"),
    ],
    formula=r"\begin{gathered}\min\ \mathbb E_q[-\log p(x|z)]+\beta\,\mathrm{KL}(q(z|x)\Vert p(z))\\"
    r"\frac{\mathrm d\,\text{recon}}{\mathrm d\,\mathrm{KL}}=-\beta\end{gathered}",
    numbers=_("β = {:g}: {:.1f} + {:g} · {:.1f} = **{:.1f}** nats; the true bound, at weight 1: **−{:.1f}**.").format(
        beta, recon, beta, kl, recon + beta * kl, recon + kl
    ),
    more=_(
        "The KL is a **rate**: nats that the code spends on a picture. The reconstruction is the **distortion**. "
        "β is the price of a nat, so that an optimal model stands where the curve's slope is −β. At β = 1 the sum is "
        "the ELBO, and the curve touches the best of its lines. Above, the model is asked to be frugal: it keeps the "
        "directions that explain most and, since q has no correlations, likes them separate. Below, it nears a plain "
        "autoencoder: good pictures, and a code that no longer looks like the prior it is sampled from."
    ),
    sources="Higgins et al. 2017; Burgess et al. 2018; Alemi et al. 2018",
)
