"""Multi-level VAE: groups, evidence, and predictability of the class from content and style."""

import dataclasses

import pytest
import torch
from model_helpers import random_images, rng

from aevae import datasets
from aevae.config import DataConfig, TrainConfig, build
from aevae.models import build_model
from aevae.models.ml_vae import MLVAEConfig, pooled, readable
from aevae.training.trainer import Trainer, TrainingData


def make(**options):
    return build_model(MLVAEConfig(**{"content_dim": 3, "style_dim": 2, "hidden": 24} | options), seed=1)


LABELS = torch.tensor([0, 1, 0, 2, 1, 0, 2, 2])


def test_the_code_is_content_and_style():
    config = MLVAEConfig(content_dim=7, style_dim=4)
    assert config.latent_dim == 11 and "latent_dim" not in {f.name for f in dataclasses.fields(config)}
    content, style = make().parts(torch.arange(10.0).view(2, 5))
    assert content.tolist() == [[0, 1, 2], [5, 6, 7]] and style.tolist() == [[3, 4], [8, 9]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"latent_dim": 8}, "unknown option 'latent_dim'"),
        ({"style_dim": 0}, r"style_dim must be in 1..256, got 0"),
        ({"grouping": "colour"}, "grouping must be one of label, random, got colour"),
        ({"pooling": "max"}, "pooling must be one of product, average, got max"),
    ],
)
def test_refusals(options, words):
    with pytest.raises(ValueError, match=words):
        build(MLVAEConfig, options)


def test_swap_pairs_every_content_with_every_style():
    model, z = make(), torch.arange(15.0).view(3, 5)
    grid = model.swap(z, z[:2])
    assert grid.shape == (3, 2, 5) and torch.equal(grid[1, 1], z[1])
    assert torch.equal(grid[2, 0], torch.cat([z[2, :3], z[0, 3:]]))


@pytest.mark.parametrize("pooling", ["product", "average"])
def test_the_order_in_a_batch_does_not_matter(pooling):
    model, x, order = make(pooling=pooling).double(), random_images(8).double(), torch.randperm(8, generator=rng())
    a, b = model.loss(x, labels=LABELS), model.loss(x[order], labels=LABELS[order])
    assert torch.isclose(a.total, b.total, rtol=1e-12)


def test_names_of_groups_do_not_matter():
    model, x = make(), random_images(8)
    a, b = model.loss(x, labels=LABELS, generator=rng()), model.loss(x, labels=100 - 3 * LABELS, generator=rng())
    assert torch.equal(a.total, b.total)


def test_a_shared_content_costs_a_group_once():
    """The same picture n times: the group's KL(c) is counted once, so a picture's share is less than alone."""
    model, x = make(), random_images(1).expand(6, 1, 28, 28)
    alone, together = model.loss(x), model.loss(x, labels=torch.zeros(6, dtype=torch.long))
    assert torch.isclose(alone.terms["kl_style"], together.terms["kl_style"])
    mu, logvar = (model.parts(t)[0][:1] for t in model.posterior(x))
    expected = model.kl_per_dim(
        torch.cat([mu, mu], 1)[:, :5], torch.cat([logvar] * 2, 1)[:, :5] - torch.log(torch.tensor(6.0))
    )
    assert torch.isclose(together.terms["kl_content"], expected[:, :3].sum() / 6)


def test_style_weighs_only_in_the_objective():
    model, x = make(style_weight=3.0), random_images(8)
    loss = model.loss(x, labels=LABELS, generator=rng())
    terms = loss.terms
    assert torch.isclose(terms["kl"], terms["kl_content"] + terms["kl_style"])
    assert torch.isclose(terms["elbo"], -(terms["recon"] + terms["kl"]))
    assert torch.isclose(loss.total, terms["recon"] + terms["kl"] + 2 * terms["kl_style"])


def test_random_groups_have_the_sizes_of_the_labels():
    model = make(grouping="random")
    same = model.groups(LABELS, rng(3))
    assert sorted(same.sum(1).tolist()) == sorted(make().groups(LABELS, None).sum(1).tolist())
    assert not torch.equal(same, make().groups(LABELS, None)) and torch.equal(same, same.T)
    assert torch.equal(model.groups(LABELS, None), model.groups(LABELS, None))


def test_evidence_accumulates_only_by_the_product():
    x = random_images(8)
    variance = make().accumulate(x)[1].exp()
    assert (variance.diff(dim=0) < 0).all()
    assert not (make(pooling="average").accumulate(x)[1].exp().diff(dim=0) < 0).all()


def test_the_average_is_the_mean_of_means_and_of_variances():
    mu, logvar = torch.tensor([[0.0], [4.0]]), torch.tensor([[1.0], [3.0]]).log()
    mean, total = pooled(mu, logvar, torch.ones(1, 2), "average")
    assert mean.item() == 2 and total.exp().item() == pytest.approx(2)


def test_a_reader_reads_what_is_there():
    labels = torch.arange(300) % 3
    clear = torch.nn.functional.one_hot(labels).float()
    assert readable(clear, labels) == 1
    assert readable(torch.randn(300, 3, generator=rng()), labels) < 0.5


def test_no_class_is_read_from_few_images_or_one_class():
    model = make()
    assert "class_from_style" not in model.metrics(random_images(20), torch.arange(20), rng())
    assert "class_from_style" not in model.metrics(random_images(120), torch.zeros(120), rng())
    assert "class_from_style" in model.metrics(random_images(120), torch.arange(120) % 2, rng())


@pytest.fixture(scope="module")
def classes():
    """How often the class is read from (content, style) of a model that learnt by labels, and with random groups."""
    data, values = datasets.load(DataConfig("mnist-5k")), {}
    x, labels = torch.tensor(data.test.images).float().div(255), torch.tensor(data.test.labels)
    for grouping in ("label", "random"):
        model = make(content_dim=8, style_dim=8, hidden=128, grouping=grouping)
        both_labels = (data.train.labels, data.test.labels)
        recipe = TrainConfig(epochs=8, batch_size=100)
        Trainer(
            model, TrainingData(data.train.images, data.test.images[:10], both_labels), recipe, 0, torch.device("cpu")
        ).fit()
        with torch.no_grad():
            values[grouping] = [readable(part, labels) for part in model.eval().parts(model.encode(x))]
    return values


@pytest.mark.slow
def test_class_is_in_the_content_and_not_in_the_style(classes):
    content, style = classes["label"]
    assert content > 0.8 and style < 0.6


def test_random_groups_drive_the_class_from_the_content_into_the_style(classes):
    (content, style), (loose_content, loose_style) = classes["label"], classes["random"]
    assert loose_content < content - 0.2 and loose_style > style + 0.2
