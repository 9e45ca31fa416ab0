"""The lab Two planes in Chromium: one hand over both, β, random codes, and the classifier in the browser."""

import numpy as np
import pytest
import torch
from chromium import Tab
from conftest import until
from test_browser_live import CORE

from aevae.browser import plain
from aevae.metrics import classifier
from aevae.ui.live import component

pytestmark = pytest.mark.browser
READ = """async ([core, url, x]) => {
  const program = await (await import(core)).loadProgram(url);
  return x.map((x) => [...program.read(x)]);
}"""
GREY = "c => [...c.getContext('2d').getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 0)"


@pytest.fixture
def tab(browser, shared_server):
    tab = Tab(browser, 1280, 720, motion="no-preference")
    tab.url = f"{shared_server.url}/two-planes"
    yield tab
    tab.sound()
    tab.close()


def images(tab: Tab) -> list[np.ndarray]:
    """The images under the hand, of the AE and of the VAE."""
    return [np.array(canvas.evaluate(GREY)) for canvas in tab.page.locator(".two_planes .seen canvas").all()]


def arrive(tab: Tab, query: str = "") -> None:
    tab.open(tab.url + query)
    tab.page.locator(".two_planes .sheet canvas").first.wait_for()


def test_the_classifier_computes_in_the_browser_what_pytorch_computes(browser, shared_server):
    tab = Tab(browser)
    tab.page.goto(shared_server.url + "/_stcore/health")
    x = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    found = tab.page.evaluate(READ, [CORE, "/" + component.address(plain.READER), x.reshape(4, 784).tolist()])
    with torch.inference_mode():
        wanted = classifier.reader()[0](x)[1].numpy()
    assert np.abs(np.array(found) - wanted).max() < 1e-3
    tab.close()


def test_the_hand_wanders_until_it_is_taken_and_is_then_over_both_planes(tab):
    arrive(tab)
    before = images(tab)
    until(lambda: all(np.abs(a - b).max() > 30 for a, b in zip(images(tab), before, strict=True)), 10)
    pair = tab.page.locator(".two_planes .pair").bounding_box()
    assert pair["y"] + pair["height"] <= 720, "planes and random codes are on the first screen"
    plane = tab.page.locator(".two_planes canvas.field").nth(0).bounding_box()
    tab.page.mouse.move(plane["x"] + 0.21 * plane["width"], plane["y"] + 0.25 * plane["height"])
    tab.page.wait_for_url("**hand_x=-1.9**")
    first = images(tab)
    tab.page.wait_for_timeout(500)
    assert all(np.array_equal(a, b) for a, b in zip(images(tab), first, strict=True))
    tab.page.locator(".two_planes canvas.field").nth(1).press("Shift+ArrowRight")
    tab.page.wait_for_url("**hand_x=-1.2**")
    assert all(np.abs(a - b).max() > 30 for a, b in zip(images(tab), first, strict=True))


def test_beta_changes_the_right_plane_only_and_the_address_restores_it(tab):
    arrive(tab, "?hand_x=1&hand_y=-1")
    before, counts = images(tab), tab.page.locator(".two_planes .count").all_inner_texts()
    tab.page.locator(".two_planes input[type=range]").press("End")
    tab.page.wait_for_url("**beta_at=5**")
    after = images(tab)
    assert np.array_equal(after[0], before[0]) and np.abs(after[1] - before[1]).max() > 30
    again = tab.page.locator(".two_planes .count").all_inner_texts()
    assert again[0] == counts[0]
    assert tab.page.locator(".two_planes .knob output").inner_text() == "β-VAE, β = 8"
    arrive(tab, "?hand_x=1&hand_y=-1&beta_at=5")
    until(lambda: all(np.array_equal(a, b) for a, b in zip(images(tab), after, strict=True)), 10)


def test_other_random_codes_and_the_count_is_that_of_the_frames(tab):
    arrive(tab)
    sheets = tab.page.locator(".two_planes .sheet")
    counts = tab.page.locator(".two_planes .count")
    seen = []
    for _ in range(3):
        for i in range(2):
            good = sheets.nth(i).locator("canvas.good").count()
            assert counts.nth(i).inner_text().startswith(f"{good} of 20 ")
        seen.append(sheets.nth(1).locator("canvas").first.evaluate(GREY))
        tab.page.get_by_role("button", name="20 other random codes").click()
    assert seen[0] != seen[1] != seen[2]
    tab.page.wait_for_url("**handful=3**")
