"""The shipped runs load, reproduce their stored numbers, and fit into the repository."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors import safe_open

from aevae import datasets, paths, runs
from aevae.config import DataConfig
from aevae.latent import filters
from aevae.metrics import classifier, toys
from aevae.models import FAMILIES
from aevae.store import bundles, checkpoints
from aevae.ui.film import film_view
from benchmarks import shipped as table
from scripts import make_classifier, make_filters, make_labs, make_maps, make_pretrained, make_toys

pytestmark = pytest.mark.usefixtures("shipped_runs")

OF_TRAINING_SET = {"sse_unclipped", "pca_sse", "above_pca", "pca_angle"}  # need the images that the run was trained on
RUNS = sorted(f.name for f in (paths.ROOT / "checkpoints" / "pretrained").iterdir() if f.is_dir())


def kinds() -> set[tuple]:
    models = [run.config["model"] for run in checkpoints.list_runs()]
    return {(m["family"], m.get("latent_dim"), m.get("network")) for m in models}


def test_what_is_shipped():
    wanted = {("ae", 2), ("ae", 32), ("denoising", 32), ("vae", 2), ("vae", 20), ("beta_vae", 10)}
    assert wanted <= {k[:2] for k in kinds()}
    assert any(network == "conv" for *_, network in kinds())
    assert {family for family, *_ in kinds()} == set(FAMILIES), "every family has something to open"
    beta = [r.config["model"]["beta"] for r in checkpoints.list_runs() if r.family == "beta_vae"]
    assert 4.0 in beta


def test_shipped_runs_are_what_the_script_makes_today():
    """A recipe that changes changes the fingerprints: then they must be made anew."""
    assert set(RUNS) == {config.name for config in make_pretrained.configs()}


@pytest.mark.parametrize("bundle", make_labs.BUNDLES)
def test_models_of_the_labs_are_what_the_script_makes_today(bundle):
    stored = {name: member.config.fingerprint for name, member in bundles.load(bundle).items()}
    assert stored == {name: config.fingerprint for name, config in make_labs.configs()[bundle].items()}


def test_every_file_of_the_labs_has_a_script():
    assert {*bundles.names()} == {*make_labs.BUNDLES, "reader"} == {*make_labs.configs(), "reader"}


def test_maps_are_what_the_script_makes_today():
    """A request contains the checksum of the run's weights: maps of a run that was trained again must be made anew."""
    wanted = {request.identity[:16] for request in make_maps.requests()}
    assert wanted == {file.stem for file in (paths.ROOT / "checkpoints" / "maps").iterdir()}


@pytest.mark.parametrize(
    ("file", "key", "today"),
    [
        (make_filters.OUT, "runs", {name: c.fingerprint for name, c in make_filters.configs().items()}),
        (classifier.FILE, "recipe", make_classifier.RECIPE),
        (bundles.folder() / "reader.safetensors", "recipe", make_labs.READER),
        (toys.STORE, "recipe", make_toys.RECIPE),
    ],
    ids=["filters", "classifier", "reader", "toys"],
)
def test_small_files_are_what_their_scripts_make_today(file, key, today):
    with safe_open(file, "numpy") as stored:
        assert json.loads(stored.metadata()[key]) == today


def test_filters_have_every_setting():
    assert list(make_filters.SETTINGS) == list(filters.SETTINGS)


def test_at_most_25_mb():
    size = sum(f.stat().st_size for f in (paths.ROOT / "checkpoints" / "pretrained").rglob("*") if f.is_file())
    assert size < 25_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_stored_numbers(name):
    """On the digits that every installation has: the 1,000 test digits of mnist-5k, which no shipped run has seen."""
    from aevae.runs import evaluate, load_run

    run = load_run(name)
    assert run.info.status == "finished" and run.info.shipped
    assert run.config.data.leave_out_5k == (run.config.data.name == "mnist")
    stored = run.metrics[run.shown.name]
    fresh = evaluate(run.model, DataConfig(run.shown.name), run.device)
    for metric, value in stored.items():
        if metric != "schema" and not metric.startswith(tuple(OF_TRAINING_SET)):
            assert fresh[metric] == pytest.approx(value, rel=1e-3, abs=1e-4), metric


