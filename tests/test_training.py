"""The trainer: learns, repeats bit for bit, and resumes."""

import itertools
import json
import time

import numpy as np
import pytest
import torch
from conftest import BASIC, fitting, tiny_config

from aevae import datasets
from aevae.config import DataConfig, TrainConfig
from aevae.models import FAMILIES, build_model, family_class
from aevae.training.device import pick_device, set_threads
from aevae.training.film import Film, schedule
from aevae.training.trainer import EpochDone, StepDone, Trainer, TrainingData, TrainingDiverged

CPU = torch.device("cpu")


def trainer(family="vae", epochs=2, lr=1e-3, limit=150, seed=0, centre=True, **options) -> Trainer:
    own = family_class(family).Config(**fitting(family, latent_dim=4, hidden=24) | options)
    data, model = datasets.load(DataConfig(own.dataset, limit=limit)), build_model(own, seed)
    config = TrainConfig(epochs=epochs, batch_size=64, lr=lr, centre=centre)
    test = data.test.take(slice(100))
    return Trainer(
        model, TrainingData(data.train.images, test.images, (data.train.labels, test.labels)), config, seed, CPU
    )


def numbers(history):
    return [(r["epoch"], r["step"], r.get("train"), r["test"]) for r in history]


def same(a: Trainer, b: Trainer) -> bool:
    mine, other = a.model.state_dict(), b.model.state_dict()
    return (
        mine.keys() == other.keys()
        and all(torch.equal(v, other[k]) for k, v in mine.items())
        and numbers(a.history) == numbers(b.history)
    )


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_same_seed_same_history(family):
    a, b, c = trainer(family), trainer(family), trainer(family, seed=1)
    assert a.fit() and b.fit() and c.fit()
    assert same(a, b)
    assert numbers(a.history) != numbers(c.history)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 3, 4])  # three steps an epoch: within, between
@pytest.mark.parametrize("family", BASIC)  # every family and network: test_families, through the store
def test_stop_and_resume_is_no_stop(family, stop):
    options = fitting(family, likelihood="gaussian_learned", warmup_epochs=1.5)
    whole = trainer(family, **options)
    whole.fit()
    first = trainer(family, **options)
    steps = itertools.count()
    assert not first.fit(should_stop=lambda: next(steps) >= stop)
    assert first.step == stop
    tensors, meta = first.state()
    second = trainer(family, **options)
    second.load_state(tensors, json.loads(json.dumps(meta)))
    assert second.fit()
    assert same(whole, second)


@pytest.mark.slow
@pytest.mark.parametrize("family", BASIC)
def test_one_batch_is_overfitted(family):
    # Half of what a constant picture leaves: only a net that tells the eight digits apart gets there.
    t = trainer(family, epochs=150, lr=3e-3, limit=8, hidden=128, latent_dim=8)
    x = t.train.float() / 255
    mean = x.mean(0, keepdim=True).clamp(1e-3, 1 - 1e-3)
    constant = -(x * mean.log() + (1 - x) * (1 - mean).log()).flatten(1).sum(1).mean().item()
    t.fit()
    assert t.history[-1]["train"]["recon"] < 0.75 * constant


def test_history_has_named_terms_in_nats():
    t = trainer("vae")
    events = []
    t.fit(events.append)
    assert [e.record["epoch"] for e in events if isinstance(e, EpochDone)] == [0, 1, 2]
    assert any(isinstance(e, StepDone) for e in events)
    assert "train" not in t.history[0]
    last = t.history[-1]
    assert last["step"] == 6 and last["images_per_s"] > 0
    for side in ("train", "test"):
        terms = last[side]
        assert set(terms) == {"recon", "kl", "elbo", "objective"}
        assert terms["objective"] == pytest.approx(terms["recon"] + terms["kl"], rel=1e-6)
        assert terms["elbo"] == pytest.approx(-terms["objective"], rel=1e-6)


