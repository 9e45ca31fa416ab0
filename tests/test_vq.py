"""VQ-VAE and VQ-VAE-2: codebooks that learn, collapse and come back, two levels, and the refusals."""

import dataclasses

import numpy as np
import pytest
import torch
from model_helpers import rng

from aevae import datasets
from aevae.browser.program import program
from aevae.config import DataConfig, TrainConfig
from aevae.models import build_model, family_class
from aevae.models.vq_vae import Quantiser, VQVAEConfig, perplexity, proportional
from aevae.training.trainer import Trainer, TrainingData

DIGITS = datasets.load(DataConfig("mnist-5k")).train.images[::50]  # 80 of all classes
FAMILIES = ("vq_vae", "vq_vae2")
SMALL = {"codes": 16, "code_dim": 3, "prior_width": 8, "prior_layers": 1}
CPU = torch.device("cpu")


def make(family="vq_vae", **options):
    return build_model(family_class(family).Config(**SMALL | options), seed=1)


def digits(count=8):
    return torch.tensor(DIGITS[:count]).float() / 255


def trainer(model, epochs=2, batch=16, lr=5e-3):
    recipe = TrainConfig(epochs=epochs, batch_size=batch, lr=lr)
    return Trainer(model, TrainingData(DIGITS, DIGITS[:20]), recipe, 0, CPU)


def buffers(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("codebook", ["ema", "gradient"])
def test_surface(family, codebook):
    model, x = make(family, codebook=codebook), digits()
    loss = model.loss(x, generator=rng())
    loss.total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, f"no gradient reaches {name}"
    model.eval()
    z = model.encode(x)
    assert z.shape == (8, model.config.latent_dim) and model.decode(z).shape == x.shape
    assert torch.equal(model.codes_of(model.indices(x)), z)
    assert torch.equal(model.encode(x), z)
    for name, value in model.metrics(x, torch.zeros(8), rng()).items():
        assert np.isfinite(value) and name in model.units
    assert model.traits["latent"] == "discrete" and model.traits["levels"] == len(model.indices(x))


@pytest.mark.parametrize("family", FAMILIES)
def test_decoding_takes_any_code_to_the_nearest_that_means_something(family):
    model, z = make(family).eval(), torch.randn(5, make(family).config.latent_dim, generator=rng())
    snapped = torch.cat([q(m).flatten(1) for q, m in zip(model.quantisers, model.split(z), strict=True)], 1)
    assert not torch.equal(snapped, z)
    assert torch.allclose(model.decode(z), model.decode(snapped))
    again = torch.cat([q(m).flatten(1) for q, m in zip(model.quantisers, model.split(snapped), strict=True)], 1)
    assert torch.equal(again, snapped)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_prior_turns_numbers_into_codes(family):
    model = make(family).eval()
    noise = torch.randn(4, model.config.latent_dim, generator=rng())
    z = model.sample_prior(noise)
    assert torch.equal(z, model.sample_prior(noise)) and z.shape == noise.shape
    assert torch.equal(z, model.codes_of(model.prior_indices(noise)))
    assert not torch.equal(z[0], z[1])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_browser_can_follow_both_ways(family):
    assert program(make(family).eval().requires_grad_(False))


@pytest.mark.parametrize("codebook", ["ema", "gradient"])
def test_only_training_steps_move_the_codebook_and_each_once(codebook):
    model, x = make(codebook=codebook), digits()
    fresh = buffers(model)
    model.eval()
    model.loss(x, generator=rng())
    model.after_step()
    assert same(fresh, buffers(model)), "looking must leave it as it is"
    model.train()
    model.loss(x, generator=rng())
    assert same(fresh, buffers(model)), "before the step nothing has moved"
    model.after_step()
    after = buffers(model)
    assert not same(fresh, after)
    model.after_step()
    assert same(after, buffers(model)), "one batch counts once"


def test_use_is_counted_per_image_whatever_the_batch():
    model = make(decay=0.0, restart=False)
    for count in (4, 16):
        model.loss(digits(count), generator=rng())
        model.after_step()
        assert model.quantisers[0].use.sum() == pytest.approx(49)


def test_the_first_batch_begins_the_codebook():
    model, x = make(codes=64), digits(32)
    (z_e,) = model.quantize_levels(x, lambda level, z_e: z_e)
    far = (z_e - model.quantisers[0](z_e)).square().sum()
    model.loss(x, generator=rng())
    model.after_step()
    assert (z_e - model.quantisers[0](z_e)).square().sum() < far / 20
    assert model.indices(x)[0].unique().numel() > 20
    assert (model.quantisers[0].use > 0).all()


def test_an_unused_vector_comes_back_and_a_used_one_stays():
    book = Quantiser(VQVAEConfig(codes=4, code_dim=2), cells=100)
    vectors = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [90.0, 90.0]])
    book.codebook.vectors.copy_(vectors)
    book.use.copy_(torch.tensor([33.0, 33.0, 33.0, 0.1]))
    book.sums.copy_(vectors * book.use[:, None])
    z_e = vectors[:3].repeat(33, 1)[:99]
    z_e = torch.cat([z_e, torch.tensor([[0.0, -5.0]])]).T.reshape(1, 2, 10, 10)  # one cell is badly met
    book.collect(z_e, book.codebook.indices(z_e), rng())
    book.ema_update()
    assert torch.allclose(book.codebook.vectors[3], torch.tensor([0.0, -5.0]))
    assert (book.codebook.vectors[:3] - vectors[:3]).abs().max() < 0.01
    assert book.use[3] > 0.05 * book.fair, "it has time to be found"


