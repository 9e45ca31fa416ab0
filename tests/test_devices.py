"""Devices without float64, and GPUs that this PyTorch cannot compute on."""

import ast
import re
import warnings
from types import SimpleNamespace

import away
import numpy as np
import pytest
import torch
from conftest import fitting, open_page, tiny_config

from aevae import cli, embeddings, metrics, paths, runs
from aevae.config import TrainConfig
from aevae.embeddings import tsne
from aevae.latent import fitting as searches
from aevae.latent import flows, futures, groups, pixels
from aevae.metrics import bound, samples, tangent
from aevae.models import FAMILIES, build_model, family_class
from aevae.queue import jobs, map_task, worker
from aevae.runs import opened, training
from aevae.store import recorder
from aevae.training import device
from aevae.training.trainer import Trainer, TrainingData, fit
from aevae.ui.train import form

FEW = {"samples": 3, "temperatures": 2, "chains": 1}  # options of metrics
NO_CODE = "CUDA error: no kernel image is available for execution on the device\nCUDA kernel errors might be ..."
SENTENCE = (
    "There is a GPU (cuda), but this PyTorch cannot compute on it, so the CPU is used: CUDA error: no kernel image is "
    "available for execution on the device."
)
SOURCES = [
    file
    for part in ("aevae", "pages", "scripts", "benchmarks", "app.py")
    for file in ([paths.ROOT / part] if part.endswith(".py") else sorted((paths.ROOT / part).rglob("*.py")))
]


# -- without float64 -------------------------------------------------------------------------------------------------


@pytest.fixture
def apple(monkeypatch):
    """Every device is the one that stands for an Apple GPU."""
    for module in (opened, training):
        monkeypatch.setattr(module, "pick_device", lambda name="auto": away.DEVICE)
    monkeypatch.setattr(samples, "NUM_SAMPLES", 4)
    monkeypatch.setattr(samples, "NUM_REPEATS", 2)
    monkeypatch.setattr(recorder, "schedule", lambda config, steps_per_epoch, latent_dim: (0,))  # one frame
    with away.device() as where:
        yield where


def test_the_stand_in_refuses_what_an_apple_gpu_refuses():
    with away.device() as where:
        x = torch.ones(3, 4, device=where)
        assert x.device == where and float((x @ x.T).sum()) == 36
        for wrong in (
            lambda: x.double(),
            lambda: x.to(torch.float64),
            lambda: x.to("cpu", torch.float64),
            lambda: x.sum(dtype=torch.float64),
            lambda: torch.zeros(2, dtype=torch.float64, device=where),
            lambda: torch.tensor(np.zeros(2), device=where),
            lambda: x + torch.ones(3, 4),
            lambda: x.numpy(),
            lambda: torch.linalg.svdvals(x),
            lambda: x.to_sparse(),
            lambda: torch.rand(2, generator=torch.Generator(), device=where),
            lambda: torch.rand(2, generator=torch.Generator(where)),
        ):
            with pytest.raises((TypeError, RuntimeError)):
                wrong()


def _latent(run, images):
    """What pages ask of a run besides encoding and decoding."""
    model, family = run.model, run.config.model.family
    if model.input == "sequence":
        yield futures.futures(run, images[0], 2, 2, 1, 1).place
    elif model.input == "image":
        yield run.reconstruct(images)
        if model.latent == "continuous":
            z = run.encode(images)
            yield from (run.latent_summary()["score"], pixels.means(model, z), pixels.strays(model, z))
            yield pixels.sample_pixels(model, z, *pixels.noise(len(z)))
    if model.input == "image" and model.latent == "continuous" and model.has_encoder:
        yield from (*tangent.jacobian_spectrum(model, images[0]), *searches.gap(run, images, steps=2))
    if model.input == "image" and model.generative and model.latent == "continuous" and model.has_encoder:
        yield np.array(bound.bound(model, torch.tensor(images[:1]).to(run.device), draws=5))
    if family == "auto_decoder":
        yield from searches.learn(run, images[:2], images[2:], True)
    if family == "ml_vae":
        yield from groups.evidence(run, images)
    if family == "flow_vae":
        yield from flows.directions(run, images).values()
        yield from (flows.edits(run, images[0], np.ones(run.latent_dim)), flows.onto(run, images[0], images))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_trains_and_is_measured_without_float64(family, empty_store, apple):
    config = tiny_config(family, limit=100, batch_size=50, **fitting(family, fit_steps=1, samples=1))
    result = runs.train_or_load(config)
    assert result.finished and result.device == str(apple)
    run = runs.load_run(result.name, "auto")
    asked = metrics.evaluation.choose(run, ["all"])
    options = {name: FEW[name] for name in FEW if any(name in metric.options for metric in asked)}
    n = 100 if family == "ml_vae" else 24  # fewer have no classes that could be read
    values = metrics.evaluate(run, ["all"], n=n, options=options)
    assert {metric.name for metric in asked} <= set(values)
    images = np.random.default_rng(0).random((4, 1, 28, 28), np.float32)
    if run.model.input == "sequence":
        images = (255 * np.random.default_rng(0).random((1, 8, 1, 28, 28))).astype(np.uint8)
    for found in _latent(run, images):
        assert np.isfinite(found).all()


