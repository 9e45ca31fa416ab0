"""Maps in Chromium: hovered, selected and drawn points appear in all panes; views survive a rerun."""

import base64
import io
import re

import numpy as np
import pytest
from chromium import Server, Tab
from PIL import Image

from aevae import datasets, embeddings
from aevae.config import DataConfig
from aevae.runs import load_run
from aevae.ui.digit.picker import pack_image
from aevae.ui.embeddings.map_view import frame_of
from aevae.ui.embeddings.panes import first_two

pytestmark = pytest.mark.browser
ADDRESS = "embeddings?map_1=PCA&map_2=PCA&count=300"
N, MARGIN = 300, 14
IMAGE = "(c) => c.toDataURL()"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AEVAE_CACHE", str(tmp_path_factory.mktemp("maps")))
        server = Server(tmp_path_factory.mktemp("atlas") / "runs")
        yield server
        server.stop()


@pytest.fixture(scope="module")
def maps() -> list[np.ndarray]:
    """Both maps as they are shown."""
    asked = [embeddings.MapRequest(name, n=N, method="pca") for name in first_two()]
    return [embeddings.embed(embeddings.codes_of(request), "pca") for request in asked]


@pytest.fixture(scope="module")
def opened(browser, server):
    tab = ready(Tab(browser).open(f"{server.url}/{ADDRESS}"))
    yield tab
    tab.close()


@pytest.fixture
def tab(opened):
    """The page, with nothing brushed and all in view; at the end nothing must have gone wrong on it."""
    clear, page = opened.page.get_by_role("button", name="Clear", exact=True), opened.page
    page.mouse.move(5, 5)
    if clear.is_enabled():
        clear.click()
    for pane in (0, 1):
        page.get_by_role("button", name="Show all").nth(pane).click()
    page.get_by_role("heading", name=re.compile("selected|nearest of")).first.wait_for(state="detached")
    page.mouse.move(5, 5)
    page.wait_for_timeout(800)  # till Python knows of it
    yield opened.rest()
    opened.sound()


def ready(tab: Tab) -> Tab:
    """When both maps are painted."""
    tab.page.locator(".atlas canvas.base").nth(1).wait_for()
    painted = "(c) => c.width > 50 && new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size > 20"
    for pane in (0, 1):
        canvas = tab.page.locator(".atlas canvas.base").nth(pane).element_handle()
        tab.page.wait_for_function(painted, arg=canvas)
    return tab


def picture(tab: Tab, pane: int, layer: str) -> np.ndarray:
    """Canvas (H, W, 4) of a pane."""
    return pixels_in(tab.page.locator(f".atlas canvas.{layer}").nth(pane))


def pixels_in(canvas) -> np.ndarray:
    png = base64.b64decode(canvas.evaluate(IMAGE).partition(",")[2])
    return np.array(Image.open(io.BytesIO(png)).convert("RGBA"))


def pixels_of(tab: Tab, pane: int, xy: np.ndarray, frame=None) -> np.ndarray:
    """Where places (N, 2) of a map lie in its pane, whole and unmoved, in CSS pixels."""
    side = tab.page.locator(".atlas canvas.over").nth(pane).bounding_box()["width"]
    cx, cy, half = frame or frame_of(xy)
    unit = (xy - [cx, cy]) / half * [1, -1]
    return side / 2 + unit * (side / 2 - MARGIN)


def at(tab: Tab, pane: int, place) -> tuple[float, float]:
    box = tab.page.locator(".atlas canvas.over").nth(pane).bounding_box()
    return box["x"] + float(place[0]), box["y"] + float(place[1])


def lonely(places: np.ndarray) -> int:
    """The point that is farthest from its nearest neighbour, away from the tools in the corner."""
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + 1e9 * np.eye(len(places))
    return int((apart.min(1) * (places[:, 1] > 60)).argmax())


def test_pointing_lights_up_the_same_digit_everywhere(tab, maps):
    places = [pixels_of(tab, pane, xy) for pane, xy in enumerate(maps)]
    i = lonely(places[0])
    before = picture(tab, 1, "over")
    tab.page.mouse.move(*at(tab, 0, places[0][i]))
    tab.page.locator(".atlas .tip").first.wait_for()
    tab.page.wait_for_timeout(150)
    assert tab.page.locator(".atlas .tip").first.inner_text().strip().endswith(f"number {i}")
    np.testing.assert_array_equal(pixels_in(tab.page.locator(".atlas .tip canvas").first)[..., 0], digits()[i, 0])
    changed = np.argwhere((picture(tab, 1, "over") != before).any(2))[:, ::-1]
    np.testing.assert_allclose(changed.mean(0), places[1][i], atol=1.5), "the ring of the other pane is around it"
    tab.page.mouse.move(5, 5)
    tab.page.wait_for_timeout(150)
    np.testing.assert_array_equal(picture(tab, 1, "over"), before)