def test_cells_are_drawn_as_their_weights_say():
    weights = torch.tensor([0.0, 3.0, 0.0, 1.0])
    drawn = proportional(weights, torch.rand(4000, generator=rng()))
    share = torch.bincount(drawn, minlength=4) / 4000
    assert share[0] == share[2] == 0 and share[1] == pytest.approx(0.75, abs=0.03)
    assert proportional(torch.zeros(3), torch.rand(5)).max() < 3, "no weight at all is no error"


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("codebook", ["ema", "gradient"])
def test_stopped_and_resumed_is_the_same_run(family, codebook):
    whole = trainer(make(family, codebook=codebook))
    whole.fit()
    first, asked = trainer(make(family, codebook=codebook)), []
    assert not first.fit(should_stop=lambda: asked.append(1) or len(asked) > 4)
    rest = trainer(make(family, codebook=codebook))
    rest.load_state(*first.state())
    rest.fit()
    assert same(buffers(whole.model), buffers(rest.model))
    assert [r["test"] for r in whole.history] == [r["test"] for r in rest.history]


def used(model):
    return model.metrics(torch.tensor(DIGITS).float() / 255, None, rng())["perplexity"]


@pytest.mark.slow
def test_collapse_is_provoked_and_prevented():
    """A codebook far from the codes, learnt by gradient with nothing begun anew: hardly a vector is ever chosen."""
    left = make(codes=64, commitment=0.25, codebook="gradient", restart=False)
    with torch.no_grad():
        left.quantisers[0].codebook.vectors.mul_(10)
    kept = make(codes=64, commitment=0.25)
    for model in (left, kept):
        assert trainer(model, epochs=12).fit()
    assert used(left) < 5
    assert used(kept) > 8


def test_without_commitment_the_encoder_drifts_from_the_codebook():
    distance = {}
    for commitment in (0.0, 1.0):
        model = make(commitment=commitment)
        run = trainer(model, epochs=6)
        run.fit()
        distance[commitment] = run.history[-1]["test"]["commit"]
    assert distance[0.0] > 3 * distance[1.0]


def test_perplexity_is_of_all_images_not_a_mean_over_batches(monkeypatch):
    model, x = make(codes=4).eval(), digits(6)
    parts = x.split(3)
    monkeypatch.setattr(model, "indices", lambda x: [torch.zeros(len(x), 7, 7).long() + int(x is parts[1])])
    monkeypatch.setattr("aevae.models.vq_vae.batches", lambda x: parts)
    assert model.metrics(x, None, rng())["perplexity"] == pytest.approx(2)  # one vector in each batch, two in all
    assert perplexity(torch.tensor([3.0, 3.0])) == pytest.approx(2)


