"""The lab Spot the mistake: exercises, and a chart for some."""

import numpy as np
import streamlit as st

from aevae.checks import mistakes
from aevae.figures.layout import figure
from aevae.figures.palette import FALLBACK, family_colour
from aevae.ui.i18n import _
from aevae.ui.shared import cached

NUM_DIRECTIONS = 50  # directions of the data in the chart
LABS = {  # mistake -> address of the lab that shows it
    "mae": "pca", "constant": "elbo", "aggregate": "collapse", "joint": "elbo", "mean": "likelihoods",
    "letters": "elbo", "samples": "elbo", "underfit": "no-encoder",
}  # fmt: skip
BETAS = (1, 2, 5, 10, 20, 50, 100, 784)


def exercises() -> dict[str, dict]:
    """Mistake -> title, statement (also in words), three answers, and the reason.

    `mistakes.MISTAKES` has the right answer.

    Longer than 60 lines because it is one table of texts.
    """
    return {
        "mae": {
            "title": _("Linear decoder"),
            "claim": _("An autoencoder with a linear decoder g is PCA if it minimises "
                       "$\\frac1N\\sum_i\\lVert x_i-g(f(x_i))\\rVert_1$."),
            "words": _("In words: with a linear decoder, the least *absolute* error gives PCA."),
            "put_right": r"\min_{f,g}\ \frac1N\sum_i\lVert x_i-g(f(x_i))\rVert_2^2,\quad g\ \mathrm{linear}",
            "answers": [_("Nothing"), _("The error must be squared"), _("The encoder must be linear, too")],
            "why": _(
                "PCA minimises the *squared* error. The absolute error depends less on outliers, and its best "
                "subspace is another one. The encoder does not have to be linear: with squared error the best code is "
                "linear anyway."
            ),
        },
        "constant": {
            "title": _("A narrow prior"),
            "claim": r"$\mathrm{KL}\big(\mathcal N(\mu,\sigma^2)\Vert\mathcal N(0,0.01^2)\big)"
            r"=5000(\mu^2+\sigma^2)-\log\sigma-5$",
            "words": _("In words: the KL of a posterior N(μ, σ²) from a very narrow prior, with all numbers put in."),
            "put_right": r"5000(\mu^2+\sigma^2)-\log\sigma+\log 0.01-\tfrac12",
            "answers": [_("The factor 5000"), _("The sign of log σ"), _("The constant")],
            "why": _(
                "The constant is log 0.01 - 1/2 = -5.105170. A rounded constant changes no gradient. But then the KL "
                "of two equal distributions is not 0, so it is not a KL."
            ),
        },
        "aggregate": {
            "title": _("The aim of the KL"),
            "claim": _("The objective of a VAE requires $p(z)=\\sum_x p(z\\mid x)\\,p(x)"
                       "=\\sum_x \\mathcal N(0,1)\\,p(x)=\\mathcal N(0,1)$."),
            "words": _("In words: the mean of all posteriors is the prior, because each of them is the prior."),
            "put_right": r"q(z)=\frac1N\sum_i q(z\mid x_i)\approx p(z)",
            "answers": [
                _("It sets every posterior to the prior"),
                _("The sum must be a product"),
                _("The prior cannot be N(0, 1)"),
            ],
            "why": _(
                "The middle step sets *every* posterior to the prior. This is total posterior collapse: the code "
                "carries no information. A VAE needs less: the **mean** of the posteriors should be near the prior, "
                "and each posterior may be elsewhere."
            ),
        },
        "joint": {
            "title": _("Energy and entropy"),
            "claim": r"$\mathrm{ELBO}=\mathbb E_q\log p(z\mid x)+H(q)$",
            "words": _("In words: the ELBO is the mean of log p(z | x) over samples of q, plus the entropy of q."),
            "put_right": r"\mathbb E_q\log p(z,x)+H(q)=\mathbb E_q\log p(x\mid z)-\mathrm{KL}(q\Vert p(z))",
            "answers": [_("The sign of H(q)"), _("It must be p(z, x)"), _("It must be p(x | z)")],
            "why": _(
                "The ELBO contains the joint density p(x, z). With $p(z\\mid x)$ the formula is minus a KL (at most "
                "0), and $\\log p(x)$ is missing."
            ),
        },
        "mean": {
            "title": "MSE + KL",
            "claim": _("The VAE minimises "
                       "$\\frac1{784}\\sum_p(x_p-\\hat x_p)^2+\\mathrm{KL}\\big(q(z\\mid x)\\Vert p(z)\\big)$."),
            "words": _("In words: the loss is the *mean* squared error of the 784 pixels, plus the KL."),
            "put_right": r"\sum_p(x_p-\hat x_p)^2+\beta\,\mathrm{KL},\quad\beta=1",
            "answers": [_("MSE is not a likelihood"), _("The KL must be averaged"), _("It is a β-VAE with β = 784")],
            "why": _(
                "The sum of squares + KL is a Gaussian decoder with σ² = 1/2 and β = 1. The mean over 784 pixels "
                "makes the first term 784 times smaller. So the KL has 784 times the weight, and the posterior almost "
                "certainly collapses."
            ),
        },
        "letters": {
            "title": _("Which is p, which is q?"),
            "claim": _("A VAE minimises "
                       "$\\mathrm{KL}\\big(p(x)\\,p(z\\mid x)\\,\\Vert\\,q(z)\\,q(x\\mid z)\\big)$ over "
                       "the **posterior of the model** p(z | x)."),
            "words": _(
                "In words: two ways to make pairs (x, z) should agree. The sentence says that p(z | x) is the "
                "posterior of the model."
            ),
            "put_right": r"\mathrm{KL}\big(\tilde p(x)\,q(z\mid x)\Vert p(z)\,p(x\mid z)\big)"
            r"=-\mathbb E\,\mathrm{ELBO}-H(\tilde p)",
            "answers": [
                _("Here p(z | x) is the encoder, the model is q"),
                _("The KL must be reversed"),
                _("A KL of joint densities is not allowed"),
            ],
            "why": _(
                "The formula is right in its own notation: there p(z | x) is the encoder and q(z) q(x | z) is the "
                "model. This lab uses p for the model and q for the encoder. If p(z | x) is the true posterior of the "
                "model, the KL is KL(p(x) ‖ model(x)), and the formula contains no encoder that could learn."
            ),
        },
        "samples": {
            "title": _("R samples"),
            "claim": r"$\mathrm{ELBO}\approx\log\frac1R\sum_{r=1}^R\frac{p(x,z_r)}{q(z_r\mid x)},\quad z_r\sim q$",
            "words": _("In words: the ELBO is the logarithm of the mean of R weights."),
            "put_right": r"\frac1R\sum_{r=1}^R\log\frac{p(x,z_r)}{q(z_r\mid x)}",
            "answers": [_("Nothing"), _("It must be the mean of the logs"), _("The z must be samples of p")],
            "why": _(
                "The estimator of the ELBO is the *mean of logs*. The log of a mean is another bound, that of IWAE. "
                "This bound is higher, and each further sample brings it nearer to log p(x)."
            ),
        },
        "underfit": {
            "title": _("Underfitted"),
            "claim": _(
                "An autoencoder is worse than an auto-decoder because it is underfitted: **train it longer**, and its "
                "codes are as good as the codes of a search."
            ),
            "words": "",
            "put_right": r"\min_z\ell(g(z),x)\ \le\ \ell\big(g(f(x)),x\big)",
            "answers": [
                _("It is overfitted"),
                _("A search is worse than an encoder"),
                _("One encoder for all images leaves a gap"),
            ],
            "why": _(
                "The exact statement is the *amortisation gap*: for every image, a search ends no worse than an "
                "encoder. One f must encode all images. Longer training makes the gap smaller, but does not always "
                "close it."
            ),
        },
    }  # fmt: skip


