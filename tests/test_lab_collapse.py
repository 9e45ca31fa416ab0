"""The lab Collapse: the plain deep decoder collapses, each remedy does what it says, and so does each control."""

import json

import numpy as np
import torch
from page_helpers import sent_to_browser
from streamlit.testing.v1 import AppTest

from aevae.store import bundles

PAGE = "pages/variational/03_collapse.py"


def chart(app: AppTest, place: int) -> dict:
    return json.loads(app.get("plotly_chart")[place].proto.spec)


def test_what_was_shipped_is_the_lesson():
    members = bundles.load("collapse")
    options = {name: vars(member.config.model) for name, member in members.items()}
    assert len({(o["depth"], o["hidden"], o["latent_dim"]) for o in options.values()}) == 1
    used = {name: int((m.history["variance"][-1] > 0.01).sum()) for name, m in members.items()}
    assert used["plain"] == 0 and all(count > 0 for name, count in used.items() if name != "plain")
    kl = {name: m.numbers["kl"] for name, m in members.items()}
    assert kl["plain"] < 0.01 < kl["cyclic"] and max(kl, key=kl.get) == "skips"
    assert members["free_bits"].numbers["kl"] >= 0.5 * 8 - 0.1, "half a nat for each number"
    assert options["skips"]["skips"] and not options["plain"]["skips"]


def test_a_collapsed_decoder_draws_one_image():
    model = bundles.load("collapse")["plain"].model()
    with torch.inference_mode():
        back = model.decode(torch.randn(20, 8, generator=torch.Generator().manual_seed(0)))
    assert back.std(0).max() < 0.02


def test_the_remedy_changes_models_numbers_and_schedule(page):
    assert not page.exception
    assert sent_to_browser(page)["collapse"][0]["spec"]["titles"] == ["no remedy", "skips (Skip-VAE)"], "both at once"
    page.segmented_control(key="remedy").set_value("plain").run()
    (plain, _arrays), flat = sent_to_browser(page)["collapse"], chart(page, 1)
    assert [p["run"] for p in plain["programs"]] == ["lab.collapse.plain"] and plain["spec"]["titles"] == ["no remedy"]
    assert any("AU = **0** of 8" in m.value for m in page.markdown)
    page.segmented_control(key="remedy").set_value("skips").run()
    assert any("AU = **8** of 8" in m.value for m in page.markdown)
    both = sent_to_browser(page)["collapse"][0]
    assert [p["run"] for p in both["programs"]] == ["lab.collapse.plain", "lab.collapse.skips"]
    assert both["spec"]["key"] != plain["spec"]["key"]
    page.segmented_control(key="remedy").set_value("warmup").run()
    rising = chart(page, 1)
    assert flat["data"] != rising["data"]


def test_over_training_and_the_digit(page):
    first = chart(page, 0)["layout"]["yaxis"]["title"]["text"]
    page.segmented_control(key="over").set_value("kl").run()
    assert chart(page, 0)["layout"]["yaxis"]["title"]["text"] != first
    before = sent_to_browser(page)["collapse"][1]
    page.number_input(key="digit").set_value(3).run()
    after = sent_to_browser(page)["collapse"][1]
    assert not np.allclose(after["x"], before["x"]) and np.allclose(after["eps"], before["eps"])


def test_the_server_draws_the_same_where_the_browser_cannot(page):
    page.session_state["live_trouble"] = {"": "browser"}
    page.segmented_control(key="remedy").set_value("skips").run()
    assert not page.exception and len(page.get("image")) == 1
    members, (x, eps) = bundles.load("collapse"), (np.zeros((1, 28, 28), np.float32), np.ones((2, 8), np.float32))
    plain, skips = (members[name].posterior_and_prior(x, eps) for name in ("plain", "skips"))
    assert plain.shape == (4, 1, 28, 28) and np.abs(plain[:2] - plain[2:]).max() < 0.02
    assert np.abs(skips[:2] - skips[2:]).max() > 0.3


def test_where_the_slider_stood_is_in_the_address(page):
    page.session_state["drawn_from"] = 40
    page.run()
    assert sent_to_browser(page)["collapse"][0]["spec"]["at"] == 40 and page.query_params["drawn_from"] in (
        "40",
        ["40"],
    )
