"""Evaluation of runs: available metrics, saved values, and requests that are refused with a sentence."""

import dataclasses
import json
import math
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from aevae import metrics, runs
from aevae.datasets.base import Split
from aevae.metrics import METRICS, evaluation
from aevae.metrics.metric import Metric, Sample
from aevae.queue import evaluation_task
from aevae.store import checkpoints, files
from tests.conftest import tiny_config

FEW = 60


def test_every_metric_says_what_it_is():
    for name, metric in METRICS.items():
        assert metric.name == name and metric.title and metric.formula.count("{") == metric.formula.count("}")
        assert metric.better in ("", "lower", "higher") and metric.cost in ("quick", "slow")
        assert metric.unit and all(extra.title and extra.unit for extra in metric.extras.values())
        assert {*filter(None, [metric.error, metric.count[1]])} <= set(metric.extras)
        together = {m.name for m in METRICS.values() if m.key == metric.key}
        assert set(metric.beside) <= set(metric.extras) | together


NLL = {"vae", "beta_vae", "iwae", "skip_vae", "ml_vae", "variational_auto_decoder"}


@pytest.mark.parametrize("family", ["ae", "vae", "k_sparse", "vq_vae", "contractive"])
def test_the_slow_ones_of_a_family(zoo, family):
    run = runs.load_run(zoo[family])
    names = [m.name for m in METRICS.values() if not m.applies(run) and m.key != "aevae.metrics.samples.samples"]
    options = {"samples": 3, "temperatures": 3, "chains": 2} if "nll" in names else {}
    found = metrics.evaluate(run, names, n=FEW, options=options)
    assert set(names) <= set(found)
    assert 0 <= found["knn_accuracy"] <= 1 and 0 <= found["linear_probe"] <= 1
    assert len(found["denoising_psnr_by_noise"]) == 11
    if "jacobian_norm" in names:
        size = min(50, run.latent_dim)
        spectrum = found["jacobian_spectrum"]
        assert len(spectrum) == size and spectrum == sorted(spectrum, reverse=True)
        assert found["jacobian_norm"] >= spectrum[0] - 1e-6
    if family == "contractive":
        assert found["jacobian_norm"] ** 2 == pytest.approx(found["jacobian"], rel=0.05), "root of nearly equal squares"


@pytest.mark.slow
def test_every_family_gives_numbers_with_units_or_a_sentence(zoo, monkeypatch):
    """Every metric applies to the family or says why not; what applies has a unit, and so has what training found."""
    from aevae.metrics import denoising, samples

    for module, name, small in ((samples, "NUM_SAMPLES", 40), (samples, "NUM_REPEATS", 2), (denoising, "TESTS", TEST)):
        monkeypatch.setattr(module, name, small)
    for family, name in zoo.items():
        run = runs.load_run(name)
        refused = {m.name: said for m in METRICS.values() if (said := m.applies(run))}
        assert all(len(said.split()) > 3 for said in refused.values())
        assert {m: METRICS[m].applies(run.info) for m in refused} == refused, "the listing says the same"
        assert ("nll" in refused) == (family not in NLL), family
        names = [name for name in METRICS if name not in refused]
        options = {"temperatures": 3, "chains": 2, "samples": 3} if "nll" in names else {}
        found = {key for values in run.metrics.values() for key in values} | set(run.history[-1]["test"])
        measured = set(metrics.evaluate(run, ["all"], n=110, options=options))
        assert measured >= set(names), family
        found |= measured
        objective = metrics.evaluate(run, ["objective"], n=110)["objective"]
        assert objective == runs.evaluate(run.model, run.config.data, run.device, limit=110)["objective"]
        units = runs.units_of(run)
        assert [key for key in sorted(found) if not units.get(key)] == [], family
    assert units_sign(runs.load_run(zoo["iwae"])) == ["elbo", "elbo_median", "iwae", "iwae_median"]


TEST = (("gaussian", 0.1), ("masking", 0.25))


