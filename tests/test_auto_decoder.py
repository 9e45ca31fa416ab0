"""Families whose codes are learned without an encoder: the table, the ball, the search for a code."""

import copy
import math

import pytest
import torch
from model_helpers import random_images

from aevae import datasets, losses
from aevae.config import DataConfig, TrainConfig, build
from aevae.models import build_model, family_class
from aevae.models.auto_decoder import refine
from aevae.training.trainer import Trainer, TrainingData

BOTH = ("auto_decoder", "variational_auto_decoder")
PICTURES = 120


def make(family="auto_decoder", pictures=20, seed=1, **options):
    config = family_class(family).Config(**{"latent_dim": 4, "hidden": 24, "fit_steps": 20} | options)
    model = build_model(config, seed)
    model.setup(pictures)
    return model


@pytest.fixture(scope="module")
def digits():
    return torch.tensor(datasets.load(DataConfig("mnist-5k")).train.images[: PICTURES + 40])


def trained(digits, family="auto_decoder", **options):
    """A model that knows the first PICTURES digits."""
    model = make(family, **{"latent_dim": 8, "hidden": 64} | options)
    recipe = TrainConfig(epochs=40, batch_size=24)
    Trainer(
        model, TrainingData(digits[:PICTURES], digits[PICTURES : PICTURES + 2]), recipe, 0, torch.device("cpu")
    ).fit()
    return model.eval()


@pytest.fixture(scope="module")
def learnt(digits):
    return trained(digits)


# -- the table --


