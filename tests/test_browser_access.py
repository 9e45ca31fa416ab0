"""Accessibility in Chromium: colour blindness, keyboard, phone, small projector."""

import re
import shutil

import pytest
from chromium import Server, Tab
from conftest import until

from aevae import paths
from aevae.figures.palette import CLASS_COLOURS
from aevae.ui.frame import menu

pytestmark = pytest.mark.browser
PHONE = {"width": 390, "height": 844}
UI = paths.ROOT / "aevae/ui"
TOP = "document.querySelector('[data-testid=stMain]').scrollTop"


def test_no_two_pages_have_one_title():
    titles = [menu.tab_title(page.title) for page in (*menu.all_pages(), menu.SERVER)]
    assert len(set(titles)) == len(titles)


# -- the theme's colours -----------------------------------------------------------------------------------------------


def test_classes_change_with_the_theme(browser, shared_server):
    """Dots of the legend, in the page that is open."""
    tab = Tab(browser).open(f"{shared_server.url}/sliders")
    dots = tab.page.locator(".latent_plane .legend .dot")
    dots.nth(9).wait_for()
    colours = "dots => dots.slice(0, 10).map(dot => getComputedStyle(dot).backgroundColor)"
    for scheme in ("light", "dark", "light"):
        tab.page.emulate_media(color_scheme=scheme)
        rgb = [tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in CLASS_COLOURS[scheme]]
        wanted = [f"rgb({r}, {g}, {b})" for r, g, b in rgb]
        until(lambda wanted=wanted: dots.evaluate_all(colours) == wanted, 20)
    tab.close()


@pytest.mark.parametrize("scheme", CLASS_COLOURS)
def test_charts_show_the_colours_of_classes(browser, shared_server, scheme):
    """Streamlit puts the theme's in place of the placeholders."""
    tab = Tab(browser, scheme=scheme).open(f"{shared_server.url}/content")
    tab.page.locator(".js-plotly-plot .scatterlayer").first.wait_for()
    lines = (
        "[...document.querySelectorAll('.js-plotly-plot')].flatMap(p => p.data.map(t => t.line?.color?.toUpperCase()))"
    )
    assert set(CLASS_COLOURS[scheme]) <= set(tab.page.evaluate(lines))
    tab.close()


# -- pop-ups -----------------------------------------------------------------------------------------------------------


POP_UPS = {  # key of a pop-up -> its page; "": tested with the teacher, below
    "compare_controls": "compare",
    "compare_formulas": "compare",
    "compare_metrics": "compare",
    "map_controls": "embeddings",
    "take_along": "embeddings?map_1=PCA&map_2=PCA",
    "number_digit": "elbo",
    "name_models_name": "models?run=7797c7142785",
    "gate": "",
    "server_reset": "server",
    "models_delete_popover": "",
}


def test_every_pop_up_is_tested():
    sources = [file.read_text("utf-8") for place in (UI, paths.ROOT / "pages") for file in place.rglob("*.py")]
    keys = [re.search(r'key=f?"([^"{]+)', call) for text in sources for call in re.findall(r"\.popover\(.*", text)]
    assert len(keys) == len(POP_UPS) and all(keys)
    assert {key[1] for key in keys} == {key.removesuffix("digit").removesuffix("models_name") for key in POP_UPS}


@pytest.mark.parametrize("key", [key for key, path in POP_UPS.items() if path])
def test_pop_ups_fit_a_small_projector(browser, shared_server, key):
    tab = Tab(browser, 1280, 720).open(f"{shared_server.url}/{POP_UPS[key]}")
    tab.page.locator(f".st-key-{key} button").first.wait_for()
    fits(tab.page, key)
    tab.close()


IN_VIEW = """b => {
  const box = b.getBoundingClientRect();
  const inside = box.left >= 0 && box.right <= innerWidth && box.top >= 0 && box.bottom <= innerHeight;
  return inside && (b.scrollHeight - b.clientHeight <= 1 || box.height > 200);
}"""


def fits(page, key: str) -> None:
    """The pop-up with this key is inside the window, wherever its button stands, and can be read to its end."""
    button = page.locator(f".st-key-{key} button").first
    button.scroll_into_view_if_needed()
    for _ in range(2):  # as it comes into view, and at the lower edge
        button.click()
        body = page.locator('[data-testid="stPopoverBody"]')
        body.wait_for()
        page.wait_for_timeout(500)
        until(lambda body=body: body.evaluate(IN_VIEW), 20)
        page.keyboard.press("Escape")
        body.wait_for(state="detached")
        button.evaluate("b => b.scrollIntoView({block: 'end'})")
        page.wait_for_timeout(300)


# -- a teacher stays in ------------------------------------------------------------------------------------------------

CODE = "four swans"


