"""Back and Forward in Chromium: one history entry per visited page; page and address agree."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import until
from test_browser_sliders import SlidersTab

pytestmark = pytest.mark.browser
MODEL = "vae-mnist-7797c7142785"  # shipped: VAE, d = 20


def address(tab) -> tuple[str, dict[str, list[str]]]:
    """Page and parameters as the browser shows them."""
    parts = urlsplit(tab.page.evaluate("location.href"))
    return parts.path, parse_qs(parts.query)


def entries(tab) -> int:
    return tab.page.evaluate("history.length")


def first_slider(tab) -> float:
    tab.page.locator(".latent_code .row input").first.wait_for()
    return tab.value()


def test_back_comes_to_the_page_with_its_parameters_and_forward_goes_again(browser, shared_server):
    tab = SlidersTab(browser).open(f"{shared_server.url}/sliders?model=7797c7142785")
    assert address(tab) == ("/sliders", {"model": [MODEL]})
    begun, start = entries(tab), first_slider(tab)
    tab.slider().focus()
    tab.page.keyboard.press("End")
    until(lambda: tab.code(), 20)
    tab.rest()
    there, moved = address(tab), first_slider(tab)
    assert moved != start and there[1]["model"] == [MODEL] and entries(tab) == begun

    tab.go("Denoise")
    assert entries(tab) == begun + 1 and "z" not in address(tab)[1] and "model" not in address(tab)[1]
    denoise = address(tab)
    tab.page.go_back()
    tab.page.locator("h1", has_text="Latent sliders").wait_for()
    until(lambda: first_slider(tab) == pytest.approx(moved, rel=1e-3), 30)
    assert address(tab.rest()) == there and entries(tab) == begun + 1

    tab.page.get_by_role("button", name="Zero", exact=True).click()
    until(lambda: set(tab.code()) == {0.0}, 20)
    tab.rest()
    zeroed = address(tab)
    tab.page.go_forward()
    tab.page.locator("h1", has_text="Denoise").wait_for()
    assert address(tab.rest()) == denoise
    tab.page.go_back()
    tab.page.locator("h1", has_text="Latent sliders").wait_for()
    until(lambda: first_slider(tab) == 0, 30)
    assert address(tab.rest()) == zeroed
    tab.sound()
    tab.close()


def test_an_address_without_a_value_shows_the_default_again(browser, shared_server):
    """Entries of one page: what an own link, a script or a hand in the address made of it."""
    tab = SlidersTab(browser).open(f"{shared_server.url}/sliders?model=7797c7142785")
    start = first_slider(tab)
    code = ",".join(["1.5"] * 20)
    tab.page.evaluate("z => { history.replaceState({}, '', '/sliders?model=7797c7142785&digit=7&z=' + z); }", code)
    tab.page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
    until(lambda: first_slider(tab) == pytest.approx(1.5), 30)
    tab.rest()
    assert address(tab)[1]["digit"] == ["7"] and address(tab)[1]["model"] == [MODEL]
    tab.page.evaluate("history.replaceState({}, '', '/sliders?model=7797c7142785')")
    tab.page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
    until(lambda: first_slider(tab) == pytest.approx(start, rel=1e-3), 30)
    assert address(tab.rest()) == ("/sliders", {"model": [MODEL]})
    tab.sound()
    tab.close()


def test_each_page_is_one_entry(browser, shared_server):
    tab = SlidersTab(browser)
    super(SlidersTab, tab).open(f"{shared_server.url}/denoise?noise=masking&level=0.2&models=ae&seed=3")
    begun, seen = entries(tab), [address(tab)]
    for title in ("Embeddings", "Models", "Bottleneck"):
        tab.go(title)
        assert tab.page.title() == f"{title} · aevae"
        seen.append(address(tab))
    assert entries(tab) == begun + len(seen) - 1
    assert not any("level" in query or "noise" in query for _path, query in seen[1:])
    for path, query in reversed(seen[:-1]):
        tab.page.go_back()
        until(lambda path=path: address(tab)[0] == path, 30)
        assert address(tab.rest()) == (path, query)
    assert tab.page.get_by_role("radio", name=re.compile("masking")).is_checked()
    tab.close()


def test_a_press_that_leads_to_another_page_leaves_the_first_as_it_was(browser, shared_server):
    tab = SlidersTab(browser)
    super(SlidersTab, tab).open(f"{shared_server.url}/models?run=7797c7142785")
    here, begun = address(tab), entries(tab)
    tab.page.get_by_role("button", name=re.compile("Open in Latent sliders")).click()
    tab.page.locator("h1", has_text="Latent sliders").wait_for()
    assert address(tab.rest())[1]["model"] == [MODEL] and entries(tab) == begun + 1
    tab.page.go_back()
    tab.page.locator("h1", has_text="Models").wait_for()
    assert address(tab.rest()) == here
    tab.page.get_by_text(MODEL).first.wait_for()
    tab.close()
