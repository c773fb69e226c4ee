"""The self-contained report in a real browser: drawn by the page's modules, under its own policy, from a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.explain import Clamp
from gatewise.explain.render.html import compare_page, report_page
from gatewise.explain.serialize import intervention_json
from tests.serve.page.conftest import HOSTILE, Visit, known_model, series_model, text_model
from tests.serve.page.test_page import number

TEXT = "I was never bored, not a bad film <script>alert(1)</script> </script><img src=x onerror=alert(1)> \u202e"


def test_clamps_keep_their_layer_and_direction() -> None:
    model = series_model()
    item = np.random.default_rng(3).normal(size=(6, 2))
    clamps = [Clamp("f", 1.0, layer=0), Clamp("f", 0.0, direction="backward"), Clamp("i", 0.5, 3)]
    changed = model.intervene(item, clamps)
    explained = [model.explain(one, "prefix-difference") for one in (item, item)]
    found = intervention_json(changed, *explained)["view"]["clamps"]
    assert [(one["unit"], one["layer"], one["direction"]) for one in found] == [
        ("all", 0, None), ("all", None, "backward"), (3, None, None),
    ]  # fmt: skip


@pytest.fixture
def look(watch: Visit, tmp_path: Path) -> Callable[[str], Any]:
    """look(html): that page opened from a file."""

    def new(html: str) -> Any:
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        page = watch(path.as_uri()).page
        page.goto(path.as_uri())
        return page

    return new


def test_a_report_is_drawn_and_can_be_used(look: Any) -> None:
    model = known_model()
    found, seen = model.explain(TEXT), model.trace(TEXT)
    page = look(report_page(found, seen, unit=3))
    assert page.inner_text("#report .label") == found.prediction
    assert page.locator(".words .word").count() == len(found.steps)
    page.wait_for_selector("path.prefixline", state="attached")  # it is laid over the words once they have their places
    assert page.locator("path.prefixline").count() == 1
    page.wait_for_selector(".map canvas")
    page.click(".words .word >> nth=4")
    page.evaluate("() => { for (const one of document.querySelectorAll('details')) one.open = true; }")
    shown = [number(x) for x in page.locator(".numbers dd").all_inner_texts()]
    gates = seen.lstms[0]
    want = [gates.c[3, 3], gates.h[3, 3], gates.f[4, 3], gates.i[4, 3], gates.g[4, 3], gates.o[4, 3]]
    np.testing.assert_allclose(shown[:6], want, atol=6e-4)
    np.testing.assert_allclose(shown[8:], [gates.c[4, 3], gates.h[4, 3]], atol=6e-4)
    assert page.evaluate("() => document.querySelectorAll('img, iframe, b').length") == 0
    assert page.evaluate("() => document.scripts.length") == 2
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 1280


def test_before_and_after_stand_side_by_side(look: Any) -> None:
    model = known_model()
    text = "I was never bored, not a bad film"
    changed = model.intervene(text, [Clamp("f", 1.0, 3)], {"bad": "good"})
    page = look(report_page(model.explain(text), model.trace(text), changed))
    heads = page.locator(".pair h2").all_inner_texts()
    before, after = changed.probabilities()
    assert heads[0] == f"Before: {model.classes[before.argmax()]}, P(good) = {before[1]:.2f}"
    assert heads[1] == f"After: {model.classes[after.argmax()]}, P(good) = {after[1]:.2f}"
    assert "forget gate of unit 3 = 1" in page.inner_text(".status >> nth=0")
    assert "→" in page.inner_text(".changenote")
    page.wait_for_selector(".map canvas")


def test_two_texts_and_hostile_labels(look: Any) -> None:
    model = text_model((HOSTILE[0], HOSTILE[3]))
    texts = [TEXT, "=cmd|'/c calc'!A0 [PAD]"]
    page = look(compare_page([(model.explain(text), model.trace(text)) for text in texts]))
    assert page.locator(".pair .words").count() == 2
    assert page.evaluate("() => document.querySelectorAll('img, iframe, b').length") == 0


def test_a_notebook_cell(look: Any) -> None:
    model = known_model()
    page = look(
        "<!doctype html><title>a notebook</title>" + model.trace(TEXT)._repr_html_() + model.explain(TEXT)._repr_html_()
    )
    frames = page.locator("iframe")
    assert frames.count() == 2
    frames.nth(1).scroll_into_view_if_needed()
    inside = page.frame_locator("iframe >> nth=0")
    inside.locator(".map canvas").wait_for()
    words = page.frame_locator("iframe >> nth=1").locator(".words .word")
    words.first.wait_for()
    assert words.count() == len(model.trace(TEXT).steps)
    # Each frame is as high as its content: nothing in it scrolls, and what grows makes it grow.
    for n in (0, 1):
        frames.nth(n).scroll_into_view_if_needed()
        page.wait_for_function("n => document.querySelectorAll('iframe')[n].style.height.endsWith('px')", arg=n)
    fits = "() => document.documentElement.scrollHeight <= innerHeight"
    within = page.frames[1]
    within.wait_for_function(fits)
    before = page.evaluate("() => document.querySelector('iframe').offsetHeight")
    within.click("summary >> nth=0")
    page.wait_for_function("least => document.querySelector('iframe').offsetHeight > least", arg=before)
    within.wait_for_function(fits)
    assert page.evaluate("() => { try { return frames[0].document !== null } catch { return false } }") is False
