"""Compare in a real Chromium: it fits light and dark, wide and narrow; numbers are found; files can be taken."""

import csv
import re
from pathlib import Path

import pytest
from chromium import Server, Tab
from conftest import until

pytestmark = pytest.mark.browser
PAIR = "models=VAE+%C2%B7+d%3D20+%C2%B7+mnist+%C2%B7+shipped&models=AE+%C2%B7+d%3D2+%C2%B7+mnist+%C2%B7+shipped"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AEVAE_CACHE", str(tmp_path_factory.mktemp("cache")))  # where new numbers of shipped runs go
        server = Server(tmp_path_factory.mktemp("compare") / "runs")
    yield server
    server.stop()


def test_every_view_fits_and_asks_for_nothing(browser, server):
    tab = Tab(browser).open(f"{server.url}/compare?{PAIR}")
    tab.page.locator(".metrics table").wait_for()
    for view in ("Images", "KL over training", "Dimensions", "Best and worst", "Samples", "Rate and distortion"):
        tab.page.get_by_role("radio", name=view).click()
        for width, scheme in ((1280, "light"), (390, "dark")):
            tab.become(width, scheme).sound()
    tab.page.locator(".js-plotly-plot .point").first.wait_for()
    tab.close()


def test_a_link_opens_the_same_view(browser, server):
    tab = Tab(browser).open(f"{server.url}/compare?{PAIR}")
    tab.page.get_by_role("radio", name="Dimensions").click()
    tab.rest()
    strips = tab.page.locator(".strips img")
    until(lambda: strips.count() == 8, 30)  # six dimensions of the VAE; the AE has two
    other = Tab(browser, stranger=True).open(tab.page.evaluate("location.href"))
    until(lambda: other.page.locator(".strips img").count() == 8, 30)
    assert other.page.locator(".strips").inner_text() == tab.page.locator(".strips").inner_text()
    tab.close()
    other.close()


def test_a_missing_number_is_found_by_the_queue(browser, server):
    cache = f"{server.url}/compare?{PAIR}&compare_numbers=bits+per+dimension&compare_numbers=recon"
    tab = Tab(browser).open(cache)
    until(lambda: tab.page.locator('[data-testid="stProgress"]').count() == 0, 180)
    tab.rest().sound()
    with tab.page.expect_download() as waiting:
        tab.page.locator(".st-key-compare_numbers_csv button").click()
    text = Path(waiting.value.path()).read_text(encoding="utf-8")
    (line,) = [line for line in csv.reader(text.splitlines()) if line[0] == "vae-mnist-7797c7142785"]
    bits = float(line[2])
    assert 0.15 < bits < 0.25, "103 nats over 784 pixels"
    tab.close()


def test_report_and_figures_can_be_taken(browser, server):
    tab = Tab(browser).open(f"{server.url}/compare?{PAIR}&compare_view=rates")
    with tab.page.expect_download() as waiting:
        tab.page.get_by_role("button", name="Report").click()
    text = Path(waiting.value.path()).read_text(encoding="utf-8")
    assert "Report of 2 runs" in text and not re.search(r'(src|href)="(?!data:|#)', text)
    with tab.page.expect_download() as waiting:
        tab.page.get_by_role("button", name="SVG").click()
    assert Path(waiting.value.path()).read_text(encoding="utf-8").startswith("<svg")
    tab.page.locator(".js-plotly-plot").hover()
    with tab.page.expect_download() as waiting:
        tab.page.locator('.modebar-btn[data-title*="png" i], .modebar-btn[aria-label*="png" i]').first.click()
    assert Path(waiting.value.path()).read_bytes().startswith(b"\x89PNG")
    report = Tab(browser).page  # what was taken opens alone, and asks for nothing
    asked: list[str] = []
    report.on("request", lambda request: asked.append(request.url))
    report.set_content(text)
    report.locator("h1").wait_for()
    assert [url for url in asked if not url.startswith("data:")] == []
    assert report.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    report.close()
    tab.sound()
    tab.close()
