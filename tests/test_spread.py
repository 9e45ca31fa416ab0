"""The median of a cost and the share of the ten worst images, where the answer is known."""

import numpy as np
import pytest
import torch

from aevae import losses, metrics, paths, runs
from aevae.config import DataConfig
from aevae.metrics import EXTRAS, METRICS, evidence
from aevae.models import FAMILIES, build_model, family_class
from aevae.outputs import Loss
from aevae.reporting import comparison
from aevae.spread import Tally, spread, worst_share
from aevae.store import checkpoints, files
from aevae.units import TERM_UNITS
from tests.conftest import TINY, fitting


def test_one_outlier():
    """10,000 digits of 26 nats and one of 13,236: the mean moves by 1.3 nats, the share of the worst ten to 6 %."""
    costs = np.full(10_000, 26.0)
    assert worst_share(costs) == pytest.approx(0.001)
    costs[1234] = 13_236
    found = spread({"kl": costs})
    total = 9_999 * 26 + 13_236
    assert costs.mean() == pytest.approx(27.32, abs=0.01)
    assert found == {"kl_median": 26.0, "kl_worst10": pytest.approx((13_236 + 9 * 26) / total), "kl_max": 13_236.0}


@pytest.mark.parametrize(
    ("costs", "share"),
    [
        (np.ones(10), 1.0),
        (np.ones(4), 1.0),
        (np.ones(40), 0.25),
        (np.arange(101), (100 + 91) / 2 * 10 / 5050),
        (np.r_[np.zeros(990), np.ones(10)], 1.0),
        (np.r_[np.full(99, 5.0), -1.0], None),
        (np.zeros(100), None),
        (np.r_[np.full(99, 5.0), -1e-5], 10 / 99),  # rounding
    ],
)
def test_the_share_of_the_worst_ten(costs, share):
    found = worst_share(costs)
    assert found is None if share is None else found == pytest.approx(share, rel=1e-6)


def test_a_gain_is_judged_by_its_negative():
    elbo = -np.r_[np.full(99, 100.0), 1000.0]
    found = spread({"elbo": elbo})
    assert found == {"elbo_median": -100.0, "elbo_worst10": pytest.approx(1900 / 10_900)}


def test_terms_have_the_units_of_the_registry():
    known = {name: METRICS[name].unit for name in TERM_UNITS if name in METRICS}
    assert len(known) >= 8 and known.items() <= TERM_UNITS.items()


def test_negative_costs_have_a_median_and_no_share():
    assert spread({"recon": np.array([-3.0, 1.0, 5.0])}) == {"recon_median": 1.0}


def test_the_tally_joins_batches_and_averages_draws():
    tally = Tally()
    for batch in ([1.0, 2.0], [3.0], [3.0, 4.0], [5.0]):  # two passes through three images
        each = torch.tensor(batch)
        tally.add(Loss(each.mean(), {"recon": each.mean()}, {"recon": each}), len(batch))
    assert tally.means() == {"recon": 3.0, "objective": 3.0}
    assert tally.per_image(draws=2)["recon"].tolist() == [2.0, 3.0, 4.0]


VARIANTS = [
    *((family, {}) for family in FAMILIES),
    ("beta_vae", {"penalty": "capacity"}),
    ("beta_vae", {"penalty": "total_correlation"}),
    ("vae", {"free_bits": 0.5}),
    ("vae", {"samples": 3}),
    ("vae", {"likelihood": "gaussian_learned"}),
    ("ml_vae", {"free_bits": 0.5}),
    ("iwae", {"samples": 1}),
    ("vq_vae", {"codebook": "gradient"}),
    ("auto_decoder", {"l2": 0.1}),
    ("contractive", {"hessian": 0.1}),
    ("flow_vae", {"pairs": "class"}),
]
OF_THE_BATCH = {  # terms that are no means over images
    "sparse_kl": {"sparsity", "objective"},
    "flow_vae": {"roughness", "objective"},
    "capacity": {"objective"},
    "total_correlation": {"objective", "total_correlation"},
    "free_bits": {"objective"},
}


