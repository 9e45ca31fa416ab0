"""Interpolate and Denoise in Chromium: images follow a drag, and Python gets the final value."""

import json
import re

import numpy as np
import pytest
from chromium import Tab

from aevae import datasets, paths
from aevae.config import DataConfig
from aevae.latent.interpolation import slerp
from aevae.metrics.denoising import corrupt_images, lay_over
from aevae.runs import load_run
from aevae.ui.denoise.denoise_view import read_layer

pytestmark = pytest.mark.browser
ROOT = """[...document.querySelectorAll('*')].map((e) => e.shadowRoot?.querySelector('.%s')).find(Boolean)"""
PIXELS = """(selector) => {
  const root = %s;
  return [...root.querySelectorAll(selector)].map((c) =>
    [...c.getContext('2d').getImageData(0, 0, 28, 28).data].filter((_, i) => i %% 4 === 0));
}"""


@pytest.fixture
def tab(browser):
    tab = Tab(browser)
    tab.said = []  # what the page sends to Python
    tab.page.on("websocket", lambda ws: ws.on("framesent", lambda frame: tab.said.append(frame)))
    yield tab
    tab.close()


def pictures(tab: Tab, module: str, selector: str = "figure canvas.digit") -> np.ndarray:
    """The canvases (N, 28, 28) of a module, 0..255."""
    shown = tab.page.evaluate(PIXELS % (ROOT % module), selector)
    return np.array(shown, int).reshape(-1, 28, 28)


def ready(tab: Tab, module: str) -> None:
    tab.page.locator(f".{module} figure canvas.digit").first.wait_for()
    tab.page.wait_for_function("() => document.fonts.ready")
    tab.page.wait_for_timeout(200)


def drag(tab: Tab, box: dict, x0: float, x1: float, y0: float = 0.5, y1: float = 0.5, wait: int = 150) -> None:
    """Press at one place of a box, move to another, and do not let go."""
    at = lambda x, y: (box["x"] + x * box["width"], box["y"] + y * box["height"])  # noqa: E731
    tab.page.mouse.move(*at(x0, y0))
    tab.page.mouse.down()
    tab.page.mouse.move(*at(x1, y1), steps=8)
    tab.page.wait_for_timeout(wait)


def same(shown: np.ndarray, wanted: np.ndarray) -> bool:
    """Equal to within one step of 255."""
    return int(np.abs(shown - np.rint(255 * wanted.reshape(shown.shape))).max()) <= 1


def digits() -> np.ndarray:
    return datasets.load(DataConfig("mnist-5k")).test.images[:1000].astype(np.float32) / 255


def test_the_level_moves_images_before_it_is_let_go(tab, shared_server):
    tab.open(f"{shared_server.url}/denoise?seed=3&digit=12")
    ready(tab, "noise")
    before, quiet = pictures(tab, "noise"), len(tab.said)
    slider = tab.page.get_by_role("slider", name="Noise level")
    drag(tab, slider.bounding_box(), 0.5, 0.2)
    during = pictures(tab, "noise")
    assert len(tab.said) == quiet, "nothing is sent while the hand moves"
    assert (before[0] != during[0]).any() and "level=" not in tab.page.url
    assert np.array_equal(before[1], during[1]), "the clean digit stays"
    assert all((before[i] != during[i]).any() for i in range(2, len(before)))
    tab.page.mouse.up()
    tab.page.wait_for_url(re.compile(r"level=0\.\d+"))
    tab.rest().sound()
    assert np.array_equal(pictures(tab, "noise"), during), "the answer of Python changes nothing"


def test_live_answers_are_those_of_the_server(tab, shared_server):
    clean = digits()[12:13]
    for kind, level in (("gaussian", 0.5), ("masking", 0.31), ("salt_and_pepper", 0.2), ("block", 0.15)):
        tab.open(f"{shared_server.url}/denoise?seed=3&digit=12&noise={kind}&level={level}")
        ready(tab, "noise")
        noisy = corrupt_images(clean, kind, level, 3)
        shown = pictures(tab, "noise")
        assert same(shown[0], noisy) and same(shown[1], clean)
        runs = tab.page.locator(".noise figcaption").all_inner_texts()[2:]
        assert len(runs) == len(shown) - 2 == 3
        for picture, run in zip(shown[2:], chosen(tab), strict=True):
            assert same(picture, run.reconstruct(noisy)), (kind, run.name)


def fetched(tab: Tab) -> list[str]:
    return tab.page.evaluate("performance.getEntriesByType('resource').map((e) => e.name)")


def chosen(tab: Tab) -> list:
    """The runs on the page, by the addresses of the programs that it fetched, in the order in which pages begin.

    (The programs are fetched side by side, so the order of the requests tells nothing.)
    """
    names = {url.split("/")[-2] for url in fetched(tab) if url.endswith(".bin")}
    found = [load_run(str(paths.pretrained_dir() / name)) for name in names]
    return sorted(found, key=lambda run: ("denoising", "ae", "vae").index(run.config.model.family))


