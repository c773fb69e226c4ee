"""A stream of a series on the page: started, paused, continued, and refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.serve.page.conftest import SERIES, Visit, stream_model

STEPS = np.random.default_rng(4).normal(0, 0.5, (30, 2)).round(2)
STATUS, PLAY = "#stream [role=status]", "#stream button.primary"


def _wait(page: Any, step: int) -> None:
    page.wait_for_function(f"() => document.querySelector('{STATUS}').textContent.startsWith('step {step}')")


def test_a_series_is_streamed_and_goes_on_where_it_was_paused(visit: Visit) -> None:
    page, model = visit("stream").open(SERIES), stream_model()
    page.fill("#text", "\n".join(f"{a} {b}" for a, b in STEPS))
    page.settle()
    page.click("#stream summary")
    assert page.inner_text(STATUS) == "No step yet."
    page.click(PLAY)
    _wait(page, 5)
    page.click(PLAY)
    assert page.inner_text(PLAY) == "Continue"
    page.click(PLAY)
    _wait(page, 30)
    expected = model.predict_proba([STEPS])[0]
    assert page.inner_text(STATUS) == f"step 30 · {model.classes[int(expected.argmax())]}"
    page.wait_for_function(f"() => document.querySelector('{PLAY}').textContent === 'Start'")
    shown = page.inner_text("#stream .caption").split()
    assert shown[0] == f"P({model.classes[int(expected.argmax())]})"
    assert shown[-1] == f"{expected.max():.2f}"
    page.fill("#text", "1 2\n3 4")
    assert page.inner_text(STATUS) == "No step yet."


def test_a_model_that_cannot_be_streamed_says_why(visit: Visit) -> None:
    page = visit("series").open(SERIES)
    page.expected.append("400")
    page.click("#stream summary")
    page.click(PLAY)
    page.wait_for_selector("#stream .error")
    assert "bidirectional LSTM cannot be streamed" in page.inner_text("#stream .error")
    assert not visit("text").open().is_visible("#stream")
