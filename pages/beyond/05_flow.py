"""Flow: Can a model change an image without painting it again?

icon: air
"""

import streamlit as st

from aevae.ui.digit import picker
from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.labs import flow as lab
from aevae.ui.labs import template
from aevae.ui.shared import address, cached, run_picker

template.begin(__doc__)
runs = cached.finished(("flow_vae",), input="pair")
if not runs:
    st.info(_("There is no trained Flow VAE here yet. Train one first; a small one takes a minute or two."))
    st.page_link("pages/lab/train.py", label=_("Train a model"), icon=":material/model_training:")
    st.stop()
titles = {
    "slant": _("slant"), "rotation": _("turn"), "scale": _("size"), "right": _("to the right"), "down": _("down"),
}  # fmt: skip
labels = run_picker.run_labels(runs)
figure, controls = st.container(), st.container()
with controls:
    kind = address.pick(
        st.segmented_control, _("Change"), list(titles), default="slant", required=True, key="kind",
        format_func=titles.get,
    )  # fmt: skip
    image, _label, number = picker.pick_digit(default=picker.GOOD_DIGITS[8], models=[])
    with st.container(horizontal=True):
        name = run_picker.pick_run(
            st.selectbox, _("Model that warps"), list(labels), format_func=labels.get, key="flow_vae"
        )
        painter = run_picker.pick_model("painter", families=lab.PAINTERS, label=_("Model that paints"))
with figure, st.spinner(_("Learning the direction of each change ...")):
    lab.change(name, painter, kind, image)
lab.ten(name, image)
values = cached.shown_numbers(name)
template.end(
    notice=[
        _("The model that warps does not paint. For every pixel it says from where in the source image to copy."),
        _("So the handwriting stays: your 8 is still your 8. The model that paints makes another digit of it."),
        _("A change is one direction in code space, the same for every digit: you can add codes."),
    ],
    tries=[
        Try(_("Draw a digit of your own: the flow moves it stroke by stroke, though no model has seen it.")),
        Try(
            _("Go to 2, further than in training: the grid shows where the learnt flow is no longer a true {}.").format(
                titles[kind]
            ),
            {"amount": float(lab.AMOUNT["amount"][2])},
        ),
        Try(
            _("Warp a 0 into all ten. A flow moves ink but cannot create ink: a 0 cannot become an 8."),
            {"digit": picker.GOOD_DIGITS[0]},
            breaks=True,
        ),
    ],
    formula=r"\hat x(p)=x_s\big(p+F(p)\big),\quad F=g(z),\qquad \mathcal L=-\log p(x_t\mid\hat x)+"
    r"\mathrm{KL}\big(q(z\mid x_s,x_t)\Vert\mathcal N(0,I)\big)+w\lVert\nabla F\rVert^2",
    numbers=_(
        "This run, on random warps of test digits: squared error **{:.1f}** warped, {:.1f} unchanged. The warped image "
        "keeps **{:.0%}** of the sharpness of its target (a 3 x 3 blur: {:.0%}). KL {:.1f} nats."
    ).format(values["warp_sse"], values["identity_sse"], values["edges"], values["edges_blurred"], values["kl"]),
    more=_(
        "The code of this autoencoder describes a *pair*: the change from the source to the target. Its decoder gives "
        "a flow $F$, two numbers per pixel. Values between pixels are interpolated (bilinear), which blurs a little. "
        "The direction of a change is the mean code of (digit, changed digit) minus the mean code of (digit, digit). "
        "Add $a$ times this direction to edit any image. In the paper the images are faces and the changes are "
        "expressions. *Sharpness*: the sum of squared differences of neighbouring pixels. Under the images, 100 % "
        "is this sum for your unchanged digit; in the numbers, 100 % is the sum for the target."
    ),
    sources="Yeh et al. 2016",
)
