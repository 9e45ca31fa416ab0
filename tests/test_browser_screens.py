"""The first screen of every page in Chromium: its picture is on it. The menu fits, and the mode Present works."""

import pytest
from chromium import Tab
from conftest import until

from aevae.ui.frame import menu

pytestmark = pytest.mark.browser
# A usual projector, the same enlarged to 150 %, a phone. In each, 100 pixels of the picture are on the first screen.
SIZES = {"projector": (1280, 720), "enlarged": (853, 480), "phone": (390, 844)}
VISIBLE = 100  # pixels
# Pages whose picture is still too low, with the sizes. Take a page off this list when it is mended.
LOW = {
    "start": set(SIZES),
    "train": set(SIZES),
    "models": {"projector", "enlarged"},
    "interpolate": {"enlarged"},
    "embeddings": {"enlarged", "phone"},
    "compare": set(SIZES),
    "sparse": {"enlarged"},
    "mistakes": set(SIZES),
}
TEXTS = {"server"}  # pages without a picture
# Pages whose picker is in a column that is too narrow for one row of ten classes; take them off as well.
CRAMPED = {
    "denoise", "elbo", "beta", "collapse", "likelihoods", "classifier", "codebook", "time", "no-encoder", "flow",
}  # fmt: skip
# Where the first picture begins: a module that draws, a chart or an image of at least 100 pixels, not in the picker.
TOP = """(least) => {
  const main = document.querySelector("[data-testid=stMain]");
  const within = (e) => [...e.querySelectorAll("*")].flatMap((c) => [c, ...(c.shadowRoot ? within(c.shadowRoot) : [])]);
  const boxes = (nodes) => nodes.filter((n) => n.checkVisibility()).map((n) => n.getBoundingClientRect())
    .filter((b) => b.width && b.height);
  const kinds = '[data-testid^="stBidiComponent"], .js-plotly-plot, [data-testid="stImage"] img';
  const tops = [...main.querySelectorAll(kinds)]
    .filter((host) => !host.closest('[class*="_picker"]'))
    .flatMap((host) => {
      const drawn = within(host).filter((n) => n.matches("canvas, svg, img"));
      const parts = boxes(drawn.length ? drawn : [host]);
      if (!parts.length) return [];
      const top = Math.min(...parts.map((b) => b.top)), bottom = Math.max(...parts.map((b) => b.bottom));
      const left = Math.min(...parts.map((b) => b.left)), right = Math.max(...parts.map((b) => b.right));
      return bottom - top >= least && right - left >= least ? [top + main.scrollTop] : [];
    });
  return tops.length ? Math.round(Math.min(...tops)) : null;
}"""
PICKER = """() => [...document.querySelectorAll("[class*=_picker]")].filter((e) => e.checkVisibility())
  .map((e) => Math.round(e.getBoundingClientRect().height))"""
MAX_PICKER = 120  # pixels


def first_screens(tab: Tab) -> tuple[dict[str, int | None], list[int]]:
    """(size -> top of the first picture; heights of pickers at the sizes of a projector and a phone)."""
    tops, heights = {}, []
    for name, (width, height) in SIZES.items():
        tab.become(width, "light", height)
        tab.page.wait_for_timeout(600)
        tops[name] = tab.page.evaluate(TOP, VISIBLE)
        heights += tab.page.evaluate(PICKER) if name != "enlarged" else []
    return tops, heights


def test_every_page_opens_on_its_picture(browser, shared_server):
    tab, low, pickers, measured = Tab(browser, 1280, 720), {}, {}, {}
    for page in (*menu.all_pages(), menu.SERVER):
        if page.url_path in TEXTS:
            continue
        tab.become(1280, "light").open(f"{shared_server.url}/{page.url_path}")
        measured[page.url_path], heights = first_screens(tab)
        bad = {
            name
            for name, top in measured[page.url_path].items()
            if top is None or top + VISIBLE > SIZES[name][1]
        }  # fmt: skip
        low |= {page.url_path: bad} if bad else {}
        pickers |= {page.url_path: heights} if max(heights, default=0) > MAX_PICKER else {}
    tab.close()
    assert set(pickers) == CRAMPED, f"heights: {pickers}"
    assert low == LOW, f"tops: {measured}"


# -- the menu ----------------------------------------------------------------------------------------------------------

OVERFLOW = """() => {
  const menu = document.querySelector("[data-testid=stSidebarContent]");
  return menu.scrollHeight - menu.clientHeight;
}"""
OPEN = """() => [...document.querySelectorAll("[data-testid=stNavSectionHeader]")]
  .filter((e) => e.parentElement.children.length > 1).map((e) => e.querySelector("p").textContent)"""


