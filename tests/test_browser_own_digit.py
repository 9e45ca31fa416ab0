"""Embeddings and Compare in Chromium: the picture is on the first screen, and pen and markers are seen together."""

import numpy as np
import pytest
from chromium import Server, Tab
from test_browser_atlas import picture, ready

pytestmark = pytest.mark.browser
SCREENS = [(1280, 720), (390, 844), (853, 480)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("first") / "runs")
    yield server
    server.stop()


@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_the_maps_begin_in_the_upper_part_of_the_first_screen(browser, server, width, height):
    tab = ready(Tab(browser, width, height).open(f"{server.url}/embeddings"))
    box = tab.page.locator(".atlas canvas.base").first.bounding_box()
    assert box["y"] < 0.62 * height
    assert min(height, box["y"] + box["height"]) - box["y"] > 0.65 * min(box["height"], height), "most of it is seen"
    tab.sound()
    tab.close()


@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_pen_and_markers_are_on_one_screen_and_results_come_last(browser, server, width, height):
    tab = ready(Tab(browser, width, height).open(f"{server.url}/embeddings"))
    page = tab.page
    page.get_by_role("button", name="Draw a digit").click()
    board = page.locator(".draw canvas.ink")
    board.wait_for()
    page.wait_for_timeout(4000)  # programs and codes arrive
    tab.rest()
    boxes = [board.bounding_box(), *(page.locator(".atlas canvas.over").nth(i).bounding_box() for i in (0, 1))]
    assert all(box["y"] >= 0 and box["y"] + 0.8 * box["height"] <= height for box in boxes), boxes
    before = [picture(tab, pane, "over") for pane in (0, 1)]
    heading = page.get_by_role("heading", name="nearest neighbours of your digit")
    box = board.bounding_box()
    for stroke in ([(0.3, 0.2), (0.3, 0.5), (0.7, 0.5)], [(0.62, 0.25), (0.6, 0.85)]):  # a 4
        page.mouse.move(*at(box, *stroke[0]))
        page.mouse.down()
        for place in stroke[1:]:
            page.mouse.move(*at(box, *place), steps=8)
        page.wait_for_timeout(200)
        marked = [picture(tab, pane, "over") for pane in (0, 1)]
        page.mouse.up()
        assert all((new != old).any() for new, old in zip(marked, before, strict=True)), "the marker follows the pen"
        assert heading.count() == 0 and np.allclose(list(board.bounding_box().values()), list(box.values()), atol=1)
        page.wait_for_timeout(500)
    heading.wait_for()
    assert np.allclose(list(board.bounding_box().values()), list(box.values()), atol=1), "nothing moves under the pen"
    maps = page.locator(".atlas").bounding_box()
    assert heading.bounding_box()["y"] > maps["y"] + maps["height"]
    tab.rest().sound()
    tab.close()


def at(box: dict, x: float, y: float) -> tuple[float, float]:
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_compare_begins_with_a_picture_and_no_table_is_cut(browser, server, width, height):
    tab = Tab(browser, width, height).open(f"{server.url}/compare")
    first = tab.page.locator(".pictures img").first
    first.wait_for()
    assert first.bounding_box()["y"] < 0.75 * height
    table = tab.page.locator(".metrics table")
    inside = table.locator("td, th:visible").evaluate_all(
        "(cells, width) => cells.every(c => c.getBoundingClientRect().right <= width)", width
    )
    assert inside and table.evaluate("t => t.scrollWidth <= t.parentElement.clientWidth + 1")
    assert {"recon", "KL", "ELBO", "squared error", "PSNR", "active units"} <= set(
        table.locator("th[scope=row] b").all_inner_texts()
    )
    tab.sound()
    tab.close()
