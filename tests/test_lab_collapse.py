"""The lab Collapse: the plain deep decoder collapses, each remedy does what it says, and so does each control."""

import json

import pytest
import torch
from streamlit.testing.v1 import AppTest

from aevae import bundles

PAGE = "pages/variational/03_collapse.py"


@pytest.fixture
def page(monkeypatch, tmp_path):
    monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("AEVAE_PRETRAINED", raising=False)
    return AppTest.from_file("../app.py", default_timeout=120).run().switch_page(PAGE).run()


def chart(app: AppTest, place: int) -> dict:
    return json.loads(app.get("plotly_chart")[place].proto.spec)


def sheets(app: AppTest) -> list[str]:
    return [image.proto.imgs[0].url for image in app.get("image")]


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


def test_a_collapsed_decoder_draws_one_picture():
    model = bundles.load("collapse")["plain"].model()
    with torch.inference_mode():
        back = model.decode(torch.randn(20, 8, generator=torch.Generator().manual_seed(0)))
    assert back.std(0).max() < 0.02


def test_the_remedy_changes_pictures_numbers_and_schedule(page):
    assert not page.exception
    plain, flat = sheets(page), chart(page, 1)
    assert any("AU = **0** of 8" in m.value for m in page.markdown)
    page.segmented_control(key="remedy").set_value("skips").run()
    assert any("AU = **8** of 8" in m.value for m in page.markdown)
    assert sheets(page)[1:] != plain[1:] and sheets(page)[0] == plain[0]
    page.segmented_control(key="remedy").set_value("warmup").run()
    rising = chart(page, 1)
    assert flat["data"] != rising["data"]


def test_over_training_and_the_digit(page):
    first = chart(page, 0)["layout"]["yaxis"]["title"]["text"]
    page.segmented_control(key="over").set_value("kl").run()
    assert chart(page, 0)["layout"]["yaxis"]["title"]["text"] != first
    before = sheets(page)
    page.number_input(key="digit").set_value(3).run()
    after = sheets(page)
    assert after[0] != before[0] and after[2] == before[2], "the prior knows no digit"
