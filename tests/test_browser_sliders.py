"""Latent sliders in Chromium: images follow a drag, Python gets the final value; the server takes over on failure."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from chromium import Tab
from conftest import until

pytestmark = pytest.mark.browser
VAE20 = "?model=7797c7142785"  # shipped: VAE, d = 20
PAIR = "?model=d97668f0f17f"  # shipped: AE, d = 32; the denoising AE has codes of the same size
SUM = "c => { const d = c.getContext('2d').getImageData(0, 0, 28, 28).data; return d.reduce((a, b) => a + b, 0) }"


class SlidersTab(Tab):
    """The page of the sliders; counts messages to the server."""

    def __init__(self, browser, **options):
        super().__init__(browser, **options)
        self.sent = 0
        self.page.on("websocket", lambda socket: socket.on("framesent", self.count))

    def count(self, _frame) -> None:
        self.sent += 1

    def open(self, url: str) -> "SlidersTab":
        super().open(url)
        self.page.locator(".latent_code .row input").first.wait_for()
        self.page.wait_for_timeout(300)
        return self

    def picture(self, where: str = ".latent_code", i: int = 0) -> float:
        """A number that changes with the image: of the thumbs, or of the figures beside the plane."""
        return self.page.locator(f"{where} canvas.digit").nth(i).evaluate(SUM)

    def slider(self, name: str | None = None):
        found = self.page.locator(".latent_code .row input")
        return found.first if name is None else self.page.get_by_role("slider", name=re.compile(rf"^{name} ·"))

    def value(self, name: str | None = None) -> float:
        return float(self.slider(name).input_value())

    def at(self, place, part: float, height: float = 0.5) -> tuple[float, float]:
        place.scroll_into_view_if_needed()
        box = place.bounding_box()
        return box["x"] + part * box["width"], box["y"] + height * box["height"]

    def code(self) -> list[float]:
        """z in the address; [] where there is none."""
        text = parse_qs(urlsplit(self.page.evaluate("location.href")).query).get("z", [""])[0]
        return [float(v) for v in text.split(",")] if text else []

    def shown(self) -> None:
        """The next frame is drawn."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_a_slider_decodes_while_it_is_dragged_and_sends_the_final_value(browser, shared_server):
    tab = SlidersTab(browser).open(f"{shared_server.url}/sliders{VAE20}")
    mouse, slider = tab.page.mouse, tab.slider()
    thumb = tab.page.locator(".latent_code .thumb").first.bounding_box()
    assert thumb["width"] == thumb["height"] == 28, "an image, no wider than the part of the film that it covers"
    before, start = tab.picture(), tab.value()
    mouse.move(*tab.at(slider, 0.3))
    mouse.down()
    tab.shown()
    sent, seen = tab.sent, {before}
    for part in (0.4, 0.5, 0.6, 0.7, 0.8, 0.95):
        mouse.move(*tab.at(slider, part))
        tab.shown()
        seen.add(tab.picture())
    assert len(seen) == 7, "every move shows another picture"
    assert tab.page.locator(".latent_code .row.outside").count() >= 1
    tab.page.wait_for_timeout(500)
    assert tab.sent == sent and tab.code() == [], "nobody asked the server"
    value = tab.value()
    mouse.up()
    until(lambda: tab.code(), 20)
    assert tab.sent > sent and value in [pytest.approx(v, rel=1e-3) for v in tab.code()]
    tab.rest()
    assert tab.value() == value

    tab.go("Denoise").go("Latent sliders")  # it survives leaving the page, and another browser by the link
    tab.page.locator(".latent_code .row input").first.wait_for()
    until(lambda: tab.value() == value, 20)
    until(lambda: tab.code(), 20)
    other = SlidersTab(browser).open(tab.page.evaluate("location.href"))
    until(lambda: other.value() == value, 20)
    other.close()

    mouse.dblclick(*tab.at(tab.slider(), 0.2))  # back to the digit's own value
    until(lambda: abs(tab.value() - start) < 1e-6, 10)
    until(lambda: any(abs(v - start) < 6e-3 for v in tab.code()), 20)
    tab.page.get_by_role("button", name="Zero", exact=True).click()
    until(lambda: set(tab.code()) == {0.0} and tab.value() == 0, 20)
    tab.slider().focus()
    tab.page.keyboard.press("End")
    tab.page.keyboard.press("ArrowLeft")
    until(lambda: max(tab.code()) > 2.9, 20)
    tab.rest().sound()
    tab.close()