@pytest.mark.parametrize(("family", "options"), VARIANTS)
def test_each_term_is_the_mean_of_its_values(family, options):
    model = build_model(family_class(family).Config(**fitting(family, **TINY) | options), 0)
    x = torch.rand(12, *model.shape, generator=torch.Generator().manual_seed(0))
    model.setup(len(x))
    told = {"labels": torch.arange(12) % 3} if "labels" in model.extra_inputs else {}
    loss = model.eval().loss(x, generator=torch.Generator().manual_seed(1), **told)
    values = loss.terms | {"objective": loss.total.detach()}
    for name, each in loss.per_image.items():
        assert each.shape == (12,) and not each.requires_grad
        assert float(each.mean()) == pytest.approx(float(values[name]), rel=1e-4, abs=1e-4), name
    batch = set().union(*(OF_THE_BATCH.get(key, set()) for key in (family, *options, options.get("penalty"))))
    assert set(loss.per_image) == set(values) - batch
    told |= {"index": torch.arange(12)} if "index" in model.extra_inputs else {}
    assert model.train().loss(x, generator=torch.Generator().manual_seed(1), **told).per_image == {}


def test_images_apart_cost_what_they_cost_together():
    model = build_model(family_class("vae").Config(**fitting("vae", **TINY)), 0).eval()
    x = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    each = model.loss(x).per_image
    for i in range(5):
        assert float(model.loss(x[i : i + 1]).terms["kl"]) == pytest.approx(float(each["kl"][i]), rel=1e-5)
    mu, logvar = model.posterior(x)
    assert torch.allclose(each["kl"], losses.gaussian_kl(mu, logvar))


def test_history_has_the_spread_and_old_history_is_read(store):
    run = runs.load_run(store["vae"])
    for line in run.history:
        assert set(line["spread"]) == {"kl_max"} | {
            f"{term}_{what}" for term in ("recon", "kl", "elbo", "objective") for what in ("median", "worst10")
        }
        assert 0.01 <= line["spread"]["recon_worst10"] <= 0.1, "1,000 test digits"
        assert line["spread"]["elbo_median"] == -line["spread"]["objective_median"]
        assert line["spread"]["kl_median"] <= line["spread"]["kl_max"]
    folder = paths.runs_dir() / run.name
    old = [{k: v for k, v in line.items() if k != "spread"} for line in run.history]
    files.write_history(folder / "history.jsonl", old)
    assert runs.load_run(run.name).history == old


def test_numbers_of_a_run(store):
    run = runs.load_run(store["vae"])
    values = run.metrics["mnist-5k"]
    x = torch.tensor(runs.shown_images(DataConfig("mnist-5k")))
    errors = comparison.squared_errors(x.numpy(), run.reconstruct(x.numpy()))
    assert values["sse_median"] == pytest.approx(np.median(errors), rel=1e-5)
    assert values["sse_worst10"] == pytest.approx(worst_share(errors), rel=1e-5)
    assert values["kl_max"] == pytest.approx(float(run.model.loss(x).per_image["kl"].max()), rel=1e-5)
    again = evidence.evidence(run.model, x, torch.Generator().manual_seed(0))
    assert values["recon_worst10"] == again["recon_worst10"]
    for name in ("recon", "kl", "elbo", "sse", "bce"):
        assert METRICS[f"{name}_median"].unit == METRICS[name].unit
        assert METRICS[f"{name}_median"].better == METRICS[name].better
    found = metrics.evaluate(run, ["kl"])
    assert set(found) == {"kl", "kl_median", "kl_worst10", "kl_max"}, "a mean comes with its spread"
    assert set(metrics.evaluate(run, ["kl_max"])) == {"kl_max"}


# Not means over images: estimates for the mixture of all posteriors, one number per dimension, a largest value.
NO_MEANS = {"index_code_mi", "total_correlation", "dimensionwise_kl", "kl_per_dim", "kl_max"}
BOTH_SIGNS = {"above_pca"}  # a difference, which has no share of a sum


