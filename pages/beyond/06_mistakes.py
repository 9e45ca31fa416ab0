"""Spot the mistake: What is wrong here?

icon: fact_check
"""

import streamlit as st

from aevae.checks import mistakes
from aevae.ui.frame import menu
from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.labs import mistakes as lab
from aevae.ui.labs import template
from aevae.ui.shared import address

template.begin(__doc__)
texts = lab.exercises()
numbers = {key: i for i, key in enumerate(texts, 1)}
key = address.pick(
    st.pills, _("Mistake"), list(texts), default="mae", required=True, key="mistake", wrap=True,
    format_func=lambda k: f"{numbers[k]} {texts[k]['title']}",
)  # fmt: skip
mistake, text = next(m for m in mistakes.MISTAKES if m.key == key), texts[key]
with st.container(border=True):
    st.markdown(f"## {text['claim']}")
    if text["words"]:
        st.markdown(text["words"])
    answer = address.pick(
        st.radio, _("What is wrong?"), range(3), index=None, format_func=text["answers"].__getitem__,
        key=f"answer_{key}",
    )  # fmt: skip
    if answer is None:
        st.caption(_("Choose an answer. If it is right, a check shows both sides in numbers."))
    elif answer == mistake.right:
        st.session_state[f"right_{key}"] = True
        st.success(text["why"], icon=":material/check:")
        st.latex(text["put_right"])
    else:
        st.error(_("No. Look at it in the lab below, and try again."), icon=":material/close:")
    helps = menu.info(lab.LABS[key])
    st.page_link(helps.path, label=_("The lab that shows it: {}").format(_(helps.title)), icon=helps.icon)
if answer == mistake.right:
    with st.spinner(_("The check runs, in double precision ...")):
        claimed, (name, residual, tolerance) = lab.settled(key)
    left, right = st.columns(2, gap="medium")
    left.metric(_("Error of the statement ({})").format(_(mistake.unit)), f"{claimed:.4g}", border=True)
    right.metric(_("Error after the correction"), f"{abs(residual):.1e}" if residual else "0", border=True)
    st.caption(_("Check: {} (tolerance {:g})").format(name, tolerance))
    if key in lab.FIGURES:
        st.plotly_chart(lab.FIGURES[key](), key=f"figure_{key}", config={"displayModeBar": False})
st.progress(lab.solved(texts) / len(texts), text=_("{} of {} found").format(lab.solved(texts), len(texts)))
template.end(
    notice=[
        _("All eight mistakes are in lecture notes or on well-known pages. Most concern a term, a sign or a unit."),
        _("A number decides each case: the wrong statement has an error, the corrected statement has none."),
        _("A check that cannot fail proves nothing. The left number shows that this check can fail."),
    ],
    tries=[
        Try(
            _("For every mistake, say what happens in a training run that uses it. Which mistakes would nobody notice?")
        ),
        Try(_("Run `python -m aevae check` and find these eight among all identities.")),
        Try(
            _(
                "**MSE + KL** lets the posterior collapse. How large may β be before the model keeps no direction of "
                "the data?"
            ),
            {"mistake": "mean"},
            breaks=True,
        ),
    ],
    more=_(
        "A *check* compares both sides of an identity on a small example in double precision. Their difference is the "
        "residual. The check passes if the residual is within its tolerance. Here the wrong statement is computed on "
        "a similar example, so that you see how large its error is."
    ),
    sources="Baldi & Hornik 1989; Kingma & Welling 2014; Burda et al. 2016; Cremer et al. 2018; Lucas et al. 2019",
)
