"""The lab No encoder: codes found by descent, in the browser and by the server, and what each control changes."""

import functools
import json
import os
import shutil
import subprocess

import numpy as np
import pytest
from page_helpers import image_urls, open_checked_page
from pretend import Mounted

from aevae import paths
from aevae.latent import fitting
from aevae.metrics import class_densities as densities
from aevae.metrics.reconstruction import sse
from aevae.ui.digit import picker
from aevae.ui.shared import cached

PAGE = "pages/beyond/03_no_encoder.py"
page = functools.partial(open_checked_page, PAGE)
NODE = shutil.which("node")


@pytest.fixture(scope="module")
def run():
    return cached.run(cached.finished(("auto_decoder",))[0].name)


def test_masks():
    assert fitting.unpack_mask("Bw" + "A" * 129).tolist() == [0, 0, 0] + [1] * 781  # as in test_no_encoder.mjs
    for text in ("", "A", "A" * 130, "!" * 131, "é" * 131, "A" * 2000):
        assert fitting.unpack_mask(text).tolist() == [1] * 784


def test_the_decoder_as_arrays(run):
    net, z = fitting.layers(run), run.model.training_codes(5)[0].numpy()
    hidden = np.maximum(z @ net["w1"] + net["b1"], 0)
    assert np.allclose(np.clip(hidden @ net["w2"] + net["b2"], 0, 1), run.decode(z).reshape(5, -1), atol=1e-5)
    assert np.array_equal(net["codes"][:5], z)


@pytest.mark.slow
@pytest.mark.skipif(NODE is None, reason="needs node (Debian: apt install nodejs)")
def test_the_browser_finds_the_code_that_the_server_finds(run, tmp_path):
    x, draw = cached.shown_digits()[0][:3], np.random.default_rng(0)
    start = run.model.training_codes(3)[0].numpy()
    masks = [np.ones((1, 1, 28, 28), np.float32), (draw.random((1, 1, 28, 28)) < 0.5).astype(np.float32)]
    cases = [(x[i : i + 1], m, start[i : i + 1]) for i in range(3) for m in masks]
    model = run.config.model
    message = {
        "variance": model.sigma**2, "l2": model.l2, "ball": model.ball, "steps": model.fit_steps,
        "rate": run.model.fit_rate,
        "arrays": {name: array.ravel().tolist() for name, array in fitting.layers(run).items()},
        "cases": [dict(zip(("x", "mask", "start"), (a.ravel().tolist() for a in c), strict=True)) for c in cases],
    }  # fmt: skip
    file = tmp_path / "fit.json"
    file.write_text(json.dumps(message), "utf-8")
    test = [NODE, "--test", str(paths.ROOT / "tests" / "test_no_encoder.mjs")]
    subprocess.run(test, env=os.environ | {"AEVAE_FIT": str(file)}, check=True, capture_output=True, timeout=60)
    found = json.loads((tmp_path / "fit.json.found").read_text("utf-8"))
    for z, (one, mask, begin) in zip(found, cases, strict=True):
        assert np.abs(np.array(z) - fitting.fit(run, one, mask, begin)[0]).max() < 5e-3
        assert np.linalg.norm(z) <= 1 + 1e-6


def test_a_search_from_an_encoder_is_never_worse():
    run = cached.run(cached.finished(("ae",))[0].name)
    encoded, searched, best = fitting.gap(run, cached.shown_digits()[0][:8], steps=20)
    assert (searched <= encoded).all() and searched.mean() < encoded.mean() - 0.5
    assert best.shape == (8, 1, 28, 28)


def test_codes_alone_forget_nothing(run):
    x = cached.shown_digits()[0]
    old, new = x[:3], np.rot90(x[3:6], 1, (2, 3)).copy()
    before = run.decode(fitting.fit(run, old))
    new_after, old_after = fitting.learn(run, new, old, False)
    assert np.array_equal(old_after, before)
    new_all, old_all = fitting.learn(run, new, old, True)
    assert sse(new, new_all).mean() < sse(new, new_after).mean() / 2
    assert sse(old, old_all).mean() > 1.15 * sse(old, old_after).mean()
    assert np.array_equal(run.decode(fitting.fit(run, old)), before)  # the run stays as it is


def test_the_lab_opens_half_covered_and_the_search_completes_the_digit(monkeypatch, run):
    browser = Mounted(monkeypatch, "no_encoder")
    page()
    seen, clean = browser.arrays["mask"], browser.arrays["clean"].reshape(1, 1, 28, 28)
    assert (
        seen.tolist() == [1] * 392 + [0] * 392
        and fitting.unpack_mask(fitting.pack_mask(seen)).tolist() == seen.tolist()
    )
    z = fitting.fit(
        run, clean, seen.reshape(1, 1, 28, 28).astype(np.float32), np.zeros((1, run.latent_dim), np.float32)
    )
    read = densities.class_probabilities(densities.reader(), run.decode(z).reshape(1, 784).clip(0, 1))[0]
    label = cached.shown_digits()[1][picker.GOOD_DIGITS[0]]
    assert read.argmax() == label and read.max() > 0.9


@pytest.mark.slow
def test_digit_start_and_cover_reach_the_browser(monkeypatch):
    browser = Mounted(monkeypatch, "no_encoder")
    lower = "A" * 65 + "P" + "_" * 65  # the first 392 of 784 bits are 0
    at = page(digit="9", covered=lower)
    at.segmented_control(key="start").set_value("nearest").run()
    assert browser.arrays["mask"].tolist() == [1] * 392 + [0] * 392
    assert browser.spec["model"]["start"] == "nearest" and browser.spec["model"]["ball"] is True
    key = browser.spec["key"]
    at.segmented_control(key="start").set_value("middle").run()
    assert browser.spec["model"]["start"] == "middle" and browser.spec["key"] != key
    clean = browser.arrays["clean"].copy()
    at.number_input(key="digit").set_value(10).run()
    assert not np.array_equal(browser.arrays["clean"], clean)
    browser.send(at, covered="A" * 131)
    assert at.query_params["covered"] == "A" * 131 and browser.arrays["mask"].all()
    browser.send(at, covered=fitting.pack_mask(fitting.unpack_mask(lower)))
    assert "covered" not in at.query_params
    for bad in (7, None, "x" * 131 + "!", "x" * 130 + "\n", "short", "", "é" * 131, ["A"] * 131):
        browser.send(at, covered=bad)
        assert "covered" not in at.query_params and browser.arrays["mask"].sum() == 392
    at.button(key="try_2").click().run()
    assert 100 < browser.arrays["mask"].sum() < 120, "a spot is seen"


def test_what_may_change_changes_the_old_digits():
    at = page()
    new, old, best = image_urls(at)
    at.segmented_control(key="change").set_value("all").run()
    assert image_urls(at)[0] != new and image_urls(at)[1] != old and image_urls(at)[2] == best
    assert len(at.get("plotly_chart")) == 1 and float(at.metric[0].value.split()[0]) > 0


def test_without_a_browser_the_server_searches(monkeypatch):
    from aevae.ui.live import component

    monkeypatch.setattr(component, "trouble", lambda names, *, has_server_version: "No.")
    plain, *_ = image_urls(page(covered="A" * 131))
    covered, *_ = image_urls(page())
    assert plain != covered


def test_an_empty_store_says_what_to_do(empty_store):
    assert "no trained Auto-decoder" in page().info[0].value
