"""TD-VAE: times, beliefs, jumps, futures; its terms and the linear world are in `aevae.checks.time`."""

import itertools

import numpy as np
import pytest
import torch
from model_helpers import rng

from aevae import datasets
from aevae.config import DataConfig, TrainConfig
from aevae.datasets.moving_digits import Motion, sequences
from aevae.models import build_model, family_class
from aevae.models.td_vae import begun_anew, circular_shift, smoothing_term, transition_term
from aevae.runs import train_or_load
from aevae.training.trainer import Trainer, TrainingData

Config = family_class("td_vae").Config
CPU = torch.device("cpu")
DATA = datasets.load(DataConfig("moving-digits"))
X = torch.tensor(DATA.test.images[:12]).float() / 255
WAYS = torch.tensor(datasets.moving_digits.directions(DATA.test.images[:12]))


def make(**options):
    small = {"latent_dim": 6, "hidden": 16, "belief_dim": 8, "block": 7, "pairs": 2}
    return build_model(Config(**small | options), seed=1)


def test_shapes():
    model = make().eval()
    with torch.no_grad():
        z = model.encode(X)
        assert z.shape == (12, 6) and torch.equal(z, model.encode(X))
        assert model.beliefs(X).shape == (12, 20, 8)
        assert model.decode(z).shape == model(X).params.shape == (12, 1, 28, 28)
        assert model.roll_out(X[:, :3], 5, rng()).shape == (12, 5, 1, 28, 28)
        assert model.roll_out(X[:, :3], 0).shape == (12, 0, 1, 28, 28)
        sheet = model.preview_rows(X)
    assert sheet.shape == (14, 20, 28, 28) and sheet.min() >= 0 and sheet.max() <= 1
    assert torch.equal(sheet[0], X[0, :, 0]) and torch.equal(sheet[7], X[1, :, 0]), "the truth first"
    assert torch.equal(sheet[3, :10], X[0, :10, 0]) and torch.equal(sheet[4:7, :1], X[0, :1, 0].expand(3, 1, 28, 28))


def test_odd_codes_are_shared_out():
    model = make(latent_dim=3)
    assert model.belief.size == 2 and model.encode(X).shape == (12, 3)


def test_the_loss_is_what_it_says():
    model = make(warmup_epochs=4.0)
    for epoch, weight in ((1.0, 0.25), (9.0, 1.0)):
        loss = model.loss(X, generator=rng(), epoch=epoch)
        t = loss.terms
        assert torch.isclose(loss.total, t["recon"] + weight * (t["smoothing"] + t["transition"]))
        assert torch.isclose(t["elbo"], -(t["recon"] + t["smoothing"] + t["transition"])), "the bound at weight 1"
    assert t["smoothing"] > 0


def test_the_terms_are_those_of_the_paper(monkeypatch):
    """One pair a sequence: z2 from the belief at t2, z1 from q, each density where it was drawn."""
    model = make(pairs=1).eval()  # no sequence begun anew
    seen = {}
    import aevae.models.td_vae as module

    for name, function in (("smoothing_term", smoothing_term), ("transition_term", transition_term)):
        monkeypatch.setattr(
            module, name, lambda *a, name=name, function=function: seen.setdefault(name, (a, function(*a)))[1]
        )
    loss = model.loss(X, generator=rng(3))
    row, t1, steps = model.times(X, rng(3))
    b = model.beliefs(X)
    (z2, belief2, _), transition = seen["transition_term"]
    for ours, theirs in zip(belief2, model.belief.at(b[row, t1 + steps], z2), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)
    nll = torch.nn.functional.binary_cross_entropy(model.decode(z2), X[row, t1 + steps], reduction="none")
    assert torch.isclose(loss.terms["recon"], nll.flatten(1).sum(1).mean(), rtol=1e-4)
    assert torch.isclose(loss.terms["transition"], transition.mean())
    (q, belief1), smoothing = seen["smoothing_term"]
    assert torch.allclose(belief1[1][:, 3:], model.belief.upper(b[row, t1])[1], atol=1e-6), "the belief at t1"
    assert (smoothing >= 0).all() and q[0].shape == (12, 6)


def test_times():
    model = make(pairs=64)
    row, t1, steps = model.times(torch.zeros(100, 20, 1, 28, 28), rng())
    assert torch.equal(row, torch.arange(100).repeat_interleave(64))
    assert torch.equal(t1.unique(), torch.arange(16)) and torch.equal(steps.unique(), torch.arange(1, 5))
    for values, kinds in ((t1, 16), (steps - 1, 4)):
        counts = values.bincount(minlength=kinds) / 6400 * kinds
        assert (counts - 1).abs().max() < 0.2, "uniform"
    joint = (t1 * 4 + steps - 1).bincount(minlength=64)
    assert joint.min() > 50, "independent"
    with pytest.raises(ValueError, match="more than max_jump=4 frames, got 4"):
        model.times(X[:, :4])


def test_the_memory_runs_once_a_batch():
    model, calls = make(), []
    model.memory.register_forward_hook(lambda *_: calls.append(1))
    model.loss(X, generator=rng())
    assert calls == [1]


