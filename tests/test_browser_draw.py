"""Drawing a digit in Chromium: reconstructions appear during a stroke, and the page uses the digit afterwards."""

import urllib.parse

import numpy as np
import pytest
from chromium import Tab
from conftest import until

from aevae import paths
from aevae.config import DataConfig
from aevae.datasets import load
from aevae.ui.digit.picker import unpack_image

pytestmark = pytest.mark.browser
ONE = [(0.52, 0.12), (0.5, 0.5), (0.47, 0.88)]
THREE = [(0.3, 0.25), (0.45, 0.15), (0.63, 0.2), (0.66, 0.33), (0.5, 0.47), (0.66, 0.6), (0.64, 0.78), (0.45, 0.85),
         (0.28, 0.76)]  # fmt: skip
MODEL = "vae-mnist-7797c7142785"
# What is lit on each small picture (the first is what the model sees), and what is lit on the board.
LIT = """c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  let n = 0; for (let i = 0; i < d.length; i += 4) n += d[i]; return n / 255; }"""


class Hand:
    """The board of a page that shows the digit picker; places in parts of the board."""

    def __init__(self, tab: Tab):
        self.tab, self.page = tab, tab.page
        self.board = self.page.locator(".draw canvas.ink")

    def open(self, url: str) -> "Hand":
        self.tab.open(url)
        return self.choose("Draw")

    def choose(self, way: str, is_open=True) -> "Hand":
        """Open or close this board."""
        self.page.get_by_role("radio", name=way, exact=True).wait_for()
        self.page.get_by_role("radio", name=way, exact=True).click()
        self.tab.rest()
        if way == "Draw" and is_open:
            self.board.wait_for()
            self.board.scroll_into_view_if_needed()
        return self

    def draw(self, points, lift=True) -> "Hand":
        box = self.board.bounding_box()
        start = {"x": points[0][0] * box["width"], "y": points[0][1] * box["height"]}
        self.board.hover(position=start)  # waits until that place is the board's: an expander unfolds in its own time
        box = self.board.bounding_box()
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=6)
        if lift:
            self.lift()
        return self

    def lift(self) -> None:
        self.page.mouse.up()
        self.tab.rest()

    def press(self, name: str) -> None:
        self.page.locator(".draw").get_by_role("button", name=name).click()
        self.tab.rest()

    @property
    def ink(self) -> float:
        return self.board.evaluate(LIT)

    @property
    def seen(self) -> float:
        return self.page.locator(".draw figure canvas").first.evaluate(LIT)

    @property
    def answer(self) -> float:
        return self.page.locator(".draw figure canvas").nth(1).evaluate(LIT)

    def own(self) -> np.ndarray | None:
        """The picture that the page works on, from its link."""
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.page.evaluate("location.href")).query)
        return unpack_image(query["digit_own"][0]) if "digit_own" in query else None


@pytest.fixture
def hand(browser, shared_server):
    hand = Hand(Tab(browser)).open(f"{shared_server.url}/sliders?model={MODEL}")
    yield hand
    hand.tab.sound()
    hand.tab.close()


def read(picture: np.ndarray) -> int:
    """What a shipped model's nearest codes of real digits say."""
    from aevae.runs import load_run

    run = load_run(str(paths.ROOT / "checkpoints" / "pretrained" / MODEL))
    test = load(DataConfig()).test
    codes = run.encode(np.concatenate([picture[None], test.images.astype(np.float32) / 255]))
    nearest = np.linalg.norm(codes[1:] - codes[0], axis=1).argsort()[:9]
    return int(np.bincount(test.labels[nearest], minlength=10).argmax())


def test_models_answer_while_the_hand_moves_and_the_page_takes_the_drawing(hand):
    assert hand.own() is None and hand.seen == 0
    hand.draw(ONE, lift=False)
    until(lambda: hand.seen > 10 and hand.answer > 10, 10)
    assert hand.own() is None, "Python hears of it on release"
    assert "nats" in hand.page.locator(".draw figure").nth(1).inner_text()
    hand.lift()
    until(lambda: hand.own() is not None, 20)
    assert hand.own().sum() == pytest.approx(hand.seen, abs=1)
    assert read(hand.own()) == 1
    hand.press("Clear")
    until(lambda: hand.own() is None, 20)
    assert hand.ink == 0 and hand.seen == 0
    hand.draw(THREE)
    until(lambda: hand.own() is not None, 20)
    assert read(hand.own()) == 3


def test_undo_redo_and_eraser(hand):
    hand.draw(ONE)
    one = hand.ink
    hand.draw([(0.2, 0.5), (0.8, 0.5)])
    both = hand.ink
    hand.page.keyboard.press("Control+z")
    assert hand.ink == one
    hand.press("Redo")
    assert hand.ink == both
    hand.press("Undo")
    hand.press("Eraser")
    hand.draw([(0.3, 0.5), (0.7, 0.5)])
    assert 0 < hand.ink < one
    hand.press("Clear")
    hand.press("Undo")
    assert 0 < hand.ink < one


def test_one_can_leave_and_go_on_drawing(hand):
    hand.draw(THREE)
    until(lambda: hand.own() is not None, 20)
    ink, own = hand.ink, hand.own()
    hand.tab.go("Models").go("Latent sliders")
    hand.board.wait_for()
    until(lambda: hand.ink == ink and hand.answer > 10, 20)
    until(lambda: hand.own() is not None, 20)
    np.testing.assert_array_equal(hand.own(), own)
    hand.draw([(0.1, 0.1), (0.9, 0.1)])
    assert hand.ink > ink
    hand.choose("Draw", False)
    hand.page.get_by_role("button", name="Back to the test images").click()
    until(lambda: hand.own() is None, 20)
    hand.choose("Draw")
    assert hand.ink > ink
    until(lambda: hand.own() is not None, 20)


def test_the_keyboard_draws(hand):
    hand.board.focus()
    keys = hand.page.keyboard
    keys.press("ArrowUp")
    assert hand.ink == 0
    keys.press("Space")
    for _ in range(15):
        keys.press("ArrowDown")
    until(lambda: hand.own() is not None, 20)  # a pause is enough
    assert "Pen down" in hand.page.locator(".draw .said").inner_text()
    hand.tab.rest()  # the page has taken the drawing
    hand.board.press("Space")
    hand.board.press("e")
    eraser = hand.page.locator(".draw").get_by_role("button", name="Eraser")
    until(lambda: eraser.get_attribute("aria-pressed") == "true", 20)
    assert hand.board.get_attribute("aria-label")
    hand.tab.rest()
    assert hand.page.evaluate("document.querySelector('[data-testid=stMain]').scrollTop") < 400  # arrows do not scroll


def test_a_finger_draws(browser, shared_server):
    hand = Hand(Tab(browser, 390, 844, "dark")).open(f"{shared_server.url}/sliders?model={MODEL}")
    touch = hand.page.context.new_cdp_session(hand.page)
    box = hand.board.bounding_box()

    def send(kind, *points):
        places = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]} for x, y in points]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    top = "document.querySelector('[data-testid=stMain]').scrollTop"
    before = hand.page.evaluate(top)
    send("touchStart", (0.5, 0.1))
    for k in range(2, 19):
        send("touchMove", (0.5, 0.05 * k))
    until(lambda: hand.seen > 10, 10)
    assert hand.own() is None
    send("touchEnd")
    until(lambda: hand.own() is not None, 20)
    assert read(hand.own()) == 1
    assert hand.page.evaluate(top) == before, "drawing does not scroll the page"
    hand.tab.sound()
    hand.tab.close()
