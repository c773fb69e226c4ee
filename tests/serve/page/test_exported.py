"""Exported pages and reports in a browser, opened as files: every view, under their own policy, and no request."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.explain import Clamp
from gatewise.explain.intervene import intervene
from gatewise.explain.render.html import compare_page, report_page
from gatewise.explain.serialize import intervention_json
from gatewise.model.model import Model, load
from gatewise.serve.page_folder import page_files
from gatewise.storage.atomic import replace_folder
from tests.serve.page.conftest import (
    HOSTILE,
    Visit,
    Watched,
    choose,
    known_model,
    series_model,
    text_model,
)
from tests.serve.page.test_page import number

INPUTS = ["I was never bored, not a bad film", "The jokes are flat, a bad film", f"good {HOSTILE[0]} {HOSTILE[3]}"]


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Model, list[Any]], str]:
    """static(model, inputs): the address of the folder of the exported pages."""

    def of(model: Model, inputs: list[Any]) -> str:
        folder = tmp_path_factory.mktemp("static") / "demo"
        replace_folder(folder, page_files(model, inputs, "gatewise export-page TEXT... --out demo"))
        return folder.as_uri()

    return of


@pytest.fixture(scope="module")
def texts(static: Callable[..., str]) -> str:
    return static(known_model(), INPUTS)


def open_file(page: Watched, fragment: str = "") -> Watched:
    page.expected += ["request to blob:"]  # the worker
    return page.open(f"index.html{fragment}")


@pytest.mark.parametrize("name", ["index.html", "lesson.html"])
def test_a_page_is_one_file_that_loads_nothing(texts: str, watch: Visit, name: str) -> None:
    page, requests = watch(texts), list[str]()
    page.expected += ["request to blob:"]
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"{texts}/{name}", wait_until="networkidle")
    assert [url for url in requests if not url.startswith("blob:")] == [f"{texts}/{name}"]
    assert name != "lesson.html" or len(page.content().encode()) <= 1_000_000


def test_a_model_is_computed_in_the_page(static: Callable[..., str], watch: Visit) -> None:
    """Other texts, clamps and methods, and every panel. The numbers of more models: test_lstm_js."""
    model, given, text = load("tutorial"), ["A film to see twice.", "A waste of an evening."], "It was not a good film"
    page = open_file(watch(static(model, given)))
    assert page.input_value("#text") == given[0]
    page.fill("#text", text)
    page.settle()
    example = model.trace(text)
    np.testing.assert_allclose(page.state("data.prediction.score"), example.target_score, atol=1e-5)
    page.change(changes=[{"gate": "f", "unit": "all", "from": 2, "to": 2, "value": 0}])
    page.until("data.changed")
    after = intervene(example, [Clamp("f", 0.0, None, range(2, 3))]).after
    np.testing.assert_allclose(page.state("data.prediction.score"), after.target_score, atol=1e-5)
    page.change(method="leave-one-out")
    page.until("data.attribution.method === 'leave-one-out'")
    page.locator("#heatmap").scroll_into_view_if_needed()
    page.wait_for_selector(".map canvas")
    for panel in ("unitpanel", "training", "card"):
        page.click(f"#{panel} > summary")
        page.wait_for_function(f"() => document.querySelector('#{panel} > div').textContent.length > 40")
    assert "gatewise export-page TEXT..." in page.inner_text("footer")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 1280
    assert page.locator("#error").is_hidden()


def test_a_link_of_a_served_page_and_two_texts(texts: str, watch: Visit) -> None:
    page = open_file(watch(texts), "#t=a+bad+film&x=f3:1&u=2&m=integrated-gradients")
    assert page.input_value("#text") == "a bad film"
    assert "left out: method integrated-gradients" in page.inner_text("#hint")
    assert page.inner_text("#changes .chip:not(.offer)") == "f of unit 3 clamped to 1.00 ×"
    choose(page, "comparebutton")
    page.fill("#compare textarea", INPUTS[1])
    page.wait_for_selector("#compare .status:has-text('Marked')")


def test_series(static: Callable[..., str], watch: Visit) -> None:
    model, rng = series_model(), np.random.default_rng(3)
    inputs = [rng.normal(0, 1, (9, model.channels)).astype(np.float32) for _ in range(2)]
    inputs[1][2, 0] = np.nan
    page = open_file(watch(static(model, inputs)))
    page.select_option("#examples", "1")
    page.settle()
    assert page.locator("#line rect.band").count() == 9
    for layer in range(len(model.architecture.layers)):
        page.change(layer=layer, u=3)
        page.settle()
        found = page.state("data.unitOf.get(3)")
        gates, column = model.trace(inputs[1]).layer(layer)[0], 3
        np.testing.assert_allclose(found["c"], gates.c[:, column], atol=1e-5)


def test_without_javascript(texts: str, watch: Visit) -> None:
    page = watch(texts, java_script_enabled=False).page
    page.goto(f"{texts}/index.html")
    shown = page.inner_text("body > noscript")
    assert "Prediction: " in shown
    assert "alert" in shown
    assert page.locator("noscript script, noscript img").count() == 0, "its words are text"


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
    for head, name, p in zip(heads, ("Before", "After"), (before, after), strict=True):
        label = model.classes[int(p.argmax())]
        assert head == f"{name}: {label}, P({label}) = {p.max():.2f}"
    assert "forget gate of unit 3 = 1" in page.inner_text(".status >> nth=0")
    assert "→" in page.inner_text(".changenote")
    page.wait_for_selector(".map canvas")


def test_two_texts_and_hostile_labels(look: Any) -> None:
    model = text_model((HOSTILE[0], HOSTILE[3]))
    texts = [TEXT, "=cmd|'/c calc'!A0 [PAD]"]
    page = look(compare_page([(model.explain(text), model.trace(text)) for text in texts]))
    assert page.locator(".pair .words").count() == 2
    assert page.evaluate("() => document.querySelectorAll('img, iframe, b').length") == 0


def test_an_explanation_in_a_notebook_has_a_chart_where_its_method_computes_one(look: Any) -> None:
    model = known_model()
    methods = ("prefix-difference", "leave-one-out")
    explained = [model.explain(TEXT, method) for method in methods]
    page = look("<!doctype html><title>a notebook</title>" + "".join(one._repr_html_() for one in explained))
    drawn, without = (page.frame_locator(f"iframe >> nth={n}") for n in (0, 1))
    page.locator("iframe").nth(0).scroll_into_view_if_needed()
    drawn.locator(".prefixline").wait_for(state="attached")
    points = drawn.locator(".prefixline").get_attribute("d").count("L")
    assert points == len(model.trace(TEXT).steps), "the base value, and a point for each word"
    before, after = model.target.probabilities(model.trace(TEXT).prefix_logits)[-2:, 1]
    assert f"{before:.2f} → {after:.2f}" in drawn.locator(".linebox .readout").inner_text()
    page.locator("iframe").nth(1).scroll_into_view_if_needed()
    without.locator(".words .word").first.wait_for()
    assert not without.locator("svg.line").is_visible(), "no empty chart"


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