def test_all_chance_is_the_generators():
    model = make().eval()
    futures = [model.roll_out(X[:, :1], 3, rng(seed)) for seed in (1, 1, 2)]
    assert torch.equal(futures[0], futures[1]) and not torch.equal(futures[0], futures[2])
    assert torch.equal(model.roll_out(X[:, :1], 3), model.roll_out(X[:, :1], 3))


def test_later_frames_change_no_roll_out():
    model = make().eval()
    other = X.clone()
    other[:, 5:] = 0
    assert torch.equal(model.roll_out(X[:, :5], 2), model.roll_out(other[:, :5], 2))


def test_a_jump_depends_on_dt():
    model = make().eval()
    z = torch.randn(5, 6, generator=rng())
    moved = [model.jump(z, k) for k in range(1, 5)]
    assert all(not torch.allclose(a, b) for a, b in itertools.pairwise(moved))
    both = model.jump(z, torch.tensor([1, 2, 3, 4, 1]))
    assert torch.allclose(both[1], moved[1][1], atol=1e-6) and torch.allclose(both[4], moved[0][4], atol=1e-6)


def test_a_model_that_only_knows_single_steps_refuses_to_jump():
    for jump in (2, 0):
        with pytest.raises(ValueError, match=rf"jump must be in 1..max_jump=1, got {jump}"):
            make(max_jump=1).roll_out(X, 1, jump=jump)


def test_begun_anew_every_sequence_keeps_its_way():
    """Each is rolled as a whole, to all 28 places, and seeds decide where."""
    again = torch.cat([begun_anew(X, rng(seed)) for seed in range(40)])  # 480 of 12
    by = circular_shift(again[:, 0], X[:, 0].repeat(40, 1, 1, 1))
    assert set(by.tolist()) == set(range(-14, 14))
    for one, first, shift in zip(again, X.repeat(40, 1, 1, 1, 1), by, strict=True):
        assert torch.equal(one, first.roll(int(shift), -1))
    assert torch.equal(begun_anew(X, rng(3)), begun_anew(X, rng(3)))


def test_circular_shift_of_real_digits():
    first = X[:, 0]
    for t in range(20):
        wrapped = (WAYS * t + 14) % 28 - 14
        assert torch.equal(circular_shift(X[:, t], first), wrapped)
    blurred = torch.nn.functional.avg_pool2d(X[:, 4], 3, 1, 1)
    assert ((circular_shift(blurred, first) - 4 * WAYS).abs() <= 1).all()


def test_numbers_of_an_oracle_and_of_one_that_stands_still(monkeypatch):
    """Who knows the way is always near; one frame seen, an honest oracle goes either way in half of its futures."""
    model = make().eval()

    def oracle(seen, steps, generator, jump):
        last = seen[:, -1]
        if seen.shape[1] > 1:
            way = circular_shift(seen[:, -1], seen[:, -2])
        else:
            way = torch.randint(0, 2, (len(seen),), generator=generator) * 2 - 1
        return torch.stack([x.roll(int(w) * jump, -1) for x, w in zip(last, way, strict=True)]).unsqueeze(1)

    monkeypatch.setattr(model, "roll_out", oracle)
    numbers = model.metrics(X, torch.zeros(12), rng())
    assert set(numbers) == set(model.units)
    assert numbers["near_2"] == numbers["near_10"] == numbers["drawn_2"] == 1
    assert 0.35 < numbers["left_1"] < 0.65
    assert numbers["left_1"] + numbers["right_1"] == 1
    monkeypatch.setattr(model, "roll_out", lambda seen, steps, generator, jump: seen[:, -1:])
    assert not any(model.metrics(X, torch.zeros(12), rng()).values())


@pytest.mark.slow
def test_it_learns_to_move_one_digit():
    """A digit that only goes to the right, from every start: soon a jump of two lands within a pixel."""
    digit = datasets.mnist_5k.read_dataset().train.images[:1].repeat(28, 0)
    x = sequences(digit, Motion(np.arange(28), np.ones(28, np.int64)))
    config = Config(latent_dim=6, hidden=48, belief_dim=24, block=48, max_jump=2, pairs=8, warmup_epochs=20.0)
    model = build_model(config, seed=0)
    Trainer(model, TrainingData(x, x), TrainConfig(epochs=100, batch_size=14, lr=8e-3), 0, CPU).fit()
    numbers = model.eval().metrics(torch.tensor(x).float() / 255, torch.zeros(28), rng())
    assert numbers["near_10"] > 0.8 and numbers["left_1"] < 0.1, numbers


def test_images_alone_are_refused():
    from aevae.run_config import RunConfig

    with pytest.raises(ValueError, match=r"td_vae needs sequences, .* use the data set moving-digits"):
        train_or_load(RunConfig(DataConfig("mnist-5k"), Config(), TrainConfig()), "cpu")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"latent_dim": 1}, r"latent_dim must be in 2\.\.784, got 1"),
        ({"max_jump": 11}, r"max_jump must be in 1\.\.10, got 11"),
        ({"pairs": 0}, r"pairs must be in 1\.\.64, got 0"),
    ],
)
def test_wrong_options(options, word):
    with pytest.raises(ValueError, match=word):
        Config(**options)