def digits() -> np.ndarray:
    return datasets.load(DataConfig("mnist-5k")).test.images[:N]


def test_a_lasso_selects_the_same_in_all_and_python_hears(tab, maps):
    places = pixels_of(tab, 0, maps[0])
    faded = picture(tab, 1, "base")
    low, high = np.quantile(places, 0.35, axis=0), np.quantile(places, 0.75, axis=0)
    inside = ((places > low) & (places < high)).all(1)
    corners = [low, [high[0], low[1]], high, [low[0], high[1]], [low[0], low[1] + 2]]
    tab.page.mouse.move(*at(tab, 0, corners[0]))
    tab.page.mouse.down()
    for corner in corners[1:]:
        tab.page.mouse.move(*at(tab, 0, corner), steps=6)
    tab.page.wait_for_timeout(150)
    while_drawing = tab.page.locator(".atlas .count").inner_text()
    assert tab.page.get_by_role("heading", name="selected").count() == 0, "Python hears when the hand lets go"
    assert (picture(tab, 1, "base") != faded).any(), "the other pane follows at once"
    tab.page.mouse.up()
    count = int(re.match(r"(\d+) selected", while_drawing)[1])
    near_edge = (np.abs(places[:, None] - np.array([low, high])).min((1, 2)) < 3).sum()
    assert abs(count - inside.sum()) <= near_edge
    tab.page.get_by_role("heading", name=f"{count} selected", exact=True).wait_for()
    assert tab.rest().page.locator(".atlas table tr").count() == count + 1
    tab.page.get_by_role("button", name="Clear", exact=True).click()
    tab.page.get_by_role("heading", name="selected").wait_for(state="detached")
    np.testing.assert_array_equal(picture(tab, 1, "base"), faded)


def test_what_is_seen_and_brushed_outlives_reruns_pages_links_and_the_way_back(tab, maps, browser):
    page, places = tab.page, pixels_of(tab, 0, maps[0])
    start = [picture(tab, pane, "base") for pane in (0, 1)]
    page.mouse.move(*at(tab, 0, places.mean(0)))
    page.mouse.wheel(0, -400)
    page.wait_for_url("**view=**")
    zoomed = picture(tab, 0, "base")
    assert (zoomed != start[0]).any()
    np.testing.assert_array_equal(picture(tab, 1, "base"), start[1]), "each pane has a view of its own"
    page.mouse.click(*at(tab, 1, pixels_of(tab, 1, maps[1])[7]))  # a message and a rerun
    page.get_by_role("heading", name="The 10 nearest neighbours of").wait_for()
    assert "point=" in tab.rest().page.url
    np.testing.assert_array_equal(picture(tab, 0, "base"), zoomed)
    page.locator(".atlas .classes button").nth(3).click()
    page.wait_for_url("**selected=**")
    words, brushed = page.locator(".atlas .count").inner_text(), picture(tab, 0, "base")
    link = tab.rest().page.url
    ready(tab.go("Denoise").go("Embeddings"))
    assert page.locator(".atlas .count").inner_text() == words
    np.testing.assert_array_equal(picture(tab, 0, "base"), brushed)
    other = ready(Tab(browser).open(link))
    assert other.page.locator(".atlas .count").inner_text() == words
    assert other.page.get_by_role("heading", name="The 10 nearest neighbours of").count() == 1
    assert (picture(other, 0, "base") != brushed).any(2).mean() < 0.02, "a link rounds"
    other.page.locator(".atlas .classes button").nth(4).click()
    other.page.wait_for_function("(link) => location.href !== link", arg=link)
    changed, count = other.rest().page.url, other.page.locator(".atlas .count").inner_text()
    other.go("Denoise").rest().page.go_back()  # one entry for each page that a person went to
    other.page.wait_for_url(changed)
    other.page.get_by_text(count, exact=True).first.wait_for()
    other.rest().sound()
    other.close()


def test_keys_go_from_point_to_point_choose_select_and_zoom(tab):
    page, keys, tip = tab.page, tab.page.keyboard, tab.page.locator(".atlas .tip").first
    page.locator(".atlas canvas.over").first.focus()
    keys.press("ArrowRight")
    first = tip.inner_text()
    keys.press("ArrowRight")
    second = tip.inner_text()
    assert first != second and "number" in second
    assert page.locator(".atlas [aria-live]").inner_text() == second.strip()
    number = re.search(r"number (\d+)", second)[1]
    keys.press("Enter")
    page.get_by_role("heading", name=re.compile(rf"The 10 nearest neighbours of .*number {number}$")).wait_for()
    whole = picture(tab, 0, "base")
    keys.press("+")
    page.wait_for_timeout(300)
    assert (picture(tab, 0, "base") != whole).any()
    keys.press("0")
    page.wait_for_timeout(300)
    np.testing.assert_array_equal(picture(tab, 0, "base"), whole)
    keys.press("Shift+Enter")
    page.get_by_role("heading", name="1 selected", exact=True).wait_for()
    table = page.get_by_role("table", name=re.compile("^1 selected"))
    assert table.get_by_role("columnheader").all_inner_texts() == ["number", "class"]
    assert table.locator("td").all_inner_texts() == [number, second.split(",")[0]]
    keys.press("Escape")
    page.get_by_role("heading", name="1 selected").wait_for(state="detached")
    page.locator(".atlas .classes button").nth(2).focus()
    keys.press("Space")
    page.get_by_role("table", name=re.compile(r"^\d+ selected: 2 × \d+")).wait_for(state="attached")
    assert page.locator(".atlas .classes button").nth(2).get_attribute("aria-pressed") == "true"


