"""The steps of docs/adding.md for a family defined in this file: it is trained, stored and shown on all pages."""

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from conftest import open_page, tiny_config
from page_helpers import sent_to_module
from streamlit.testing.v1 import AppTest

from aevae import checks, cli, models
from aevae.browser.blob import unpack
from aevae.browser.program import program
from aevae.config import option
from aevae.figures import palette
from aevae.models.ae import AEConfig, Autoencoder
from aevae.outputs import Loss
from aevae.paths import ROOT
from aevae.queue import jobs
from aevae.runs import load_run, train_or_load
from aevae.ui.frame import menu


# 1. A frozen config that inherits the nearest parent's, and a class that overrides what differs.
@dataclass(frozen=True)
class ShyConfig(AEConfig):
    """An autoencoder whose codes stay near 0."""

    family: ClassVar[str] = "shy"
    shyness: float = option(0.1, "weight of the squared length of the code", min=0.0, max=10.0)


class Shy(Autoencoder):
    Config = ShyConfig
    objective = "-log p(x | g(f(x))) + shyness ||f(x)||^2"
    paper = "this test"

    def loss(self, x, *, generator=None, epoch=0.0) -> Loss:
        out = self(x)
        recon, length = self.nll(x, out.params).mean(), out.z.square().sum(1).mean()
        return Loss(recon + self.config.shyness * length, {"recon": recon.detach(), "length": length.detach()})


@pytest.fixture
def registered(monkeypatch) -> None:
    """2. One line in the registry, a title and a colour. 3. Its mathematics."""
    monkeypatch.setitem(models.FAMILIES, "shy", "test_adding_a_family:Shy")
    monkeypatch.setitem(palette.FAMILY_TITLES, "shy", "Shy AE")
    monkeypatch.setitem(palette.FAMILY_COLOURS, "shy", "#123456")
    monkeypatch.setattr(checks, "CHECKS", [])

    @checks.check("shy without shyness is the autoencoder, loss and gradient, bit for bit", 0)
    def shy_is_ae():
        return checks.same_loss("shy", {"shyness": 0.0}, "ae", {})


@pytest.fixture
def shy(registered, empty_store, monkeypatch, tmp_path) -> str:
    """Name of a trained run of it; no worker begins anything by itself."""
    monkeypatch.setenv("AEVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(jobs, "ensure_worker", lambda lane="auto": None)
    return train_or_load(tiny_config("shy", shyness=0.5), "cpu").name


def test_the_recipe_names_what_there_is():
    recipe = (ROOT / "docs" / "adding.md").read_text("utf-8").split("## Adding a family")[1].split("\n## ")[0]
    places = re.findall(r"`((?:aevae|tests)/[^`<]+)`", recipe)
    assert len(places) >= 3 and all((ROOT / place).exists() for place in places)
    assert all(hasattr(Autoencoder, name) for name in ("build_code", "posterior", "loss"))


def test_its_mathematics_is_checked_and_listed(registered, capsys):
    assert [(residual, tolerance) for _name, residual, tolerance in checks.run()] == [(0, 0)]
    assert cli.main(["check"]) == 0 and "shy without shyness" in capsys.readouterr().out
    assert cli.main(["families"]) == 0 and "Shy AE" in capsys.readouterr().out
    assert cli.main("train --family shy --set shyness=11".split()) == 2
    assert "shyness must be in 0.0..10.0, got 11.0" in capsys.readouterr().err


def test_it_is_trained_kept_and_opened(shy):
    run = load_run(shy)
    assert run.config.model == ShyConfig(latent_dim=3, hidden=16, shyness=0.5)
    last = run.history[-1]["test"]
    assert last["objective"] == pytest.approx(last["recon"] + 0.5 * last["length"], rel=1e-5)
    assert len(run.film["term.length"]) == len(run.film["step"])
    x = np.random.default_rng(0).random((4, 1, 28, 28), np.float32)
    assert run.reconstruct(x).shape == x.shape
    assert unpack(program(run.model))[0]["family"] == "shy", "the browser decodes it, too"
    again = load_run(shy).model.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in run.model.state_dict().items())


def opened(page: str, **chosen) -> AppTest:
    at = open_page(f"pages/{page}.py", chosen)
    assert not at.exception and not at.error
    return at


def test_the_train_page_has_its_form(shy):
    at = opened("lab/train", train_family="shy")
    assert at.number_input(key="train_shyness").value == 0.1


def test_the_models_page_shows_it_and_its_film(shy):
    at = opened("lab/models")
    at.button(key=f"card_{shy}").click().run()
    assert not at.exception
    (film,) = sent_to_module(at, "film")[0]["runs"]
    assert film["name"] == shy and film["colour"] == "#123456" and "shyness ‖f(x)‖" in film["objective"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "module", "chosen"),
    [
        ("sliders", "latent_code", {"model": ...}),
        ("sliders", "latent_plane", {"model": ...}),
        ("denoise", "noise", {"models": [...]}),
        ("interpolate", "scrub", {"models": [...]}),
        ("embeddings", "atlas", {"space_1": ..., "map_1": "pca", "map_2": "pca", "count": 300}),
    ],
)
def test_the_browser_is_given_it_on_every_page(shy, page, module, chosen):
    chosen = {key: shy if v is ... else [shy] if v == [...] else v for key, v in chosen.items()}
    spec, _arrays = sent_to_module(opened(f"explore/{page}", **chosen), module)
    assert "Shy AE, 3 numbers" in str(spec)


def test_it_is_compared(shy):
    other = train_or_load(tiny_config("ae"), "cpu").name
    at = opened("explore/compare", models=[shy, other])
    words = " ".join(str(element) for kind in ("markdown", "html", "dataframe", "caption") for element in at.get(kind))
    assert "Shy AE" in words + str([box.options for box in at.multiselect])


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in menu.all_pages() if page.url_path in ("contraction", "bottleneck")])
def test_a_lab_is_not_disturbed_by_it(shy, page, monkeypatch):
    monkeypatch.delenv("AEVAE_PRETRAINED")
    opened(page.path.removeprefix("pages/").removesuffix(".py"))