def test_epoch_means_weigh_the_short_last_batch():
    t = trainer("ae", epochs=1, lr=1e-6, centre=False, limit=150)  # hardly moves: batches of 64, 64, 22
    t.fit()
    model = build_model(t.model.config, 0)
    x = t.train.float() / 255
    assert t.history[-1]["train"]["recon"] == pytest.approx(model.loss(x).total.item(), rel=1e-3)


def test_nan_stops_with_step_and_term():
    t = trainer("vae", lr=1.0, epochs=5)
    with torch.no_grad():
        t.model.decoder[2].bias[0] = float("nan")
    t.history.append({"epoch": 0, "step": 0, "test": {}})
    with pytest.raises(TrainingDiverged, match=r"recon became nan at step 1 \(epoch 1\)"):
        t.fit()


def test_a_state_of_another_model_is_refused():
    tensors, meta = trainer("vae").state()
    with pytest.raises(ValueError, match="does not fit"):
        trainer("vae", latent_dim=5).load_state(tensors, meta)


def test_a_refused_state_changes_nothing():
    first, second = trainer("vae"), trainer("vae")
    first.fit(should_stop=lambda: first.step >= 3)
    tensors, meta = first.state()
    before = {k: v.clone() for k, v in second.model.state_dict().items()}
    for damaged in (
        {**tensors, "noise": tensors["noise"][:16]},
        {k: v for k, v in tensors.items() if "adam.0" not in k},
    ):
        with pytest.raises((ValueError, KeyError)):
            second.load_state(damaged, meta)
        assert all(torch.equal(v, before[k]) for k, v in second.model.state_dict().items())
    assert second.step == 0 and second.history == []


def test_a_state_of_another_kind_of_device_goes_on():
    first, second = trainer("vae"), trainer("vae")
    first.fit(should_stop=lambda: first.step >= 3)
    tensors, meta = first.state()
    second.load_state(tensors | {"noise": torch.zeros(16, dtype=torch.uint8)}, meta | {"device": "cuda"})
    assert second.step == 3 and second.fit()


def test_epoch_time_is_steps_and_not_waiting():
    t, events = trainer("ae", epochs=1), []
    t.fit(events.append, should_stop=lambda: bool(time.sleep(0.3)))  # before each of three steps
    assert t.history[-1]["seconds"] < 0.6
    steps_done = [e for e in events if isinstance(e, StepDone)]
    assert (steps_done[0].step, steps_done[0].epoch, steps_done[-1].epoch) == (1, 1, 1)
    assert t.progress() == StepDone(3, 3, 1, {}, 0.0)


# -- the film --------------------------------------------------------------------------------------------------------


def shot(film, model, step):
    return film.frame(model, CPU, step, step / 10)


def a_film(family="vae", limit=50, arrays=None, **options):
    data = datasets.load(DataConfig(limit=limit)).test
    model = build_model(family_class(family).Config(latent_dim=4, hidden=8, **options))
    return Film(data.images, data.labels, 4, arrays), model


def test_film_cut_and_continued_equals_uncut():
    film, model = a_film()
    for step in (0, 3, 10):
        film.add(shot(film, model, step))
    again, _ = a_film(arrays=film.arrays())
    again.cut(9)
    assert again.steps == [0, 3]
    again.add(shot(again, model, 10))
    assert all(np.array_equal(a, again.arrays()[k]) for k, a in film.arrays().items())
    assert film.arrays()["codes"].shape == (3, 1000, 4) and film.arrays()["std"].shape == (3, 16, 4)
    assert film.arrays()["epoch"].tolist() == pytest.approx([0, 0.3, 1.0])


