"""The choice of a family, and what each family is about in words."""

import streamlit as st

from aevae.figures.palette import family_title
from aevae.ui.i18n import _
from aevae.ui.shared import address
from aevae.ui.train.fields import forget_problem, unknown_option

FAMILY = "train_family"


def pick_family() -> str:
    """The chosen family. A link may contain its title or its name."""
    from aevae.models import FAMILIES

    families = list(FAMILIES)
    named = {family_title(name): name for name in families}
    reader = address.LinkReader(named.get, unknown_option(FAMILY, _("family"), families).on_unknown)
    return address.pick(
        st.selectbox, _("Family"), families, format_func=_title_and_line, key=FAMILY,
        help=_("the kind of model; the table below explains each family"), on_change=forget_problem, args=(FAMILY,),
        reader=reader,
    )  # fmt: skip


def _title_and_line(family: str) -> str:
    line = lines().get(family)
    return f"{family_title(family)}: {line}" if line else family_title(family)


def lines() -> dict[str, str]:
    """Family -> what is special about it, in at most 45 characters."""
    return {
        "ae": _("compresses and restores, nothing else"),
        "linear_ae": _("without non-linear layers, it finds PCA"),
        "deep_ae": _("an AE with more layers"),
        "denoising": _("learns to remove noise"),
        "sparse": _("many units, few of them active (L1)"),
        "sparse_kl": _("each unit is active for few images"),
        "k_sparse": _("exactly k units are active"),
        "contractive": _("small changes hardly move the code"),
        "vae": _("codes are clouds, so that you can sample"),
        "beta_vae": _("a VAE with another price for the code"),
        "iwae": _("a VAE with a tighter bound"),
        "skip_vae": _("a VAE with the code in every layer"),
        "ml_vae": _("content and style in separate codes"),
        "vq_vae": _("the code consists of words of a codebook"),
        "vq_vae2": _("two codebooks, a coarse and a fine one"),
        "auto_decoder": _("no encoder: it searches for each code"),
        "variational_auto_decoder": _("no encoder: it searches for each cloud"),
        "td_vae": _("predicts later frames of a sequence"),
        "flow_vae": _("moves pixels instead of painting them"),
    }


def objectives() -> str:
    """A Markdown table of all families: in words, objective and paper."""
    from aevae.models import FAMILIES, family_class

    said = lines()
    rows = [f"| {_('Family')} | {_('in words')} | {_('minimises')} | {_('source')} |", "|---|---|---|---|"]
    for name in FAMILIES:
        model = family_class(name)
        formula = model.objective.replace("|", chr(0x2223))
        rows.append(f"| {family_title(name)} | {said.get(name, '')} | `{formula}` | {model.paper} |")
    return "\n".join(rows)
