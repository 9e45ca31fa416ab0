"""Flow: Must a changed picture be painted anew?

icon: air
"""

import hashlib

import numpy as np
import streamlit as st

from aevae.latent import flows
from aevae.ui import digits, kept, lab, live, loaders, pictures, state
from aevae.ui.i18n import _

MANY = 300  # pictures that a direction is the mean over
AMOUNT = {"amount": (1.0, -float(flows.MOST), float(flows.MOST))}
PAINTERS = ("vae", "iwae", "ae", "deep_ae")


@st.cache_resource(max_entries=3, show_spinner=False)
def directions(name: str) -> dict[str, np.ndarray]:
    return flows.directions(loaders.run(name), loaders.test_digits()[0][:MANY])


@st.cache_resource(max_entries=12, show_spinner=False)
def painted(name: str, kind: str) -> np.ndarray:
    return flows.painted(loaders.run(name), loaders.test_digits()[0][:MANY], kind)


@st.cache_resource(max_entries=6, show_spinner=False)
def exact(kind: str) -> np.ndarray:
    return flows.exact(kind)


def change(name: str, painter: str, kind: str, image: np.ndarray) -> None:
    """The change by warping, exactly, and by painting."""
    learnt = flows.edits(loaders.run(name), image, directions(name)[kind])
    step, amount = painted(painter, kind), kept.numbers(AMOUNT)["amount"]
    if problem := live.trouble([painter]):
        st.caption(problem)
        z = loaders.run(painter).encode(image[None]) + np.float32(amount) * step
        shown = np.concatenate([image[None], flows.changed(image[None], kind, amount), loaders.run(painter).decode(z)])
        pictures.show(shown, 3, scale=6, alt=_("The digit, changed exactly, and painted with the change"))
        return
    live.mount(
        "flow",
        "flow",
        {
            "key": hashlib.sha256(f"{name} {painter} {kind}".encode() + image.tobytes()).hexdigest()[:12],
            "picture": state.DIGIT,
            "most": flows.MOST,
            "amount": amount,
            "texts": {
                "slider": _("How much"),
                "said": _("{amount} of a full change"),
                "source": _("the digit: its edges are 100 %"),
                "warped": _("warped by the learnt flow: edges {edges} %"),
                "grid": _("the flow, shown on a grid"),
                "exact": _("warped exactly: edges {edges} %"),
                "painted": _("painted by the other model: edges {edges} %"),
            },
        },
        {
            "clean": image.reshape(-1),
            "learnt": learnt.astype(np.float16),
            "exact": exact(kind).astype(np.float16),
            "step": step.astype(np.float32),
        },
        programs=[painter],
        shape={"height": 470, "narrow": 700},
        on_send=kept.taker({"amount": "amount"}, AMOUNT),
    )


def ten(name: str, image: np.ndarray) -> None:
    """The digit, warped towards one of each class."""
    st.subheader(_("Warp it into all ten"), anchor=False)
    images, labels = loaders.test_digits()
    targets = images[[int(np.flatnonzero(labels == c)[0]) for c in range(10)]]
    made = flows.onto(loaders.run(name), image, targets)
    pictures.show(
        np.concatenate([targets, made]), 10, scale=3, width="stretch", alt=_("Ten digits, and what warping makes")
    )
    st.caption(_("Above: one of each class. Beneath: your digit, warped to be as like it as this model can."))


lab.begin(__doc__)
left, right = st.columns([2, 3], gap="large")
with left:
    runs = loaders.finished(("flow_vae",), input="pair")
    if not runs:
        st.info(_("No trained Flow VAE here yet. Train one first; a small one takes a minute or two."))
        st.page_link("pages/lab/train.py", label=_("Train a model"), icon=":material/model_training:")
        st.stop()
    labels = state.run_labels(runs)
    name = st.selectbox(_("Warps"), list(labels), format_func=labels.get, key="flow_vae", bind="query-params")
    painter = state.pick_model("painter", families=PAINTERS, label=_("Paints"))
    image, _label, number = digits.pick_digit(default=5, models=[])
with right:
    titles = {
        "slant": _("slant"), "rotation": _("turn"), "scale": _("size"), "right": _("to the right"), "down": _("down"),
    }  # fmt: skip
    kind = st.segmented_control(
        _("Change"), list(titles), default="slant", required=True, key="kind", bind="query-params",
        format_func=titles.get,
    )  # fmt: skip
    with st.spinner(_("Learning what a change does to codes ...")):
        change(name, painter, kind, image)
ten(name, image)
values = loaders.run(name).metrics.get("mnist-5k") or next(iter(loaders.run(name).metrics.values()))
lab.end(
    notice=[
        _("The model that warps never paints: it says for every pixel where in the source to look."),
        _("So the hand stays: your 8 is still your 8. The painter's digit becomes another one that leans."),
        _("A change is one direction in code space, the same for every digit: codes can be added."),
    ],
    tries=[
        _("Draw a digit of your own: the flow moves it stroke by stroke, though no model has seen it."),
        _("Go to ± 2, further than training went: the grid shows where the learnt flow stops being a true {}.").format(
            titles[kind]
        ),
        _("The known failure: warp a 0 into all ten. A flow moves ink and never makes any: a 0 is no 8."),
    ],
    formula=r"\hat x(p)=x_s\big(p+F(p)\big),\quad F=g(z),\qquad \mathcal L=-\log p(x_t\mid\hat x)+"
    r"\mathrm{KL}\big(q(z\mid x_s,x_t)\Vert\mathcal N(0,I)\big)+w\lVert\nabla F\rVert^2",
    numbers=_(
        "This run, on random warps of test digits: squared error **{:.1f}** warped, {:.1f} left alone; edges kept "
        "**{:.0%}** of the target's (a 3 x 3 blur keeps {:.0%}). KL {:.1f} nats."
    ).format(values["warp_sse"], values["identity_sse"], values["edges"], values["edges_blurred"], values["kl"]),
    more=_(
        "The autoencoder's code is of a *pair*: what makes the target out of the source. Its decoder gives a flow $F$ "
        "of two numbers a pixel; looking between pixels is bilinear, which softens a little. The mean code of (digit, "
        "changed digit) less that of (digit, digit) is the direction of a change; adding $a$ times it edits any "
        "picture. In the paper the pictures are faces and the changes expressions. *Edges*: squared differences of "
        "neighbouring pixels, summed, against those of the digit."
    ),
    sources="Yeh et al. 2016",
)
