"""The lab Spot the mistake: wrong statements fail by known amounts, checks pass, answers are evaluated."""

import functools
import math

import numpy as np
import pytest
from page_helpers import open_checked_page

from aevae.checks import mistakes

PAGE = "pages/beyond/06_mistakes.py"
page = functools.partial(open_checked_page, PAGE)


@pytest.mark.slow
@pytest.mark.parametrize("mistake", mistakes.MISTAKES, ids=lambda m: m.key)
def test_the_wrong_statement_fails_and_the_check_passes(mistake):
    name, residual, tolerance = mistake.settle()
    assert name and residual <= tolerance
    assert mistake.claimed() > max(1e3 * tolerance, 0.05)


def test_known_amounts():
    assert mistakes.rounded_constant() == pytest.approx(math.log(0.01) * -1 + 0.5 - 5, abs=1e-9)  # 0.105170
    squares, sizes = mistakes.best_lines(np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    assert abs(squares[0]) == pytest.approx(1) and abs(sizes[0]) > 0.99
    assert mistakes.angle() > 80
    assert mistakes.kept(np.array([5.0, 1.0, 0.4]), 1) == 2 and mistakes.kept(np.array([5.0, 1.0]), 784) == 0
    values, log_p = mistakes.bounds_by_samples((1, 5, 50))
    assert values[0] < values[1] < values[2] < log_p + 0.02
    assert mistakes.posterior_for_joint() == pytest.approx(-log_p, abs=1e-9)


@pytest.mark.slow
def test_every_exercise_is_there_and_every_answer_is_evaluated():
    at = page()
    for number, mistake in enumerate(mistakes.MISTAKES):
        at.pills(key="mistake").set_value(mistake.key).run()
        radio = at.radio(key=f"answer_{mistake.key}")
        assert len(radio.options) == 3 and radio.value is None and not at.metric
        if number < 2:
            radio.set_value((mistake.right + 1) % 3).run()
            assert len(at.error) == 1 and not at.success
            assert not at.metric and not at.get("plotly_chart"), "the numbers would give the answer away"
        at.radio(key=f"answer_{mistake.key}").set_value(mistake.right).run()
        assert not at.exception and len(at.success) == 1 and not at.error
        assert f"{number + 1} of 8" in at.get("progress")[0].proto.text
        assert len(at.get("plotly_chart")) == (mistake.key in ("mae", "mean", "samples"))


def test_the_weight_moves_the_line():
    at = page()
    at.pills(key="mistake").set_value("mean").run()
    at.radio(key="answer_mean").set_value(2).run()

    def text() -> str:
        return at.get("plotly_chart")[0].proto.spec

    before = text()
    at.select_slider(key="weight").set_value(1).run()
    assert "784: 0 directions kept" in before.replace("\\u03b2 = ", "") and text() != before
