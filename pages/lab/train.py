"""Train: choose a run, see its cost, queue it, watch it learn."""

import streamlit as st

from aevae.ui.frame import layout
from aevae.ui.i18n import _
from aevae.ui.shared import markdown
from aevae.ui.train import costs, families, form, jobs, run_panel, sweep


def before(config, device: str) -> None:
    """Offer what fits: open a finished run, watch a running one, or show the cost with Train or Resume."""
    standing, found = jobs.training_state(config)
    if standing == "finished":
        st.success(_("This run is finished, so there is nothing to train."))
        run_panel.open_buttons(found, "form_open")
        st.button(_("Show the training"), key="form_watch", on_click=jobs.watch, args=(found.name,))
    elif standing == "active":
        st.info(_("This run is already in the queue."))
        st.button(_("Watch the training"), key="form_watch", on_click=jobs.watch, args=(found.run,))
    else:
        offered = st.container()  # the button stands above the costs
        try:
            costs.show([config], device)
        except ValueError as problem:
            st.error(markdown.escape(problem))
            return
        if standing == "unfinished":
            st.info(
                _("This run was started and stopped after {} epochs. Resume continues from there.").format(found.epochs)
            )
        elif standing == "diverged":
            st.warning(
                _("The training of this run diverged: {}.").format(markdown.escape(found.reason))
                + " "
                + jobs.resumes_at(found)
            )
        with offered:
            jobs.start_button(_("Train") if standing == "new" else _("Resume"), config, device)


layout.page()
jobs.wake_worker()
run_panel.problems()
if run_panel.has_something_to_show():  # what is watched has the page; the form is folded above it, and drawn last
    folded = st.expander(_("Train another model"), icon=":material/add:", key="train_another")
    sweep.panel()
    place = form.places(folded, picture=False)
else:
    place = form.places(st.container(), picture=True)
configs, device = form.run_form(place)
with place.start:
    form.device_note(device)
    if len(configs) == 1:
        before(configs[0], device)
    elif configs:
        sweep.offer_training(configs, device)
if place.picture:
    with place.picture:
        if configs:
            st.markdown(f"**{_('Before training: one blurred image for all digits')}**")
            run_panel.untrained(configs[0])
        sweep.panel()
jobs.pressed()  # of a form that offers no training, a press has nothing to begin

layout.explain(
    _("What the families learn"),
    _(
        "A family is a kind of model. Every family compresses images into a code and reconstructs them. The families "
        "differ in what they minimise. $x$ is the image, $f$ the encoder, $g$ the decoder, $z$ the code, $q(z|x)$ a "
        "distribution over codes, $p(x|z)$ the likelihood of an image. All terms are in **nats per image** (a nat is "
        "a unit of information, 1.44 bits): `recon` is $-\\log p(x|z)$ summed over the pixels, `kl` is summed over "
        "the code. `elbo` is $-(\\text{recon} + \\text{kl})$: a lower bound of $\\log p(x)$; larger is better."
    )
    + "\n\n"
    + families.objectives(),
)
layout.try_this(
    [
        _(
            "Train a **VAE** with 2 latent dimensions, then one with 20. What happens to `recon`, and what happens to "
            "`kl`?"
        ),
        _("Watch the random codes during the training: when do they first look like digits?"),
        _(
            "Train on the data set mnist, press **Pause**, then **One step** ten times. What does a network learn "
            "first?"
        ),
        _(
            "Open **Several runs at once** and give **weight of the KL (β)** of a β-VAE the list 0.25, 1, 4, 16: how "
            "do reconstructions and samples change?"
        ),
        _("Press **Cancel** in the middle, open another page, come back and press **Resume**. What was lost?"),
    ],
    _("Five things to try"),
)
