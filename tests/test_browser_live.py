"""Models in Chromium: the same numbers as PyTorch, fetched once from this server only, and a message on failure."""

import numpy as np
import pytest
from chromium import LOCAL, Tab

from aevae import paths
from aevae.browser import blob
from aevae.browser.program import program
from aevae.runs import load_run, shown_images
from aevae.store import checkpoints
from aevae.ui.live import component

pytestmark = pytest.mark.browser
SHELF = paths.ROOT / "checkpoints" / "pretrained"
ALL = (checkpoints.read_run(path.parent) for path in SHELF.glob("*/config.json"))
SHIPPED = sorted(run.name for run in ALL if run.traits["input"] == "image")  # sequences and pairs stay on the server
WITH_SLIDERS = next(name for name in SHIPPED if name.startswith("vae-"))
CORE = f"/live/{component.VERSION}/live/program.js"
COMPUTE = """async ([core, url, x, z]) => {
  const { loadProgram } = await import(core);
  const program = await loadProgram(url);
  return {
    mu: program.functions.encode ? x.map((x) => [...program.encode(x).mu]) : null,
    pictures: z.map((z) => [...program.decode(z)]),
  };
}"""
TROUBLE = """async ([core, url]) => {
  const { LiveError, loadProgram } = await import(core);
  try {
    await loadProgram(url, "the-run");
    return "no trouble";
  } catch (error) {
    return error instanceof LiveError && error.run === "the-run" ? error.code : String(error);
  }
}"""


@pytest.fixture
def tab(browser, shared_server):
    """A tab on a page of the server that has no script of its own."""
    tab = Tab(browser)
    tab.page.goto(shared_server.url + "/_stcore/health")
    yield tab
    assert tab.outside == [] and tab.crashes == []
    tab.close()


