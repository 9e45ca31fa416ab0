"""Builds a RunConfig from command-line options."""

import dataclasses

from aevae.cli.arguments import UsageError
from aevae.config import DataConfig, TrainConfig, build, parse, preset
from aevae.run_config import RunConfig

NAMED_OPTIONS = {  # options with a flag of their own -> help text
    "dataset": "training images: a name that `datasets` lists, or images:<folder or zip>; default: mnist-5k, "
    "moving-digits for td_vae",
    "latent_dim": "numbers in the code z; default: the family's, as `families` lists it",
    "beta": "weight of the KL divergence (beta_vae) or of the sparsity term (sparse_kl); default: the family's",
    "epochs": "number of passes through the training images; default: the preset's",
    "batch_size": "images per step; default: the preset's",
    "lr": "learning rate of Adam, its peak if it changes during the training; default: the preset's",
}
CONFIG_PARTS = {"data": DataConfig, "train": TrainConfig}


def build_config(family: str, settings: dict[str, str], seed: int = 0, recipe: str = "fast") -> RunConfig:
    """The RunConfig of these settings, whose keys are fields of the data, model or train config. Raises ValueError.

    recipe: the preset that supplies the training options which are not among the settings.
    """
    from aevae.models import family_class

    parts = {**CONFIG_PARTS, "model": family_class(family).Config}
    fields = {f.name: (part, f) for part, c in parts.items() for f in dataclasses.fields(c) if f.name != "digest"}
    values: dict[str, dict] = {part: {} for part in parts}
    for key, text in settings.items():
        name = "name" if key == "dataset" else key
        if name not in fields or key == "name":
            options = ", ".join(["dataset", *(n for n in fields if n != "name")])
            raise UsageError(f"unknown option {key!r}; {family} has {options}")
        part, field = fields[name]
        values[part][name] = parse(field, text)
    model = build(parts["model"], values["model"])
    data = build(DataConfig, {"name": model.dataset} | values["data"])
    return RunConfig(data, model, preset(recipe, data, model, **values["train"]), seed)


def read_settings(args) -> dict[str, str]:
    """The settings given by --set and by the named options."""
    settings = {}
    for pair in args.set:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--set takes key=value, got {pair!r}")
        settings[key] = value
    return settings | {k: v for k in NAMED_OPTIONS if (v := getattr(args, k)) is not None}
