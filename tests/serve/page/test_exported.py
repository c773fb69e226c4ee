"""`gatewise export-page` in a browser, opened as files: every view, and no request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gatewise.explain.intervene import intervene
from gatewise.members.clamp import Clamp
from gatewise.model.model import Model, load
from gatewise.serve.page_folder import page_files
from gatewise.storage.atomic import replace_folder
from tests.serve.page.conftest import (
    HOSTILE,
    Visit,
    Watched,
    choose,
    deep_model,
    known_model,
    number_model,
    series_model,
    text_model,
)

INPUTS = ["I was never bored, not a bad film", "The jokes are flat, a bad film", f"good {HOSTILE[0]} {HOSTILE[3]}"]
UNAVAILABLE = "Interventions are not available on an exported page. They need a server: gatewise serve."


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Model, list[Any]], str]:
    """static(model, inputs): the address of the folder of the exported pages."""

    def of(model: Model, inputs: list[Any]) -> str:
        folder = tmp_path_factory.mktemp("static") / "demo"
        replace_folder(folder, page_files(model, inputs, "gatewise export-page TEXT... --out demo")[0])
        return folder.as_uri()

    return of


@pytest.fixture(scope="module")
def texts(static: Callable[..., str]) -> str:
    return static(known_model(), INPUTS)


def open_file(watched: Watched, fragment: str = "") -> Any:
    return watched.open(f"index.html{fragment}")


@pytest.mark.parametrize("name", ["index.html", "lesson.html"])
def test_a_page_is_one_file_that_loads_nothing(texts: str, watch: Visit, name: str) -> None:
    watched = watch(texts)
    requests: list[str] = []
    watched.page.on("request", lambda request: requests.append(request.url))
    watched.page.goto(f"{texts}/{name}")
    watched.page.wait_for_timeout(300)
    assert requests == [f"{texts}/{name}"]
    assert name != "lesson.html" or len(watched.page.content().encode()) <= 1_000_000


def test_a_model_that_reads_forward_is_computed_in_the_page(static: Callable[..., str], watch: Visit) -> None:
    """Other texts, clamps and edits, and all numbers as of the library."""
    model, given, text = load("tutorial"), ["A film to see twice.", "A waste of an evening."], "It was not a good film"
    watched = watch(static(model, given))
    watched.expected += ["request to blob:"]
    page = open_file(watched)
    assert page.input_value("#text") == given[0]
    page.fill("#text", text)
    watched.settle()
    shown = "() => { const { prediction, prefix, attribution } = gatewise.store.get().data;"
    found = page.evaluate(f"{shown} return [prediction.score, prefix.score, attribution.scores]; }}")
    example = model.trace(text)
    np.testing.assert_allclose(found[0], example.target_score, atol=1e-5)
    np.testing.assert_allclose(found[1], example.prefix_logits[:, 0], atol=1e-5)
    np.testing.assert_allclose(found[2], model.explain(example, "prefix-difference").scores, atol=1e-5)
    page.evaluate("() => gatewise.store.set({ changes: [{ gate: 'f', unit: 'all', from: 2, to: 2, value: 0 }] })")
    page.wait_for_function("() => gatewise.store.get().data.changed")
    after = intervene(example, [Clamp("f", 0.0, None, range(2, 3))]).after
    np.testing.assert_allclose(page.evaluate(f"{shown} return prediction.score; }}"), after.target_score, atol=1e-5)
    page.evaluate("() => gatewise.store.set({ method: 'leave-one-out' })")
    page.wait_for_function("() => gatewise.store.get().data.attribution.method === 'leave-one-out'")
    for panel in ("unitpanel", "training", "card"):
        page.click(f"#{panel} > summary")
        page.wait_for_function(f"() => document.querySelector('#{panel} > div').textContent.length > 40")
    assert "gatewise export-page TEXT..." in page.inner_text("footer")
    assert page.locator("#error").is_hidden()


def test_all_views_of_fixed_texts(texts: str, watch: Visit) -> None:
    watched = watch(texts)
    page = open_file(watched)
    model, example = known_model(), known_model().trace(INPUTS[1])
    page.select_option("#examples", "1")
    watched.settle()
    assert page.input_value("#text") == INPUTS[1]
    assert page.get_attribute("#text", "readonly") is not None
    assert page.inner_text(".prediction .label") == model.predict([INPUTS[1]])[0]
    assert "choose one above" in page.inner_text("#exported")
    assert page.locator("path.prefixline").count() == 1
    # Every unit: those with a record of their own, and those that are rows of the heat maps.
    for unit in (0, 5, 11):
        page.evaluate("k => gatewise.store.set({ u: k, w: 2 })", unit)
        page.wait_for_function("k => gatewise.store.get().data.unitOf.has(k)", arg=unit)
        found = page.evaluate("k => gatewise.store.get().data.unitOf.get(k)", unit)
        for name in "ifgoch":
            np.testing.assert_allclose(found[name], getattr(example.lstms[0], name)[:, unit], atol=1e-4)
    page.locator("#heatmap").scroll_into_view_if_needed()
    page.wait_for_selector(".map canvas")
    page.click("#heatmap button:has-text('As a table')")
    page.wait_for_selector(".tablebox table")
    for panel, text in (("unitpanel", "Distribution of the gate values"), ("training", "validation"), ("card", "Unit")):
        page.click(f"#{panel} > summary")
        page.wait_for_function(f"() => document.querySelector('#{panel} > div').textContent.length > 40")
        assert panel == "card" or text in page.inner_text(f"#{panel}")
    for method in ("leave-one-out", "cell-decomposition", "integrated-gradients"):
        page.evaluate("m => gatewise.store.set({ method: m })", method)
        page.wait_for_function("m => gatewise.store.get().data.attribution.method === m", arg=method)
    footer = page.inner_text("footer")
    assert "by gatewise" in footer
    assert "gatewise export-page TEXT..." in footer
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 1280
    assert page.locator("#error").is_hidden()


def test_units_without_a_record_of_their_own(
    static: Callable[..., str], watch: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewise.serve.page_folder._OWN_UNITS", 1)
    model = text_model(pooling="mean+max", bidirectional=True)
    example = model.trace(INPUTS[0])
    page = open_file(watched := watch(static(model, INPUTS[:1])))
    units = [k for k in range(24) if k != example.top_unit]
    for unit in (units[0], units[-1]):
        page.evaluate("k => gatewise.store.set({ u: k })", unit)
        watched.settle()
        found = page.evaluate("k => gatewise.store.get().data.unitOf.get(k)", unit)
        gates, column = example.unit(unit)
        assert found["direction"] == gates.direction
        for name in "ifgoch":
            np.testing.assert_allclose(found[name], getattr(gates, name)[:, column], atol=2e-4)
        np.testing.assert_allclose(found["half_life"], gates.half_life()[column], rtol=2e-3)


def test_two_of_its_texts_are_compared(texts: str, watch: Visit) -> None:
    page = open_file(watch(texts))
    choose(page, "comparebutton")
    page.select_option("#compare select", INPUTS[1])
    page.wait_for_function("() => document.querySelector('#compare .status').textContent.includes('differ')")
    assert page.locator("#compare textarea").count() == 0


def test_what_needs_a_server_says_so(texts: str, watch: Visit) -> None:
    watched = watch(texts)
    page = open_file(watched)
    assert page.inner_text("#interventions > div") == UNAVAILABLE
    page.evaluate("() => gatewise.store.set({ changes: [{ gate: 'h', unit: 3, value: 0, from: null, to: null }] })")
    page.wait_for_function("text => document.querySelector('[data-live]').textContent === text", arg=UNAVAILABLE)
    watched.settle()
    assert page.evaluate("() => gatewise.store.get().changes.length") == 0
    assert page.locator("#error").is_hidden()
    # A link of a served page: its text and its changes are not here.
    watched = watch(texts)
    page = open_file(watched, "#t=another+text&x=f3:1&u=2")
    assert page.input_value("#text") == INPUTS[0]
    assert "left out: its text, its changes" in page.inner_text("#hint")
    assert page.evaluate("() => gatewise.selectedUnit(gatewise.store.get())") == 2


@pytest.mark.parametrize("make", [series_model, number_model])
def test_series(static: Callable[..., str], watch: Visit, make: Callable[[], Model]) -> None:
    model = make()
    rng = np.random.default_rng(3)
    inputs = [rng.normal(0, 1, (9, model.channels)).astype(np.float32) for _ in range(2)]
    inputs[1][2, 0] = np.nan
    watched = watch(static(model, inputs))
    page = open_file(watched)
    page.select_option("#examples", "1")
    watched.settle()
    assert page.locator("#line rect.band").count() == 9
    for layer in range(len(model.architecture.layers)):
        page.evaluate("n => gatewise.store.set({ layer: n, u: 3 })", layer)
        watched.settle()
        found = page.evaluate("() => gatewise.store.get().data.unitOf.get(3)")
        gates, column = model.trace(inputs[1]).layer(layer)[0], 3
        np.testing.assert_allclose(found["c"], gates.c[:, column], atol=1e-4)


def test_a_method_that_merged_units_do_not_allow_is_left_out() -> None:
    _, left_out = page_files(deep_model(), ["bad film"], "")
    assert [(number, method) for number, method, _ in left_out] == [(1, "cell-decomposition")]


def test_without_javascript(texts: str, watch: Visit) -> None:
    page = watch(texts, java_script_enabled=False).page
    page.goto(f"{texts}/index.html")
    shown = page.inner_text("body > noscript")
    assert "Prediction: " in shown
    assert "alert" in shown
    assert page.locator("noscript script, noscript img").count() == 0, "its words are text"
