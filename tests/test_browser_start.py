"""Start in Chromium: alive before anything is pressed, and the number of clicks to what is worth seeing."""

import itertools
import time

import numpy as np
import pytest
from chromium import Tab
from conftest import until

from aevae.ui.digit.picker import unpack_image

pytestmark = pytest.mark.browser
SIZE = {"width": 1280, "height": 720}
MAX_SECONDS = 8  # until the figure is alive, with tests in other processes; alone it takes less than 2
FOUR = [[(0.3, 0.1), (0.25, 0.55), (0.75, 0.55)], [(0.65, 0.3), (0.65, 0.9)]]  # two strokes, in parts of the board
GREY = "c => [...c.getContext('2d').getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 0)"


class Visitor:
    """Somebody on the page Start, whose clicks are counted."""

    def __init__(self, browser, url: str, **window):
        self.tab = Tab(browser, motion="no-preference", **SIZE | window)
        self.page, self.clicks, self.url = self.tab.page, 0, url

    def arrive(self) -> "Visitor":
        self.tab.open(self.url)
        self.code.wait_for()
        return self

    @property
    def code(self):
        return self.page.locator(".toy .code")

    @property
    def image(self) -> np.ndarray:
        return np.array(self.page.locator(".toy .image canvas").evaluate(GREY))

    def click(self, locator) -> None:
        self.clicks += 1
        locator.click()

    def draw(self, strokes) -> None:
        board = self.page.locator(".toy canvas.ink")
        for stroke in strokes:
            box = board.bounding_box()
            places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
            self.page.mouse.move(*places[0])
            self.page.mouse.down()
            for place in places[1:]:
                self.page.mouse.move(*place, steps=6)
            self.page.mouse.up()
            self.page.wait_for_timeout(150)


@pytest.fixture
def visitor(browser, shared_server):
    visitor = Visitor(browser, shared_server.url)
    yield visitor
    assert visitor.tab.crashes == []
    visitor.tab.close()


def test_the_figure_is_alive_before_anything_is_pressed(visitor):
    visitor.arrive()  # the server has made the programs
    started = time.monotonic()
    visitor.page.goto(visitor.url)
    visitor.code.wait_for()
    until(lambda: visitor.image.max() > 100, MAX_SECONDS)
    assert time.monotonic() - started < MAX_SECONDS
    before, said = visitor.image, visitor.code.inner_text()
    until(lambda: visitor.code.inner_text() != said and np.abs(visitor.image - before).max() > 30, 10)
    image = visitor.page.locator(".toy .figure")
    box = image.bounding_box()
    assert box["y"] + box["height"] <= SIZE["height"], "the whole figure is on the first screen"
    visitor.tab.sound()


def test_the_hand_stands_still_if_motion_is_reduced(visitor):
    visitor.page.emulate_media(reduced_motion="reduce")
    visitor.arrive()
    visitor.page.wait_for_timeout(500)
    said = visitor.code.inner_text()
    visitor.page.wait_for_timeout(1000)
    assert visitor.code.inner_text() == said and visitor.image.max() > 100


def test_no_click_a_digit_follows_the_hand(visitor):
    visitor.arrive()
    plane = visitor.page.locator(".toy canvas.field").bounding_box()
    images = []
    for x in (0.3, 0.5, 0.7):
        visitor.page.mouse.move(plane["x"] + x * plane["width"], plane["y"] + 0.4 * plane["height"])
        visitor.page.wait_for_timeout(150)
        images.append(visitor.image)
    assert all(np.abs(a - b).max() > 60 for a, b in itertools.pairwise(images))
    said = visitor.code.inner_text()
    visitor.page.wait_for_timeout(500)
    assert visitor.code.inner_text() == said, "a hand that was taken wanders no more"
    assert visitor.clicks == 0


def test_no_click_the_drawing_is_encoded_under_the_pen(visitor):
    visitor.arrive()
    board = visitor.page.locator(".toy canvas.ink").bounding_box()
    at = lambda x, y: (board["x"] + x * board["width"], board["y"] + y * board["height"])  # noqa: E731
    visitor.page.mouse.move(*at(0.3, 0.2))
    visitor.page.mouse.down()
    visitor.page.mouse.move(*at(0.7, 0.3), steps=5)
    visitor.page.wait_for_timeout(150)
    first = visitor.code.inner_text()
    visitor.page.mouse.move(*at(0.4, 0.9), steps=5)
    visitor.page.wait_for_timeout(150)
    assert visitor.code.inner_text() != first, "before the pen is lifted"
    visitor.page.mouse.up()
    assert visitor.clicks == 0


def test_one_click_the_same_hand_over_another_model(visitor):
    visitor.arrive()
    plane = visitor.page.locator(".toy canvas.field").bounding_box()
    visitor.page.mouse.move(plane["x"] + 0.15 * plane["width"], plane["y"] + 0.56 * plane["height"])
    visitor.page.wait_for_timeout(200)
    seen = {"VAE": visitor.image}
    for clicks, (name, said) in enumerate((("AE", "AE"), ("β-VAE, β = 8", "β = 8")), 1):
        visitor.click(visitor.page.get_by_role("radio", name=name, exact=True))
        visitor.page.wait_for_timeout(200)
        assert visitor.clicks == clicks
        assert visitor.page.locator(".toy .says b").inner_text() == said
        assert all(np.abs(visitor.image - image).max() > 60 for image in seen.values())
        seen[name] = visitor.image
    visitor.page.wait_for_url("**toy=2**")
    visitor.page.get_by_role("radio", name="β-VAE, β = 8", exact=True).press("ArrowLeft")
    assert visitor.page.get_by_role("radio", name="VAE", exact=True).get_attribute("aria-checked") == "true"


def test_one_click_the_own_digit_is_in_every_map(visitor):
    visitor.arrive()
    visitor.draw(FOUR)
    visitor.tab.rest()
    visitor.click(visitor.page.get_by_role("link", name="into every map"))
    visitor.page.locator("h1", has_text="Embeddings").wait_for()
    visitor.page.wait_for_url("**guest_own=**")
    visitor.page.get_by_text("nearest neighbours of your digit").wait_for()
    box = visitor.page.locator(".atlas canvas").first.bounding_box()
    assert box["y"] + box["height"] / 2 < SIZE["height"], "without scrolling"
    own = visitor.page.url.partition("guest_own=")[2].partition("&")[0]
    image = unpack_image(own)
    assert image is not None and 20 < image.sum() < 300 and visitor.clicks == 1


def test_a_card_is_a_link_as_a_whole(visitor):
    visitor.arrive()
    card = visitor.page.locator(".st-key-card_denoise")
    card.scroll_into_view_if_needed()
    box = card.bounding_box()
    visitor.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 30)  # on its picture
    visitor.page.locator("h1", has_text="Denoise").wait_for()
    visitor.arrive()
    visitor.page.locator(".st-key-card_beta a").focus()
    visitor.page.keyboard.press("Enter")
    visitor.page.locator("h1", has_text="β").wait_for()


def test_on_a_phone_board_image_and_plane_are_on_the_first_screen(browser, shared_server):
    visitor = Visitor(browser, shared_server.url, width=390, height=844).arrive()
    for selector in (".toy canvas.ink", ".toy .image canvas"):
        box = visitor.page.locator(selector).bounding_box()
        assert box["y"] + box["height"] < 844, selector
    assert visitor.page.locator(".toy canvas.field").bounding_box()["y"] < 844 - 200
    visitor.tab.sound()
    visitor.tab.close()