def test_strokes_change_every_answer_stay_and_are_taken_back(tab, shared_server):
    tab.open(f"{shared_server.url}/denoise?seed=3&digit=12&level=0.2")
    ready(tab, "noise")
    before, quiet = pictures(tab, "noise"), len(tab.said)
    board = tab.page.locator(".noise .paper canvas")
    board.scroll_into_view_if_needed()
    drag(tab, board.bounding_box(), 0.2, 0.8, 0.3, 0.35)
    during = pictures(tab, "noise")
    assert len(tab.said) == quiet
    assert all((before[i] != during[i]).any() for i in range(len(before)) if i != 1)
    tab.page.mouse.up()
    layer = sent(tab, quiet)["layer"]
    tab.rest().sound()
    noisy = lay_over(corrupt_images(digits()[12:13], "gaussian", 0.2, 3), read_layer(layer))
    assert same(during[0], noisy)
    for picture, run in zip(during[2:], chosen(tab), strict=True):
        assert same(picture, run.reconstruct(noisy))
    tab.page.get_by_text("Your strokes are not used here").wait_for()

    tab.page.get_by_role("radio", name="masking").check(force=True)  # strokes stay when the noise changes
    tab.page.wait_for_url(re.compile("noise=masking"))
    tab.rest()
    white = read_layer(layer)[0] == 255  # wholly covered
    assert white.any() and (pictures(tab, "noise")[0][white] == 255).all()
    tab.go("Latent sliders").go("Denoise")
    ready(tab, "noise")
    assert (pictures(tab, "noise")[0][white] == 255).all(), "they are there after a walk over the pages"
    drag(tab, board.bounding_box(), 0.2, 0.8, 0.3, 0.35)
    tab.page.mouse.up()
    tab.rest()
    for button in ("Undo", "Clear"):
        tab.page.get_by_role("button", name=button, exact=True).click()
        tab.rest()
    tab.page.get_by_text("Your strokes are not used here").wait_for(state="detached")
    assert tab.page.get_by_role("button", name="Clear", exact=True).is_disabled()


def sent(tab: Tab, since: int) -> dict:
    """The newest payload of a live module among the frames since then."""
    tab.page.wait_for_timeout(300)
    frames = [f if isinstance(f, bytes) else f.encode() for f in tab.said[since:]]
    found = [m for frame in frames for m in re.findall(rb'\{[^{}]*"n":\s*\d+[^{}]*\}', frame)]
    assert found, "nothing was sent"
    return json.loads(found[-1])


def test_the_brush_has_keys(tab, shared_server):
    tab.open(f"{shared_server.url}/denoise?level=0&digit=12")
    ready(tab, "noise")
    before, quiet = pictures(tab, "noise"), len(tab.said)
    tab.page.locator(".noise .paper canvas").focus()
    for key in ("Space", "Shift+ArrowLeft", "ArrowUp"):
        tab.page.keyboard.press(key)
    tab.page.wait_for_timeout(150)
    assert len(tab.said) == quiet and (pictures(tab, "noise")[0] != before[0]).any()
    tab.page.keyboard.press("Space")
    assert sent(tab, quiet)["layer"]
    tab.rest().sound()


def test_the_scrub_bar_moves_all_images_and_writes_the_link(tab, shared_server):
    tab.open(f"{shared_server.url}/interpolate?digit_a=3&digit_b=5&path=both")
    ready(tab, "scrub")
    before, quiet = pictures(tab, "scrub"), len(tab.said)
    assert len(before) == 5
    drag(tab, tab.page.get_by_role("slider", name="Position between a and b").bounding_box(), 0.5, 0.25)
    during = pictures(tab, "scrub")
    assert len(tab.said) == quiet
    assert all((a != b).any() for a, b in zip(before, during, strict=True))
    tab.page.mouse.up()
    tab.page.wait_for_url(re.compile(r"[?&]t=0\.2\d*"))
    t = float(re.search(r"[?&]t=([\d.]+)", tab.page.url)[1])
    tab.rest().sound()
    ends = digits()[[3, 5]]
    shown = pictures(tab, "scrub")
    assert same(shown[4], (1 - t) * ends[0] + t * ends[1])
    ae, vae = chosen(tab)
    for line, arc, run in ((0, 1, ae), (2, 3, vae)):
        a, b = run.encode(ends)
        assert same(shown[line], run.decode(((1 - t) * a + t * b)[None]))
        assert same(shown[arc], run.decode(slerp(a, b, t)[None]))
    tab.go("Denoise").go("Interpolate")
    ready(tab, "scrub")
    assert f"t={t:g}" in tab.page.url and np.array_equal(pictures(tab, "scrub"), shown)


