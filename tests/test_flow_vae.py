"""Autoencoded flow: pairs, warps, edits by arithmetic; the identities of warping are in `aevae.checks.flow`."""

import math

import pytest
import torch
from model_helpers import rng

from aevae import datasets, losses
from aevae.config import DataConfig, TrainConfig
from aevae.models import build_model, family_class
from aevae.models.flow_vae import CHANGES, affine_flow, changed, partners, roughness, warp
from aevae.training.trainer import Trainer, TrainingData

Config = family_class("flow_vae").Config
CPU = torch.device("cpu")
SPLIT = datasets.load(DataConfig("mnist-5k"))
DIGITS = torch.tensor(SPLIT.train.images[:64]).float() / 255
LABELS = torch.tensor(SPLIT.train.labels[:64])


def make(**options):
    return build_model(Config(**{"latent_dim": 4, "hidden": 24} | options), seed=1)


@pytest.fixture(scope="module")
def slants():
    """Tests whose models train here know slants only: those are learnt within seconds."""
    return {"rotation": 0.0, "scale": 0.0, "slant": 0.5, "right": 0.0, "down": 0.0}


def train(changes, epochs=8, **options):
    """A small model after a few seconds on 1,000 digits that change so."""
    model = build_model(Config(latent_dim=4, hidden=100, **options), seed=0)
    pictures = SPLIT.train.images[:1000]
    with pytest.MonkeyPatch.context() as patch:
        for kind, most in changes.items():
            patch.setitem(CHANGES, kind, most)
        Trainer(
            model, TrainingData(pictures, pictures[:20]), TrainConfig(epochs=epochs, batch_size=32, lr=6e-3), 0, CPU
        ).fit()
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def trained(slants):
    return train(slants)


@pytest.fixture(scope="module")
def unseen():
    return torch.tensor(SPLIT.test.images[:200]).float() / 255


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_shapes_of_pairs(network):
    model = make(network=network).eval()
    pair = model.pair(DIGITS, rng())
    assert pair.shape == (64, 2, 28, 28) and torch.equal(pair[:, :1], DIGITS)
    z = model.encode(pair)
    assert z.shape == (64, 4) and torch.equal(z, model.encode(pair))
    assert model.flow(z).shape == (64, 2, 28, 28)
    assert model.decode(z).shape == model.decode(z, DIGITS).shape == model(pair).params.shape == DIGITS.shape
    sheet = model.preview_rows(DIGITS[:5])
    assert sheet.shape == (12, 5, 28, 28) and sheet.min() >= 0 and sheet.max() <= 1
    assert torch.equal(sheet, model.preview_rows(DIGITS[:5]))


def test_targets_come_from_the_generator_alone():
    model = make()
    assert torch.equal(model.pair(DIGITS, rng(1)), model.pair(DIGITS, rng(1)))
    assert not torch.equal(model.pair(DIGITS, rng(1)), model.pair(DIGITS, rng(2)))
    assert torch.equal(model.pair(DIGITS), model.pair(DIGITS))
    assert not torch.equal(model.pair(DIGITS)[:, 1], DIGITS[:, 0]), "without generator it still is a change"


def test_every_change_changes_and_its_opposite_undoes_it():
    """Twice interpolated, a digit is blurred: nearly itself, and nearer than after one way."""
    for kind in CHANGES:
        one = changed(DIGITS, kind)
        back = changed(one, kind, -1.0)
        away, left = losses.sse(DIGITS, one).mean(), losses.sse(DIGITS, back).mean()
        assert away > 15 and left < away / 5, kind
    with pytest.raises(ValueError, match=r"change must be one of rotation, .* got smile"):
        changed(DIGITS, "smile")


def test_signs_of_the_changes():
    """A bar of the upper half goes right when slanted, a shift goes the way it is called, larger has more ink."""
    x = torch.zeros(1, 1, 28, 28)
    x[..., 6:12, 13:15] = 1
    columns, rows = torch.arange(28.0), torch.arange(28.0).unsqueeze(1)
    middle = lambda y: ((y * columns).sum() / y.sum(), (y * rows).sum() / y.sum())  # noqa: E731
    across, down = middle(x)
    for kind in ("slant", "right", "rotation"):  # clockwise: what is above the middle goes right
        assert middle(changed(x, kind))[0] > across + 1, kind
    assert middle(changed(x, "down"))[1] == pytest.approx(float(down) + 3, abs=1e-3)
    assert middle(changed(x, "right"))[0] == pytest.approx(float(across) + 3, abs=1e-3)
    assert changed(x, "scale").sum() / x.sum() == pytest.approx(math.exp(0.4), abs=0.05)