def test_a_single_image_gives_numbers_and_says_what_is_left_out(store, monkeypatch):
    from aevae.metrics import denoising, samples
    from aevae.metrics.metric import TooFew

    for module, name, small in ((samples, "NUM_SAMPLES", 40), (samples, "NUM_REPEATS", 2), (denoising, "TESTS", TEST)):
        monkeypatch.setattr(module, name, small)
    run, said = runs.load_run(store["vae"]), []
    options = {"samples": 3, "temperatures": 3, "chains": 2}
    found = metrics.evaluate(run, ["all"], n=1, options=options, listener=metrics.Listener(on_left_out=said.append))
    assert {"sse", "nll", "ais", "jacobian_norm"} <= set(found) and "knn_accuracy" not in found
    assert [text.split(":")[0] for text in said] == ["without linear_probe", "without knn_accuracy"]
    with pytest.raises(TooFew, match="two classes or more"):
        metrics.evaluate(run, ["knn_accuracy"], n=1)


def units_sign(run):
    """The numbers in nats that are larger where the model is better."""
    return sorted(name for name, unit in runs.units_of(run).items() if unit.endswith("larger is better"))


def test_the_error_over_images_is_the_one_that_is_shown(store):
    from aevae.reporting import comparison

    run = runs.load_run(store["vae"])
    found = metrics.evaluate(run, ["nll"], n=FEW, options={"samples": 20})
    metric = comparison.describe("nll", found)
    assert metric.title == "NLL (upper bound, K = 20)"
    assert comparison.describe("nll", found, {"nll_samples": 3}).title == "NLL (upper bound)", "they differ"
    assert comparison.value_text("nll", found) == f"{found['nll']:,.6g} ± {found['nll_se_pictures']:.2g}"
    assert found["nll_se_pictures"] > found["nll_se"] and 1 <= found["nll_ess"] <= 20
    beside = ["nll_se_pictures", "nll_median", "nll_worst10", "nll_ess"]
    assert comparison.with_extras(["sse", "nll"], found) == ["sse", "nll", *beside]


@pytest.mark.slow
def test_annealing_is_tighter_than_one_sample(store):
    run = runs.load_run(store["vae"])
    found = metrics.evaluate(run, ["ais", "nll"], n=FEW, options={"samples": 1, "temperatures": 60, "chains": 4})
    assert found["ais"] < found["nll"] and found["ais_images"] == FEW
    assert found["ais_gap"] > -3 * found["ais_gap_se"] and found["ais_temperatures"] == 60
    with pytest.raises(ValueError, match=r"temperatures must be in 1\.\.100000, got 0"):
        metrics.evaluate(run, ["ais"], options={"temperatures": 0})


def test_outdated_numbers_are_not_shown(store):
    """A number whose meaning has changed since the run was made is missing, until it is found anew."""
    from aevae.reporting import comparison

    info = checkpoints.find_run(store["vae"])
    numbers = dict(info.metrics["mnist-5k"])
    assert numbers["schema"] == evaluation.SCHEMA and metrics.missing(info, ["total_correlation"]) == []
    old = {"mnist-5k": {k: v for k, v in numbers.items() if k != "schema"}}
    files.write_json(info.path / "metrics.json", old)
    info = checkpoints.find_run(info.name)
    shown = comparison.numbers_of(info, "mnist-5k")
    assert not {"total_correlation", "aggregate_images"} & set(shown) and "sse" in shown
    assert metrics.missing(info, ["sse", "total_correlation"]) == ["total_correlation"]
    metrics.evaluate(runs.load_run(info.name), ["total_correlation"])
    assert "total_correlation" in comparison.numbers_of(checkpoints.find_run(info.name), "mnist-5k")


def test_information_at_its_ceiling_is_known():
    from aevae.reporting import comparison

    assert comparison.at_ceiling({"index_code_mi": math.log(1000) - 0.05, "aggregate_images": 1000})
    assert not comparison.at_ceiling({"index_code_mi": math.log(1000) - 0.05, "aggregate_images": 10_000})
    assert not comparison.at_ceiling({"index_code_mi": 5.0})


