"""The options of a run on the command line."""

from aevae.cli.arguments import UsageError

NAMED_OPTIONS = {  # options with a flag of their own -> help text
    "dataset": "training images: a name that `datasets` lists, or images:<folder or zip>; default: mnist-5k, "
    "moving-digits for td_vae",
    "latent_dim": "numbers in the code z; default: the family's, as `families` lists it",
    "beta": "weight of the KL divergence (beta_vae) or of the sparsity term (sparse_kl); default: the family's",
    "epochs": "number of passes through the training images; default: the preset's",
    "batch_size": "images per step; default: the preset's",
    "lr": "learning rate of Adam, its peak if it changes during the training; default: the preset's",
}


def read_settings(args) -> dict[str, str]:
    """The settings given by --set and by the named options."""
    settings = {}
    for pair in args.set:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--set takes key=value, got {pair!r}")
        settings[key] = value
    return settings | {k: v for k in NAMED_OPTIONS if (v := getattr(args, k)) is not None}