@st.cache_data(max_entries=16, show_spinner=False)
def settled(key: str) -> tuple[float, tuple[str, float, float]]:
    """(error of the wrong statement, result of the check), computed once."""
    mistake = next(m for m in mistakes.MISTAKES if m.key == key)
    return mistake.claimed(), mistake.settle()


def lines():
    """A figure of two optimal lines through points with outliers."""
    points = mistakes.outliers()
    out = figure("x₁", "x₂", 320)
    out.add_scatter(x=points[:, 0], y=points[:, 1], mode="markers", marker={"color": FALLBACK, "size": 5}, name="x")
    names = (_("squared error: PCA"), _("absolute error"))
    for name, line, colour in zip(names, mistakes.best_lines(points), ("#0072B2", "#D55E00"), strict=True):
        x, y = 9 * np.stack([-line, line]).T
        out.add_scatter(x=x, y=y, mode="lines", name=name, line={"color": colour, "width": 3})
    return out


def spectrum():
    """A figure of the data's variances, and the threshold beta / 2 of a linear VAE with sigma^2 = 1/2."""
    variances = cached.principal(NUM_DIRECTIONS).variance
    beta = st.select_slider(_("β"), BETAS, 784, key="weight", bind="query-params")
    name = _("β = {}: {} directions kept").format(beta, mistakes.kept(variances, beta))
    out = figure(_("direction of the data"), _("variance"), 320, name)
    out.add_bar(x=np.arange(1, NUM_DIRECTIONS + 1), y=variances, marker_color=family_colour("vae"), showlegend=False)
    out.add_hline(y=beta / 2, line={"color": "#D55E00", "dash": "dot"})
    out.update_yaxes(type="log", dtick=1)
    return out


def bounds():
    """A figure of the log of a mean over the number of samples."""
    counts = (1, 2, 5, 10, 50)
    values, log_p = mistakes.bounds_by_samples(counts)
    out = figure(_("samples R"), _("nats"), 320)
    out.add_scatter(x=counts, y=values, name=_("log of the mean"), line={"color": family_colour("iwae"), "width": 3})
    out.add_hline(y=values[0], line={"color": family_colour("vae")}, annotation_text=_("mean of the logs: ELBO"))
    out.add_hline(y=log_p, line={"color": FALLBACK, "dash": "dot"}, annotation_text="log p(x)")
    out.update_xaxes(type="log", tickvals=list(counts))
    return out


FIGURES = {"mae": lines, "mean": spectrum, "samples": bounds}


def solved(texts: dict[str, dict]) -> int:
    """Number of exercises that were answered correctly in this session."""
    return sum(st.session_state.get(f"right_{key}", False) for key in texts)
