"""The lab Time: futures drawn from a seed, and a page whose controls change them."""

import functools

import numpy as np
import pytest
from page_helpers import open_checked_page
from pretend import Mounted

from aevae.datasets import moving_digits
from aevae.latent.futures import Futures, futures
from aevae.ui.shared import cached

PAGE = "pages/beyond/02_time.py"
page = functools.partial(open_checked_page, PAGE)


@pytest.fixture(scope="module")
def run():
    return cached.run(cached.finished(("td_vae",), input="sequence")[0].name)


def walk(number: int) -> tuple[np.ndarray, int]:
    digit = cached.dataset().test.images[number : number + 1]
    moves = moving_digits.motion(digit)
    return moving_digits.sequences(digit, moves)[0], int(moves.direction[0])


def test_the_share_that_is_near_goes_round():
    place = np.array([[[1, -14], [3, 13]]])  # one frame seen, two futures, two jumps of 13
    found = Futures(13, np.zeros(0), np.zeros(0), place, np.array([0, *[9] * 12, 1, *[9] * 12, -14]))
    assert found.near(1).tolist() == [0.5, 1.0]  # 13 and -14 are neighbours


def test_after_two_frames_futures_agree_on_the_way(run):
    ways = {1: [], 2: []}
    for number in range(12):
        frames, direction = walk(number)
        found = futures(run, frames, 2, 6, 1, 4)
        assert np.array_equal(found.true[:5], direction * np.arange(5))
        assert found.drawn.shape == (2, 6, 1, 28, 28) and found.place.shape == (2, 6, 1)
        for seen in ways:
            ways[seen].append(found.near(seen)[-1])
    assert 0.2 < np.mean(ways[1]) < 0.7 < np.mean(ways[2])


def test_seed_and_jump(run):
    frames, _direction = walk(0)
    one, again, other = (futures(run, frames, 2, 3, 2, 2, seed) for seed in (0, 0, 1))
    assert np.array_equal(one.drawn, again.drawn) and not np.array_equal(one.drawn, other.drawn)
    assert np.array_equal(one.believed, other.believed)
    with pytest.raises(ValueError, match="jump must be"):
        futures(run, frames, 1, 1, 1, 99)


def test_the_lab_opens_on_futures_that_disagree_until_more_frames_are_seen(monkeypatch):
    browser = Mounted(monkeypatch, "time")
    page()
    near = browser.spec["near"]  # of six futures, after 1, 2, ... frames
    assert browser.spec["seen"] == 1 and 2 <= near[0] <= 4 and near[2] == 6


def test_each_control_reaches_the_browser(monkeypatch):
    browser = Mounted(monkeypatch, "time")
    at = page(digit="3", seen="2")
    assert browser.spec["seen"] == 2 and browser.arrays["drawn"].shape == (8, 6, 12, 28, 28)
    first, key = browser.arrays["drawn"], browser.spec["key"]
    at.segmented_control(key="jump").set_value(4).run()
    assert browser.arrays["drawn"].shape == (8, 6, 3, 28, 28) and browser.spec["jump"] == 4
    at.segmented_control(key="jump").set_value(1).run()
    at.number_input(key="futures_seed").set_value(3).run()
    assert browser.spec["key"] != key and not np.array_equal(browser.arrays["drawn"], first)
    at.number_input(key="digit").set_value(4).run()
    assert np.array_equal(browser.arrays["true"].reshape(20, 1, 28, 28), walk(4)[0])
    browser.send(at, seen=5)
    assert at.query_params["seen"] == "5" and browser.spec["seen"] == 5
    for bad in (0, 99, "3", True, None):
        browser.send(at, seen=bad)
        assert browser.spec["seen"] == 5


def test_without_a_browser_the_server_draws(monkeypatch):
    from aevae.ui.live import component

    monkeypatch.setattr(component, "trouble", lambda names, *, has_server_version: "No.")
    one, other = (page(seen=seen).get("image")[0].proto.imgs[0].url for seen in ("1", "2"))
    assert one != other


def test_an_empty_store_says_what_to_do(empty_store):
    assert "There is no trained TD-VAE" in page().info[0].value
