"""No encoder: Can a picture find its own code?

icon: search
"""

import streamlit as st

from aevae.ui.digit import picker
from aevae.ui.i18n import _
from aevae.ui.labs import no_encoder as lab
from aevae.ui.labs import template
from aevae.ui.shared import address, cached, run_picker

template.begin(__doc__)
left, right = st.columns([2, 3], gap="large")
with left:
    name = run_picker.pick_model("no_encoder", families=("auto_decoder",))
    begins = {"nearest": _("the nearest learnt code"), "middle": _("the middle, 0")}
    start = address.pick(
        st.segmented_control, _("Begin the search at"), list(begins), default="middle", required=True, key="start",
        format_func=begins.get,
    )  # fmt: skip
    image, _label, number = picker.pick_digit(default=5, models=[])
with right, st.spinner(_("Opening the decoder ...")):
    lab.search(name, image, start)
lab.memory(name)
if cached.finished(lab.ENCODED):
    lab.amortisation(lab.MANY if number is None else number)
found = cached.run(name).metrics
numbers = cached.shown_numbers(name)
template.end(
    notice=[
        _("Nobody encodes: the code walks downhill until the decoder paints what is seen."),
        _("What is covered costs nothing, so it is guessed: the decoder knows only digits, and completes one."),
        _("A search never ends worse than it began, so an encoder's answer can only be improved."),
    ],
    tries=[
        _("Cover the lower half of an 8, press **Search** and watch which digits the guess passes through."),
        _("Cover **all but a spot**, rub it elsewhere: how little is enough? What if the guess is sure and wrong?"),
        _("The known failure: let **the decoder, too** learn the lying digits. The old digits' error nearly doubles."),
    ],
    formula=r"z^*=\arg\min_{\lVert z\rVert\le 1}\ -\log p\,(x_{\mathrm{seen}}\mid g(z)),\qquad "
    r"\min_z\,-\log p(x\mid g(z))\ \le\ -\log p(x\mid g(f(x)))",
    numbers=_("This run: 1,000 test digits, each searched for: squared error **{:.1f}** / image.").format(
        numbers["sse"]
    ),
    more=_(
        "An *auto-decoder* has a code for every training picture, learnt like a weight; GLO keeps codes in the unit "
        "ball, DeepSDF puts a Gaussian prior on them. A new picture gets its code by some steps of Adam with the "
        "decoder frozen, so nothing that was known can change: learning goes on without forgetting. An encoder is a "
        "shortcut, one guess for all pictures (*amortised* inference); what it loses against the search is its "
        "**amortisation gap**. The search pays in time: {} steps instead of one."
    ).format(cached.run(name).config.model.fit_steps),
    sources="Bojanowski et al. 2018; Park et al. 2019; Cremer et al. 2018",
)
