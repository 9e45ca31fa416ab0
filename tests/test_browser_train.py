"""Train and Models in Chromium: what the first screen shows, and where the view of a run begins."""

import pytest
from chromium import Tab

pytestmark = pytest.mark.browser
TOP = "document.querySelector('[data-testid=stMain]').scrollTop"


def box(locator) -> dict:
    """The place of an element in the window."""
    locator.wait_for()
    return locator.bounding_box()


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (390, 844)])
def test_train_shows_the_plane_and_the_button_on_its_first_screen(browser, shared_server, width, height):
    tab = Tab(browser, width, height).open(shared_server.url + "/train")
    page = tab.page
    cloud, button = box(page.locator(".film canvas.cloud")), box(page.get_by_role("button", name="Train", exact=True))
    options = box(page.get_by_text("More options", exact=True))
    assert cloud["y"] + 0.5 * cloud["height"] < height and button["y"] + button["height"] < height
    assert button["y"] < options["y"], "the button stands before the options"
    assert page.locator(".film .controls").is_hidden(), "a single frame has no time bar"
    tab.sound()
    tab.close()


def test_models_shows_a_card_on_its_first_screen_and_a_run_from_its_top(browser, shared_server):
    tab = Tab(browser, 1280, 720).open(shared_server.url + "/models")
    page = tab.page
    first = page.locator('[data-testid="stMain"] [data-testid="stImage"]').first
    assert box(first)["y"] < 500
    show = page.get_by_role("button", name="Show", exact=True).nth(4)
    show.scroll_into_view_if_needed()
    assert page.evaluate(TOP) > 0
    show.click()
    page.get_by_role("button", name="Train a variation").wait_for()
    tab.rest()
    assert page.evaluate(TOP) == 0
    tab.sound()
    tab.close()
