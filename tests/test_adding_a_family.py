"""The recipe of the README, followed once: a family that only this file knows, trained, kept and drawn everywhere."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from conftest import tiny_config
from streamlit.testing.v1 import AppTest

from aevae import models
from aevae.blob import unpack
from aevae.config import option
from aevae.figures.palette import family_title
from aevae.models.ae import AEConfig, Autoencoder
from aevae.outputs import Loss
from aevae.paths import ROOT
from aevae.program import program
from aevae.runs import load_run, train_or_load

EXPLORE = ("denoise", "sliders", "interpolate", "embeddings", "compare")
PAGES = ("lab/train", "lab/models", "lab/home", *(f"explore/{page}" for page in EXPLORE))


@dataclass(frozen=True)
class ShyConfig(AEConfig):
    """An autoencoder whose codes stay near 0."""

    family: ClassVar[str] = "shy"
    shyness: float = option(0.1, "weight of the squared length of the code", min=0.0, max=10.0)


class Shy(Autoencoder):
    Config = ShyConfig
    title = "Shy autoencoder"
    objective = "-log p(x | g(f(x))) + shyness ||f(x)||^2"
    paper = "this test"

    def loss(self, x, *, generator=None, epoch=0.0) -> Loss:
        out = self(x)
        recon, length = self.nll(x, out.params).mean(), out.z.square().sum(1).mean()
        return Loss(recon + self.config.shyness * length, {"recon": recon.detach(), "length": length.detach()})


@pytest.fixture
def shy(empty_store, monkeypatch) -> str:
    """Name of a trained run of the new family: its one line in the registry, and nothing else, is what it took."""
    monkeypatch.setitem(models.FAMILIES, "shy", "test_adding_a_family:Shy")
    return train_or_load(tiny_config("shy", shyness=0.5), "cpu").name


def test_it_is_trained_kept_and_opened(shy):
    run = load_run(shy)
    assert run.config.model == ShyConfig(latent_dim=3, hidden=16, shyness=0.5)
    last = run.history[-1]["test"]
    assert last["objective"] == pytest.approx(last["recon"] + 0.5 * last["length"], rel=1e-5)
    assert len(run.film["term.length"]) == len(run.film["step"])
    x = np.random.default_rng(0).random((4, 1, 28, 28), np.float32)
    assert run.reconstruct(x).shape == x.shape
    assert unpack(program(run.model))[0]["family"] == "shy", "the browser decodes it, too"


@pytest.mark.parametrize("page", PAGES)
def test_every_page_shows_it(shy, page):
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    at.query_params["model"] = shy
    at.query_params["train_family"] = "shy"
    at.switch_page(f"pages/{page}.py").run()
    assert not at.exception and not at.error
    if page == "lab/train":
        assert at.selectbox(key="train_family").value == "shy"
        assert at.number_input(key="train_shyness").value == 0.1
    elif page == "lab/models":
        assert f"card_{shy}" in {button.key for button in at.button}
    elif page != "lab/home":
        chosen = [w for kind in ("selectbox", "multiselect") for w in at.get(kind)]
        assert any(family_title("shy") in str(w.options) for w in chosen)
