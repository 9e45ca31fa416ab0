"""A stable layout: elements that are drawn on or dragged keep their position while the page updates."""
# ruff: noqa: F811  (fixtures of test_browser are imported by name)

import pytest
from test_browser import Tab, browser  # noqa: F401

from aevae.ui.frame import menu

pytestmark = pytest.mark.browser
SECONDS = 3.0  # after each event
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
# Where the handle is, looked at in every frame; [] where it went away. A module that is drawn anew loses the mark.
WATCH = """async ([number, seconds]) => {
  const all = (root) => [...root.querySelectorAll("*")].flatMap((e) => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
  const hand = all(document).find((e) => e.dataset?.hand === String(number));
  const handle = hand.closest("[data-testid=stSlider]") ?? hand; // Streamlit's thumb follows the hand
  window.places = [];
  const end = performance.now() + 1000 * seconds;
  const look = () => {
    const box = handle.isConnected ? handle.getBoundingClientRect() : null;
    window.places.push(box && [box.left, box.top]);
    if (performance.now() < end) requestAnimationFrame(look);
    else window.placed = true;
  };
  window.placed = false;
  look();
}"""


def use(tab: Tab, number: int) -> tuple[float, str]:
    """One press and drag across a handle: how far it moved under the hand within SECONDS."""
    handle = tab.page.locator(f'[data-hand="{number}"]')
    handle.scroll_into_view_if_needed()
    tab.page.wait_for_timeout(300)
    box = handle.bounding_box()
    x, y = box["x"] + 0.4 * box["width"], box["y"] + 0.45 * min(box["height"], 700)
    tab.page.evaluate(WATCH, [number, SECONDS + 0.7])
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


@pytest.mark.parametrize("page", list(menu.all_pages()[1:]), ids=lambda page: page.url_path)
def test_what_a_hand_is_on_stays(browser, shared_server, page):
    tab = Tab(browser, height=720)
    tab.open(f"{shared_server.url}/{page.url_path}")
    for summary in tab.page.locator('[data-testid="stMain"] [data-testid="stExpander"] summary').all():
        if any(word in summary.inner_text() for word in ("digit", "Digit", "image")):
            summary.click()
    tab.rest()
    draw = tab.page.get_by_role("radio", name="Draw", exact=True)
    if draw.count():
        draw.first.click()
        tab.rest()
    tab.page.wait_for_timeout(1500)
    kinds = tab.page.evaluate(FIND, HANDLES)
    moved = {}
    for kind in kinds:
        there = tab.page.evaluate(FIND, HANDLES)  # anew: what was used before may have drawn others again
        if kind in there:
            moved[kind] = use(tab, there.index(kind))
    assert {kind: how for kind, (far, how) in moved.items() if far > FAR} == {}
    tab.close()


def test_a_four_can_be_drawn_on_the_page_of_maps(browser, shared_server):
    """It takes two strokes; what the first one brings must not take the board away."""
    tab = Tab(browser, height=720)
    tab.open(f"{shared_server.url}/embeddings?count=300&perplexity_1=17&perplexity_2=19")  # being made meanwhile
    tab.page.get_by_text("Add your digit to the maps").click()
    board = tab.page.locator(".draw canvas.ink")
    board.wait_for()
    board.scroll_into_view_if_needed()
    tab.page.wait_for_timeout(500)
    tab.page.evaluate(FIND, "canvas.ink")
    moved, _how = use(tab, 0)
    tab.page.get_by_text("nearest neighbours of your digit").wait_for()
    again, how = use(tab, 0)
    assert max(moved, again) <= FAR, f"{moved:.0f} px by the first stroke; the second: {how}"
    tab.close()
