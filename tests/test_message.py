"""The schema of messages from the browser: what fits a kind, and what does not."""

import pytest

from aevae.ui.shared.message import (
    AnyOf,
    Boolean,
    Integer,
    ListOf,
    Null,
    Number,
    OneOf,
    Record,
    Repeated,
    Row,
    Text,
    valid_fields,
)

POINTS = Repeated((Number(0, 1), Integer(0, 9)), 2)
CASES = [
    (Integer(0, 3), [0, 3], [-1, 4, 1.0, True, "1", None]),
    (Number(0, 1), [0, 1, 0.5], [-0.1, 1.1, float("nan"), float("inf"), 10**400, True, "0.5", None, [0]]),
    (Boolean(), [True, False], [0, 1, "true", None]),
    (Null(), [None], [0, False, "", "null", []]),
    (Text("[a-c]{2,3}|", 3), ["ab", "abc", ""], ["a", "ab\n", "abd", "abcc", "Ä", 12, None, ["a", "b"], b"ab"]),
    (Text("a*", 3), ["", "aaa"], ["aaaa", "a" * 10**6, True]),
    (OneOf(("a", "b")), ["a", "b"], ["c", 1, None, ["a"], {}]),
    (ListOf(Integer(0, 3), 1, 2), [[0], [1, 3]], [[], [0, 1, 2], [4], [0, "1"], (0,), "01", None, {"0": 0}]),
    (Row((Number(0, 1), Integer(0, 9))), [[0.5, 9]], [[0.5], [0.5, 9, 1], [0.5, 0.5], None, {}]),
    (POINTS, [[0.5, 9], [0, 0, 1, 1]], [[], [0.5], [0.5, 9, 0.5], [0.5, 0.5], [0, 0] * 3, None, "xy"]),
    (AnyOf((Integer(0, 0), OneOf(("a",)))), [0, "a"], [1, "b", None]),
    (Record({"x": Integer(0, 1)}), [{"x": 0}], [{}, {"x": 2}, {"x": 0, "y": 0}, [0], None]),
]


@pytest.mark.parametrize("kind, good, bad", CASES, ids=lambda value: type(value).__name__)
def test_what_fits_a_kind(kind, good, bad):
    assert [value for value in good if not kind.fits(value)] == []
    assert [value for value in bad if kind.fits(value)] == []


def test_only_fields_that_fit_are_taken():
    schema = {"level": Number(0, 1), "seed": Integer(0, 9)}
    assert valid_fields({"level": 0.5, "seed": "1", "other": 3}, schema) == {"level": 0.5}
    assert valid_fields({}, schema) == {}