def test_every_mean_of_an_unbounded_cost_has_its_spread_beside_it():
    costs = {name: m for name, m in METRICS.items() if m.unit.startswith(("nats / image", "squared error"))}
    means = {name for name in costs if not name.endswith("_median")} - NO_MEANS
    assert means >= {"recon", "objective", "nll", "ais", "sse", "sse_unclipped", "pca_sse", "above_pca"}
    for name in {*means, "jacobian_norm"}:
        wanted = {f"{name}_median", *(() if name in BOTH_SIGNS else (f"{name}_worst10",))}
        assert wanted <= set(METRICS[name].beside), name
        assert METRICS[f"{name}_median"].unit == METRICS[name].unit
        assert {METRICS[other].key for other in wanted} == {METRICS[name].key}, "computed together"


def test_the_slow_means_have_the_spread_of_their_images(zoo):
    vae = runs.load_run(zoo["vae"])
    for name, options in (("nll", {"samples": 3}), ("ais", {"temperatures": 3, "chains": 2}), ("jacobian_norm", {})):
        found = metrics.evaluate(vae, [name], n=60, options=options)
        assert {f"{name}_median", f"{name}_worst10"} <= set(found), name
        assert found[f"{name}_median"] == pytest.approx(found[name], rel=0.3), name
        assert 1 / 6 < found[f"{name}_worst10"] < 0.5, "ten of 60 images"
    linear = runs.load_run(zoo["linear_ae"]).metrics["mnist-5k"]
    assert {"sse_unclipped_worst10", "pca_sse_median", "above_pca_median"} <= set(linear)
    assert "above_pca_worst10" not in linear and set(linear) - set(METRICS) <= set(runs.numbers.UNITS) | set(EXTRAS)


def test_metrics_of_an_older_program_are_read_without_the_new_ones(store):
    info = checkpoints.find_run(store["vae"])
    entry = metrics.evaluate(runs.load_run(info.name), ["nll"], options={"samples": 2}, n=60)
    text = (info.path / "metrics.json").read_text("utf-8")
    for name in ("nll_median", "nll_worst10", "objective_median", "objective_worst10"):
        text = text.replace(f'"{name}"', f'"gone_{name}"')
    (info.path / "metrics.json").write_text(text, "utf-8")
    again = metrics.evaluate(runs.load_run(info.name), ["nll"], options={"samples": 2}, n=60)
    assert again["nll"] == entry["nll"] and "nll_median" not in again
    assert METRICS["objective_median"].applies(checkpoints.find_run(info.name)) == "vae has no objective_median"


def test_a_table_has_the_spread_beside_the_mean(store):
    names = ["sse", "psnr", "kl"]
    found = [checkpoints.find_run(store[family]).metrics["mnist-5k"] for family in ("ae", "vae")]
    beside = ["sse", "sse_median", "sse_worst10", "psnr", "kl", "kl_median", "kl_worst10", "kl_max"]
    assert comparison.with_extras(names, *found) == beside
    assert comparison.with_extras(names, *found[:1]) == [*beside[:4], "kl"], "an autoencoder has no KL"
    old = [{name: value for name, value in values.items() if name in names} for values in found]
    assert comparison.with_extras(names, *old) == names, "a run of an older program"
    assert {"recon_median", "elbo_worst10"} <= set(comparison.OF_LIKELIHOOD)
    assert not {"kl_median", "sse_median"} & set(comparison.OF_LIKELIHOOD)
    assert comparison.gain(comparison.describe("sse_median"), 1.0, 2.0) == 1
    assert comparison.gain(comparison.describe("kl_worst10"), 1.0, 2.0) == 0
    for name in ("sparsity_median", "kl_content_worst10", "objective_median"):
        assert comparison.describe(name).unit in ("nats / image", "fraction of the sum")


@pytest.mark.parametrize("likelihood", ["gaussian", "continuous_bernoulli"])
def test_a_density_has_medians_and_no_share(likelihood):
    model = build_model(family_class("vae").Config(**fitting("vae", **TINY), likelihood=likelihood), 0)
    x = torch.rand(12, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    found = evidence.evidence(model, x, torch.Generator().manual_seed(0))
    assert {"recon_median", "elbo_median", "kl_worst10"} <= set(found)
    assert not {"recon_worst10", "elbo_worst10", "objective_worst10"} & set(found)