def _trainer(where, seed=0):
    config = family_class("beta_vae").Config(latent_dim=3, hidden=16)
    images = np.random.default_rng(0).integers(0, 256, (60, 1, 28, 28), np.uint8)
    return Trainer(
        build_model(config, seed), TrainingData(images, images[:20]), TrainConfig(epochs=2, batch_size=20), seed, where
    )


def test_without_float64_runs_go_side_by_side_and_are_resumed():
    with away.device() as where:
        team = [_trainer(where, seed) for seed in range(2)]
        assert fit(team)
        half, rest = _trainer(where), _trainer(where)
        assert not half.fit(should_stop=lambda: half.step >= 4)
        rest.load_state(*half.state())
        assert rest.fit()
    here = _trainer(torch.device("cpu"))
    assert here.fit()
    for other in (team[0], rest):
        assert other.history[-1]["test"] == pytest.approx(here.history[-1]["test"], rel=1e-3)


@pytest.mark.parametrize("likelihood", ["continuous_bernoulli", "categorical", "gaussian_pixel"])
def test_pixels_without_float64_are_those_of_the_cpu(likelihood):
    def found(where):
        model = build_model(family_class("vae").Config(latent_dim=3, hidden=16, likelihood=likelihood)).to(where).eval()
        z = np.random.default_rng(0).normal(size=(3, 3))
        return pixels.means(model, z), pixels.strays(model, z), pixels.sample_pixels(model, z, *pixels.noise(3))

    with away.device() as where:
        there = found(where)
    for a, b in zip(there, found("cpu"), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.slow
def test_float64_is_used_on_the_cpu_only():
    """`.double()` stands behind `.cpu()`; the dtype is named where no tensor of a device can be meant."""
    named = {"training/steps.py", "embeddings/tsne.py", "metrics/nll.py", "metrics/annealed.py"}
    exact = {*(f"checks/{f.name}" for f in (paths.ROOT / "aevae" / "checks").glob("*.py"))}  # on the CPU
    for file in (paths.ROOT / "aevae").rglob("*.py"):
        name = file.relative_to(paths.ROOT / "aevae").as_posix()
        for node in () if name in exact else ast.walk(ast.parse(file.read_text("utf-8"))):
            text = ast.unparse(node) if isinstance(node, ast.Call | ast.Attribute) else ""
            if isinstance(node, ast.Attribute) and node.attr == "double":
                assert text.endswith(".cpu().double"), f"{name}: {text}"
            if text == "torch.float64":
                assert name in named, name


# -- presence is not ability -----------------------------------------------------------------------------------------


@pytest.fixture
def gpus(monkeypatch):
    """A list of GPUs: what each raises when it is to compute, or None if it can."""
    found, made = [], torch.ones

    def ones(*shape, device="cpu", **more):
        kind, _, number = str(device).partition(":")
        if kind == "cuda" and (error := found[int(number or 0)]):
            raise error
        return made(*shape, **more)

    monkeypatch.setattr(torch, "ones", ones)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(found))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(found))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(device, "_tried", {})
    monkeypatch.setattr(device, "_driver_warnings", [])
    return found


@pytest.fixture
def old_gpu(gpus):
    """A GPU that this PyTorch has no code for."""
    gpus.append(RuntimeError(NO_CODE))


def test_a_gpu_without_code_gives_way_to_the_cpu(old_gpu):
    assert device.pick_device() == torch.device("cpu") and device.gpu_warning() == SENTENCE
    for name in ("cuda", "cuda:0"):
        with pytest.raises(ValueError, match=rf"cannot compute on device {name} \(CUDA error: no kernel image .*auto"):
            device.pick_device(name)
    with pytest.raises(ValueError, match="device cuda:1 is not available here; use auto or cpu"):
        device.pick_device("cuda:1")


def test_the_second_gpu_is_taken_if_the_first_cannot(gpus):
    gpus.extend([RuntimeError(NO_CODE), None])
    assert device.pick_device() == device.pick_device("cuda:1") == torch.device("cuda:1")
    assert device.gpu_warning() == ""
    gpus[0], device._tried["cuda"] = None, (-1e9, "was full")
    assert device.pick_device() == torch.device("cuda")


def test_no_gpu_no_word(gpus):
    assert device.pick_device() == torch.device("cpu") and device.gpu_warning() == ""