def test_the_loss_is_what_it_says():
    model = make(roughness=0.5, warmup_epochs=4.0)
    loss = model.loss(DIGITS, generator=rng(), epoch=1.0)
    terms = loss.terms
    assert torch.isclose(loss.total, terms["recon"] + 0.25 * terms["kl"] + 0.5 * terms["roughness"])
    assert terms["elbo"] == -(terms["recon"] + terms["kl"]), "roughness is no part of the bound"
    pair = model.pair(DIGITS)
    out = model(pair)
    quiet = model.loss(DIGITS).terms
    sse = losses.sse(pair[:, 1:], out.params).mean()
    assert quiet["recon"] == pytest.approx(sse.item() + 392 * math.log(math.pi), rel=1e-5)
    assert quiet["roughness"] == pytest.approx(roughness(model.flow(out.z)).mean().item(), rel=1e-5)


def test_pairs_of_a_class():
    model = make(pairs="class")
    assert model.extra_inputs == ("labels",) and make().extra_inputs == ()
    target = model.pair(DIGITS, rng(), LABELS)[:, 1:]
    same = (target.unsqueeze(1) == DIGITS.unsqueeze(0)).flatten(2).all(2)  # (B, B): which picture it is
    assert (same.sum(1) == 1).all() and not same.diagonal().any()
    assert torch.equal(LABELS[same.long().argmax(1)], LABELS)
    assert torch.isfinite(model.loss(DIGITS, generator=rng(), labels=LABELS).total)
    assert torch.equal(model.pair(DIGITS, rng(), None), make().pair(DIGITS, rng())), "no classes known: warps"


def test_partners_are_drawn_evenly():
    draws = torch.stack([partners(torch.zeros(4), torch.rand(4, 4, generator=rng(i))) for i in range(600)])
    counts = torch.stack([(draws == j).sum(0) for j in range(4)], 1)  # (4, 4)
    assert (counts.diagonal() == 0).all() and (counts + 200 * torch.eye(4) - 200).abs().max() < 50


@pytest.mark.slow
def test_a_flow_cannot_make_an_eight_of_a_zero(trained, unseen):
    """Provoked: the best warp the model finds from 0 to 8 keeps its hole one; from black there is nothing to take."""
    labels = torch.tensor(SPLIT.test.labels[:200])
    zeros, eights = unseen[labels == 0][:8], unseen[labels == 8][:8]
    made = trained.decode(trained.encode(torch.cat([zeros, eights], 1)), zeros)
    assert losses.sse(eights, made).mean() > 40
    assert trained.decode(torch.randn(8, 4, generator=rng()), torch.zeros(8, 1, 28, 28)).abs().max() == 0


def test_it_learns_to_warp_and_keeps_edges(trained, unseen, slants, monkeypatch):
    """Less than half the error of leaving the picture as it is; edges kept, where a blur keeps less than half."""
    for kind, most in slants.items():
        monkeypatch.setitem(CHANGES, kind, most)
    numbers = trained.metrics(unseen, torch.zeros(200), rng())
    assert set(numbers) <= set(trained.units)
    assert numbers["warp_sse"] < 0.5 * numbers["identity_sse"]
    assert 0.8 < numbers["edges"] < 1.2 and numbers["edges_blurred"] < 0.5


def test_arithmetic_on_codes_slants_digits(trained, unseen):
    """z + a (mean of slanted - mean of none) goes the way of a slant, to either side, and a = 0 does little."""
    way = trained.direction(unseen[:100], "slant")
    other = unseen[100:]
    for amount in (-1.0, 1.0):
        wanted = changed(other, "slant", amount)
        made = trained.edit(other, way, amount)
        assert losses.sse(wanted, made).mean() < 0.6 * losses.sse(wanted, other).mean(), amount
    assert losses.sse(other, trained.edit(other, way, 0.0)).mean() < 12


def test_a_rough_flow_is_possible_without_its_cost(trained, slants):
    """w = 0 provokes it: the flow in black regions, which no picture asks for, is rougher than with w."""
    free = train(slants, epochs=2, roughness=0.0)
    pair = trained.pair(DIGITS, rng())
    assert roughness(free.flow(free.encode(pair))).mean() > 1.5 * roughness(trained.flow(trained.encode(pair))).mean()


def test_the_align_corners_trap():
    """A grid built for the pixels' centres but sampled with torch's default moves the picture."""
    line = torch.linspace(-1, 1, 28)
    grid = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).expand(64, -1, -1, -1)
    wrong = torch.nn.functional.grid_sample(DIGITS, grid, align_corners=False)
    assert losses.sse(DIGITS, wrong).mean() > 1
    assert (warp(DIGITS, torch.zeros(64, 2, 28, 28)) - DIGITS).abs().max() < 2e-6


def test_flows_of_nothing_are_zero():
    assert affine_flow(torch.zeros(3, 5)).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"pairs": "twins"}, "pairs must be one of warp, class, got twins"),
        ({"roughness": -1.0}, "roughness must be in 0.0..100.0, got -1.0"),
        ({"likelihood": "bernoulli"}, "likelihood must be one of gaussian, gaussian_learned, got bernoulli"),
    ],
)
def test_wrong_options(options, word):
    with pytest.raises(ValueError, match=word):
        Config(**options)