def test_an_image_is_dragged_and_play_moves_the_place(tab, shared_server):
    tab.open(f"{shared_server.url}/interpolate")
    ready(tab, "scrub")
    place = lambda: float(tab.page.get_by_role("slider", name="Position between a and b").input_value())  # noqa: E731
    picture = tab.page.locator(".scrub figure canvas.digit").nth(1)
    picture.scroll_into_view_if_needed()
    drag(tab, picture.bounding_box(), 0.5, 0.75)
    assert place() == pytest.approx(0.75, abs=0.02)
    tab.page.mouse.up()
    tab.page.wait_for_url(re.compile("[?&]t=0.7"))
    tab.rest()
    quiet = len(tab.said)
    tab.page.get_by_role("button", name="Play").click()
    tab.page.wait_for_timeout(700)
    first = place()
    tab.page.wait_for_timeout(300)
    assert first != place() and len(tab.said) == quiet
    tab.page.get_by_role("button", name="Pause").click()
    sent(tab, quiet)
    tab.rest().sound()
    assert f"t={place():g}" in tab.page.url


def draw_cross(tab: Tab, picker: str) -> np.ndarray:
    """Say on the page that a cross is being drawn as the digit of this picker; the picture (28, 28)."""
    toolkit = next(url for url in fetched(tab) if url.endswith("/page.js"))
    cross = np.zeros((28, 28), np.float32)
    cross[6:22, 13:15] = cross[13:15, 6:22] = 1
    tab.page.evaluate(
        "([toolkit, name, pixels]) => import(toolkit).then((c) => c.channel(name).set({pixels}))",
        [toolkit, f"drawing:{picker}", cross.ravel().tolist()],
    )
    tab.page.wait_for_timeout(200)
    return cross


def test_a_digit_that_is_drawn_moves_its_end(tab, shared_server):
    tab.open(f"{shared_server.url}/interpolate?t=0")
    ready(tab, "scrub")
    before = pictures(tab, "scrub")
    cross = draw_cross(tab, "digit_a")
    shown = pictures(tab, "scrub")
    assert same(shown[2], cross) and (shown[0] != before[0]).any()
    assert same(shown[0], chosen(tab)[0].reconstruct(cross[None, None]))
    assert tab.page.locator(".scrub .numbers").all_inner_texts()[:2] == ["–"] * 2
    tab.sound()


def test_a_drawn_digit_is_corrupted_and_denoised_at_once(tab, shared_server):
    tab.open(f"{shared_server.url}/denoise?level=0&seed=3")
    ready(tab, "noise")
    cross = draw_cross(tab, "digit")
    shown = pictures(tab, "noise")
    assert same(shown[0], cross) and same(shown[1], cross)
    assert same(shown[2], chosen(tab)[0].reconstruct(cross[None, None]))
    assert tab.page.locator(".noise .numbers").nth(1).inner_text() == "your image"
    tab.sound()


def test_the_plane_between_four_digits_on_a_phone(browser, shared_server):
    tab = Tab(browser, 390, 844, "dark").open(f"{shared_server.url}/interpolate?walk=Four+corners")
    ready(tab, "scrub")
    before = pictures(tab, "scrub")
    sheet = tab.page.locator(".scrub .profile").first
    sheet.scroll_into_view_if_needed()
    drag(tab, sheet.bounding_box(), 0.5, 0.9, 0.5, 0.2)
    assert all((a != b).any() for a, b in zip(before, pictures(tab, "scrub"), strict=True))
    tab.page.mouse.up()
    tab.page.wait_for_url(re.compile("across=0.9.*down=0.2|down=0.2.*across=0.9"))
    tab.rest().sound()
    tab.close()


FIRST = {  # page -> its first image, and what one touches
    "sliders": (".latent_plane .figures canvas", ".latent_plane canvas.field"),
    "interpolate": (".scrub figure canvas.digit", ".scrub .profile"),
    "denoise": (".noise .paper canvas", ".noise .paper canvas"),
}


@pytest.mark.parametrize("path", FIRST)
def test_the_first_screen_shows_the_image_and_what_one_touches(browser, shared_server, path):
    for width, height in ((1280, 720), (390, 844), (853, 480)):  # the last: 1280 x 720 at 150 %
        tab = Tab(browser, width, height).open(f"{shared_server.url}/{path}")
        image, touched = (tab.page.locator(selector).first for selector in FIRST[path])
        image.wait_for()
        tab.page.wait_for_timeout(300)
        box, hand = image.bounding_box(), touched.bounding_box()
        assert box["y"] < height / 2 and box["y"] + box["height"] <= height, (width, box)
        assert hand["y"] + 40 <= height, (width, hand)
        tab.sound()
        tab.close()
