"""Every page in Chromium, one visit each: sound, wide and on a phone, light and dark; read by axe-core; what is dragged
moves and keeps its place."""

import os
from importlib.resources import files

import numpy as np
import pytest
from chromium import SECTION, Tab
from test_browser_labs import MOVES
from test_labs import LABS

from aevae import paths
from aevae.ui.digit import picker
from aevae.ui.frame import menu

pytestmark = pytest.mark.browser
PAGES = (*menu.all_pages(), menu.SERVER)
NOT_LIVE = {"codebook", "no-encoder", "mistakes"}  # labs where no slider moves an image from the beginning
# Cells outside a row, pictures without a name, headers without a word: what a screen reader cannot read.
UNREADABLE = """() => {
  const all = (root) => [...root.querySelectorAll("*")].flatMap((e) => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
  const wrong = (e) => (e.matches("[role=gridcell]") && !e.parentElement.matches("[role=row]"))
    || (e.matches("[role=row]") && !e.closest("[role=grid], table"))
    || (e.matches("[role=option]") && !e.closest("[role=listbox]"))
    || (e.matches(".live [role=img]") && !e.hidden && e.checkVisibility() && !e.getAttribute("aria-label"))
    || (e.matches("th") && !e.textContent.trim());
  return all(document.querySelector("[data-testid=stMain]")).filter(wrong).map((e) => e.outerHTML.slice(0, 120));
}"""
MIN_SECONDS, MAX_SECONDS = 1.5, 5.0  # a handle is watched so long after it is let go; and so long from the press on
FAR = 2  # pixels
HANDLES = "input[type=range], canvas.ink, [role=application]"
# Of each live component, and of Streamlit's sliders, the first handle of each kind that is seen and enabled; marked.
FIND = """(handles) => {
  const all = (root) => [...root.querySelectorAll("*")].flatMap((e) => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
  const seen = new Set(), found = [];
  for (const e of all(document)) {
    delete e.dataset?.hand;
    if (!e.matches(handles) || e.disabled || !e.checkVisibility() || e.clientWidth < 8) continue;
    const kind = `${e.closest(".live")?.firstElementChild?.className}|${e.tagName}|${e.type ?? e.getAttribute("role")}`;
    if (seen.has(kind)) continue;
    seen.add(kind);
    found.push(kind);
    e.dataset.hand = found.length - 1;
  }
  return found;
}"""
# Where the handle is, 20 times a second, until the script has run and the page has rested; null where it went away.
# A module that is drawn anew loses the mark.
WATCH = """async ([number, least, most]) => {
  const all = (root) => [...root.querySelectorAll("*")].flatMap((e) => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
  const hand = all(document).find((e) => e.dataset?.hand === String(number));
  const handle = hand.closest("[data-testid=stSlider]") ?? hand; // Streamlit's thumb follows the hand
  window.places = [];
  window.placed = false;
  const app = document.querySelector("[data-testid=stApp]");
  const begun = performance.now();
  let released = Infinity;
  let busy = begun;
  addEventListener("pointerup", () => (released = performance.now()), { capture: true, once: true });
  const look = () => {
    const box = handle.isConnected ? handle.getBoundingClientRect() : null;
    window.places.push(box && [box.left, box.top]);
    const now = performance.now();
    if (app.dataset.testScriptState !== "notRunning") busy = now;
    const rested = now - released > 1000 * least && now - busy > 500;
    if (rested || now - begun > 1000 * most) window.placed = true;
    else setTimeout(look, 50);
  };
  look();
}"""


def use(tab: Tab, number: int) -> tuple[float, str]:
    """One press and drag across a handle: how far it moved under the hand until the page had rested."""
    handle = tab.page.locator(f'[data-hand="{number}"]')
    handle.scroll_into_view_if_needed()
    tab.page.wait_for_timeout(300)
    box = handle.bounding_box()
    x, y = box["x"] + 0.4 * box["width"], box["y"] + 0.45 * min(box["height"], 700)
    tab.page.evaluate(WATCH, [number, MIN_SECONDS, MAX_SECONDS])
    tab.page.mouse.move(x, y)
    tab.page.mouse.down()
    tab.page.mouse.move(x + 0.15 * box["width"], y + min(30, 0.1 * box["height"]), steps=8)
    tab.page.mouse.up()
    tab.page.wait_for_function("window.placed", timeout=20_000)
    places = tab.page.evaluate("window.places")
    if None in places:
        return float("inf"), "it went away"
    (left, top), moved = places[0], 0.0
    for a, b in places:
        moved = max(moved, abs(a - left), abs(b - top))
    return moved, f"by {moved:.0f} px"


# What axe-core finds in Streamlit (1.67) itself: (rule, what the element's HTML begins with) -> why it is left.
STREAMLITS = {
    ("list", '<ul data-testid="stSidebarNavItems"'): "its menu holds the sections' heads between the items",
    ("listitem", "<li class="): "the items of sections in its menu stand below a <div>",
    (
        "scrollable-region-focusable",
        '<span class="katex-display">',
    ): "a long formula scrolls; Chromium focuses it itself",
    ("scrollable-region-focusable", '<div class="katex'): "the same",
}