def test_the_menu_fits_a_projector_and_remembers_what_is_open(browser, shared_server):
    tab = Tab(browser, 1280, 720, stranger=True).open(f"{shared_server.url}/elbo")
    assert "Variational" in tab.page.evaluate(OPEN) and tab.page.evaluate(OVERFLOW) <= 1
    tab.page.locator('[data-testid="stNavSectionHeader"]', has_text="Beyond").click()
    until(lambda: tab.page.evaluate(OVERFLOW) <= 1, 10)
    assert "Beyond" in tab.page.evaluate(OPEN)
    tab.open(shared_server.url)
    assert "Beyond" in tab.page.evaluate(OPEN) and tab.page.evaluate(OVERFLOW) <= 1
    tab.open(f"{shared_server.url}/denoise")
    assert {"Beyond", "Explore"} & set(tab.page.evaluate(OPEN)) >= {"Explore"}
    assert tab.page.evaluate(OVERFLOW) <= 1
    tab.close()


def test_an_icon_stands_for_one_page():
    icons = [page.icon for page in (*menu.all_pages(), menu.SERVER)]
    assert sorted(icons) == sorted(set(icons))


# -- Present -----------------------------------------------------------------------------------------------------------

SHOWN = """() => [...document.querySelectorAll("[data-testid=stSidebar], [data-testid=stHeader], [class*=_picker], "
  + "[data-testid=stCaptionContainer], .st-key-tries")].filter((e) => e.checkVisibility()).length"""
PICTURE = """() => {
  const main = document.querySelector("[data-testid=stMain]");
  const hosts = main.querySelectorAll('[data-testid^="stBidiComponent"], .js-plotly-plot');
  const box = [...hosts].map((e) => e.getBoundingClientRect()).find((b) => b.width >= 100 && b.height >= 100);
  return [box.top, box.bottom, document.querySelector(".aevae-present").getBoundingClientRect().top];
}"""


def line(tab: Tab) -> str:
    return tab.page.locator(".aevae-present .line").inner_text()


def is_presented(tab: Tab) -> bool:
    return tab.page.evaluate("document.documentElement.hasAttribute('data-present')")


def test_present_shows_the_picture_and_steps_through_the_tries(browser, shared_server):
    tab = Tab(browser, 1280, 720).open(f"{shared_server.url}/elbo")
    tab.page.keyboard.press("p")
    until(lambda: is_presented(tab), 5)
    assert tab.page.evaluate(SHOWN) == 0 and "present=1" in tab.page.url and line(tab) == "ELBO"
    tab.page.wait_for_timeout(3500)
    top, bottom, foot = tab.page.evaluate(PICTURE)
    assert top >= 0 and bottom <= foot and bottom - top > 0.5 * foot
    assert tab.page.locator(".aevae-present .line").evaluate("e => getComputedStyle(e).fontSize") == "22px"
    tab.page.keyboard.press("PageDown")
    until(lambda: line(tab).startswith("1/3"), 5)
    tab.page.keyboard.press("ArrowRight")
    until(lambda: line(tab).startswith("2/3"), 5)
    tab.page.keyboard.press("PageUp")
    until(lambda: line(tab).startswith("1/3"), 5)
    tab.rest()
    tab.page.locator(".elbo input[type=range]").first.focus()
    tab.page.keyboard.press("ArrowRight")
    assert line(tab).startswith("1/3"), "the arrow belongs to the slider"
    tab.page.keyboard.press("PageDown")
    until(lambda: line(tab).startswith("2/3"), 5)
    tab.page.keyboard.press("Escape")
    until(lambda: not is_presented(tab), 5)
    assert "present" not in tab.page.url and tab.page.evaluate(SHOWN) > 3
    tab.sound()
    tab.close()


def test_present_is_in_the_address_and_on_every_page(browser, shared_server):
    tab = Tab(browser, 1280, 720)
    for page in ("sliders", "embeddings", "score"):
        tab.open(f"{shared_server.url}/{page}?present=1")
        until(lambda: is_presented(tab), 20)
        assert tab.page.evaluate(SHOWN) == 0 and "present=1" in tab.page.url
    tab.page.keyboard.press("p")
    until(lambda: not is_presented(tab), 5)
    tab.page.locator(".aevae-present-button").click()
    until(lambda: is_presented(tab), 5)
    tab.page.keyboard.press("Escape")
    tab.open(f"{shared_server.url}/models")
    tab.page.get_by_role("textbox").first.press("p")
    assert not is_presented(tab), "a p in a field is a letter"
    tab.close()
