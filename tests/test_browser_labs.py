"""Every lab in a real Chromium: light, dark, on a phone, without overflow, error box or request to another host."""

import pytest
from test_browser import Tab, browser, shared_server  # noqa: F401
from test_labs import LABS

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("page", LABS, ids=lambda page: page.url_path)
def test_a_lab_is_sound(browser, shared_server, page):  # noqa: F811
    for width, scheme in ((1280, "light"), (390, "dark")):
        tab = Tab(browser, width, 900, scheme).open(f"{shared_server.url}/{page.url_path}")
        tab.page.get_by_text("Three things to try").wait_for()
        tab.rest().sound()
        assert tab.page.locator("h1").inner_text() == page.title
        tab.close()