def test_more_images_than_samples_of_the_aggregate():
    """The mixture is of all N posteriors, though its logarithm is averaged over M samples; the sum is still the KL."""
    from aevae.models import aggregate

    draw = torch.Generator().manual_seed(0)
    mu, logvar = torch.randn(3000, 2, generator=draw), torch.full((3000, 2), -12.0)
    eps = torch.randn(1000, 2, generator=draw)
    found = aggregate.decompose(mu, logvar, eps, torch.tensor([1.0, 2.0]))
    assert found["index_code_mi"] == pytest.approx(math.log(3000), abs=0.2) and sum(found.values()) == pytest.approx(3)
    assert aggregate.evenly(10, 3).tolist() == [0, 3, 6] and aggregate.evenly(7, 7).tolist() == [*range(7)]


def test_the_jacobian_of_a_linear_code_is_its_matrix(zoo):
    run = runs.load_run(zoo["linear_ae"])
    found = metrics.evaluate(run, ["jacobian_norm", "jacobian_spectrum"], n=5)
    weight = next(p for name, p in run.model.named_parameters() if p.shape == (run.latent_dim, 784))
    assert found["jacobian_norm"] == pytest.approx(float(weight.norm()), rel=1e-5)
    assert found["jacobian_spectrum"] == pytest.approx(torch.linalg.svdvals(weight).tolist(), rel=1e-4)


def test_the_bound_tightens_and_information_is_bounded(store):
    run = runs.load_run(store["vae"])
    bounds = [metrics.evaluate(run, ["nll"], n=200, options={"samples": k}) for k in (2, 20, 200)]
    for wider, closer in ((0, 1), (1, 2)):
        assert bounds[closer]["nll"] <= bounds[wider]["nll"] + 3 * bounds[wider]["nll_se"]
    basics = metrics.evaluate(run, ["quick"])
    assert bounds[0]["nll"] <= -metrics.evaluate(run, ["elbo"], n=200)["elbo"] + 3 * bounds[0]["nll_se"]
    assert -0.05 <= basics["index_code_mi"] <= min(basics["kl"], math.log(1000)) + 0.05
    parts = basics["index_code_mi"] + basics["total_correlation"] + basics["dimensionwise_kl"]
    assert parts == pytest.approx(sum(basics["kl_per_dim"]), abs=1e-3)
    assert basics["bits_per_dim"] == pytest.approx(-basics["elbo"] / 784 / math.log(2))


def test_the_parts_of_the_kl_are_those_of_gaussians():
    """q(z) Gaussian with a known correlation: each part has a closed form."""
    from aevae.models.aggregate import decompose

    draw = torch.Generator().manual_seed(0)
    n, within = 2000, 0.5
    factor = torch.tensor([[1.0, 0], [0.8, 0.6]])
    mu = torch.randn(n, 2, generator=draw) @ factor.T
    logvar = torch.full((n, 2), math.log(within))
    kl = 0.5 * (mu.square() + within - 1 - math.log(within)).mean(0)
    found = decompose(mu, logvar, torch.randn(n, 2, generator=draw), kl)
    total = factor @ factor.T + within * torch.eye(2)
    variance = total.diagonal()
    information = 0.5 * math.log(float(torch.linalg.det(total)) / within**2)
    correlation = 0.5 * float(variance.log().sum() - torch.linalg.det(total).log())
    each = 0.5 * float((variance - 1 - variance.log()).sum())
    assert list(found.values()) == pytest.approx([information, correlation, each], abs=0.08)


def test_what_is_found_is_kept(store, monkeypatch):
    run = runs.load_run(store["vae"])
    first = metrics.evaluate(run, ["nll"], options={"samples": 2}, n=FEW)
    told = []
    listener = metrics.Listener(lambda *a: told.append(a))
    again = metrics.evaluate(run, ["nll"], options={"samples": 2}, n=FEW, listener=listener)
    assert again == first and not told, "read, not computed"
    assert metrics.evaluate(run, ["nll"], options={"samples": 2}, n=FEW, seed=1)["nll"] != first["nll"]
    assert "nll" not in checkpoints.find_run(run.name).metrics["mnist-5k"], "only what was asked with the defaults"
    monkeypatch.setattr(evaluation, "SCHEMA", evaluation.SCHEMA + 1)
    metrics.evaluate(run, ["nll"], options={"samples": 2}, n=FEW, listener=listener)
    assert told, "stale numbers are found anew"


