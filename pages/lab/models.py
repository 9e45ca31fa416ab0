"""Models: all runs, one in full, several compared; out as zip, in as zip."""

from aevae.ui.frame import layout
from aevae.ui.i18n import _
from aevae.ui.models import compare_view, gallery, import_view, run_view
from aevae.ui.shared import cached

layout.page()
run_view.report_last_action()
runs = cached.runs()
view = gallery.pick_view()
if view == "gallery":
    gallery.gallery(runs)
elif view == "run":
    run_view.one_run(runs)
elif view == "compare":
    compare_view.compare()
else:
    import_view.import_run()

layout.explain(
    _("What the metrics mean"),
    _(
        "The metrics are means over test images that the model did not learn from, unless stated otherwise.\n\n"
        "- `recon`: $-\\log p(x|z)$, the cost of an image when its code is known, in nats.\n"
        "- `kl`: the cost of the code, in nats (1 nat = 1.44 bits). AE and denoising AE have no prior, so they have "
        "no `kl`.\n"
        "- `elbo` $= -(\\text{recon} + \\text{kl})$: larger (nearer to zero) is better.\n"
        "- `sse`: squared error over all 784 pixels; `psnr`: the same in decibels, larger is better.\n"
        "- `objective`: what the training minimised.\n"
        "- `..._median`: the value of the middle image. `..._worst10`: the fraction of the sum that the ten worst "
        "images cause (0.01 if 1,000 images cost the same). `kl_max`: the largest KL of one image. If a mean is far "
        "from its median, a few images cost much more than the others.\n\n"
        "Compare `recon` and `elbo` only between runs with the same likelihood and data set. You can always compare "
        "`sse`."
    ),
)
layout.try_this(
    [
        _(
            "Show a **VAE** with 2 latent dimensions and one with 20 **side by side**: which code costs more nats, and "
            "what does it improve?"
        ),
        _(
            "Press **Show** on a run and move the slider of its film (the recorded training): when does a random code "
            "first look like a digit?"
        ),
        _("Press **Train a variation**, change one option, train, and compare the two."),
    ],
    _("Three things to try"),
)
