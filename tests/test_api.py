"""`import aevae` in a notebook."""

import inspect
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import tiny_config

import aevae
from aevae.store import checkpoints

TINY = {"latent_dim": 3, "hidden": 16, "epochs": 1, "limit": 200}


def test_the_package_is_imported_without_torch_and_quickly():
    code = (
        "import sys, time; began = time.perf_counter(); import aevae; took = time.perf_counter() - began\n"
        "assert not {'torch', 'numpy', 'streamlit', 'aevae.runs'} & set(sys.modules)\n"
        "assert took < 0.5, took"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_is_there_and_says_its_shapes():
    for name in aevae.__all__:
        assert inspect.getdoc(getattr(aevae, name))
    assert "(N, 1, 28, 28)" in aevae.encode.__doc__ and "(N, latent_dim)" in aevae.decode.__doc__
    with pytest.raises(AttributeError, match="'aevae' has no attribute 'enc'"):
        aevae.enc  # noqa: B018


def test_a_run_is_trained_once_and_opened(empty_store):
    records = []
    run = aevae.train_or_load("ae", device="cpu", on_event=lambda event: records.append(event), **TINY)
    assert run.config.model.family == "ae" and run.latent_dim == 3 and len(run.history) == 2
    assert [e.record["epoch"] for e in records if hasattr(e, "record")] == [0, 1]
    count = len(records)
    again = aevae.train_or_load(run.config, device="cpu", on_event=lambda event: records.append(event))
    assert again.name == run.name and len(records) == count and len(checkpoints.list_runs()) == 1
    assert aevae.load_run(run.name.rpartition("-")[2][:6]).name == run.name


def test_shapes(store):
    images = np.random.default_rng(0).random((5, 1, 28, 28), np.float32)
    for run in (store["vae"], aevae.load_run(store["vae"])):
        codes = aevae.encode(run, images)
        decoded = aevae.decode(run, codes)
        assert codes.shape == (5, 3) and decoded.shape == images.shape
        assert codes.dtype == decoded.dtype == np.float32 and 0 <= decoded.min() <= decoded.max() <= 1


def test_images_codes_maps_and_grids():
    images, labels = aevae.load_images()
    assert images.shape == (1000, 1, 28, 28) and images.dtype == np.float32 and images.max() == 1
    assert labels.shape == (1000,) and aevae.load_images(part="train")[0].shape[0] == 4000
    assert aevae.embed(images[:50].reshape(50, -1), "pca").shape == (50, 2)
    grid = aevae.image_grid(images[:7], columns=5, scale=1)
    assert grid.size == (5 * 28, 2 * 28)
    pixels = np.asarray(grid)
    assert np.array_equal(pixels[28:, 28:56], np.rint(255 * images[6, 0])) and not pixels[28:, 56:].any()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda name: aevae.encode(name, np.zeros((5, 28, 28))), "(N, 1, 28, 28), got (5, 28, 28)"),
        (lambda name: aevae.load_run("nothing"), "nothing"),
        (lambda name: aevae.load_images("digits"), "digits"),
        (lambda name: aevae.load_images(part="all"), "part must be train or test, got 'all'"),
        (lambda name: aevae.image_grid(np.zeros((5, 28, 28))), "(N, 1, height, width), got (5, 28, 28)"),
        (lambda name: aevae.train_or_load("ae", colour=3), "unknown option 'colour'"),
        (lambda name: aevae.train_or_load("ae", epochs=0), "epochs must be in 1..1000, got 0"),
        (lambda name: aevae.train_or_load(tiny_config("ae"), epochs=2), "it takes no options, got epochs"),
    ],
)
def test_a_wrong_request_is_one_sentence(call, sentence, store):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        call(store["vae"])