def test_a_success_is_remembered_and_a_failure_tried_again(gpus, monkeypatch):
    gpus.append(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB. GPU 0 has ..."))
    assert device.gpu_warning().endswith("so the CPU is used: CUDA out of memory.")
    gpus[0] = None
    assert device.pick_device().type == "cpu", "not tried at every look"
    now = device.time.monotonic()
    monkeypatch.setattr(device, "time", SimpleNamespace(monotonic=lambda: now + 2 * device.RETRY_SECONDS))
    assert device.pick_device().type == "cuda"
    gpus[0] = RuntimeError("full of our own training")
    monkeypatch.setattr(device, "time", SimpleNamespace(monotonic=lambda: now + 9 * device.RETRY_SECONDS))
    assert device.pick_device().type == "cuda"


def test_a_gpu_that_computes_wrong_numbers_is_left_alone(gpus, monkeypatch):
    gpus.append(None)
    monkeypatch.setattr(torch, "ones", lambda *shape, **more: torch.zeros(*shape))
    assert device.pick_device().type == "cpu" and "wrong product" in device.gpu_warning()


def test_a_driver_that_is_too_old_is_named(gpus, monkeypatch):
    text = "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040). Please update"

    def available() -> bool:
        warnings.warn(text, stacklevel=2)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", available)
    gpus.append(RuntimeError("The NVIDIA driver on your system is too old (found version 11040). Please update"))
    assert device.pick_device().type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # it warns once in a process
    assert "so the CPU is used: The NVIDIA driver on your system is too old (found version 11040)." in (
        device.gpu_warning()
    )


def test_commands_say_why_they_take_the_cpu(old_gpu, store, tmp_path, capsys):
    run = store["vae"]
    maps = ["--method", "tsne", "--n", "40", "--out", str(tmp_path / "map.npz")]
    tiny = "--epochs 1 --latent-dim 2 --set hidden=8 --set limit=100 --seed 7".split()
    for command in (["train", "--family", "ae", *tiny], ["eval", run, "--n", "50"], ["embed", run, *maps]):
        assert cli.main(command) == 0
        assert SENTENCE in capsys.readouterr().err
    assert cli.main(["eval", run, "--device", "cpu"]) == 0 and SENTENCE not in capsys.readouterr().err
    assert cli.main(["eval", run, "--device", "cuda"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_job_is_trained_on_the_cpu_and_says_why(old_gpu, empty_store):
    fine, refused = jobs.submit(tiny_config("ae")), jobs.submit(tiny_config("vae"), "cuda")
    worker.run_worker("auto", None, once=True)
    fine, refused = jobs.get(fine.id), jobs.get(refused.id)
    assert (fine.state, fine.progress["note"]) == ("done", SENTENCE)
    assert refused.state == "failed" and refused.error.startswith("this PyTorch cannot compute on device cuda (CUDA")


def test_the_train_page_says_why_and_trains_all_the_same(old_gpu, empty_store, monkeypatch):
    monkeypatch.setattr(jobs, "ensure_worker", lambda lane="auto": None)
    at = open_page("pages/lab/train.py")
    assert not at.exception and SENTENCE in [w.value.replace("\\", "") for w in at.warning]
    assert form.devices() == ["auto", "cpu"]
    at.button(key="train_start").click().run()
    assert not at.exception and len(jobs.jobs()) == 1


def test_the_queue_shows_what_a_job_says_of_its_device(empty_store, monkeypatch):
    monkeypatch.setattr(jobs, "ensure_worker", lambda lane="auto": None)
    job = jobs.submit(tiny_config("ae"))
    with jobs.transaction() as db:
        db.execute("""UPDATE jobs SET state = 'running', progress = '{"note": "no GPU"}' WHERE id = ?""", (job.id,))
    at = open_page("pages/lab/train.py")
    assert "no GPU" in [c.value for c in at.caption]


def test_a_map_is_made_without_the_gpu_and_says_why(old_gpu, monkeypatch, tmp_path):
    monkeypatch.setenv("AEVAE_CACHE", str(tmp_path))
    monkeypatch.setattr(map_task, "warm", lambda: None)
    news = []
    request = embeddings.MapRequest(space="random", n=40, method="tsne", parameters={"perplexity": 5.0, "seed": 99})
    assert map_task.work(request.to_dict(), news.append, lambda: False)
    assert news and {told["note"] for told in news} == {SENTENCE}
    assert "negative_gradient_method" in tsne._gradient(np.zeros((40, 40)))


def test_one_function_asks_which_devices_are_there():
    question = re.compile(r"cuda\.(is_available|device_count)|\.mps\.is_|torch\.accelerator|torch\.xpu")
    asks = {file.relative_to(paths.ROOT).as_posix() for file in SOURCES if question.search(file.read_text("utf-8"))}
    assert asks == {"aevae/training/device.py"}
