"""Configs: identity, validation, round trip."""

import dataclasses
import json

import pytest
from conftest import fitting

from aevae.config import DataConfig, TrainConfig, parse, plain
from aevae.models import FAMILIES, family_class
from aevae.run_config import RunConfig, build_config, option_value


def config(family="beta_vae", **model) -> RunConfig:
    return RunConfig(DataConfig(), family_class(family).Config(**model))


@pytest.mark.parametrize("family", FAMILIES)
def test_round_trip(family):
    before = config(family, **fitting(family, latent_dim=7))
    after = RunConfig.from_dict(json.loads(json.dumps(before.to_dict())))
    assert after == before
    assert after.fingerprint == before.fingerprint


def _changed(f: dataclasses.Field, value):
    """Another value of a field without choices, one that fits."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value[:-1] or "0"
    more = value + 1 if isinstance(value, int) else value * 1.1 + 0.01
    return more if more <= f.metadata["max"] else value - 1 if isinstance(value, int) else value * 0.9


@pytest.mark.parametrize("family", FAMILIES)
def test_every_field_changes_the_fingerprint(family):
    base = config(family)
    seen = {base.fingerprint, dataclasses.replace(base, seed=1).fingerprint}
    for part in ("data", "model", "train"):
        inner = getattr(base, part)
        for f in dataclasses.fields(inner):
            value = getattr(inner, f.name)
            choices = [c for c in f.metadata.get("choices", ()) if c != value]
            new = choices[0] if choices else _changed(f, value)
            seen.add(dataclasses.replace(base, **{part: dataclasses.replace(inner, **{f.name: new})}).fingerprint)
    fields = sum(len(dataclasses.fields(getattr(base, part))) for part in ("data", "model", "train"))
    assert len(seen) == fields + 2


def test_fingerprint_is_pinned():
    """The shipped runs carry these: a change here means that they must be made anew."""
    assert RunConfig(DataConfig("mnist", leave_out_5k=True), family_class("vae").Config()).name.startswith("vae-mnist-")
    assert config("vae").fingerprint == "b60cdfe6ada5"


def test_runs_of_older_programs_keep_their_name():
    """As it was shipped by a program that knew neither damping nor keep_best: whatever came later is left out."""
    raw = {
        "schema": 1,
        "data": {"name": "mnist", "limit": 0, "leave_out_5k": True, "digest": ""},
        "model": {
            "family": "vae",
            "network": "mlp",
            "hidden": 400,
            "latent_dim": 2,
            "likelihood": "bernoulli",
            "sigma": 0.7071067811865476,
            "warmup_epochs": 0.0,
        },
        "train": {
            "epochs": 20,
            "batch_size": 256,
            "lr": 0.016,
            "schedule": "one_cycle",
            "beta2": 0.99,
            "precision": "float32",
            "centre": True,
        },
        "seed": 0,
    }
    old = RunConfig.from_dict(raw)
    assert old.name == "vae-mnist-3242a1832f4f" and old.to_dict() == raw
    assert old.train.damping == 0 and not old.train.keep_best


def test_an_option_that_is_absent_means_its_value():
    for family in FAMILIES:
        for part in (DataConfig, TrainConfig, family_class(family).Config):
            for f in dataclasses.fields(part):
                assert "added" not in f.metadata
                if "absent" in f.metadata:
                    values = {f.name: f.metadata["absent"]}
                    assert f.name not in plain(dataclasses.replace(part(), **values)), f.name


def test_families_differ_in_name():
    assert config("vae").fingerprint != config("beta_vae", beta=1.0).fingerprint


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"latent_dim": "0"}, "latent_dim must be in 1..784, got 0"),
        ({"latent_dim": "2.5"}, "latent_dim must be a whole number, got 2.5"),
        ({"latent_dim": "many"}, "latent_dim must be a number, got 'many'"),
        ({"beta": "-1"}, "beta must be in 0.0..1000.0, got -1.0"),
        ({"beta": "nan"}, "beta must be a finite number, got nan"),
        ({"lr": "inf"}, "lr must be a finite number, got inf"),
        ({"network": "transformer"}, "network must be one of mlp, conv, got transformer"),
        ({"bta": "4"}, "unknown option 'bta'"),
        ({"name": "mnist"}, "unknown option 'name'"),
        ({"leave_out_5k": "perhaps"}, "leave_out_5k must be true or false, got 'perhaps'"),
    ],
)
def test_wrong_values_say_what_came_and_what_fits(values, sentence):
    with pytest.raises(ValueError) as error:
        build_config("beta_vae", values)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_right_values_arrive():
    made = build_config("beta_vae", {"dataset": "mnist", "latent_dim": "3", "beta": "2", "lr": "1e-4", "limit": "9"}, 5)
    assert (made.data.name, made.data.limit, made.model.latent_dim, made.model.beta) == ("mnist", 9, 3, 2.0)
    assert (made.train.lr, made.seed) == (1e-4, 5)


@pytest.mark.parametrize("seed", [-1, 2**31, 1.5, True, "1"])
def test_seed(seed):
    with pytest.raises(ValueError, match="seed must be a whole number"):
        dataclasses.replace(config(), seed=seed)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw.update(schema=99),
        lambda raw: raw["model"].update(family="gan"),
        lambda raw: raw["model"].update(extra=1),
        lambda raw: raw["train"].update(epochs="3"),
        lambda raw: raw.update(data=None),
        lambda raw: raw["model"].pop("family"),
        lambda raw: raw.update(seed=None),
    ],
)
def test_foreign_json_is_refused(spoil):
    raw = config().to_dict()
    spoil(raw)
    with pytest.raises(ValueError):
        RunConfig.from_dict(raw)


def test_every_field_has_help():
    for family in FAMILIES:
        for c in (DataConfig, TrainConfig, family_class(family).Config):
            for f in dataclasses.fields(c):
                assert f.metadata["help"], f.name


@pytest.mark.parametrize("epochs", [1, 2, 10, 100, 101, 250, 1000])
def test_film_epochs_begin_end_and_stay_few(epochs):
    filmed = TrainConfig(epochs=epochs).film_epochs
    assert filmed[0] == 0 and filmed[-1] == epochs and list(filmed) == sorted(set(filmed))
    assert len(filmed) == epochs + 1 if epochs <= 100 else 50 < len(filmed) <= 101


def test_parse_types():
    epochs = next(f for f in dataclasses.fields(TrainConfig) if f.name == "epochs")
    assert parse(epochs, "12") == 12
    assert isinstance(parse(epochs, "12"), int)


def test_an_option_of_a_stored_config():
    raw = config("beta_vae", beta=2.5).to_dict()
    assert option_value(raw, "beta") == 2.5 and option_value(raw, "epochs") == 20
    assert option_value(raw, "noise") is None, "of another family"
    del raw["model"]["beta"], raw["train"]
    assert option_value(raw, "beta") == family_class("beta_vae").Config().beta
    assert option_value(raw, "epochs") is None, "a part that is missing"
    assert option_value(raw | {"model": {"family": "of tomorrow", "beta": 3.0}}, "beta") is None


@pytest.mark.parametrize("value", ["4", None, float("nan"), [1], -1])
def test_a_foreign_value_counts_as_the_default(value):
    raw = config("beta_vae").to_dict()
    raw["model"]["beta"] = value
    assert option_value(raw, "beta") == family_class("beta_vae").Config().beta


@pytest.mark.parametrize("name", ["damping", "keep_best"])
def test_a_young_option_has_the_value_of_before(name):
    raw = config().to_dict()
    raw["train"].pop(name, None)
    (f,) = (f for f in dataclasses.fields(TrainConfig) if f.name == name)
    assert option_value(raw, name) == f.metadata["absent"]
