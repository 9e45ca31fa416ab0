"""What to try on the page Compare, and what is seen in its default models."""

from collections.abc import Sequence

from aevae.store.checkpoints import RunInfo
from aevae.ui.compare.choice import PIN
from aevae.ui.frame.tries import Try
from aevae.ui.i18n import _
from aevae.ui.shared.run_picker import MODELS


def of_models(runs: Sequence[RunInfo]) -> list[Try]:
    """Things to try; each sets models and view. A try whose models do not exist has no button."""
    widest = {run.family: run.name for run in sorted(runs, key=lambda run: run.latent_dim)}
    state = lambda view, *families, pin=None: (  # noqa: E731
        {MODELS: [widest[family] for family in families], "compare_view": view, PIN: widest.get(pin)}
        if set(families) <= set(widest) else {}
    )  # fmt: skip
    vaes = sorted((run for run in runs if run.family == "vae"), key=lambda run: -run.latent_dim)[:2]
    two = {MODELS: [run.name for run in vaes], "compare_view": "dims", PIN: None} if len(vaes) == 2 else {}
    return [
        Try(
            _("The table shows differences from the β-VAE. Where is the VAE better, and what is the price?"),
            state("rates", "vae", "beta_vae", pin="beta_vae"),
        ),
        Try(_("Two VAEs: which dimension is the slant, which is the thickness of the pen?"), two),
        Try(_("Are the worst images the same for all models?"), state("errors", "vae", "beta_vae", "ae")),
        Try(
            _("An AE has no prior. Which of its random codes become digits, and which of the VAE's?"),
            state("images", "ae", "vae"), breaks=True,
        ),
    ]  # fmt: skip


def what_is_seen() -> str:
    """The lesson of the default models. `tests/test_lessons.py` measures it."""
    return _(
        "- No model is the best by every metric. The VQ-VAE has the smallest squared error, then come AE, VAE and "
        "β-VAE.\n"
        "- By the ELBO the order is the opposite: VAE, β-VAE, VQ-VAE. The AE has no ELBO, because it has no prior.\n"
        "- The β-VAE pays for a cheap code (the smallest KL divergence) with the largest squared error.\n"
        "- Random codes become digits if the model has a prior for its codes."
    )