def test_the_plane_moves_the_sliders_pins_and_replays(browser, shared_server):
    tab = SlidersTab(browser).open(f"{shared_server.url}/sliders{VAE20}")
    mouse, field = tab.page.mouse, tab.page.locator(".latent_plane canvas.field")
    x = int(re.search(r"z(\d+)", tab.page.locator(".latent_code .row .name b").first.inner_text())[1])
    field.scroll_into_view_if_needed()
    until(lambda: tab.picture(".latent_plane") == tab.picture(".latent_code"), 10)
    start, before = tab.value(f"z{x}"), tab.picture(".latent_plane")
    sent = tab.sent
    mouse.move(*tab.at(field, 0.85, 0.3))  # hover decodes, here and in the sliders
    tab.shown()
    assert tab.value(f"z{x}") > 1.5 and tab.picture(".latent_plane") != before
    assert tab.picture(".latent_plane") == tab.picture(".latent_code")
    mouse.move(5, 5)  # and leaves nothing behind
    tab.shown()
    assert tab.value(f"z{x}") == start and tab.picture(".latent_plane") == before and tab.sent == sent

    mouse.click(*tab.at(field, 0.3, 0.3))
    until(lambda: tab.code() and tab.code()[x] < 0, 20)
    tab.page.locator(".latent_plane summary").click()
    pins = tab.page.get_by_role("button", name="Clear pins")
    assert pins.is_enabled()
    tab.rest()
    mouse.click(*tab.at(field, 0.3, 0.3))
    assert pins.is_disabled(), "a click on the pin takes it away"

    mouse.move(*tab.at(field, 0.3, 0.7))
    mouse.down()
    mouse.move(*tab.at(field, 0.8, 0.4), steps=12)
    mouse.up()
    until(lambda: tab.code()[x] > 1, 20)
    tab.rest()
    play = tab.page.get_by_role("button", name="Play")
    play.click()
    seen = set()
    until(lambda: seen.add(tab.picture(".latent_plane")) or len(seen) > 5, 20)
    until(lambda: play.count() == 1, 20)  # the end
    field.focus()
    tab.page.keyboard.press("Enter")
    assert pins.is_enabled()
    for _ in range(3):
        tab.page.keyboard.press("ArrowLeft")
    tab.shown()
    moved = tab.value(f"z{x}")
    until(lambda: abs(tab.code()[x] - moved) < 0.02, 20)
    tab.rest().sound()

    tab.page.get_by_text("through three digits", exact=True).click()
    tab.rest()
    mouse.move(*tab.at(field, 0.5, 0.5))
    tab.shown()
    shown = tab.picture(".latent_code")
    mouse.move(*tab.at(field, 0.8, 0.5))
    tab.shown()
    assert tab.picture(".latent_code") != shown
    tab.page.get_by_text("decoded images", exact=True).click()
    tab.rest().sound()
    tab.close()


def test_several_models_follow_the_same_sliders(browser, shared_server):
    tab = SlidersTab(browser).open(f"{shared_server.url}/sliders{PAIR}")
    tab.page.locator("summary", has_text="Choose the model").click()
    tab.page.wait_for_timeout(500)  # it unfolds
    tab.page.locator('[data-testid="stMultiSelect"] input').first.click()
    tab.page.get_by_role("option", name="Denoising AE").click()
    tab.rest()
    figures = ".latent_plane .figures"
    until(lambda: tab.page.locator(f"{figures} canvas").count() == 2, 20)
    assert "beside=" in tab.page.url
    before = [tab.picture(figures), tab.picture(figures, 1)]
    tab.page.mouse.click(*tab.at(tab.slider(), 0.9))
    tab.shown()
    assert tab.picture(figures) != before[0] and tab.picture(figures, 1) != before[1]
    tab.rest().sound()
    tab.close()


def layer(body: bytes) -> bytes:
    return body.replace(b'"op": "linear"', b'"op": "warped"')


@pytest.mark.parametrize(
    "what, damage, sentence",
    [
        (r"/live/.*\.bin$", lambda body: body[: len(body) // 2], "do not match their header"),
        (r"/live/.*\.bin$", layer, "layer that the browser cannot compute"),
        (r"/live/.*/latent_code\.js$", None, "did not reach the browser"),
        (r"/live/.*\.bin$", None, "did not reach the browser"),
    ],
    ids=["cut", "layer", "module", "missing"],
)
def test_the_server_takes_over(browser, shared_server, what, damage, sentence):
    tab = Tab(browser)

    def answer(route):
        if damage is None:
            return route.fulfill(status=404, body="not here", content_type="text/plain")
        response = route.fetch()
        return route.fulfill(response=response, body=damage(response.body()))

    tab.page.route(re.compile(what), answer)
    tab.open(f"{shared_server.url}/sliders{VAE20}")
    tab.page.get_by_text(re.compile(sentence)).first.wait_for()
    slider = tab.page.locator('[data-testid="stSlider"]').first.get_by_role("slider")
    slider.wait_for()
    tab.rest()
    picture = '[data-testid="stImage"] img'
    before = tab.page.locator(picture).first.get_attribute("src")
    slider.focus()
    tab.page.keyboard.press("End")
    until(lambda: tab.page.locator(picture).first.get_attribute("src") != before, 20)
    until(lambda: "z=" in tab.page.evaluate("location.href"), 20)
    tab.rest().sound()
    tab.close()