@pytest.mark.parametrize("name", RUNS)
def test_a_film_is_shipped_of_what_takes_single_images(name):
    info = checkpoints.find_run(name)
    film = film_view.read(info)
    assert (film is None) == (info.traits["input"] != "image")
    if film is None:
        assert (info.path / "preview.png").stat().st_size > 200, "a sheet stands for it"
        return
    assert 2 <= len(film["epoch"]) <= runs.SHIPPED_FRAMES and film["epoch"][-1] == info.epochs
    arrays = film_view.parcel(film, film_view.plane_of(film["codes"][-1]))
    assert arrays["0.mu"].shape[2] == info.latent_dim and all(np.isfinite(a).all() for a in arrays.values())


@pytest.mark.mnist
def test_stored_numbers_of_pca(mnist):
    from aevae.runs import evaluate, load_run

    (name,) = [n for n in RUNS if n.startswith("linear_ae")]
    run = load_run(name)
    stored = run.metrics[run.shown.name]
    fresh = evaluate(run.model, DataConfig(run.shown.name), run.device, trained_on=run.config.data)
    assert set(fresh) >= OF_TRAINING_SET
    for metric in OF_TRAINING_SET:
        assert fresh[metric] == pytest.approx(stored[metric], rel=1e-3, abs=1e-4), metric


@pytest.mark.slow
@pytest.mark.mnist
def test_the_well_known_number(mnist):
    """vae d=20, 784-400-20-400-784: a test negative ELBO of about 101 nats after 20 epochs of `fast` (Adam 1e-3, batch
    128, ten epochs: 105.5)."""
    from aevae.runs import evaluate, load_run

    (name,) = [n for n in RUNS if n.startswith("vae") and checkpoints.find_run(n).config["model"]["latent_dim"] == 20]
    run = load_run(name)
    fresh = evaluate(run.model, DataConfig("mnist"), run.device)
    assert 100 < -fresh["elbo"] < 101.6
    assert fresh["elbo"] == pytest.approx(run.metrics["mnist"]["elbo"], rel=1e-3)


@pytest.mark.mnist
def test_shipped_runs_have_not_seen_the_shown_digits(mnist):
    shown = {image.tobytes() for image in datasets.load(DataConfig("mnist-5k")).test.images}
    learnt = datasets.load(DataConfig("mnist", leave_out_5k=True)).train.images
    assert len(learnt) == 59_000
    assert not any(image.tobytes() in shown for image in learnt)


def test_the_table_of_shipped_runs_is_measured_from_the_weights():
    """Not one number is read from metrics.json; what is sampled has a spread, what is not has none."""
    name = next(name for name in RUNS if name.startswith("vae-mnist"))
    run = runs.load_run(name)
    run.metrics = None
    run.config = dataclasses.replace(run.config, data=DataConfig("mnist-5k"))
    found = table.measure(run, draws=3, n=40)
    fresh = runs.evaluate(run.model, DataConfig("mnist-5k"), run.device, limit=40)
    for number in ("recon", "kl", "elbo", "recon_median", "recon_worst10", "sse", "sse_median", "psnr"):
        assert found[number][0] == pytest.approx(fresh[number], rel=1e-6), number
    assert len({*found["recon"]}) == len({*found["psnr_noise"]}) == 3
    assert len(found["sse"]) == 1 and found["kl"] == pytest.approx([found["kl"][0]] * 3)
    assert max(found["psnr_noise"]) < found["psnr"][0]


def test_runs_of_other_seeds_make_one_row():
    def run(seed: int, beta: float, shipped: bool):
        config = {"model": {"family": "beta_vae", "beta": beta}, "seed": seed}
        return checkpoints.RunInfo(f"r{seed}{beta}", paths.ROOT, "finished", config=config, shipped=shipped)

    shelf = [run(0, 4.0, True), run(0, 2.0, True)]
    others = [run(0, 4.0, False), run(1, 4.0, False), run(2, 4.0, False), run(1, 8.0, False)]
    joined = table.groups(shelf, others)
    assert [[info.config["seed"] for info in group] for group in joined] == [[0, 1, 2], [0]]
    assert joined[0][0].shipped, "seed 0 is the shipped one"
    each = [{"recon": [1.0, 3.0]}, {"recon": [4.0]}, {"recon": [6.0]}]
    assert table.joined(each, "recon") == (4.0, 2.0), "over training seeds"
    assert table.joined(each[:1], "recon", -1) == (-2.0, pytest.approx(2**0.5)), "over seeds of the noise"
    assert table.joined(each[1:2], "recon") == (4.0, None) and table.joined(each, "kl") is None
