"""Flow: Must a changed picture be painted anew?

icon: air
"""

import streamlit as st

from aevae.ui.digit import picker
from aevae.ui.i18n import _
from aevae.ui.labs import flow as lab
from aevae.ui.labs import template
from aevae.ui.shared import address, cached, run_picker

template.begin(__doc__)
left, right = st.columns([2, 3], gap="large")
with left:
    runs = cached.finished(("flow_vae",), input="pair")
    if not runs:
        st.info(_("No trained Flow VAE here yet. Train one first; a small one takes a minute or two."))
        st.page_link("pages/lab/train.py", label=_("Train a model"), icon=":material/model_training:")
        st.stop()
    labels = run_picker.run_labels(runs)
    name = run_picker.pick_run(st.selectbox, _("Warps"), list(labels), format_func=labels.get, key="flow_vae")
    painter = run_picker.pick_model("painter", families=lab.PAINTERS, label=_("Paints"))
    image, _label, number = picker.pick_digit(default=5, models=[])
with right:
    titles = {
        "slant": _("slant"), "rotation": _("turn"), "scale": _("size"), "right": _("to the right"), "down": _("down"),
    }  # fmt: skip
    kind = address.pick(
        st.segmented_control, _("Change"), list(titles), default="slant", required=True, key="kind",
        format_func=titles.get,
    )  # fmt: skip
    with st.spinner(_("Learning what a change does to codes ...")):
        lab.change(name, painter, kind, image)
lab.ten(name, image)
values = cached.shown_numbers(name)
template.end(
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