def address(name: str) -> str:
    """URL of a shipped run's program on the test's server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AEVAE_PRETRAINED", raising=False)
        return "/" + component.address(name)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_run_computes_what_pytorch_computes(tab, name):
    run = load_run(str(SHELF / name))
    images = shown_images(run.shown)[:50].astype(np.float32)
    images = images / 255 if images.max() > 1 else images
    codes = np.concatenate([run.encode(images[:25]), np.random.default_rng(0).normal(0, 1.5, (25, run.latent_dim))])
    codes = codes.astype(np.float32)
    x, z = images.reshape(50, 784).tolist(), codes.tolist()
    got = tab.page.evaluate(COMPUTE, [CORE, address(name), x, z])
    assert (got["mu"] is None) == (not run.model.has_encoder)
    if got["mu"]:
        assert np.abs(np.array(got["mu"]) - run.encode(images)).max() <= 1e-3
    assert np.abs(np.array(got["pictures"]).reshape(50, 1, 28, 28) - run.decode(codes)).max() <= 1 / 255


def test_every_shipped_run_fits_the_page():
    """Half precision for all that are shipped: their weights are stored in it."""
    assert len(SHIPPED) >= 7
    for name in SHIPPED:
        data = program(load_run(str(SHELF / name)).model)
        assert blob.unpack(data)[0]["dtype"] == "float16" and len(data) < 2e6


def test_weights_are_fetched_once_and_kept_across_reloads(browser, shared_server):
    tab, asked = Tab(browser, stranger=True), []
    tab.page.goto(shared_server.url + "/_stcore/health")
    tab.page.on("request", lambda request: asked.append(request.url))
    url = address(SHIPPED[0])
    sizes = """performance.getEntriesByType("resource").filter((e) => e.name.includes("/live/"))
      .map((e) => [e.name.split("/").pop(), e.transferSize, e.decodedBodySize])"""
    arguments = [CORE, url, [], []]
    for _ in range(3):
        tab.page.evaluate(COMPUTE, arguments)
    assert len([u for u in asked if u.endswith(".bin")]) == 1
    first = {name: moved for name, moved, _ in tab.page.evaluate(sizes)}
    assert first[url.rpartition("/")[2]] > 100_000 and first["program.js"] > 0
    tab.page.reload()
    tab.page.evaluate(COMPUTE, arguments)
    again = tab.page.evaluate(sizes)
    assert {name for name, _, _ in again} == set(first)
    assert all(moved == 0 and there > 0 for _, moved, there in again), again
    assert all(LOCAL.match(u) for u in asked)
    tab.close()


def changed(header_changes=None, op=None) -> bytes:
    """The program of a shipped run, with another header."""
    run = load_run(str(paths.ROOT / "checkpoints" / "pretrained" / SHIPPED[0]))
    header, arrays = blob.unpack(program(run.model))
    if op:
        header["functions"]["decode"]["ops"][0]["op"] = op
    return blob.pack(header | (header_changes or {}), arrays)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (lambda: changed()[:-1000], "weights"),
        (lambda: changed()[:10], "weights"),
        (lambda: b"", "weights"),
        (lambda: b"<!doctype html>", "weights"),
        (lambda: changed({"format": 2}), "weights"),
        (lambda: changed().replace(b'"float16"', b'"float64"'), "weights"),
        (lambda: changed(op="softmax"), "layer"),
        (lambda: None, "network"),
        (lambda: 500, "network"),
    ],
)
def test_trouble_has_its_code(tab, body, code):
    body = body()

    def answer(route):
        if body is None:
            route.abort()
        elif isinstance(body, int):
            route.fulfill(status=body)
        else:
            route.fulfill(body=body, content_type="application/octet-stream")

    url = address(SHIPPED[0])
    tab.page.route("**/*.bin", answer)
    assert tab.page.evaluate(TROUBLE, [CORE, url]) == code
    tab.page.unroute("**/*.bin")
    assert tab.page.evaluate(TROUBLE, [CORE, url]) == "no trouble", "it is tried again"


def test_what_is_not_there_is_trouble(tab):
    name = SHIPPED[0]
    assert checkpoints.NAME.fullmatch(name)
    assert tab.page.evaluate(TROUBLE, [CORE, f"/live/{name}/{'0' * 16}.bin"]) == "network"


# -- in a page of the app --------------------------------------------------------------------------------------------

RANGE = ".live input[type=range]:visible"


def programs_asked(tab: Tab) -> list[str]:
    """A list that grows with every request for a program."""
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url) if request.url.endswith(".bin") else None)
    return asked


def test_a_rerun_and_another_page_fetch_nothing_again(browser, shared_server):
    tab = Tab(browser)
    asked, sizes = programs_asked(tab), []
    tab.page.on("websocket", lambda ws: ws.on("framereceived", lambda data: sizes.append(len(data))))
    tab.open(f"{shared_server.url}/sliders?model={WITH_SLIDERS}")
    tab.page.locator(RANGE).first.wait_for()
    tab.rest()
    assert len(asked) == len(set(asked)) >= 1
    known, moved = len(asked), sum(sizes)
    tab.page.locator(RANGE).first.press("ArrowRight")
    tab.page.wait_for_url("**z=**")
    tab.rest()
    assert len(asked) == known and sum(sizes) - moved < 200_000, "a rerun brings no weights"
    tab.go("Models").go("Latent sliders")
    tab.page.locator(RANGE).first.wait_for()
    tab.rest().sound()
    assert len(asked) == known, "the page that comes back has its program still"
    tab.close()


def test_while_the_hand_moves_nothing_is_sent(browser, shared_server):
    tab = Tab(browser)
    sent = []
    tab.page.on("websocket", lambda ws: ws.on("framesent", lambda data: sent.append(data)))
    tab.open(f"{shared_server.url}/sliders?model={WITH_SLIDERS}")
    slider = tab.page.locator(RANGE).first
    slider.wait_for()
    slider.scroll_into_view_if_needed()
    tab.rest()
    box = slider.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before, url = len(sent), tab.page.url
    tab.page.mouse.move(x, y)
    tab.page.mouse.down()
    tab.page.mouse.move(x + box["width"] / 4, y, steps=40)
    tab.page.wait_for_timeout(1000)
    assert len(sent) == before and tab.page.url == url
    tab.page.mouse.up()
    tab.page.wait_for_function("url => location.href !== url", arg=url)
    tab.close()


def test_a_browser_without_webassembly_decodes_all_the_same(browser, shared_server):
    tab = Tab(browser)
    tab.page.add_init_script("delete globalThis.WebAssembly")
    tab.page.goto(shared_server.url + "/_stcore/health")
    run = load_run(str(paths.ROOT / "checkpoints" / "pretrained" / SHIPPED[0]))
    z = np.random.default_rng(0).normal(size=(5, run.latent_dim)).astype(np.float32)
    got = tab.page.evaluate(COMPUTE, [CORE, address(SHIPPED[0]), [], z.tolist()])
    assert np.abs(np.array(got["pictures"]).reshape(5, 1, 28, 28) - run.decode(z)).max() <= 1 / 255
    tab.close()