@pytest.fixture(scope="module")
def axe() -> str:
    if not os.environ.get("CI"):
        pytest.importorskip("axe_playwright_python", reason="needs axe-core: pip install -r requirements-dev.txt")
    return (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")


def violations(page, axe: str, **options) -> list[str]:
    """What axe-core finds that is ours."""
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(axe)
    options |= {"resultTypes": ["violations"], "preload": False}
    found = page.evaluate("async (options) => (await axe.run(options)).violations", options)
    return [
        f"{rule['id']}: {node['html'][:160]} {node['failureSummary'][:240]}"
        for rule in found
        for node in rule["nodes"]
        if not any(rule["id"] == name and node["html"].startswith(html) for name, html in STREAMLITS)
    ]


def sent_messages(tab: Tab) -> list:
    """A list that grows with every message to the server."""
    sent: list = []
    tab.page.on("websocket", lambda socket: socket.on("framesent", lambda data: sent.append(data)))
    return sent


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.url_path)
def test_a_page(browser, shared_server, axe, page):
    first = 390 if PAGES.index(page) % 2 else 1280  # every second page is first laid out on a phone
    tab = Tab(browser, first, 720)
    sent = sent_messages(tab)
    tab.open(f"{shared_server.url}/{'' if page is PAGES[0] else page.url_path}")
    assert tab.page.title() == ("aevae" if page is PAGES[0] else f"{page.title} · aevae")
    assert tab.page.locator(SECTION).count() == len(menu.sections())
    if page is not menu.SERVER:  # which is the teacher's
        assert tab.page.locator('[data-testid="stSidebarNavLink"]', has_text=page.title).count() == 1
    for width, scheme in ((1280, "light"), (1280, "dark"), (390, "dark"), (390, "light")):
        tab.become(width, scheme).sound()
        assert tab.page.locator("h1").all_inner_texts() == ["aevae" if page is PAGES[0] else page.title]
        assert tab.page.get_by_text("Page not found").count() == 0
        assert tab.page.evaluate(UNREADABLE) == []
        if width == 1280:
            tab.page.wait_for_timeout(300)  # colours fade
            contrast = {"runOnly": "color-contrast"} if scheme == "dark" else {}
            assert violations(tab.page, axe, **contrast) == [], scheme
        if page in LABS and page.url_path not in NOT_LIVE:
            slider = tab.page.locator(".live input[type=range]").first
            slider.wait_for()
            before = len(sent)
            assert slider.evaluate(MOVES) and len(sent) == before
    if page in PAGES[1:-1]:
        each_handle_keeps_its_place(tab.become(1280, "light"))
        tab.sound()
    tab.close()


RUN = next(folder.name for folder in sorted((paths.ROOT / "checkpoints" / "pretrained").glob("vae-mnist-*")))
OWN = picker.pack_image(np.eye(28, dtype=np.float32)[None])  # a digit that was drawn
MORE = {  # address -> width of the window
    f"models?run={RUN}": 1280,
    "compare?compare_view=dims": 1280,
    "compare?compare_view=errors": 1280,
    "compare?compare_view=samples": 390,
    f"train?job={RUN}": 1280,
    f"interpolate?digit_own={OWN}": 390,
    "beta": 390,
}


@pytest.mark.parametrize("address", MORE)
def test_other_views_of_pages_are_read_by_axe_too(browser, shared_server, axe, address):
    tab = Tab(browser, MORE[address], 720).open(f"{shared_server.url}/{address}")
    for scheme in ("light", "dark"):
        tab.become(MORE[address], scheme).sound()
        tab.page.wait_for_timeout(300)  # colours fade
        assert tab.page.evaluate(UNREADABLE) == [] and violations(tab.page, axe) == [], scheme
    tab.close()


def each_handle_keeps_its_place(tab: Tab) -> None:
    """Whatever is dragged on the page, the digit's board included, stays under the hand."""
    for summary in tab.page.locator('[data-testid="stMain"] [data-testid="stExpander"] summary').all():
        if any(word in summary.inner_text() for word in ("digit", "Digit", "image")):
            summary.click()
    tab.rest()
    draw = tab.page.get_by_role("radio", name="Draw", exact=True)
    if draw.count():
        draw.first.click()
        tab.rest()
    tab.page.wait_for_timeout(1500)
    moved = {}
    for kind in tab.page.evaluate(FIND, HANDLES):
        there = tab.page.evaluate(FIND, HANDLES)  # anew: what was used before may have drawn others again
        if kind in there:
            moved[kind] = use(tab, there.index(kind))
    assert {kind: how for kind, (far, how) in moved.items() if far > FAR} == {}


def test_a_four_can_be_drawn_on_the_page_of_maps(browser, shared_server):
    """It takes two strokes; what the first one brings must not take the board away."""
    tab = Tab(browser, height=720)
    tab.open(f"{shared_server.url}/embeddings?count=300&perplexity_1=17&perplexity_2=19")  # being made meanwhile
    tab.page.locator(".st-key-board button").click()
    board = tab.page.locator(".draw canvas.ink")
    board.wait_for()
    board.scroll_into_view_if_needed()
    tab.page.wait_for_timeout(500)
    tab.page.evaluate(FIND, "canvas.ink")
    moved, _how = use(tab, 0)
    tab.page.get_by_role("heading", name="nearest neighbours of your digit").wait_for()
    again, how = use(tab, 0)
    assert max(moved, again) <= FAR, f"{moved:.0f} px by the first stroke; the second: {how}"
    tab.close()