def test_loss_does_not_depend_on_the_prior_of_the_codes_it_learns():
    """The prior learns in the same steps and moves nothing but itself: with another one the autoencoder is the same."""
    ends = []
    for layers in (0, 2):
        model = make(prior_layers=layers)
        with torch.no_grad():
            for name, p in make(prior_layers=0).named_parameters():
                if not name.startswith("priors"):
                    model.get_parameter(name).copy_(p)
            for a, b in zip(model.quantisers, make(prior_layers=0).quantisers, strict=True):
                a.load_state_dict(b.state_dict())
        trainer(model, epochs=1).fit()
        ends.append(torch.cat([p.flatten() for n, p in model.named_parameters() if not n.startswith("priors")]))
    assert torch.equal(*ends)


def test_half_precision_products_leave_the_choice_exact():
    model, x = make(), digits()
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss(x, generator=rng())
        (z_e,) = model.quantize_levels(x, lambda level, z_e: z_e)
        indices: list = []
        model.quantize_with_indices(0, z_e, indices)
    loss.total.backward()
    assert torch.isfinite(loss.total)
    assert torch.equal(indices[0], model.quantisers[0].codebook.indices(z_e.float()))


# -- two levels ------------------------------------------------------------------------------------------------------


def test_shapes_of_the_levels():
    model = make("vq_vae2")
    assert [k.shape[1:] for k in model.indices(digits())] == [(7, 7), (14, 14)]
    assert model.config.latent_dim == 3 * (49 + 196)


def test_both_levels_are_painted_and_a_zeroed_bottom_leaves_gradients_to_the_top():
    model, x = make("vq_vae2"), digits()
    top, bottom = (m.detach().requires_grad_() for m in model.split(model.encode(x)))
    to_top, to_bottom = torch.autograd.grad(model.nll(x, model.decode_vectors([top, bottom])).sum(), (top, bottom))
    assert to_top.abs().sum() > 0 and to_bottom.abs().sum() > 0
    (alone,) = torch.autograd.grad(model.nll(x, model.decode_vectors([top, 0 * bottom])).sum(), top)
    assert alone.abs().sum() > 0


def test_the_bottom_is_encoded_given_the_top():
    model, x = make("vq_vae2"), digits()
    seen = []
    model.quantize_levels(x, lambda level, z_e: (seen.append(z_e), model.quantisers[level](z_e))[1])
    model.quantize_levels(x, lambda level, z_e: (seen.append(z_e), model.quantisers[level](z_e) + 1)[1])
    assert torch.equal(seen[0], seen[2]) and not torch.equal(seen[1], seen[3])


def test_the_top_of_one_with_the_bottom_of_another():
    model = make("vq_vae2").eval()
    top, bottom = model.indices(digits(2))
    own, mixed = model.decode_indices([top, bottom]), model.decode_indices([top.flip(0), bottom])
    assert mixed.shape == own.shape
    assert torch.equal(own, model.decode(model.encode(digits(2))))


def test_two_levels_say_more_than_the_top_alone():
    model = make("vq_vae2", code_dim=4)
    trainer(model, epochs=6).fit()
    model.eval()
    x = digits(20)
    with torch.no_grad():
        top, bottom = model.split(model.encode(x))
        whole, alone = (
            model.mean(model.decode_vectors([top, b])).sub(x).square().sum() for b in (bottom, torch.zeros_like(bottom))
        )
    assert whole < alone


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"codes": 1}, "codes must be in 2..1024, got 1"),
        ({"code_dim": 0}, "code_dim must be in 1..64, got 0"),
        ({"codebook": "mean"}, "codebook must be one of ema, gradient, got mean"),
        ({"decay": 1.0}, "decay must be in 0.0..0.9999, got 1.0"),
        ({"commitment": -1.0}, "commitment must be in 0.0..100.0, got -1.0"),
        ({"restart": 1}, "restart must be true or false, got 1"),
    ],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_refusals(family, options, sentence):
    with pytest.raises(ValueError) as refusal:
        family_class(family).Config(**options)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize("family", FAMILIES)
def test_options_of_other_families_are_none_of_these(family):
    names = {f.name for f in dataclasses.fields(family_class(family).Config)}
    assert not names & {"latent_dim", "network", "hidden"}
    assert family_class(family).Config().network == "conv"