def test_the_defaults_stand_among_the_numbers_of_the_run(store):
    info = checkpoints.find_run(store["ae"])
    assert metrics.missing(info, ["sse", "jacobian_norm", "nll"]) == ["jacobian_norm"], "nll: an ae has none"
    found = metrics.evaluate(runs.load_run(info.name), ["jacobian_norm"])
    after = checkpoints.find_run(info.name)
    assert after.metrics["mnist-5k"]["jacobian_norm"] == found["jacobian_norm"]
    assert after.metrics["mnist-5k"]["sse"] == info.metrics["mnist-5k"]["sse"]
    assert metrics.missing(after, ["sse", "jacobian_norm"]) == []


def test_a_shipped_run_stays_as_it_is(store, tmp_path, monkeypatch):
    info = checkpoints.find_run(store["ae"])
    shelf = tmp_path / "pretrained" / info.name
    shutil.copytree(info.path, shelf)
    shutil.rmtree(info.path)
    monkeypatch.setenv("AEVAE_CACHE", str(tmp_path / "cache"))
    before = (shelf / "metrics.json").read_bytes()
    run = runs.load_run(info.name)
    found = metrics.evaluate(run, ["jacobian_norm"])
    assert run.info.shipped and (shelf / "metrics.json").read_bytes() == before
    assert checkpoints.find_run(info.name).metrics["mnist-5k"]["jacobian_norm"] == found["jacobian_norm"]
    (kept,) = (tmp_path / "cache" / "metrics").glob("*.json")
    kept.write_text("{", "utf-8")
    assert "jacobian_norm" not in checkpoints.find_run(info.name).metrics["mnist-5k"], "a damaged note is no note"
    assert metrics.evaluate(runs.load_run(info.name), ["jacobian_norm"]) == found


def diverge(name):
    """Weights that are no numbers, and a checksum that agrees."""
    info = checkpoints.find_run(name)
    file = info.path / "model.safetensors"
    weights = load_file(file)
    key = next(iter(k for k, v in weights.items() if v.numel() > 1 and v.is_floating_point()))
    weights[key] = weights[key] * float("nan")
    save_file(weights, file)
    state = json.loads((info.path / "state.json").read_text("utf-8"))
    state["checksums"]["model.safetensors"] = files.checksum(file)
    (info.path / "state.json").write_text(json.dumps(state), "utf-8")
    return runs.load_run(name)


@pytest.mark.parametrize("metric", ["sse", "active_units", "nll", "knn_accuracy", "frechet_distance"])
def test_a_model_that_is_not_a_number_has_no_numbers(store, metric):
    run = diverge(store["vae"])
    with pytest.raises(ValueError, match="has diverged: its results are not numbers"):
        metrics.evaluate(run, [metric], n=FEW)


def test_a_value_that_is_not_a_number_is_refused(store, monkeypatch):
    bad = Metric("bad", "bad", "", "", lambda run, data, seed: {"bad": math.inf})
    monkeypatch.setitem(METRICS, "bad", bad)
    with pytest.raises(ValueError, match="diverged"):
        metrics.evaluate(runs.load_run(store["ae"]), ["bad"])


def test_refusals(store, monkeypatch):
    vae, ae = (runs.load_run(store[f]) for f in ("vae", "ae"))
    for run, names, more, words in (
        (ae, ["nll"], {}, "ae has no prior"),
        (ae, ["kl"], {}, "ae has no kl"),
        (vae, ["fid"], {}, "metric must be one of"),
        (vae, ["nll"], {"options": {"samples": 0}}, "samples must be in 1..100000, got 0"),
        (vae, ["nll"], {"options": {"samples": True}}, "samples must be in 1..100000"),
        (vae, ["nll"], {"options": {"k": 3}}, "no.* option 'k'"),
        (vae, ["nll"], {"n": -1}, "n must be 0 or more, got -1"),
        (vae, ["mig"], {}, "trained on sprites"),
        (vae, ["interpolation_distance"], {}, "trained on lines"),
        (vae, ["linear_probe"], {"n": 5}, "two classes|at least 20 images"),
    ):
        with pytest.raises(ValueError, match=words):
            metrics.evaluate(run, names, **more)
    from aevae import datasets

    full = datasets.load(vae.config.data)
    empty = dataclasses.replace(full, test=full.test.take(slice(0)))
    monkeypatch.setattr(datasets, "load", lambda config: empty)
    with pytest.raises(ValueError, match="mnist-5k has no test images"):
        metrics.evaluate(vae, ["sse"], n=7)


