"""Two planes, one hand: Where do random codes fall in an autoencoder, and where in a VAE?

icon: pan_tool_alt
"""

from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.labs import template
from aevae.ui.labs import two_planes as lab

template.begin(__doc__)
ae, chosen = lab.show()
template.end(
    notice=[
        _(
            "AE: nothing in its objective says where codes lie. They lie far outside the rings, so random codes fall "
            "into one small spot and give images of few classes."
        ),
        _(
            "VAE: the KL divergence pulls the codes into the rings. So random codes decode to digits of nearly all "
            "classes."
        ),
        _(
            "A larger β: the cloud fits the rings better, but the digits are more blurred, and fewer random codes look "
            "like digits. Order costs sharpness."
        ),
    ],
    tries=[
        Try(
            _("Move the hand to a corner of both planes. Which model still draws a digit far from its codes?"),
            {"beta_at": lab.VAE, "hand_x": lab.FAR[0], "hand_y": lab.FAR[1]},
        ),
        Try(
            _("β = 8. How do the cloud, the digits and the random codes change?"),
            {"beta_at": 5, "hand_x": 0.8, "hand_y": 1.6},
        ),
        Try(
            _("β = 0.1: almost an autoencoder. The codes leave the rings, and random codes reach only their middle."),
            {"beta_at": 0, "hand_x": 0.8, "hand_y": -2.6},
            breaks=True,
        ),
    ],
    formula=r"\min\ \mathbb E_q[-\log p(x|z)]+\beta\,\mathrm{KL}(q(z|x)\Vert\mathcal N(0, I))",
    numbers=_("β = {}: reconstruction {:.1f} + β · KL {:.1f} nats.").format(
        chosen.name, chosen.numbers["recon"], chosen.numbers["kl"]
    ),
    more=_(
        "Both planes show the codes of real digits in the same size, and the hand is at the same part of both. All "
        "models have the same networks, images and training; only the objective differs.\n\n"
        "**A repair.** Fit a Gaussian to the codes of the AE, and sample it instead of N(0, I): {:.0%} of the images "
        "look like digits, of {:.1f} classes in 20. In two dimensions this is as good as a VAE, because the codes of "
        "the AE leave hardly a gap. But the AE did not learn this Gaussian; you need its codes to find it."
    ).format(ae.numbers["sure_fitted"], ae.numbers["kinds_fitted"]),
    sources="Kingma & Welling 2014; Higgins et al. 2017",
)
