"""Spot the mistake: What is wrong here?

icon: fact_check
"""

import streamlit as st

from aevae.checks import mistakes
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
    answer = address.pick(
        st.radio, _("What is wrong?"), range(3), index=None, format_func=text["answers"].__getitem__,
        key=f"answer_{key}",
    )  # fmt: skip
    if answer is None:
        st.caption(_("Answer, and the check that settles it runs at once."))
    elif answer == mistake.right:
        st.session_state[f"right_{key}"] = True
        st.success(text["why"], icon=":material/check:")
        st.latex(text["put_right"])
    else:
        st.error(_("No. Look at what the check leaves over, and try again."), icon=":material/close:")
if answer is not None:
    with st.spinner(_("The check runs, in double precision ...")):
        claimed, (name, residual, tolerance) = lab.settled(key)
    left, right = st.columns(2, gap="medium")
    left.metric(_("As it is written, it misses by ({})").format(_(mistake.unit)), f"{claimed:.4g}", border=True)
    right.metric(_("Put right, the check leaves"), f"{abs(residual):.1e}", border=True)
    st.caption(_("Check: {} (tolerance {:g})").format(name, tolerance))
    if key in lab.FIGURES:
        st.plotly_chart(lab.FIGURES[key](), key=f"figure_{key}", config={"displayModeBar": False})
st.progress(lab.solved(texts) / len(texts), text=_("{} of {} found").format(lab.solved(texts), len(texts)))
template.end(
    notice=[
        _("All eight stand in lecture notes or on well-known pages. Most are a term, a sign or a unit."),
        _("Each is settled by a number: the wrong statement leaves something over, the right one does not."),
        _("A check that cannot fail settles nothing: the left number shows that this one can."),
    ],
    tries=[
        _("Say for every mistake what a training run would do that believed it. Which ones would nobody notice?"),
        _("The known failure, collapse: **MSE + KL**. How large may β be before the chart keeps no direction at all?"),
        _("Run `python -m aevae check` and find these eight among all identities."),
    ],
    more=_(
        "A *check* is an identity of the mathematics with its residual: how far both sides are apart on a toy in "
        "double precision. It passes while the residual is within its tolerance. Here the statement as written is "
        "computed on a toy of the same kind, so that you see by how much it fails, not only that it does."
    ),
    sources="Baldi & Hornik 1989; Kingma & Welling 2014; Burda et al. 2016; Cremer et al. 2018; Lucas et al. 2019",
)
