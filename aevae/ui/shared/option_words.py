"""Words for the options of a run. Command line, addresses and configs use the options' own names."""

from aevae.ui.i18n import _
from aevae.ui.shared import markdown


def option_title(name: str) -> str:
    """The title of an option: `lr` -> `learning rate`."""
    return (_common_titles() | _family_titles()).get(name) or _(name.replace("_", " "))


def option_text(name: str, value: object) -> str:
    """An option with its value in a label: `30 epochs`, `learning rate 0.01`, `mnist`; "" for what is switched off."""
    if isinstance(value, bool):
        return option_title(name) if value else ""
    is_number = isinstance(value, int | float)
    text = f"{value:g}" if is_number else markdown.strip(str(value).split(":")[0].replace("_", " "))
    if name in ("name", "network"):
        return text
    return _("{} epochs").format(text) if name == "epochs" else f"{option_title(name)} {text}"


def _common_titles() -> dict[str, str]:
    """Titles of the options of data, training and all models, where the name is no word."""
    return {
        "name": _("data set"),
        "limit": _("number of training images"),
        "leave_out_5k": _("leave out the test digits of mnist-5k"),
        "binarise": _("black and white pixels"),
        "hidden": _("hidden units"),
        "latent_dim": _("latent dimensions"),
        "likelihood": _("distribution of a pixel"),
        "sigma": _("standard deviation of a pixel"),
        "lr": _("learning rate"),
        "schedule": _("learning rate over time"),
        "beta2": _("memory of Adam (β₂)"),
        "damping": _("damping of Adam (ε)"),
        "keep_best": _("keep the best epoch"),
        "precision": _("number format"),
        "centre": _("start from the mean image"),
        "seed": _("seed"),
    }


def _family_titles() -> dict[str, str]:
    """Titles of the options of single families, where the name is no word."""
    return {
        "beta": _("weight of the KL (β)"),
        "gamma": _("weight of the capacity term (γ)"),
        "capacity": _("capacity of the code (nats)"),
        "capacity_epochs": _("epochs until the full capacity"),
        "warmup_epochs": _("warm-up of the KL (epochs)"),
        "anneal": _("schedule of the KL weight"),
        "cycles": _("cycles of the KL weight"),
        "prior_std": _("standard deviation of the prior"),
        "free_bits": _("free nats per dimension"),
        "samples": _("samples of z per image"),
        "lam": _("weight of the penalty (λ)"),
        "rho": _("target activation (ρ)"),
        "k": _("active units (k)"),
        "start_k": _("active units at the beginning"),
        "anneal_epochs": _("epochs until k"),
        "alpha": _("factor of k after the training (α)"),
        "tied": _("decoder uses the encoder's weights"),
        "hessian": _("weight of the second-order penalty"),
        "hessian_std": _("noise of the second-order penalty"),
        "noise": _("kind of noise"),
        "clip": _("clip pixels to 0..1"),
        "ball": _("keep codes in the unit ball"),
        "l2": _("weight of ||z||²"),
        "code_rate": _("learning rate of the codes"),
        "fit_steps": _("search steps for a new code"),
        "restarts": _("searches for a new code"),
        "codes": _("vectors in the codebook (K)"),
        "code_dim": _("dimensions of a vector"),
        "commitment": _("weight of the commitment"),
        "restart": _("restart unused vectors"),
        "prior_width": _("channels of the PixelCNN"),
        "prior_layers": _("layers of the PixelCNN"),
        "widths": _("widths of the layers"),
        "unit": _("activation function"),
        "init": _("initial weights"),
        "depth": _("hidden layers of the decoder"),
        "skips": _("skip connections"),
        "content_dim": _("dimensions of the content"),
        "style_dim": _("dimensions of the style"),
        "belief_dim": _("dimensions of the belief"),
        "block": _("hidden units between belief and state"),
        "max_jump": _("longest jump (frames)"),
    }
