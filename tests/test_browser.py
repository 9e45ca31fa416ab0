"""The app on a real server in a real Chromium. Skipped without Chromium; in CI this is a failure."""

import json
from pathlib import Path

import pytest
from chromium import SECTION, Tab
from conftest import until

from aevae.ui.frame import menu

pytestmark = pytest.mark.browser


def test_cold_deep_link(browser, server):
    """The first visitor of a fresh server comes by a link, on a phone."""
    tab = Tab(browser, 390).open(f"{server.url}/compare")
    for width, scheme in ((390, "light"), (1280, "dark")):
        tab.become(width, scheme).sound()
        assert tab.page.locator(SECTION).count() == len(menu.sections())
        assert tab.page.get_by_text("Page not found").count() == 0
        assert tab.page.locator("h1").count() == 1
    tab.close()


def history(store: Path) -> list[dict]:
    """Lines of the one run in the store; [] before the first."""
    files = list(store.glob("*/history.jsonl"))
    return [json.loads(line) for line in files[0].read_text("utf-8").splitlines()] if files else []


def test_the_main_story(browser, server):
    """Open, train, see the curve grow, look elsewhere, reload, restart the server, cancel, resume; explore."""
    tab = Tab(browser).open(server.url)
    assert tab.page.locator("h1").inner_text() == "aevae"
    tab.open(server.url + "/train?train_family=vae&train_epochs=1000")
    tab.page.get_by_role("button", name="Train", exact=True).click()
    tab.page.get_by_role("button", name="Cancel").first.wait_for()
    until(lambda: len(history(server.store)) >= 3)
    tab.page.locator("summary", has_text="Curves of training and test images").click()
    tab.page.locator(".js-plotly-plot").first.wait_for()
    count = "(document.querySelector('.js-plotly-plot')?.data ?? []).reduce((n, t) => n + t.x.length, 0)"
    before = tab.page.evaluate(count)
    until(lambda: tab.page.evaluate(count) > before)
    assert "job=vae-mnist-5k-" in tab.page.url
    link = tab.page.url

    tab.go("Denoise").sound()  # other pages stay usable meanwhile
    other = Tab(browser, stranger=True).open(link)  # another browser sees the same job
    other.page.get_by_role("button", name="Cancel").first.wait_for()
    other.close()

    done = len(history(server.store))
    server.stop()  # the server restarts: the job is still there and goes on
    server.start()
    tab.open(link)
    until(lambda: len(history(server.store)) > done)
    tab.page.get_by_role("button", name="Cancel").first.click()
    tab.page.get_by_role("button", name="Resume").first.wait_for()
    until(lambda: not any(server.store.glob(".locks/vae*.tmp")))
    stopped = len(history(server.store))
    state = json.loads(next(server.store.glob("*/state.json")).read_text("utf-8"))
    assert not state["finished"] and state["step"] > 0
    tab.page.get_by_role("button", name="Resume").first.click()
    until(lambda: len(history(server.store)) > stopped)
    tab.page.get_by_role("button", name="Cancel").first.click()
    tab.page.get_by_role("button", name="Resume").first.wait_for()
    tab.rest().sound()
    for title in ("Denoise", "Latent sliders", "Interpolate", "Embeddings", "Models"):
        tab.go(title).sound()
    tab.close()


def test_a_finished_run_opens_in_the_pages_and_no_worker_outlives_its_server(browser, server):
    tab = Tab(browser).open(server.url + "/train?train_family=ae&train_epochs=1")
    tab.page.get_by_role("button", name="Train", exact=True).click()
    tab.page.get_by_role("button", name="Open in Latent sliders").first.click()
    tab.page.locator("h1", has_text="Latent sliders").wait_for()
    tab.rest().sound()
    assert "model=ae-" in tab.page.url and "mnist-5k" in tab.page.url, "the address opens the same view"
    tab.page.locator("figcaption", has_text="AE, 20 numbers").first.wait_for()
    again = Tab(browser, stranger=True).open(tab.page.url)
    again.sound()
    again.page.locator("figcaption", has_text="AE, 20 numbers").first.wait_for()
    again.close()
    tab.go("Denoise").sound()
    assert tab.page.get_by_text("AE, 20 numbers").count()

    tab.open(server.url + "/train?train_family=vae&train_epochs=1000")
    tab.page.get_by_role("button", name="Train", exact=True).click()
    until(lambda: list(server.store.glob("vae*/history.jsonl")))
    tab.close()
    server.stop()
    mine = lambda: [  # noqa: E731
        p for p in Path("/proc").glob("[0-9]*/environ") if _has(p, f"AEVAE_RUNS={server.store}".encode())
    ]
    if Path("/proc").is_dir():
        until(lambda: not mine(), 20)


def test_the_choice_outlives_the_page_and_the_browser(browser, shared_server):
    tab = Tab(browser, stranger=True).open(shared_server.url + "/denoise?digit=5&noise=masking&level=0.3")
    assert float(tab.page.get_by_role("slider", name="Noise level").input_value()) == 0.3
    tab.go("Latent sliders").go("Denoise")
    assert "digit=5" in tab.page.url and "level=0.3" in tab.page.url and "noise=masking" in tab.page.url
    tab.sound()
    again = Tab(browser, stranger=True).open(tab.page.url)
    assert float(again.page.get_by_role("slider", name="Noise level").input_value()) == 0.3
    tab.close()
    again.close()


WRONG = "?model=zzz&models=a,b&noise=rain&level=9&digit=99999&seed=x&z=1,2,nan&dims=<b>"  # more: tests/test_hostile.py


@pytest.mark.parametrize("path", ["denoise", "sliders", "interpolate", "embeddings", "train", "models"])
def test_wrong_addresses_open_the_page(browser, shared_server, path):
    tab = Tab(browser).open(f"{shared_server.url}/{path}{WRONG}")
    tab.sound()
    tab.close()


def _has(path: Path, text: bytes) -> bool:
    try:
        return text in path.read_bytes()
    except OSError:
        return False
