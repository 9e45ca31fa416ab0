"""The maps of a data set with 300 classes, in a real Chromium: a class is found by its name and selected whole.

The module stands alone on a page here, with the files as the server has them and arrays as Python sends them.
"""

import http.server
import threading
from functools import partial

import numpy as np
import pytest

from aevae import paths
from aevae.browser.blob import class_numbers, pack
from aevae.ui.embeddings import map_view

pytestmark = pytest.mark.browser
EACH = 2  # points of a class
PAGE = """<!doctype html><meta charset="utf-8"><style>{style}</style><div class="live"></div><script type="module">
import {{ mount }} from "/embeddings/atlas.js";
import {{ unpack }} from "/live/loader.js";
window.sent = [];
const view = mount({{ root: document.querySelector(".live"), send: (payload) => window.sent.push(payload) }});
const blob = new Uint8Array(await (await fetch("/blob")).arrayBuffer());
window.show = () => {{ const {{ header, arrays }} = unpack(blob); view.update(header, arrays, []); }};
window.show();
document.body.dataset.ready = "yes";
</script>"""


def blob(classes: list[str]) -> bytes:
    """What the component gets of a data set with these classes, EACH points of each but of the last."""
    labels = np.repeat(np.arange(len(classes) - 1), EACH)
    xy = np.random.default_rng(0).standard_normal((len(labels), 2)).astype(np.float32)
    pane = {"title": "Map", "sub": "", "run": "", "state": "ready", "again": False, "note": "", "part": 0}
    pane |= {"numbers": [], "warnings": [], "frame": map_view.frame_of(xy), "own": None}
    spec = {
        "key": "atlas", "points": "test:1", "panes": [pane], "classes": classes, "shade": None,
        "images": "images:test:1", "point": -1, "views": [], "n": 0, "texts": map_view._texts(),
    }  # fmt: skip
    return pack(spec, {"labels": class_numbers(labels), "selected": np.zeros(0, np.int32), "xy0": xy})


@pytest.fixture
def opened(browser, request):
    folder = paths.ROOT / "aevae" / "ui"
    style = "".join((folder / name).read_text("utf-8") for name in ("live/live.css", "embeddings/atlas.css"))
    answers = {"/": ("text/html", PAGE.format(style=style).encode()), "/blob": ("x", blob(request.param))}

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            if self.path not in answers:
                return super().do_GET()
            kind, content = answers[self.path]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.goto(f"http://127.0.0.1:{server.server_port}/")
    page.locator("body[data-ready]").wait_for()
    yield page
    page.close()
    server.shutdown()
    server.server_close()


MANY = [f"c{c:03}" for c in range(300)]


@pytest.mark.parametrize("opened", [MANY], indirect=True, ids=["300"])
def test_a_class_among_many_is_found_by_its_name(opened):
    field, said = opened.get_by_label("Find a class"), opened.locator(".atlas .count")
    assert opened.locator(".atlas .classes button").count() == 0
    assert opened.locator(".atlas datalist option").count() == 299, "a class without points is not on offer"
    field.fill("c000")
    field.press("Enter")
    assert said.inner_text() == "2 selected: c000 × 2"
    field.fill("256")
    field.press("Enter")
    assert said.inner_text() == "4 selected: c000 × 2 · c256 × 2"
    opened.wait_for_function("window.sent.some((payload) => payload.selected?.join() === '0,1,512,513')")
    field.fill("c000")  # once more: out of the selection again
    field.press("Enter")
    assert said.inner_text() == "2 selected: c256 × 2"
    field.fill("zebra")
    field.press("Enter")
    assert said.inner_text() == "No class has the name zebra."
    field.fill("c2")
    opened.evaluate("window.show()")  # Python draws the page again while a hand types
    assert field.input_value() == "c2" and field.evaluate("(e) => e === document.activeElement")


@pytest.mark.parametrize("opened", [list("abcd")], indirect=True, ids=["4"])
def test_a_few_classes_have_buttons_and_one_without_points_is_not_pressed(opened):
    buttons = opened.locator(".atlas .classes button")
    assert buttons.all_inner_texts() == list("abcd") and buttons.nth(3).is_disabled()
    buttons.nth(1).click()
    pressed = [buttons.nth(i).get_attribute("aria-pressed") for i in range(4)]
    assert pressed == ["false", "true", "false", "false"]
