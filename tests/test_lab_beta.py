"""The lab β: bundles of small models, the sweep's order, and every control changes what it says."""

import numpy as np
import pytest
import torch
from page_helpers import sent_to_module
from streamlit.testing.v1 import AppTest

from aevae import datasets
from aevae.config import DataConfig
from aevae.metrics.evidence import evidence
from aevae.store import bundles
from aevae.store.bundles import rounded, unrounded

PAGE = "pages/variational/02_beta.py"


@pytest.fixture
def app(monkeypatch, tmp_path):
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("AEVAE_PRETRAINED", raising=False)
    return AppTest.from_file("../app.py", default_timeout=120)


def test_rounding_keeps_a_matrix_within_half_a_step_of_its_row():
    weight = np.random.default_rng(0).standard_normal((40, 50)).astype(np.float32) * np.linspace(0.1, 9, 40)[:, None]
    values, scale = rounded(weight)
    assert values.dtype == np.int8 and scale.shape == (40, 1)
    assert (np.abs(unrounded(values, scale) - weight) <= scale / 2 + 1e-6).all()
    small, none = rounded(np.arange(4.0))
    assert none is None and np.array_equal(unrounded(small, none), np.arange(4.0))
    assert not unrounded(*rounded(np.zeros((40, 50)))).any()


def test_a_bundle_is_read_as_it_was_written(monkeypatch, tmp_path):
    (first, *_others) = bundles.load("beta").values()
    monkeypatch.setattr(bundles, "folder", lambda: tmp_path)
    bundles.save("again", [first])
    (again,) = bundles.load("again").values()
    assert again.config == first.config and again.numbers == first.numbers
    assert all(np.allclose(again.weights[k], v, rtol=1e-6) for k, v in first.weights.items())
    assert np.array_equal(again.history["kl_per_dim"], first.history["kl_per_dim"])
    with pytest.raises(ValueError, match="missing or damaged"):
        bundles.load("nothing")


@pytest.mark.parametrize("name", ["beta", "collapse", "likelihoods", "classes"])
def test_stored_numbers_are_those_of_the_models_as_they_are_read(name):
    data = datasets.load(DataConfig("mnist-5k")).test
    for member in list(bundles.load(name).values())[::4]:
        mine = data.labels == int(member.name) if name == "classes" else slice(None)
        x = torch.tensor(data.images[mine]).float() / 255
        found = evidence(member.model(), x, torch.Generator().manual_seed(0), 4)
        assert found["recon"] == pytest.approx(member.numbers["recon"], rel=1e-3)
        assert found["kl"] == pytest.approx(member.numbers["kl"], rel=1e-3, abs=1e-4)
        assert member.config.data.leave_out_5k, "the shown digits were left out"


def test_a_higher_price_buys_fewer_nats_and_a_worse_image():
    members = list(bundles.load("beta").values())
    betas, kl, recon = (
        np.array([get(m) for m in members])
        for get in (lambda m: float(m.name), lambda m: m.numbers["kl"], lambda m: m.numbers["recon"])
    )
    assert (np.diff(betas) > 0).all() and (np.diff(kl) < 0).all() and (np.diff(recon) > 0).all()
    slope = -np.diff(recon) / np.diff(kl)  # of the chords, between the prices at their ends
    assert (np.diff(slope) > 0).all()
    assert betas[np.argmin(recon + kl)] == 1, "the bound is best at weight 1"


def test_the_walks_are_those_of_the_models(app):
    app.switch_page(PAGE).run()
    assert not app.exception
    spec, arrays = sent_to_module(app, "beta")
    assert spec["frames"][0]["label"] == "β = 0.1" and spec["frame"] == 2 and spec["frames"][2]["label"] == "β = 1"
    pictures = arrays["images"]
    assert pictures.shape == (7, 9, 9, 784)
    moves = pictures.astype(int).std(axis=2).mean(axis=(2,))  # (F, rows): how much a row changes
    assert np.median(moves[6, 1:]) < 0.2 * np.median(moves[2, 1:]), "at β = 1, where the lab opens, rows move"
    assert np.median(moves[6, 1:]) < 0.2 * np.median(moves[0, 1:]), "at β = 16 most rows stand still"
    digit = app.number_input(key="digit").set_value(3).run()
    assert not np.array_equal(sent_to_module(digit, "beta")[1]["images"], arrays["images"])


def test_address_and_toggle(app):
    app.query_params["beta_at"] = "6"
    app.switch_page(PAGE).run()
    assert sent_to_module(app, "beta")[0]["frame"] == 6
    assert any(m.value.startswith("β = 16:") for m in app.markdown)
    few = app.get("plotly_chart")[0].proto.spec
    app.toggle(key="beta_runs").set_value(True).run()
    assert "VAE" in app.get("plotly_chart")[0].proto.spec and "VAE, 20 numbers" not in few