@pytest.fixture
def guarded(tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_PASSCODE", CODE)
    server = Server(tmp_path / "runs")
    yield server
    server.stop()


def door(tab):
    """Open the teacher's pop-up; it is a teacher's, if one can leave there."""
    tab.rest().page.get_by_role("button", name="Teacher").click()
    tab.page.locator('[data-testid="stPopoverBody"] :is(input, button)').first.wait_for()
    return tab.page.locator('[data-testid="stPopoverBody"]').get_by_role("button", name="Log out")


def test_a_teacher_stays_in_for_the_browsers_session(browser, guarded, trained):
    tab = Tab(browser, 1280, 720, stranger=True).open(guarded.url)
    fits(tab.page, "gate")
    leave = door(tab)
    assert leave.count() == 0
    tab.page.get_by_label("Passcode").fill(CODE)
    with tab.page.expect_response(re.compile("/teacher/")) as answer:
        tab.page.keyboard.press("Enter")
    assert answer.value.status == 204
    leave.wait_for()
    tab.page.keyboard.press("Escape")
    fits(tab.page, "gate")
    folder, names = trained
    shutil.copytree(folder / names["vae"], guarded.store / names["vae"])
    tab.open(f"{guarded.url}/models?run={names['vae']}")
    fits(tab.page, "models_delete_popover")
    (cookie,) = (c for c in tab.page.context.cookies() if c["name"].startswith("aevae_teacher"))
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and cookie["expires"] == -1
    assert CODE not in cookie["value"] and len(cookie["value"]) >= 43
    used = tab.page.request.post(answer.value.url)
    assert used.status == 404, "a ticket is good once"

    tab.open(guarded.url + "/train")
    door(tab).wait_for()
    forger = Tab(browser, stranger=True)
    forged = cookie["value"][:-1] + ("A" if cookie["value"][-1] != "A" else "B")
    forger.page.context.add_cookies([{"name": cookie["name"], "value": forged, "url": guarded.url}])
    assert door(forger.open(guarded.url)).count() == 0
    forger.close()

    second = Tab(browser)
    second.page.close()
    second.page = tab.page.context.new_page()
    second.open(guarded.url)
    door(tab.open(guarded.url)).click()
    tab.page.get_by_label("Passcode").wait_for()
    assert door(tab.open(guarded.url)).count() == 0, "after Leave a reload stays out"
    assert door(second.open(guarded.url)).count() == 0, "in every tab"

    tab.page.get_by_label("Passcode").fill(CODE)
    with tab.page.expect_response(re.compile("/teacher/")):
        tab.page.keyboard.press("Enter")
    guarded.stop()
    guarded.start()
    assert door(tab.open(guarded.url)).count() == 0, "a token ends with its server"
    tab.close()


# -- a phone -----------------------------------------------------------------------------------------------------------


class Phone:
    """A window with a finger, by Chromium's own protocol."""

    def __init__(self, context, url: str):
        self.page = context.new_page()
        self.page.set_default_timeout(60_000)
        self.wire = context.new_cdp_session(self.page)
        self.page.goto(url)
        self.page.locator("h1").wait_for()
        self.page.locator(".live[hidden]").first.wait_for(state="attached")  # the module that closes the menu

    def send(self, kind: str, *points) -> None:
        self.wire.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})

    def swipe(self, node, dx: float, dy: float, at=(0.5, 0.5), steps: int = 8) -> None:
        box = node.bounding_box()
        x, y = box["x"] + at[0] * box["width"], box["y"] + at[1] * box["height"]
        self.send("touchStart", (x, y))
        for i in range(1, steps + 1):
            self.send("touchMove", (x + dx * i / steps, y + dy * i / steps))
            self.page.wait_for_timeout(20)
        self.send("touchEnd")
        self.page.wait_for_timeout(500)

    def tap(self, node) -> None:
        box = node.bounding_box()
        self.page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.page.wait_for_timeout(300)

    def into_view(self, node):
        """In the middle of the window, with page above and below."""
        node.wait_for()
        node.evaluate("n => n.scrollIntoView({block: 'center'})")
        self.page.wait_for_timeout(800)
        return node

    @property
    def top(self) -> float:
        return self.page.evaluate(TOP)


@pytest.fixture(scope="module")
def touch(browser):
    """A browser on a phone."""
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    yield context
    context.close()


@pytest.fixture
def phone(touch, shared_server):
    yield lambda path: Phone(touch, f"{shared_server.url}/{path}")
    for page in touch.pages:
        page.close()


def test_the_menu_closes_after_a_choice(phone):
    page = phone("").page
    page.locator('[data-testid="stExpandSidebarButton"]').click()
    left = "document.querySelector('[data-testid=stSidebar]').getBoundingClientRect().right"
    page.wait_for_function(f"{left} > 200")
    page.locator('[data-testid="stSidebarNavLink"]', has_text="Models").tap()
    page.locator("h1", has_text="Models").wait_for()
    page.wait_for_function(f"{left} <= 0")


