"""The lab Codebook: maps of numbers with known answers, and a page whose controls do what they say."""

import functools

import numpy as np
import pytest
from page_helpers import image_urls, open_checked_page
from pretend import Mounted

from aevae.latent import codebook
from aevae.ui.shared import cached

PAGE = "pages/beyond/01_codebook.py"
page = functools.partial(open_checked_page, PAGE)


@pytest.fixture(scope="module")
def runs() -> dict:
    return {family: cached.run(cached.finished((family,))[0].name) for family in ("vq_vae", "vq_vae2")}


def test_perplexity_and_use():
    assert codebook.perplexity(np.full(8, 1 / 8)) == pytest.approx(8)
    assert codebook.perplexity(np.array([1.0, 0, 0])) == pytest.approx(1)
    assert codebook.use(np.array([[[0, 1], [1, 3]]]), 5).tolist() == [0.25, 0.5, 0, 0.25, 0]


def test_edits_as_text():
    assert codebook.edits_text([[3, 17], [24, 99]]) == "3:17,24:99" and codebook.edits_text([]) == ""
    assert codebook.read_edits("3:17,24:99,48:500,49:1", 49, 128) == [[3, 17], [24, 99]]
    longest = [[codebook.MAX_INDEX, codebook.MAX_INDEX]] * codebook.MAX_EDITS
    assert codebook.read_edits(codebook.edits_text(longest), 10**4, 10**4) == longest
    assert [codebook.read_edits(bad, 49, 128) for bad in ("", "x", "1:2,", "-1:2")] == [[]] * 4


def test_an_image_through_its_map_is_its_reconstruction(runs):
    x = cached.shown_digits()[0][:3]
    for run in runs.values():
        maps = codebook.indices(run, x)
        assert [level.shape[1] for level in maps] == list(run.config.model.sides)
        assert np.allclose(codebook.decode(run, maps), run.reconstruct(x), atol=1e-6)


def test_the_atlas_is_the_mean_of_what_a_vector_helps_to_paint(runs):
    run, x = runs["vq_vae"], cached.shown_digits()[0][:1]
    maps = codebook.indices(run, x)
    atlas, painted = codebook.atlas(run, maps), codebook.decode(run, maps)[0, 0]
    for number in range(len(atlas)):
        cells = np.argwhere(maps[0][0] == number)
        if not len(cells):
            assert not atlas[number].any()
        elif len(cells) == 1 and 0 < cells.min() and cells.max() < 6:
            y, x0 = 4 * (cells[0] - 1)
            assert np.allclose(atlas[number], painted[y : y + 12, x0 : x0 + 12], atol=1e-6)


def test_draws(runs):
    run = runs["vq_vae"]
    learnt, again = (codebook.sample_indices(run, 4, 3)[0] for _ in range(2))
    assert np.array_equal(learnt, again)
    mixed = codebook.sample_indices(run, 4, 3, "use")[0]
    assert not np.array_equal(mixed, learnt) and np.array_equal(np.sort(mixed, None), np.sort(learnt, None))
    uniform = codebook.sample_indices(run, 200, 0, "uniform")[0]
    assert codebook.perplexity(codebook.use(uniform, 128)) > 120 > codebook.perplexity(codebook.use(learnt, 128))
    with pytest.raises(ValueError, match="prior must be"):
        codebook.sample_indices(run, 1, 0, "none")


def test_swapping_equal_digits_changes_nothing(runs):
    run, x = runs["vq_vae2"], cached.shown_digits()[0]
    same = codebook.swapped(run, x[5], x[5])
    assert np.ptp(same, axis=0).max() == 0
    mixed = codebook.swapped(run, x[5], x[9])
    assert np.allclose(mixed[[0, 3]], run.reconstruct(x[[5, 9]]), atol=1e-6)
    assert np.abs(mixed[1] - mixed[3]).sum() < np.abs(mixed[1] - mixed[0]).sum()  # the bottom says more, as we write
    assert len(codebook.lone(run, x[5], 2, 0)) == 4


@pytest.mark.slow
def test_the_map_follows_digit_and_address(monkeypatch):
    browser = Mounted(monkeypatch, "codebook")
    at = page(digit="9", cells="3:17,24:99,48:500")
    assert browser.spec["edits"] == [[3, 17], [24, 99]]  # there is no vector 500
    assert browser.arrays["indices"].shape == (49,) and browser.arrays["atlas"].shape == (128, 12, 12)
    assert sorted(browser.arrays["order"]) == list(range(128))
    browser.send(at, edits=[[5, 6]])
    assert at.query_params["cells"] == "5:6"
    for bad in ("5:6", None, [[1, 2.5]], [[1, True]], [[1, -2]], [[1, 10**4]], [[1]], [1, 2], [[1, 2]] * 197):
        browser.send(at, edits=bad)
        assert at.query_params["cells"] == "5:6"
    before = browser.arrays["indices"].copy()
    at.number_input(key="digit").set_value(10).run()
    assert browser.spec["edits"] == [] and not np.array_equal(browser.arrays["indices"], before)


def test_each_control_changes_its_image():
    at = page()
    samples, swapped, alone = image_urls(at)
    at.segmented_control(key="numbers").set_value("uniform").run()
    uniform, *rest = image_urls(at)
    assert uniform != samples and rest == [swapped, alone]
    at.number_input(key="maps_seed").set_value(1).run()
    assert image_urls(at)[0] != uniform
    at.number_input(key="other").set_value(12).run()
    assert image_urls(at)[1] != swapped and image_urls(at)[2] == alone
    assert len(at.get("plotly_chart")) == 1


def test_without_a_browser_the_server_draws(monkeypatch):
    from aevae.ui.live import component

    monkeypatch.setattr(component, "trouble", lambda names, *, has_server_version: "No." if names else None)
    plain, edited = image_urls(page())[0], image_urls(page(cells="24:3"))[0]
    assert plain != edited


def test_an_empty_store_says_what_to_do(empty_store):
    assert "no trained VQ-VAE" in page().info[0].value