@pytest.mark.parametrize("family", BASIC)
def test_a_frame_says_what_the_model_says(family):
    film, model = a_film(family)
    model.train()
    found = film.arrays(shot(film, model, 1))
    assert model.training and len(film) == 0, "a look changes nothing"
    model.eval()
    x = torch.tensor(film.images).float() / 255
    mu, logvar = model.posterior(x[:16])
    recon = model.nll(x[:16], model(x[:16]).params)
    assert np.allclose(found["recon_nats"][0], recon.detach(), rtol=1e-5)
    assert np.allclose(found["codes"][0, :16], mu.detach(), atol=1e-3)
    assert ("std" in found) == ("kl_nats" in found) == ("term.kl" in found) == (logvar is not None)
    if logvar is not None:
        assert np.allclose(found["std"][0], (logvar / 2).exp().detach(), rtol=1e-3)
        exact = torch.distributions.kl_divergence(
            torch.distributions.Normal(mu, (logvar / 2).exp()), torch.distributions.Normal(0.0, 1.0)
        ).sum(1)
        assert np.allclose(found["kl_nats"][0], exact.detach(), atol=1e-5)
        assert found["term.kl"][0] == pytest.approx(-found["term.elbo"][0] - found["term.recon"][0], abs=1e-3)
    assert {k: v.dtype.name for k, v in found.items() if v.dtype.name not in ("uint8", "float32", "float16")} == {
        "step": "int64",
        "labels": "int64",
    }


def test_few_images_are_filmed_over_again():
    data = datasets.load(DataConfig(limit=50)).test
    film = Film(data.images[:3], data.labels[:3], 4)
    assert film.arrays({})["labels"].tolist() == (data.labels[:3].tolist() * 6)[:16]
    assert film.arrays({})["original"].shape == (16, 28, 28)


@pytest.mark.parametrize(
    ("epochs", "steps", "dim"), [(1, 1, 2), (1, 500, 2), (3, 31, 2), (100, 469, 64), (1000, 7, 784)]
)
def test_film_schedule_is_dense_first_and_small(epochs, steps, dim):
    filmed = schedule(TrainConfig(epochs=epochs), steps, dim)
    assert filmed[0] == 0 and filmed[-1] == epochs * steps and list(filmed) == sorted(set(filmed))
    first = [s for s in (1, 3, 10, 30, 100, 300) if s < steps]
    assert set(first) <= set(filmed)
    if epochs < 24 and steps >= 50:  # few, long epochs are looked into
        assert len(filmed) >= 24 and max(np.diff(filmed)) <= steps * epochs / 23
    else:
        assert [s for s in filmed if 0 < s < steps] == first
        assert all(s % steps == 0 for s in filmed if s > steps)
    codes = 1000 if dim <= 64 else 20_000 // dim  # fewer of wide ones
    assert len(filmed) * (2 * codes * dim + 32 * 784 + 32 * dim) < 16.5e6
    if dim == 2 and steps < 50:
        assert len(filmed) == epochs + 1 + sum(s < steps for s in (1, 3, 10, 30, 100, 300))


def test_device_words():
    assert pick_device("cpu") == CPU
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    for wrong in ("gpu", "cpu:1", "cuda:x", ""):
        with pytest.raises(ValueError, match="device must be one of"):
            pick_device(wrong)
    if pick_device().type != "cuda":
        with pytest.raises(ValueError, match="device cuda"):
            pick_device("cuda")


def test_threads(monkeypatch):
    monkeypatch.setenv("AEVAE_THREADS", "1")
    assert set_threads() == 1 == torch.get_num_threads()
    monkeypatch.setenv("AEVAE_THREADS", "nonsense")
    monkeypatch.setattr("aevae.training.device.busy_cores", lambda: 0.0)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    assert set_threads(spare=1) == 2
    monkeypatch.setenv("AEVAE_THREADS", "1")
    set_threads()


def test_estimate_counts_parameters_and_steps():
    from aevae.runs import estimate

    one = estimate(tiny_config("vae", epochs=1), "cpu", 64 * 100)
    assert one.parameters == sum(p.numel() for p in build_model(tiny_config("vae").model).parameters())
    assert 0.01 < one.seconds < 60
