"""Time: Where will the digit be, and how certain is it?

icon: schedule
"""

import streamlit as st

from aevae.datasets import moving_digits
from aevae.ui.digit import picker
from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.labs import template
from aevae.ui.labs import time as lab
from aevae.ui.shared import cached, image_sheets, run_picker, url_values

template.begin(__doc__)
runs = cached.finished(("td_vae",), input="sequence")
if not runs:
    st.info(_("There is no trained TD-VAE here yet. Train one first; it takes some minutes."))
    st.page_link("pages/lab/train.py", label=_("Train a model"), icon=":material/model_training:")
    st.stop()
labels = run_picker.run_labels(runs)
figure, controls = st.container(), st.container()
with controls:
    image, _label, number = picker.pick_digit(default=lab.DIGIT, models=[])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = run_picker.pick_run(st.selectbox, _("Model"), list(labels), format_func=labels.get, key="td_vae")
        most = cached.run(name).config.model.max_jump
        jump = st.segmented_control(
            _("Frames in a jump"), [j for j in (1, 2, 3, 4, 6) if j <= most], default=1, required=True, key="jump",
            bind="query-params",
        )  # fmt: skip
        seed = st.number_input(_("Seed"), 0, 9999, 0, key="futures_seed", width=130, bind="query-params")
digit = image_sheets.to_bytes(image)[None]
moves = moving_digits.motion(digit)
frames = moving_digits.sequences(digit, moves)[0]
with figure, st.spinner(_("Sampling futures ...")):
    predicted = lab.predict(name, frames, int(jump), int(seed))
    seen = url_values.numbers(lab.SEEN)["seen"]
    lab.show(frames, predicted, seen, f"{name} {number} {int(digit.sum())} {jump} {seed}")
values = next(iter(cached.run(name).metrics.values()))
way = _("left") if moves.direction[0] < 0 else _("right")
template.end(
    notice=[
        _("After one frame the direction is unknown: futures go left and right. (This digit goes {}.)").format(way),
        _("After two frames most futures agree, after three nearly all. Each future is a sharp sample, not a mean."),
        _("A jump skips the frames in between: the state of frame t + dt is sampled in one step, then decoded."),
    ],
    tries=[
        Try(_("Move **Frames seen** from 1 to 3: the fan of red points becomes one line."), {"seen": 3}),
        Try(_("Jump by 4 and by 1 to the same frame: which future is nearer to the truth?"), {"jump": 4, "seen": 2}),
        Try(
            _(
                "With one frame seen, let the futures run on. The model never notices a wrong direction, and its "
                "errors add up."
            ),
            {"seen": 1, "jump": 1},
            breaks=True,
        ),
    ],
    formula=r"\mathcal L=-\log p(x_{t_2}\mid z_2)+\mathrm{KL}\big(q(z_1\mid z_2,b_{t_1},b_{t_2})\,\Vert\,p_B(z_1\mid "
    r"b_{t_1})\big)+\log p_B(z_2\mid b_{t_2})-\log p(z_2\mid z_1,\,t_2-t_1)",
    numbers=_(
        "This digit, {} seen: **{:.0%}** of the first jumps end within one pixel of the truth. This run on 1,000 "
        "sequences: recon **{:.1f}**, smoothing **{:.1f}**, transition **{:.1f}** nats; 2 frames seen, 4 frames "
        "ahead: **{:.0%}** within one pixel; 1 frame seen: {:.0%} of the samples go left, {:.0%} right."
    ).format(
        seen, predicted.near(seen)[0], values["recon"], values["smoothing"], values["transition"], values["near_2"],
        values["left_1"], values["right_1"],
    ),
    more=_(
        "An LSTM summarises the frames $x_1 \\dots x_t$ in a **belief** $b_t$; $p_B(z\\mid b_t)$ says which states "
        "are possible. Training picks two times $t_1 < t_2$ and infers the later state $z_2$. Then it infers the "
        "earlier state $z_1$ (*smoothing* $q$). The objective makes $p_B$ expect this $z_1$, and makes the "
        "**transition** lead from $z_1$ to $z_2$. The sum of the last two terms may be negative: it is one sample of "
        "a difference of logs. The world here has 28 columns that close to a ring, and one digit that moves one pixel "
        "per frame, always left or always right."
    ),
    sources="Gregor et al. 2019",
)  # fmt: skip