@pytest.mark.parametrize("family", BOTH)
def test_codes_begin_where_the_seed_says_and_nothing_else_is_drawn(family):
    before = torch.get_rng_state()
    a, b, c = (make(family, seed=seed).codes.weight for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert make().training_codes(20)[0].norm(dim=1).max() <= 1 + 1e-6


@pytest.mark.parametrize("family", BOTH)
def test_a_saved_model_brings_the_size_of_its_table(family):
    model, other = make(family, pictures=33), build_model(make(family).config)
    copied = copy.deepcopy(other)
    copied.load_state_dict(model.state_dict())
    assert len(copied.codes.weight) == 33 and not len(other.codes.weight), "a copy changes its own table"
    other.load_state_dict(model.state_dict())
    assert all(torch.equal(v, other.state_dict()[k]) for k, v in model.state_dict().items())
    with pytest.raises(RuntimeError, match="size mismatch"):
        make(family, latent_dim=5).load_state_dict(model.state_dict())


def test_codes_of_fewer_images_than_a_film_follows_are_repeated():
    known = make(pictures=5).training_codes(16)[0]
    assert torch.equal(known[:5], known[5:10]) and len(known) == 16


def test_what_is_learnt_is_in_one_group_only():
    model = make()
    plain, rows = model.parameter_groups()
    assert rows["rows"] and rows["scale"] == model.config.code_rate
    assert {id(p) for p in (*plain["params"], *rows["params"])} == {id(p) for p in model.parameters()}
    assert len(plain["params"]) + 1 == len(list(model.parameters()))


def test_only_the_rows_of_the_batch_are_projected_and_all_of_them():
    model = make()
    with torch.no_grad():
        model.codes.weight.mul_(10)
    model.loss(random_images(3), index=torch.tensor([2, 5, 7]))
    model.after_step()
    norms = model.codes.weight.norm(dim=1)
    assert torch.allclose(norms[[2, 5, 7]], torch.ones(3)) and (norms > 1).sum() == 17


@pytest.mark.slow
def test_without_the_ball_codes_drift_out_of_it(digits, learnt):
    free = trained(digits, ball=False)
    assert learnt.metrics(None, None, None)["code_norm"] <= 1 + 1e-6
    drifted = free.metrics(None, None, None)
    assert drifted["code_norm"] > 1.3 and "at_edge" not in drifted


def test_dense_adam_would_move_codes_that_no_batch_looked_up():
    """The trap that sparse rows avoid: momentum goes on."""
    table = torch.nn.Embedding(4, 2)
    adam = torch.optim.Adam(table.parameters(), 0.1)
    for batch in ([0, 1], [2, 3]):
        before = table.weight.detach().clone()
        adam.zero_grad()
        table(torch.tensor(batch)).square().sum().backward()
        adam.step()
    assert not torch.equal(table.weight[:2], before[:2])


# -- what it learns --


def test_training_images_are_nearer_than_by_pca(digits, learnt):
    x = digits[:PICTURES].float().div(255)
    centred = x.flatten(1) - x.flatten(1).mean(0)
    pca = torch.linalg.svdvals(centred)[8:].square().sum() / PICTURES
    with torch.inference_mode():
        assert losses.sse(x, learnt.decode(learnt.training_codes(PICTURES)[0])).mean() < 0.9 * pca


def test_a_found_code_is_not_worse_than_the_learnt_one(digits, learnt):
    x, z = digits[:20].float().div(255), learnt.training_codes(20)[0]
    found = learnt.fit(x, start=z)
    assert (learnt.nll(x, learnt.params(found)) <= learnt.nll(x, learnt.params(z))).all()
    nothing = torch.zeros_like(z)
    assert losses.sse(x, learnt.decode(learnt.fit(x))).mean() < 0.7 * losses.sse(x, learnt.decode(nothing)).mean()


def test_completion_guesses_what_is_covered(digits, learnt):
    """Digits it knows, the lower third covered: nearer than the mean picture, which knows them all, too."""
    x = digits[:40].float().div(255)
    mask = torch.ones(1, 1, 28, 28)
    mask[..., 18:, :] = 0
    guess = learnt.decode(learnt.fit(x * mask, mask))
    hidden = ((x - guess) * (1 - mask)).square().sum() / ((x - x.mean(0)) * (1 - mask)).square().sum()
    assert hidden < 0.7


def test_learning_on_forgets_and_adding_does_not(digits, learnt):
    new, old = digits[PICTURES:].float().div(255), digits[:40].float().div(255)

    def error(model):
        with torch.inference_mode():
            return losses.sse(old, model.decode(model.training_codes(40)[0])).mean()

    added, goes_on = copy.deepcopy(learnt), copy.deepcopy(learnt)
    codes = added.add(new)
    assert error(added) == error(learnt) and len(added.codes.weight) == PICTURES + 40
    assert torch.equal(added.training_codes(PICTURES + 40)[0][-40:], codes)
    weights = list(goes_on.decoder.parameters())
    adam = torch.optim.Adam(weights, 5e-3)
    for _ in range(60):
        adam.zero_grad()
        goes_on.nll(new, goes_on.params(codes)).mean().backward()
        adam.step()
    assert error(goes_on) > 1.2 * error(learnt)


# -- the search --


@pytest.mark.parametrize("family", BOTH)
def test_a_search_is_deterministic_and_touches_no_weight(family):
    model, x = make(family), random_images()
    before, state = torch.get_rng_state(), {k: v.clone() for k, v in model.state_dict().items()}
    with torch.inference_mode():
        inside = model.encode(random_images())
    assert torch.equal(inside, model.encode(x))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("family", BOTH)
def test_what_is_found_for_an_image_depends_on_no_other(family):
    model, x = make(family).double(), random_images().double()
    assert torch.allclose(model.encode(x)[2:3], model.encode(x[2:3]), atol=1e-9)


def test_several_starts_are_never_worse_than_one():
    model, x = make(), random_images()
    one, many = (losses.sse(x, model.params(model.fit(x, restarts=n))) for n in (1, 6))
    assert (many <= one + 1e-4).all() and (many < one - 1e-3).any()
    assert model.fit(x, restarts=50).shape == (6, 4)  # there are only 20 to start from


def test_a_search_that_explodes_keeps_its_start():
    start = torch.ones(3, 2)
    assert torch.equal(refine(lambda z, step: z.square().sum(1), start, 5, 1e30), start)
    assert torch.equal(refine(lambda z, step: (z - 1).square().sum(1) * math.nan, start, 5, 0.1), start)


def test_a_model_that_learnt_nothing_yet_still_answers():
    model = build_model(family_class("auto_decoder").Config(latent_dim=4, hidden=8, fit_steps=3))
    assert (
        model.encode(random_images(2)).shape == (2, 4) and torch.isfinite(model.sample_prior(torch.randn(3, 4))).all()
    )


# -- the variational one --


@pytest.mark.slow
def test_variational_codes_have_a_prior_and_no_ball(digits):
    model = trained(digits, "variational_auto_decoder")
    mu, logvar = model.training_codes(PICTURES)
    assert mu.norm(dim=1).mean() > 1 and logvar.mean() < -0.5
    draws = torch.randn(3, 8)
    assert torch.equal(model.sample_prior(draws), draws) and model.generative
    with torch.inference_mode():
        terms = model.loss(digits[PICTURES:].float().div(255), generator=torch.Generator().manual_seed(0)).terms
        start = model.cost(digits[PICTURES:].float().div(255), torch.zeros(40, 16), model.noise(1, mu)[-1]).mean()
    assert torch.isclose(terms["elbo"], -(terms["recon"] + terms["kl"])) and terms["elbo"] > -start


def test_log_variances_stay_in_their_range():
    model = make("variational_auto_decoder")
    with torch.no_grad():
        model.codes.weight[:, 4:] = 99.0
    model.after_step()
    assert model.training_codes(3)[1].max() == 10


# -- requests --


@pytest.mark.parametrize(
    ("family", "options", "words"),
    [
        ("auto_decoder", {"l2": -1.0}, r"l2 must be in 0.0..1000.0, got -1.0"),
        ("auto_decoder", {"fit_steps": 0}, r"fit_steps must be in 1..5000, got 0"),
        ("auto_decoder", {"likelihood": "categorical"}, "likelihood must be one of bernoulli"),
        ("auto_decoder", {"code_rate": 0}, "code_rate must be in"),
        ("variational_auto_decoder", {"ball": True}, "unknown option 'ball'"),
        ("variational_auto_decoder", {"l2": 1.0}, "unknown option 'l2'"),
    ],
)
def test_refusals(family, options, words):
    with pytest.raises(ValueError, match=words):
        build(family_class(family).Config, options)