def test_a_swipe_that_begins_on_a_slider_scrolls(phone):
    hand = phone("sliders")
    slider = hand.into_view(hand.page.locator(".latent_code input[type=range]").first)
    said = slider.locator("xpath=../..").locator("output")
    value, top = slider.input_value(), hand.top
    hand.swipe(slider, 0, -150, at=(0.85, 0.5))
    assert (slider.input_value(), said.inner_text()) == (value, said.inner_text()) and float(
        said.inner_text()
    ) == float(value)
    assert hand.top > top + 50, "the page scrolls, no box in it"
    top = hand.top
    hand.swipe(slider, 90, 3)
    moved = slider.input_value()
    assert moved != value and float(said.inner_text()) == float(moved) and hand.top == top
    box = slider.bounding_box()
    hand.page.touchscreen.tap(box["x"] + 15, box["y"] + box["height"] / 2)
    hand.page.wait_for_timeout(300)
    assert float(slider.input_value()) < min(float(moved), float(value)), "a tap chooses, as ever"
    assert float(said.inner_text()) == float(slider.input_value())
    hand.page.wait_for_function("location.search.includes('z=')")


def test_a_swipe_that_begins_on_a_slider_of_streamlit_scrolls(phone):
    hand = phone("interpolate")
    slider = hand.into_view(hand.page.locator(".st-key-steps .stSlider, .st-key-steps.stSlider").first)
    track, value = slider.locator('[role="group"] > div').first, slider.locator("input")
    before, top = value.input_value(), hand.top
    hand.swipe(track, 0, -150, at=(0.9, 0.5))
    assert value.input_value() == before and hand.top > top + 50
    top = hand.top
    hand.swipe(track, 60, 3, at=(0.3, 0.5))
    moved = value.input_value()
    assert int(moved) > int(before) and hand.top == top
    box = track.bounding_box()
    hand.page.touchscreen.tap(box["x"] + 15, box["y"] + box["height"] / 2)
    hand.page.wait_for_function("location.search.includes('steps=')")
    assert int(value.input_value()) < int(before), "a tap chooses, as ever"


def test_a_swipe_over_a_chart_scrolls_and_leaves_its_axes(phone):
    hand = phone("content")
    chart = hand.into_view(hand.page.locator(".js-plotly-plot .nsewdrag").first)
    axes = "JSON.stringify([...document.querySelectorAll('.js-plotly-plot')].map(p => p.layout.yaxis?.range))"
    before, top = hand.page.evaluate(axes), hand.top
    hand.swipe(chart, 0, 150)
    assert hand.top < top - 50 and hand.page.evaluate(axes) == before


PLANES = {"sliders": ".latent_plane canvas.field", "denoise": ".noise .paper canvas[tabindex]", "elbo": ".elbo svg"}


@pytest.mark.parametrize("path", PLANES)
def test_a_plane_takes_the_finger_after_a_tap(phone, path):
    hand = phone(path)
    plane = hand.into_view(hand.page.locator(PLANES[path]).first)
    address, top = hand.page.url, hand.top
    hand.swipe(plane, 0, -120)
    assert hand.top > top + 40 and hand.page.url == address, "before: the page scrolls and nothing is drawn"
    assert hand.page.locator(".finger-hint").inner_text()
    hand.into_view(plane)
    hand.tap(plane)
    assert plane.get_attribute("data-finger") == "awake" and hand.page.locator(".finger-hint").count() == 0
    top = hand.top
    hand.swipe(plane, 40, -60)
    assert hand.top == top, "awake: the plane has the finger"
    hand.tap(hand.page.locator('[data-testid="stHeader"]'))
    assert plane.get_attribute("data-finger") == "tap"


def test_nothing_else_takes_fingers_for_itself():
    """`touch-action: none` holds the page fast; the board that was opened to draw on may, and small handles."""
    takers = {f.name for f in UI.rglob("*.css") if "touch-action: none" in f.read_text("utf-8")}
    assert takers == {"live.css", "draw.css", "contraction_geodesic.css"}


HANDLES = {"contraction_geodesic": "two small handles", "draw": "a board that was opened to draw on"}


def test_whatever_is_dragged_declares_which_fingers_it_takes():
    for file in UI.rglob("*.js"):
        text = file.read_text("utf-8")
        dragged = re.search(r"(?<!input)\.onpointerdown|pointerdown:", text)
        if dragged and file.stem not in (*HANDLES, "touch"):
            assert re.search(r"data-finger|dataset\.finger", text), file.name


def test_on_a_phone_no_box_within_the_page_scrolls():
    for file in UI.rglob("*.css"):
        for rule in re.findall(r"[^{}]*\{[^{}]*overflow-y: auto[^{}]*\}", file.read_text("utf-8")):
            name = rule.split("{")[0].split("*/")[-1].strip()
            assert re.search(
                rf"@media \(max-width: 640px\) \{{\s*{re.escape(name)} \{{[^}}]*overflow: visible",
                file.read_text("utf-8"),
            ), name
