"""Every lab in a real Chromium: light, dark, on a phone, without overflow, error box or request to another host; and
what moves there moves in the page."""

import numpy as np
import pytest
from chromium import Tab
from conftest import until
from test_browser_live import CORE
from test_labs import LABS

from aevae.store import bundles
from aevae.ui.live import component

pytestmark = pytest.mark.browser
MOVES = """async (input) => {
  const root = input.closest(".live");
  const look = () => root.innerHTML + [...root.querySelectorAll("canvas")].map((c) => c.toDataURL()).join();
  const before = look(), middle = (+input.min + +input.max) / 2;
  input.value = +input.value > middle ? input.min : input.max;
  input.dispatchEvent(new Event("input", { bubbles: true, composed: true }));
  for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
  return look() !== before;
}"""
COMPUTE = """async ([core, url, x]) => {
  const program = await (await import(core)).loadProgram(url);
  return x.map((x) => {
    const mu = Float32Array.from(program.encode(x).mu);
    return [[...mu], [...program.decode(mu)], [...program.params(mu)]];
  });
}"""
GREY = """(row) => [...row.querySelectorAll("canvas")].map((canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, 28, 28);
  return Array.from({ length: 784 }, (_, i) => data[4 * i]);
})"""


SCREENS = ((1280, 720), (390, 844), (853, 480))  # a projector, a phone, a projector at 150 %


@pytest.mark.parametrize(("width", "height"), SCREENS)
@pytest.mark.parametrize("page", [page for page in LABS if page.url_path != "mistakes"], ids=lambda page: page.url_path)
def test_the_picture_of_a_lab_is_on_the_first_screen(browser, shared_server, page, width, height):
    tab = Tab(browser, width, height).open(f"{shared_server.url}/{page.url_path}")
    picture = tab.page.locator(".live canvas, .live svg").first
    picture.wait_for()
    until(lambda: picture.bounding_box()["y"] < 0.5 * height, 20)  # the digits to choose from may be there before
    box = picture.bounding_box()
    assert box["y"] + min(box["height"], 150) <= height, box
    tab.close()


@pytest.mark.parametrize("bundle", ["collapse", "likelihoods"])
def test_a_model_of_a_lab_computes_what_pytorch_computes(browser, shared_server, bundle):
    import torch

    tab = Tab(browser)
    tab.page.goto(shared_server.url + "/_stcore/health")
    x = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    for name, member in bundles.load(bundle).items():
        model, url = member.model(), "/" + component.address(f"{component.LAB}{bundle}.{name}")
        mu, pictures, params = zip(*tab.page.evaluate(COMPUTE, [CORE, url, x.reshape(4, 784).tolist()]), strict=True)
        with torch.inference_mode():
            z = model.encode(x)
            assert np.abs(np.array(mu) - z.numpy()).max() <= 1e-3
            assert np.abs(np.array(pictures) - model.decode(z).numpy().reshape(4, 784)).max() <= 1 / 255
            wanted = model.params(z).numpy().reshape(4, -1)
            assert np.abs(np.array(params) - wanted).max() <= 5e-3 * np.abs(wanted).max()
    tab.close()


def pictures(row) -> np.ndarray:
    """The pictures of a row, whole numbers 0..255 (N, 784)."""
    return np.array(row.evaluate(GREY))


def test_a_collapsed_decoder_stands_still_on_the_way_to_the_prior(browser, shared_server):
    tab = Tab(browser).open(f"{shared_server.url}/collapse?remedy=skips+%28Skip-VAE%29")
    slider, rows = tab.page.locator(".live .collapse input"), tab.page.locator(".live .collapse .row .digits")
    slider.wait_for()
    assert rows.count() == 2
    before = [pictures(rows.nth(i)) for i in range(2)]
    assert slider.evaluate(MOVES)
    plain, skips = (pictures(rows.nth(i)) for i in range(2))
    assert np.ptp(np.concatenate([before[0], plain]), axis=0).max() <= 6, "one picture, whatever z is"
    assert all(np.abs(a - b).max() > 100 for a, b in zip(skips, before[1], strict=True))
    slider.press("ArrowLeft")
    tab.page.wait_for_url("**drawn_from=99**")
    tab.close()


def test_five_decoders_follow_one_code_and_it_is_in_the_address(browser, shared_server):
    tab = Tab(browser).open(f"{shared_server.url}/likelihoods?likelihood=all")
    slider, rows = tab.page.locator(".live .likelihoods input").first, tab.page.locator(".live .likelihoods .row")
    slider.wait_for()
    before = [pictures(rows.nth(i)) for i in range(5)]
    said = rows.first.inner_text()
    slider.press("End")
    tab.page.wait_for_url("**step0=6**")
    after = [pictures(rows.nth(i)) for i in range(5)]
    for a, b, steady in zip(before, after, (False, False, True, True, False), strict=True):
        assert (np.abs(a - b).max(1)[:5] > 50).all()
        assert np.array_equal(a[5], b[5]) == steady, "a Gaussian's deviation knows nothing of z"
    assert rows.first.inner_text() != said
    tab.page.get_by_role("button", name="Reset to the code of the digit").click()
    tab.page.wait_for_url(lambda url: "step0" not in url)
    assert np.array_equal(pictures(rows.first), before[0])
    tab.close()
