"""Every command: what it prints and what it writes."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from cli_helpers import TINY, call, error_message, json_output

from aevae import paths, runs
from aevae.config import DataConfig, plain, preset
from aevae.models import family_class
from aevae.store import checkpoints

TESTED = {"kl_max"} | {
    name + end for name in ("recon", "kl", "elbo", "objective", "sse") for end in ("", "_median", "_worst10")
}


def test_train(empty_store, capsys):
    first = json_output(capsys, "train", "--family", "beta_vae", "--beta", "2", *TINY)
    assert set(first) == {"run", "fingerprint", "cached", "epochs", "seconds", "device", "test", "units"}
    assert (first["cached"], first["epochs"]) == (False, 1)
    assert set(first["test"]) == TESTED
    stored = checkpoints.find_run(first["run"]).metrics["mnist-5k"]
    assert first["test"]["sse"] == stored["sse"] and first["test"]["sse_worst10"] == stored["sse_worst10"]
    assert set(first["units"]) == {"epochs", "seconds"} | TESTED and all(first["units"].values())
    assert (first["units"]["sse"], first["units"]["kl_max"]) == ("squared error / image", "nats / image")
    again = json_output(capsys, "train", "--family", "beta_vae", "--beta", "2", *TINY)
    assert again["cached"] and again["run"] == first["run"] and again["test"] == first["test"]
    forced = json_output(capsys, "train", "--family", "beta_vae", "--beta", "2", *TINY, "--force")
    assert not forced["cached"] and forced["test"] == first["test"]
    other = json_output(capsys, "train", "--family", "beta_vae", "--beta", "3", *TINY, "--seed", 1)
    assert other["run"] != first["run"]


def test_sweep(empty_store, capsys):
    args = ["sweep", "--family", "beta_vae", *TINY, "--set", "beta=1,4", "--seeds", 2, "--seed", 5]
    found = json_output(capsys, *args)
    assert [(row["beta"], row["seed"]) for row in found["runs"]] == [("1", 5), ("1", 6), ("4", 5), ("4", 6)]
    for row in found["runs"]:
        config = checkpoints.finished_run(row["run"]).config
        assert (config["model"]["beta"], config["seed"]) == (float(row["beta"]), row["seed"])
        assert not row["cached"] and set(row["test"]) == TESTED <= set(found["units"])
    again = json_output(capsys, *args)
    assert [row["run"] for row in again["runs"]] == [row["run"] for row in found["runs"]]
    assert all(row["cached"] for row in again["runs"])


def test_a_sweep_without_lists_is_the_run_itself(empty_store, capsys):
    one = json_output(capsys, "sweep", "--family", "vae", *TINY)["runs"]
    assert json_output(capsys, "train", "--family", "vae", *TINY)["cached"] and len(one) == 1


def test_preset_gives_what_is_not_given(empty_store, capsys):
    def trained(*args) -> dict:
        name = json_output(capsys, "train", "--family", "vae", "--set", "hidden=8", "--set", "limit=100", *args)["run"]
        return checkpoints.finished_run(name).config["train"]

    known = trained("--preset", "classic", "--epochs", 1)
    model = family_class("vae").Config(hidden=8)
    assert known == plain(preset("classic", DataConfig(limit=100), model, epochs=1))
    assert trained("--epochs", 1) == plain(preset("fast", DataConfig(limit=100), model, epochs=1))


@pytest.mark.slow
def test_bench(capsys, monkeypatch):
    from aevae.runs import bench

    monkeypatch.setattr(bench, "MEASURE_SECONDS", 0.01)
    found = json_output(capsys, "bench", "--device", "cpu")
    assert found["device"].startswith("cpu") and found["threads"] >= 1
    assert set(found["units"]) == {"threads", "images_per_s", "seconds"}
    for row in found["rows"]:
        assert set(row) == {"what", "images_per_s", "seconds"} and row["images_per_s"] > 0
        assert list(row["seconds"]) == ["mnist-5k", "mnist"] and row["seconds"]["mnist"] > 0
    table = call(capsys, "bench", "--device", "cpu")
    assert "one after another" in table[0]


def test_eval(store, capsys):
    result = json_output(capsys, "eval", store["vae"], "--device", "cpu")
    stored = checkpoints.find_run(store["vae"]).metrics["mnist-5k"]
    assert result["metrics"] == {k: v for k, v in stored.items() if k in result["metrics"]}
    assert (
        set(result["units"]) == set(result["metrics"]) >= {"recon", "kl", "elbo", "sse", "bce", "psnr", "active_units"}
    )
    chosen = json_output(capsys, "eval", store["ae"], "--metrics", "sse,psnr", "--limit", 50)
    assert set(chosen["metrics"]) == {"sse", "sse_median", "sse_worst10", "psnr"}
    assert chosen["units"]["sse_worst10"] == "fraction of the sum" and all(result["units"].values())
    nll = json_output(capsys, "eval", store["vae"], "--metrics", "nll", "--samples", 7, "--n", 20)
    assert nll["titles"]["nll"] == "NLL (upper bound, K = 7)" and all(nll["units"].values())
    ais = json_output(capsys, "eval", store["vae"], "--metrics", "ais", "--temperatures", 2, "--chains", 1, "--n", 20)
    assert ais["titles"]["ais"] == "NLL by AIS (upper bound, T = 2)" and ais["metrics"]["ais_chains"] == 1
    samples = [
        json_output(capsys, "eval", store["vae"], "--metrics", "elbo", "--samples", s)["metrics"]["elbo"]
        for s in (1, 1, 3)
    ]
    assert samples[0] == samples[1] != samples[2]


def test_encode_and_decode(store, capsys, tmp_path):
    x, z, y = (tmp_path / n for n in ("x.npy", "z.npy", "y.npy"))
    np.save(x, np.random.default_rng(0).random((4, 1, 28, 28), dtype=np.float32))
    assert json_output(capsys, "encode", store["vae"], "--in", x, "--out", z)["shape"] == [4, 3]
    assert json_output(capsys, "decode", store["vae"], "--in", z, "--out", y)["shape"] == [4, 1, 28, 28]
    out = np.load(y)
    assert out.dtype == np.float32 and out.min() >= 0 and out.max() <= 1


def test_embed(store, capsys, tmp_path):
    out = tmp_path / "map.npz"
    result = json_output(capsys, "embed", store["vae"], "--method", "pca", "--n", 60, "--out", out)
    with np.load(out) as saved:
        assert saved["z"].shape == (60, 3) and saved["xy"].shape == (60, 2)
        assert list(saved["index"]) == list(range(60)) and len(saved["labels"]) == 60
        assert float(saved["trustworthiness"]) == result["trustworthiness"]
        assert saved["trained_on"].tolist() == [False] * 60 and result["trained_on"] == 0
    assert result["dataset"] == "mnist-5k" and {"n", "trained_on", "knn_accuracy"} <= set(result["units"])


def test_embed_takes_all_test_images(store, capsys, tmp_path):
    args = ("embed", store["vae"], "--method", "latent", "--out", tmp_path / "map.npz")
    assert json_output(capsys, *args)["n"] == json_output(capsys, *args, "--n", 1000)["n"] == 1000


@pytest.mark.slow
@pytest.mark.mnist
def test_embed_takes_the_test_images_of_the_runs_own_data_set(mnist, store, capsys, tmp_path):
    """A run trained on MNIST has 10,000 of them, none trained on; the digits of mnist-5k are training digits of it."""
    full = ("train", "--family", "ae", "--dataset", "mnist", *TINY[:-2], "--preset", "classic")
    name = json_output(capsys, *full)["run"]
    out = tmp_path / "map.npz"
    own = json_output(capsys, "embed", name, "--method", "pca", "--n", 3000, "--out", out)
    assert (own["dataset"], own["n"], own["trained_on"]) == ("mnist", 3000, 0)
    with np.load(out) as saved:
        assert saved["z"].shape == (3000, 3) and not saved["trained_on"].any()
    other = json_output(capsys, "embed", name, "--method", "pca", "--dataset", "mnist-5k", "--out", out)
    assert (other["dataset"], other["n"], other["trained_on"]) == ("mnist-5k", 1000, 1000)


def test_which_images_were_trained_on(monkeypatch):
    few = DataConfig("mnist-5k", limit=10)
    assert not runs.trained_on(few, DataConfig("mnist-5k"), 50).any()
    from aevae import datasets

    split = datasets.load(few)
    mixed = dataclasses.replace(split, test=split.train)
    monkeypatch.setattr(datasets, "load", lambda config: mixed if config.name == "lines" else split)
    assert runs.trained_on(few, DataConfig("lines"), 5).tolist() == [True] * 5
    monkeypatch.setattr(datasets, "is_available", lambda config: False)
    full = DataConfig("mnist")
    assert runs.trained_on(full, DataConfig("mnist-5k"), 5).all()
    assert not runs.trained_on(dataclasses.replace(full, leave_out_5k=True), DataConfig("mnist-5k"), 5).any()


def test_listings(store, capsys):
    listing = json_output(capsys, "runs")
    assert {r["run"] for r in listing["runs"]} == set(store.values())
    keys = ["run", "family", "dataset", "latent_dim", "status", "reason", "epochs", "shipped", "bytes", "numbers"]
    for row in listing["runs"]:
        assert list(row) == keys and row["status"] == "finished" and row["reason"] == ""
        assert (row["run"], row["dataset"], row["latent_dim"]) == (store[row["family"]], "mnist-5k", 3)
        stored = checkpoints.find_run(row["run"]).metrics["mnist-5k"]
        assert row["numbers"]["sse"] == stored["sse"] and row["numbers"].items() <= stored.items()
        assert {*row["numbers"], "bytes", "epochs", "latent_dim"} <= set(listing["units"])
    assert all(listing["units"].values()) and listing["units"]["bytes"] == "bytes"
    rows = {r["name"]: r for r in json_output(capsys, "families")["families"]}
    assert rows["beta_vae"]["options"]["beta"]["max"] == 1000.0
    assert "mnist-5k" in {d["name"] for d in json_output(capsys, "datasets")["datasets"]}
    for command in ("runs", "families", "datasets"):
        assert call(capsys, command)[0]


def test_show_and_delete(store, capsys):
    shown = json_output(capsys, "show", store["ae"])
    assert shown["status"] == "finished" and shown["config"]["model"]["latent_dim"] == 3
    assert shown["last"]["spread"]["recon_median"] > 0
    assert {*shown["last"]["test"], *shown["last"]["spread"], "sse", "psnr"} <= set(shown["units"])
    assert json_output(capsys, "delete", store["ae"]) == {"deleted": store["ae"]}
    error_message(capsys, "show", store["ae"])


def test_export_and_import(store, capsys, tmp_path, monkeypatch):
    out = tmp_path / "run.zip"
    json_output(capsys, "export", store["vae"], "--out", out)
    json_output(capsys, "export", store["vae"], "--format", "folder", "--half", "--out", tmp_path / "shipped")
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "elsewhere"))
    assert json_output(capsys, "import", out)["run"] == store["vae"]
    monkeypatch.setenv("AEVAE_PRETRAINED", str(tmp_path / "shipped"))
    assert [r["shipped"] for r in json_output(capsys, "runs")["runs"]] == [True]


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """A machine without the large data sets, and without a network."""
    tv = pytest.importorskip("torchvision.datasets")
    monkeypatch.setattr(tv.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("AEVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("AEVAE_PRETRAINED", str(paths.ROOT / "checkpoints" / "pretrained"))


def shipped(family: str) -> str:
    return next(run.name for run in checkpoints.list_runs() if run.shipped and run.family == family)


@pytest.mark.parametrize("family", ["vae", "linear_ae"])
def test_offline_a_shipped_run_is_measured_on_the_images_that_are_here(empty_store, offline, capsys, family):
    every = ["--metrics", "all"] if family == "linear_ae" else []
    out, err = call(capsys, "eval", shipped(family), "--limit", 50, *every, "--json")
    found = json.loads(out)
    assert found["dataset"] == "mnist-5k" and found["metrics"]["sse"] > 0
    assert "the numbers are of the test images of mnist-5k instead" in err
    assert "above_pca" not in found["metrics"] and ("above_pca, pca_angle: MNIST" in err) == bool(every)
    assert "could not be downloaded" in error_message(capsys, "eval", shipped(family), "--dataset", "mnist")


def test_offline_a_shipped_run_is_exported_with_the_numbers_that_it_has(empty_store, offline, capsys, tmp_path):
    name = shipped("ae")
    for half in ([], ["--half"]):
        args = ["export", name, "--format", "folder", "--out", tmp_path / "out", *half]
        assert "the numbers on mnist are those that the run had" in call(capsys, *args)[1]
        copy = checkpoints.read_run(tmp_path / "out" / name)
        assert copy.status == "finished" and copy.metrics["mnist"] == checkpoints.find_run(name).metrics["mnist"]
        assert copy.metrics["mnist-5k"]["sse"] > 0


def test_a_run_is_not_exported_onto_itself(store, capsys):
    info = checkpoints.find_run(store["vae"])
    before = {file.name: file.read_bytes() for file in info.path.iterdir() if file.is_file()}
    for out in (info.path.parent, f"{info.path.parent}/../{info.path.parent.name}"):
        assert "is the run itself" in error_message(
            capsys, "export", store["vae"], "--format", "folder", "--half", "--out", out
        )
    assert {file.name: file.read_bytes() for file in info.path.iterdir() if file.is_file()} == before


def test_numbers_of_other_weights_are_not_kept(store, tmp_path, monkeypatch):
    """Half precision changes what was trained in full: numbers that cannot be made anew are left out."""
    from aevae import datasets
    from aevae.runs import export

    def gone(*args, **options):
        raise datasets.DataUnavailable("no images")

    monkeypatch.setattr(export, "evaluate", gone)
    info = checkpoints.find_run(store["vae"])
    assert runs.export_weights(info, tmp_path, half=False)[0].endswith("are those that the run had")
    assert checkpoints.read_run(tmp_path / info.name).metrics == info.metrics
    assert runs.export_weights(info, tmp_path, half=True)[0].endswith("are left out because the weights have changed")
    assert checkpoints.read_run(tmp_path / info.name).metrics == {}


@pytest.mark.slow
def test_check(capsys, monkeypatch):
    from aevae import checks

    monkeypatch.setattr(checks, "CHECKS", checks.CHECKS[:20])  # tests/test_checks.py has them all
    rows = json_output(capsys, "check")["checks"]
    assert len(rows) == 20 and {r["ok"] for r in rows} == {"ok"}


def test_check_fails_loudly(capsys, monkeypatch):
    from aevae import checks

    monkeypatch.setattr(checks, "CHECKS", [("one is two", lambda: 1.0, 0.5)])
    assert "FAILED" in call(capsys, "check", code=1)[0]


def test_out_is_the_very_name_and_a_small_map_is_drawn(store, capsys, tmp_path):
    embedded = json_output(capsys, "embed", store["vae"], "--n", 30, "--out", tmp_path / "map")
    assert embedded["n"] == 30 and np.load(tmp_path / "map")["xy"].shape == (30, 2)
    np.save(tmp_path / "z.npy", np.zeros((2, 3)))
    json_output(capsys, "decode", store["vae"], "--in", tmp_path / "z.npy", "--out", tmp_path / "pictures")
    assert np.load(tmp_path / "pictures").shape == (2, 1, 28, 28)
    np.save(tmp_path / "z.npy", np.full((2, 3), 1e300))
    args = ("decode", store["vae"], "--in", tmp_path / "z.npy", "--out", tmp_path / "pictures")
    assert "not finite" in error_message(capsys, *args)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there, Ctrl+C cannot be sent to one process")
def test_interrupted_training_goes_on(empty_store):
    """A real process, ended by SIGINT, then the same command."""
    import signal

    command = [
        sys.executable,
        "-m",
        "aevae",
        "train",
        "--family",
        "ae",
        *TINY,
        "--set",
        "limit=2000",
        "--epochs",
        "300",
    ]
    process = subprocess.Popen(
        command, cwd=paths.ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )
    for line in process.stderr:
        if line.startswith("epoch   3"):
            process.send_signal(signal.SIGINT)
            break
    _, err = process.communicate(timeout=180)
    assert process.returncode == 1 and "interrupted" in err and "Traceback" not in err
    done = checkpoints.list_runs()[0].epochs
    assert done >= 3
    process = subprocess.Popen(
        command, cwd=paths.ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )
    first = process.stderr.readline()
    process.kill()
    process.communicate()
    assert int(first.split()[1]) == done + 1


@pytest.mark.slow
def test_module_runs_without_streamlit_or_torch(store):
    """A listing imports neither. The package trains without Streamlit, and without the compiler of torch, whose
    import takes longer than a small training."""
    code = (
        "import sys; sys.modules['streamlit'] = None\n"
        "from aevae.cli import main\n"
        "main(['runs']); crept_in = {'torch', 'torchvision', 'sklearn', 'umap', 'openTSNE'} & set(sys.modules)\n"
        "assert not crept_in, f'imported for a listing: {crept_in}'\n"
        "import aevae.runs, aevae.queue.jobs, aevae.exchange.run_archive, aevae.embeddings, aevae.latent\n"
        "import aevae.figures.curves\n"
        "for family in ('vae', 'auto_decoder'):\n"
        "    args = ['--set', 'hidden=8', '--set', 'limit=100', '--epochs', '1', '--latent-dim', '2']\n"
        "    assert main(['train', '--family', family, *args]) == 0\n"
        "assert not {'torch._dynamo', 'sympy'} & set(sys.modules), 'the compiler was imported'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=paths.ROOT, env=os.environ, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
