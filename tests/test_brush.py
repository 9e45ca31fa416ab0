"""The selection in the maps: stored in session and link, and validated."""

import base64
import zlib

import numpy as np
import pytest

from aevae.ui.embeddings import selection
from aevae.ui.shared import address


class Link(dict):
    """An address."""

    def get_all(self, name: str) -> list[str]:
        found = self.get(name, [])
        return [found] if isinstance(found, str) else list(found)


@pytest.fixture
def page(monkeypatch):
    """(session, link), both empty."""
    session, link = {}, Link()
    monkeypatch.setattr(selection.st, "session_state", session)
    monkeypatch.setattr(selection.st, "query_params", link)
    return session, link


RNG = np.random.default_rng(0)


@pytest.mark.parametrize("n", [1, 8, 300, 1000, 10_000])
@pytest.mark.parametrize("part", [0.0, 0.01, 0.1, 0.5, 1.0])
def test_a_selection_goes_through_the_link(n, part):
    rows = np.flatnonzero(RNG.random(n) < part).astype(np.int32)
    text = selection.pack(rows, n)
    assert len(text) <= n / 6 + 16 and (text == "") == (len(rows) == 0)
    assert (
        base64.urlsafe_b64encode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))).decode().rstrip("=") == text
    )
    np.testing.assert_array_equal(selection.unpack(text, n), rows)
    if len(rows):
        assert not len(selection.unpack(text, n + 8)), "of other points nothing is selected"


def deflated(content: bytes) -> str:
    return base64.urlsafe_b64encode(zlib.compress(content, 9, -15)).decode()


@pytest.mark.parametrize(
    "text",
    ["", "x", "????", "AAAA", "é", "A" * 20_000, deflated(b"\xff"), deflated(b"\xff" * 38), deflated(bytes(10**7)),
     deflated(b"\xff" * 39), deflated(b"\x80" + bytes(37))[:-6]],
)  # fmt: skip
def test_what_is_no_selection_of_300_selects_nothing(text):
    """Among them one of too few, of too many and of 100,000 times too many points, bits beyond the last, a cut one."""
    assert not len(selection.unpack(text, 300))


@pytest.mark.parametrize(
    "views", [((0.25, -0.5, 3.0), (0.0, 0.0, 1.0)), ((-1.0, 1.0, 400.0),), ((0.12346, 0.0, 0.5),) * 4]
)
def test_views_go_through_the_link(views):
    assert selection.views_of(selection.view_text(views)) == views


@pytest.mark.parametrize(
    "text",
    ["", "0_0", "0_0_1", "0_0_1~0_0_1", "0_0_1000", "2_0_1", "0_0_nan", "0_inf_1", "a_b_c", "~", "_", "1e999_0_1",
     "~".join(["0_0_2"] * 9), "0" * 20_000],
)  # fmt: skip
def test_what_is_no_view_shows_all(text):
    assert selection.views_of(text) == ()


def test_what_is_brushed_is_in_the_link_and_comes_back_from_it(page):
    session, link = page
    selection.receive({"selected": [5, 2, 5], "point": 7, "views": [[0.5, 0, 2], [0, 0, 1]], "n": 4}, "mnist-5k", 300)
    now = session["atlas"]
    assert (now.selected.tolist(), now.point, now.n) == ([2, 5], 7, 4) and set(link) == {"selected", "point", "view"}
    sent = dict(link)
    session.clear()  # somebody else
    selection.follow_link("mnist-5k", 300)
    now = session["atlas"]
    assert (now.selected.tolist(), now.point, now.views) == (
        [2, 5],
        7,
        ((0.5, 0.0, 2.0), (0.0, 0.0, 1.0)),
    ) and link == sent
    selection.receive({"selected": [], "point": -1, "views": [[0, 0, 1]] * 2}, "mnist-5k", 300)
    assert link == {} and session["atlas"].views == ()


def test_the_way_back_brings_back_what_was_brushed_then(page):
    session, link = page
    selection.receive({"selected": [1, 2]}, "mnist-5k", 300)
    before = dict(link)
    selection.receive({"selected": [9], "point": 3}, "mnist-5k", 300)
    selection.follow_link("mnist-5k", 300)
    assert session["atlas"].selected.tolist() == [9], "the link says what the session wrote: no news"
    link.clear()
    link.update(before)
    address.arrive("embeddings", back=True)
    selection.follow_link("mnist-5k", 300)
    assert session["atlas"].selected.tolist() == [1, 2] and session["atlas"].point == -1
    address.arrive("denoise")
    link.clear()
    address.arrive("embeddings")
    selection.follow_link("mnist-5k", 300)
    assert session["atlas"].selected.tolist() == [1, 2] and link == before, "a page that comes again from the menu"


def test_a_message_is_not_undone_by_an_older_link(page):
    session, link = page
    selection.receive({"selected": [1]}, "mnist-5k", 300)
    behind = dict(link)
    selection.receive({"selected": [2]}, "mnist-5k", 300)
    link.clear()
    link.update(behind)  # as the browser still had it when it sent the next letter
    selection.receive({"point": 4}, "mnist-5k", 300)
    assert session["atlas"].selected.tolist() == [2] and selection.brush("mnist-5k", 300).point == 4


def test_of_other_points_only_the_views_are_kept(page):
    session, link = page
    selection.receive({"selected": [1], "point": 2, "views": [[0, 0, 2]], "n": 9}, "mnist-5k", 300)
    selection.follow_link("mnist-5k", 500)
    now = session["atlas"]
    assert (len(now.selected), now.point, now.views, now.n) == (0, -1, ((0.0, 0.0, 2.0),), 9) and set(link) == {"view"}


@pytest.mark.parametrize(("text", "point"), [("7", 7), ("300", -1), ("-1", -1), ("x", -1), ("9" * 30, -1), ("٣", 3)])
def test_the_point_of_a_link(page, text, point):
    page[1]["point"] = text
    selection.follow_link("mnist-5k", 300)
    assert page[0]["atlas"].point == point


@pytest.mark.parametrize(
    "payload",
    [
        {"selected": "all"}, {"selected": [1, 300]}, {"selected": [-1]}, {"selected": [1.5]}, {"selected": [True]},
        {"selected": list(range(300)) * 2}, {"point": 300}, {"point": -2}, {"point": "3"}, {"n": -1}, {"n": "x"},
        {"views": "all"}, {"views": [[0, 0]]}, {"views": [[0, 0, 0]]}, {"views": [[0, float("nan"), 2]]},
        {"views": [[2, 0, 2]]}, {"views": [[0, 0, True]]}, {"views": [[0, 0, 2]] * 9}, {"views": [[0, 0, "2"]]}, {},
    ],
)  # fmt: skip
def test_an_invalid_message_changes_nothing(payload, page):
    selection.receive(payload, "mnist-5k", 300)
    now = page[0]["atlas"]
    assert (len(now.selected), now.point, now.n, now.views) == (0, -1, 0, ()) and page[1] == {}
