"""No encoder: Can a model find the code of an image without an encoder?

icon: search
"""

import streamlit as st

from aevae.ui.digit import picker
from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.labs import no_encoder as lab
from aevae.ui.labs import template
from aevae.ui.shared import address, cached, run_picker

template.begin(__doc__)
figure, controls = st.container(), st.container()
with controls:
    image, _label, number = picker.pick_digit(default=picker.GOOD_DIGITS[0], models=[])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        begins = {"nearest": _("the nearest learnt code"), "middle": _("the middle, 0")}
        start = address.pick(
            st.segmented_control, _("Start of the search"), list(begins), default="middle", required=True, key="start",
            format_func=begins.get,
        )  # fmt: skip
        name = run_picker.pick_model("no_encoder", families=("auto_decoder",))
with figure, st.spinner(_("Opening the decoder ...")):
    lab.search(name, image, start)
lab.memory(name)
if cached.finished(lab.ENCODED):
    lab.amortisation(lab.NUM_GAP_DIGITS if number is None else number)
found = cached.run(name).metrics
numbers = cached.shown_numbers(name)
template.end(
    notice=[
        _("There is no encoder: gradient descent changes the code until the decoder reproduces the visible part."),
        _(
            "The covered part has no cost, so the decoder guesses this part. It knows only digits, so it completes a "
            "digit."
        ),
        _("A search never ends with a larger cost than it began with, so it can only improve the code of an encoder."),
    ],
    tries=[
        Try(
            _("Cover the lower half of an 8, press **Search** and watch which digits the guess passes through."),
            {"digit": picker.GOOD_DIGITS[8], "covered": ""},
        ),
        Try(
            _(
                "Cover **all except a spot**, then move the spot: how little is enough? When is the guess sharp but "
                "wrong?"
            ),
            {"covered": lab.ALL_BUT_A_SPOT},
        ),
        Try(
            _("Let **the decoder as well** learn the rotated digits. Then the error of the old digits nearly doubles."),
            {"change": "all"},
            breaks=True,
        ),
    ],
    formula=r"z^*=\arg\min_{\lVert z\rVert\le 1}\ -\log p\,(x_{\mathrm{seen}}\mid g(z)),\qquad "
    r"\min_z\,-\log p(x\mid g(z))\ \le\ -\log p(x\mid g(f(x)))",
    numbers=_("This run, with a search for each of 1,000 test digits: squared error **{:.1f}** / image.").format(
        numbers["sse"]
    ),
    more=_(
        "An *auto-decoder* has a code for every training image and learns it like a weight. GLO keeps the codes in "
        "the unit ball, DeepSDF uses a Gaussian prior. A new image gets its code by some steps of Adam with a frozen "
        "decoder. So the old weights and codes cannot change: the model learns new images without forgetting. An "
        "encoder is a shortcut: one function guesses the codes of all images (*amortised* inference). Its code has a "
        "larger cost than the code of the search; the difference is the **amortisation gap**. But the search needs "
        "more time: {} steps instead of one."
    ).format(cached.run(name).config.model.fit_steps),
    sources="Bojanowski et al. 2018; Park et al. 2019; Cremer et al. 2018",
)
