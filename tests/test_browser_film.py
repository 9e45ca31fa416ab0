"""The film in Chromium: replay by pointer and keys, and a training that is paused and continued."""

import re

import pytest
from chromium import Tab
from conftest import until

pytestmark = pytest.mark.browser
CLOUD = "c => c.toDataURL()"


def test_a_shipped_run_replays(browser, shared_server):
    tab = Tab(browser).open(shared_server.url + "/models?run=7797c7142785")
    film = tab.page.locator(".film")
    film.locator(".play").wait_for()
    bar, time, cloud = film.get_by_role("slider", name="Time"), film.locator(".time"), film.locator("canvas.cloud")
    bar.press("End")
    until(lambda: time.inner_text().startswith("epoch "))
    last = cloud.evaluate(CLOUD)
    bar.press("Home")
    until(lambda: time.inner_text() == "before training")
    until(lambda: cloud.evaluate(CLOUD) != last)
    film.get_by_role("button", name="Play").click()
    until(lambda: time.inner_text() != "before training")
    film.get_by_role("button", name=re.compile("^Follow image 3")).click()
    until(lambda: film.locator(".pair").nth(2).get_attribute("aria-pressed") == "true")
    tab.sound()
    tab.close()


def test_a_job_is_held_stepped_and_let_go(browser, server):
    tab = Tab(browser).open(server.url + "/train?train_family=vae&train_epochs=1000&train_batch_size=128")
    page = tab.page
    page.get_by_role("button", name="Train", exact=True).click()
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_text("Paused.", exact=True).wait_for()
    said = page.get_by_text(re.compile(r"of 1000 · step [\d,]+ of"))

    def step() -> int:
        return int(re.search(r"step ([\d,]+)", said.inner_text()).group(1).replace(",", ""))

    before = step()
    film = page.locator(".film")
    cloud = film.locator("canvas.cloud")
    seen = cloud.evaluate(CLOUD)
    page.get_by_role("button", name="One step").click()
    until(lambda: step() == before + 1)
    until(lambda: cloud.evaluate(CLOUD) != seen)
    assert film.locator(".time").inner_text() == "now", "one clock: the page's"
    page.get_by_role("button", name="One epoch").click()
    until(lambda: step() > before + 1 and step() % 32 == 0)
    film.get_by_role("slider", name="Time").press("Home")
    page.get_by_role("button", name="Full speed").click()
    page.get_by_text("The run trains at full speed").wait_for()
    ends = int(float(film.get_by_role("slider", name="Time").get_attribute("max")))
    until(lambda: int(float(film.get_by_role("slider", name="Time").get_attribute("max"))) > ends)
    assert film.locator(".time").inner_text() == "before training", "the hand's place stays while the film grows"
    film.get_by_role("button", name="Newest").click()
    until(lambda: film.locator(".time").inner_text() == "now")
    page.get_by_role("button", name="Cancel").first.click()
    page.get_by_role("button", name="Resume").first.wait_for()
    tab.sound()
    tab.close()


SHAPES = """flow => {
  const box = (e) => e.getBoundingClientRect().toJSON();
  const arrow = getComputedStyle(flow.querySelector(".arrow"));
  return { flow: box(flow), digits: [...flow.querySelectorAll("canvas.large")].map(box),
           parts: [...flow.children].map(box), sideways: arrow.borderLeftColor !== "rgba(0, 0, 0, 0)" };
}"""


def test_the_model_is_drawn_along_its_arrows_and_its_digits_are_square(browser, shared_server):
    """One run and two side by side, wide and on a phone."""
    tab = Tab(browser).open(shared_server.url + "/models?run=7797c7142785")
    film = tab.page.locator(".film")
    film.locator(".play").wait_for()
    for beside in (False, True):
        if beside:
            box = tab.page.get_by_role("combobox", name="Second film")
            option = tab.page.locator('[role="option"]').first  # of the list; the film's speeds are options, too
            box.scroll_into_view_if_needed()
            box.click()
            box.press("ArrowDown")
            option.wait_for(timeout=20_000)
            option.click()
            film.locator(".run").nth(1).wait_for()
        for width in (1280, 390):
            tab.become(width, "light")
            along_the_arrows(film, wide=width == 1280 and not beside)
            tab.sound()
        tab.become(1280, "light")
    tab.close()


def along_the_arrows(film, wide: bool) -> None:
    for flow in film.locator(".flow").all():
        flow.scroll_into_view_if_needed()
        shapes = flow.evaluate(SHAPES)
        for digit in shapes["digits"]:
            assert digit["width"] == pytest.approx(digit["height"], rel=0.02) and digit["width"] > 60
        starts = [(part["left"], part["top"]) for part in shapes["parts"]]
        axis = 0 if shapes["sideways"] else 1
        ends = [start[axis] for start in starts]
        assert ends == sorted(ends) and len(set(ends)) == len(ends), "parts follow each other where the arrows point"
        if wide:
            assert shapes["sideways"] and shapes["flow"]["width"] > 2 * shapes["flow"]["height"]