def test_one_map_goes_over_into_the_other_and_back(tab):
    before = [picture(tab, pane, "base") for pane in (0, 1)]
    button = tab.page.get_by_role("button", name="Change into the next map: which points move?").first
    button.click()
    tab.page.wait_for_timeout(1800)
    assert "Map 2:" in tab.page.locator(".atlas figcaption strong").first.inner_text()
    np.testing.assert_array_equal(picture(tab, 0, "base"), before[1])
    button.click()
    tab.page.wait_for_timeout(1800)
    np.testing.assert_array_equal(picture(tab, 0, "base"), before[0])


def test_a_digit_of_ones_own_appears_in_every_map(browser, server, maps):
    own = pack_image(digits()[42].astype(np.float32) / 255)
    tab = ready(Tab(browser).open(f"{server.url}/{ADDRESS}&guest_own={own}"))
    for pane, xy in enumerate(maps):
        x, y = np.round(pixels_of(tab, pane, xy)[42]).astype(int)
        stamp = picture(tab, pane, "over")[max(y - 12, 0) : y + 12, max(x - 12, 0) : x + 12]
        assert (stamp[..., 3] == 255).all() and (stamp[..., 0] == stamp[..., 1]).mean() > 0.9, "a grey picture is there"
    tab.page.get_by_role("heading", name="The 10 nearest neighbours of your digit").wait_for()
    tab.sound()
    tab.close()


def test_empty_space_is_what_the_decoder_draws_there(tab, maps):
    name, frame = first_two()[0], frame_of(maps[0])
    side = tab.page.locator(".atlas canvas.over").first.bounding_box()["width"]
    spot = np.array([10.0, 10.0])
    assert np.linalg.norm(pixels_of(tab, 0, maps[0]) - spot, axis=1).min() > 20
    corner = (spot - side / 2) / (side / 2 - MARGIN) * [1, -1] * frame[2] + frame[:2]
    request = embeddings.MapRequest(name, n=N, method="pca")
    z, how = embeddings.inverse(request, corner[None], embeddings.codes_of(request))
    for _ in range(60):  # the model comes after the maps
        tab.page.mouse.move(*at(tab, 0, spot + 1))
        tab.page.mouse.move(*at(tab, 0, spot))
        tab.page.wait_for_timeout(500)
        if tab.page.locator(".atlas .tip").first.is_visible():
            break
    tip = tab.page.locator(".atlas .tip").first
    assert how == "exact" and tip.inner_text().strip() == "decoded from the code at this point"
    shown = pixels_in(tab.page.locator(".atlas .tip canvas").first)[..., 0].astype(int)
    wanted = np.rint(255 * load_run(name).decode(z)[0, 0])
    assert np.abs(shown - wanted).max() <= 3, "the pointer's place is rounded to a hundredth of a pixel"


def test_a_running_map_is_cancelled_and_requested_again(browser, server):
    tab = ready(Tab(browser).open(f"{server.url}/embeddings?map_2=PCA&perplexity_1=23"))
    tab.page.get_by_role("button", name="Cancel", exact=True).click()
    tab.page.get_by_text("Cancelled.", exact=True).wait_for()
    tab.page.get_by_role("button", name="Compute the map", exact=True).click()
    tab.page.get_by_role("button", name="Cancel", exact=True).click()
    tab.page.get_by_text("Cancelled.", exact=True).wait_for()
    tab.sound()
    tab.close()


def test_dark_and_narrow(browser, server):
    tab = ready(Tab(browser, 1280, 844, "dark").open(f"{server.url}/{ADDRESS}"))
    assert picture(tab, 0, "base")[2, 2, :3].mean() < 60
    tab.sound()
    beneath = lambda: tab.page.locator(".atlas canvas.over").nth(1).bounding_box()["y"]  # noqa: E731
    beside = beneath()
    tab.page.set_viewport_size({"width": 390, "height": 844})
    for _ in range(50):
        if beneath() > beside + 200:
            break
        tab.page.wait_for_timeout(100)
    assert beneath() > beside + 200, "on a phone one stands above the other"
    tab.rest().sound()
    tab.close()
