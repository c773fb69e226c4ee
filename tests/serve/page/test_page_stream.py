"""A stream of a series on the page: started, paused, continued, and refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.serve.page.conftest import SERIES, number_model, stream_model

Visit = Callable[..., Any]
STEPS = np.random.default_rng(4).normal(0, 0.5, (60, 2)).round(2)


def _opened(watched: Any, text: str) -> Any:
    page = watched.open("#t=1" if text == "1\n2.5\n4" else SERIES)
    page.fill("#text", text)
    watched.settle()
    page.click("#stream summary")
    page.wait_for_selector("#stream button.primary")
    return page


def _wait(page: Any, step: int) -> None:
    page.wait_for_function(
        "step => document.querySelector('#stream [role=status]').textContent.split(' ')[1] === String(step)", arg=step
    )


def test_a_series_is_streamed(visit: Visit) -> None:
    watched = visit("stream")
    page = _opened(watched, "\n".join(f"{a} {b}" for a, b in STEPS))
    assert page.inner_text("#stream [role=status]") == "No step yet."
    page.select_option("#stream select", "200")
    page.click("#stream button.primary")
    _wait(page, 60)
    model = stream_model()
    expected = model.predict_proba([STEPS])[0]
    assert page.inner_text("#stream [role=status]") == f"step 60 · {model.classes[int(expected.argmax())]}"
    legend = page.inner_text("#stream .caption >> nth=0")
    assert " ".join(legend.split()) == " · ".join(
        f"{name} {p:.3f}" for name, p in zip(model.classes, expected, strict=True)
    )
    assert page.inner_text("#stream button.primary") == "Start"
    lines = page.locator("#stream polyline.channel")
    assert [len(one.get_attribute("points").split()) for one in lines.all()] == [60, 60, 60]


def test_it_pauses_and_goes_on_where_it_was(visit: Visit) -> None:
    watched = visit("stream")
    page = _opened(watched, "\n".join(f"{a} {b}" for a, b in STEPS))
    page.select_option("#stream select", "20")
    page.click("#stream button.primary")
    _wait(page, 10)
    page.click("#stream button.primary")
    page.wait_for_function("() => document.querySelector('#stream button.primary').textContent === 'Continue'")
    page.select_option("#stream select", "200")
    page.click("#stream button.primary")
    _wait(page, 60)
    expected = stream_model().predict_proba([STEPS])[0]
    assert page.inner_text("#stream .caption >> nth=0").strip().startswith(f"slow {expected[0]:.3f}")
    page.fill("#text", "1 2\n3 4")
    watched.settle()
    assert page.inner_text("#stream [role=status]") == "No step yet."


def test_a_number_is_streamed_and_a_missing_value_refused(visit: Visit) -> None:
    watched = visit("number")
    page = _opened(watched, "1\n2.5\n4")
    page.click("#stream button.primary")
    _wait(page, 3)
    expected = float(number_model().predict([np.array([[1], [2.5], [4]])])[0])
    assert page.inner_text("#stream .caption >> nth=0").strip() == f"prediction {expected:.3f}".replace("-", "\u2212")
    watched.expected.append("400")
    page.fill("#text", "1\n?\n4")
    watched.settle()
    page.click("#stream button.primary")
    page.wait_for_selector("#stream .error")
    assert "inputs[0]" in page.inner_text("#stream .error") or "step 1" in page.inner_text("#stream .error")


def test_a_model_that_cannot_be_streamed_says_why(visit: Visit) -> None:
    watched = visit("series")
    watched.expected.append("400")
    page = watched.open(SERIES)
    page.click("#stream summary")
    page.click("#stream button.primary")
    page.wait_for_selector("#stream .error")
    assert "bidirectional LSTM cannot be streamed" in page.inner_text("#stream .error")
    assert not visit("text").open().is_visible("#stream")
