"""`gatewise export-page` in a browser: its folder on Python's plain server, with every view and no other host."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.model.model import Model
from gatewise.serve.page_folder import page_files
from gatewise.storage.atomic import replace_folder
from tests.serve.page.conftest import HOSTILE, Visit, deep_model, known_model, number_model, series_model, text_model

INPUTS = ["I was never bored, not a bad film", "The jokes are flat, a bad film", f"good {HOSTILE[0]} {HOSTILE[3]}"]
UNAVAILABLE = "Interventions are not available on an exported page. They need a server: gatewise serve."


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Model, list[Any]], str]]:
    """static(model, inputs): the address of the exported page."""
    running = []

    def of(model: Model, inputs: list[Any]) -> str:
        folder = tmp_path_factory.mktemp("static") / "demo"
        replace_folder(folder, page_files(model, inputs, "gatewise export-page TEXT... --out demo")[0])
        handler = functools.partial(_Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield of
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def texts(static: Callable[..., str]) -> str:
    return static(known_model(), INPUTS)


def test_all_views_of_fixed_texts(texts: str, watch: Visit) -> None:
    watched = watch(texts)
    page = watched.open()
    model, example = known_model(), known_model().trace(INPUTS[1])
    page.click("#examples button >> nth=1")
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
    page = (watched := watch(static(model, INPUTS[:1]))).open()
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
    page = watch(texts).open()
    page.click("#comparebutton")
    page.select_option("#compare select", INPUTS[1])
    page.wait_for_function("() => document.querySelector('#compare .status').textContent.includes('differ')")
    assert page.locator("#compare textarea").count() == 0


def test_what_needs_a_server_says_so(texts: str, watch: Visit) -> None:
    watched = watch(texts)
    page = watched.open()
    assert page.inner_text("#interventions > div") == UNAVAILABLE
    page.focus("#words [tabindex='0']")
    page.keyboard.press("x")  # ablate the unit
    page.wait_for_function("text => document.querySelector('[data-live]').textContent === text", arg=UNAVAILABLE)
    watched.settle()
    assert page.evaluate("() => gatewise.store.get().changes.length") == 0
    assert page.locator("#error").is_hidden()
    # A link of a served page: its text and its changes are not here.
    watched = watch(texts)
    page = watched.open("#t=another+text&x=f3:1&u=2")
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
    page = watched.open()
    page.click("#examples button:has-text('Series 2')")
    watched.settle()
    assert page.locator(".words .word").count() == 9
    for layer in range(len(model.architecture.layers)):
        page.evaluate("n => gatewise.store.set({ layer: n, u: 3 })", layer)
        watched.settle()
        found = page.evaluate("() => gatewise.store.get().data.unitOf.get(3)")
        gates, column = model.trace(inputs[1]).layer(layer)[0], 3
        np.testing.assert_allclose(found["c"], gates.c[:, column], atol=1e-4)


def test_a_method_that_merged_units_do_not_allow_is_left_out() -> None:
    files, left_out = page_files(deep_model(), ["bad film"], "")
    assert [(number, method) for number, method, _ in left_out] == [(1, "cell-decomposition")]
    assert [len(json.loads(files[f"units-{layer}.json"])) for layer in range(3)] == [18, 4, 12]


def test_without_javascript_and_from_a_file(texts: str, watch: Visit, tmp_path: Path) -> None:
    page = watch(texts, java_script_enabled=False).page
    page.goto(texts)
    shown = page.inner_text("body > noscript")
    assert "Prediction: " in shown
    assert "alert" in shown
    assert page.locator("noscript script, noscript img").count() == 0, "its words are text"
    folder = tmp_path / "demo"
    replace_folder(folder, page_files(text_model(), INPUTS[:1])[0])
    watched = watch((folder / "index.html").as_uri())
    watched.expected += ["console error", "request to file:"]  # the modules that a browser does not load from files
    watched.page.goto((folder / "index.html").as_uri())
    watched.page.wait_for_function(
        "() => getComputedStyle(document.getElementById('loading')).visibility === 'visible'"
    )
    assert "Serve its folder over HTTP" in watched.page.inner_text("#loading")
    watched.wrong = [line for line in watched.wrong if "file:" not in line]