def test_it_stops_and_keeps_what_was_found(store):
    run = runs.load_run(store["vae"])
    asked = iter([False] * 3 + [True] * 100)
    found = metrics.evaluate(
        run, ["sse", "nll"], n=FEW, options={"samples": 50}, listener=metrics.Listener(should_stop=lambda: next(asked))
    )
    assert "sse" in found and "nll" not in found
    asked = iter([False] * 3 + [True] * 100)
    request = {"run": run.name, "metrics": ["nll"], "n": FEW}
    assert not evaluation_task.work(request, lambda news: None, lambda: next(asked))
    told = []
    assert evaluation_task.work(request | {"options": {"samples": 2}}, told.append, lambda: False)
    assert all(0 <= news["fraction"] <= 1 and news["text"] for news in told) and json.dumps(told)
    with pytest.raises(ValueError, match="no run"):
        evaluation_task.work({"run": "nothing", "metrics": ["nll"]}, told.append, lambda: False)


def test_the_readers_of_codes():
    """Codes that are the class are read by both readers; codes that are noise by none."""
    from aevae.metrics import codes

    labels = np.arange(400) % 4
    sample = Sample(Split(np.zeros((400, 1, 28, 28), np.uint8), labels))

    class Run:
        name = "made"

    for told, low, high in ((np.eye(4)[labels], 0.99, 1), (np.zeros((400, 4)), 0, 0.4)):
        noise = 0.1 * np.random.default_rng(0).normal(size=(400, 4))
        sample._posterior["made"] = torch.tensor(told + noise), None
        for reader, name, tested in ((codes.probe, "linear_probe", 200), (codes.neighbours, "knn_accuracy", 400)):
            found = reader(Run, sample, 0)
            assert low <= found[name] <= high
            assert found[f"{name}_se"] == pytest.approx(math.sqrt(found[name] * (1 - found[name]) / tested))


@pytest.mark.slow
def test_disentanglement_and_walks_of_trained_runs(store, monkeypatch):
    from aevae.config import DataConfig
    from aevae.metrics import disentanglement

    for name, small in (("NUM_TREES", 1), ("MAX_TRAINING_CODES", 300), ("NUM_VOTES", 40)):
        monkeypatch.setattr(disentanglement, name, small)

    for dataset, names in (("sprites", ["mig", "sap", "factor_vae"]), ("lines", ["interpolation_distance"])):
        config = dataclasses.replace(tiny_config("vae"), data=DataConfig(dataset, limit=200))
        run = runs.load_run(runs.train_or_load(config, "cpu").name)
        found = metrics.evaluate(run, names)
        extras = {"sprites": {"factor_vae_se"}, "lines": set()}[dataset]
        assert set(found) == set(names) | extras and all(0 <= value <= 1 for value in found.values())
        assert all(runs.units_of(run)[name] for name in found)


def test_pca_is_that_of_scikit_learn():
    from sklearn.decomposition import PCA

    from aevae.models.linear_ae import pca

    x = np.random.default_rng(0).normal(size=(300, 50)) @ np.random.default_rng(1).normal(size=(50, 50))
    theirs = PCA(5).fit(x)
    mean, components = (t.numpy() for t in pca(torch.tensor(x), 5))
    assert np.allclose(mean, theirs.mean_) and np.allclose(
        np.abs(components @ theirs.components_.T), np.eye(5), atol=1e-8
    )
    ours = x - mean - (x - mean) @ components.T @ components
    assert np.square(ours).sum() == pytest.approx(np.square(x - theirs.inverse_transform(theirs.transform(x))).sum())


def test_white_is_one_in_every_metric():
    split = Split(np.full((2, 1, 28, 28), 255, np.uint8), np.zeros(2, np.int64))
    assert Sample(split).images.unique().tolist() == [1.0]
