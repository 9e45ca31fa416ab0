"""Generative classifier: Can ten densities tell ten digits apart, and what do they know that a net does not?

icon: stacked_bar_chart
"""

import zlib

import numpy as np
import streamlit as st

from aevae.metrics import class_densities as densities
from aevae.ui import digits, kept, lab, live, loaders, pictures
from aevae.ui.i18n import _

MOST = 16  # draws
JUDGED = 4  # draws with which the usual was measured
RARE = 0.01  # of real digits that score below what is called usual


@st.cache_resource(max_entries=1, show_spinner=False)
def nets() -> tuple[dict, dict]:
    """Ten VAEs, and the net that reads."""
    return densities.layers(), densities.reader()


@st.cache_resource(max_entries=1, show_spinner=False)
def judged() -> dict:
    """Both on the 1,000 test digits: shares of right answers, and the score that few real digits of a class miss."""
    net, reader = nets()
    images, labels = loaders.test_digits()
    x = images.reshape(len(images), -1)
    found = densities.scores(net, x, densities.noise(JUDGED, net["wm"].shape[1]))
    of_own = [found[labels == c, c] for c in range(densities.CLASSES)]
    return {
        "densities": float((found.argmax(1) == labels).mean()),
        "net": float((densities.read(reader, x).argmax(1) == labels).mean()),
        "usual": [float(np.quantile(scores, RARE)) for scores in of_own],
        "count": len(labels),
    }


def bars(x: np.ndarray, measured: dict) -> int:
    """The picture and what both say of it, live; returns the number of draws."""
    (net, reader), width = nets(), nets()[0]["wm"].shape[1]
    at = {"class_draws": (JUDGED, 1, MOST)}
    draws = int(kept.numbers(at)["class_draws"])
    if problem := live.trouble([]):
        st.caption(problem)
        pictures.show(x, 1, scale=6, alt=_("The picture"))
        flat = x.reshape(1, -1)
        table = densities.scores(net, flat, densities.noise(draws, width))[0]
        st.bar_chart({"log p(x|c)": table, "p(c|x)": densities.read(reader, flat)[0]})
        return draws
    weights = {name: value.astype(np.float16) for name, value in net.items()}
    weights |= dict(zip(("r1", "s1", "r2", "s2"), (v.astype(np.float16) for v in reader.values()), strict=True))
    live.mount(
        "classes",
        "classes",
        {
            "key": f"{zlib.crc32(np.ascontiguousarray(x).tobytes())}",
            "picker": "digit",
            "draws": draws,
            "most_draws": MOST,
            "least": -400,
            "most": 0,
            "usual": measured["usual"],
            "texts": {
                "picture": _("What both look at"),
                "draws": _("Draws of z for each class"),
                "nats": _("nats"),
                "net": _("one net, 784-64-10"),
                "usual": _("Densities: {best}. Net: {other}, {sure} sure. {nats} nats are usual for a {best}."),
                "low": _(
                    "Nobody's digit: at best {nats} nats as a {best}, where 99 % of real ones have more than {floor}. "
                    "The net says {other}, {sure} sure."
                ),
            },
        },
        weights | {"x": x.reshape(-1).astype(np.float32), "eps": densities.noise(MOST, width)},
        height=350,
        on_send=kept.taker({"draws": "class_draws"}, at),
    )  # fmt: skip
    return draws


lab.begin(__doc__)
kinds = {
    "digit": _("as it is"), "turned": _("turned by 90°"), "negative": _("negative"), "two": _("two at once"),
    "stripes": _("stripes"), "noise": _("noise"), "black": _("black"),
}  # fmt: skip
kind = st.pills(
    _("Picture"), list(kinds), default="digit", required=True, key="picture_kind", bind="query-params",
    format_func=kinds.get, wrap=True,
)  # fmt: skip
images, _labels = loaders.test_digits()
left, right = st.columns([2, 5], gap="medium")
with left:
    picked, _label, number = digits.pick_digit(default=7, models=())
x = densities.strange(kind, picked, images[((number or 0) + 1) % len(images)])
with right, st.spinner(_("Asking ten densities about 1,000 digits")):
    measured = judged()
    draws = bars(x, measured)
net = nets()[0]
found = densities.scores(net, x.reshape(1, -1), densities.noise(draws, net["wm"].shape[1]))[0]
best, second = np.argsort(-found)[:2]
lab.end(
    notice=[
        _("The longest bar wins. It wins by tens of nats: a share of 100 % means little, the distance says more."),
        _("Each density saw one class only. A new class would be one more model; the net would have to start again."),
        _("The net must choose: of a negative it is as sure as of a digit. Ten empty bars say: this is none of mine."),
    ],
    tries=[
        _("Choose **negative**, then **turned by 90°**: who is sure, and who knows that it does not know?"),
        _("The known failure: **black** has a higher density than real digits. Likelihood does not measure the usual."),
        _("**Draw** a 4 and close it slowly into a 9. When do the bars cross, and when does the net change its mind?"),
    ],
    formula=r"\begin{gathered}\hat c=\arg\max_c\,[\log p(x|c)+\log p(c)]\\"
    r"\log p(x|c)\ \ge\ \log\tfrac1R\sum_{r=1}^R\frac{p(x,z_r|c)}{q(z_r|x,c)}\end{gathered}",
    numbers=_(
        "This picture, R = {}: best **{}** with **{:.1f}** nats, then {} with {:.1f}. Of {:,} test digits the "
        "densities name **{:.1%}**, the net **{:.1%}**."
    ).format(
        draws, best, found[best], second, found[second], measured["count"], measured["densities"], measured["net"]
    ),
    more=_(
        "A *discriminative* model learns p(c|x): where one class ends and the next begins, and nothing of what lies "
        "far from both. A *generative* one learns p(x|c), what digits of a class look like, and gets p(c|x) by Bayes. "
        "Here each density is a VAE of 24 hidden units and 8 numbers, so that log p(x|c) is only bounded; with more "
        "draws the bound rises. The classes are equally frequent, so p(c) drops out.\n\n"
        "A density is not a test for the unusual: a picture simpler than any digit, all black, may be more probable "
        "than every digit there is. Being *too* probable is unusual as well."
    ),
    sources="Ng & Jordan 2002; Kingma & Welling 2014; Burda et al. 2016; Nalisnick et al. 2019",
)
