"""`gatewise export-page` in a browser, opened as files: every view, and no request."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gatewise.explain.intervene import intervene
from gatewise.members.clamp import Clamp
from gatewise.model.model import Model, load
from gatewise.serve.page_folder import page_files
from gatewise.storage.atomic import replace_folder
from tests.serve.page.conftest import HOSTILE, Visit, Watched, choose, known_model, number_model, series_model

INPUTS = ["I was never bored, not a bad film", "The jokes are flat, a bad film", f"good {HOSTILE[0]} {HOSTILE[3]}"]
SHOWN = "() => { const { prediction, prefix, attribution } = gatewise.store.get().data;"


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


@pytest.mark.parametrize("make", [lambda: load("tutorial"), known_model], ids=["tutorial", "words and marks"])
def test_a_model_is_computed_in_the_page(static: Callable[..., str], watch: Visit, make: Callable[[], Model]) -> None:
    """Other texts, clamps and edits, and all numbers as of the library."""
    model, given, text = make(), ["A film to see twice.", "A waste of an evening."], "It was not a good film"
    page = open_file(watch(static(model, given)))
    assert page.input_value("#text") == given[0]
    page.fill("#text", text)
    page.settle()
    found = page.evaluate(f"{SHOWN} return [prediction.score, prefix.score, attribution.scores]; }}")
    example = model.trace(text)
    np.testing.assert_allclose(found[0], example.target_score, atol=1e-5)
    np.testing.assert_allclose(found[1], example.prefix_logits[:, 0], atol=1e-5)
    np.testing.assert_allclose(found[2], model.explain(example, "prefix-difference").scores, atol=1e-5)
    page.evaluate("() => gatewise.store.set({ changes: [{ gate: 'f', unit: 'all', from: 2, to: 2, value: 0 }] })")
    page.wait_for_function("() => gatewise.store.get().data.changed")
    after = intervene(example, [Clamp("f", 0.0, None, range(2, 3))]).after
    np.testing.assert_allclose(page.evaluate(f"{SHOWN} return prediction.score; }}"), after.target_score, atol=1e-5)
    page.evaluate("() => gatewise.store.set({ method: 'leave-one-out' })")
    page.wait_for_function("() => gatewise.store.get().data.attribution.method === 'leave-one-out'")
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
    assert page.inner_text("#changes .chip") == "f of unit 3 clamped to 1.00 ×"
    choose(page, "comparebutton")
    page.fill("#compare textarea", INPUTS[1])
    page.wait_for_selector("#compare .status:has-text('Marked')")


@pytest.mark.parametrize("make", [series_model, number_model])
def test_series(static: Callable[..., str], watch: Visit, make: Callable[[], Model]) -> None:
    model = make()
    rng = np.random.default_rng(3)
    inputs = [rng.normal(0, 1, (9, model.channels)).astype(np.float32) for _ in range(2)]
    inputs[1][2, 0] = np.nan
    page = open_file(watch(static(model, inputs)))
    page.select_option("#examples", "1")
    page.settle()
    assert page.locator("#line rect.band").count() == 9
    for layer in range(len(model.architecture.layers)):
        page.evaluate("n => gatewise.store.set({ layer: n, u: 3 })", layer)
        page.settle()
        found = page.evaluate("() => gatewise.store.get().data.unitOf.get(3)")
        gates, column = model.trace(inputs[1]).layer(layer)[0], 3
        np.testing.assert_allclose(found["c"], gates.c[:, column], atol=1e-5)


def test_without_javascript(texts: str, watch: Visit) -> None:
    page = watch(texts, java_script_enabled=False).page
    page.goto(f"{texts}/index.html")
    shown = page.inner_text("body > noscript")
    assert "Prediction: " in shown
    assert "alert" in shown
    assert page.locator("noscript script, noscript img").count() == 0, "its words are text"
