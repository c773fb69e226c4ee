"""A served model and a browser for the tests of the page. Without chromium they skip, in CI they fail instead."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.data.labelled import Labelled
from gatewise.forecast.forecaster import Forecaster
from gatewise.model import bundled, with_examples, with_units
from gatewise.model.card import EvalResult, KeptExample, ModelMetadata
from gatewise.model.model import Model, load
from gatewise.model.series_preprocessor import SeriesPreprocessor
from gatewise.target import target_of
from gatewise.text import SpaceEncoding, TokenEncoding
from gatewise.types import Faithfulness
from tests.children import SECONDS
from tests.forecast.conftest import TINY, frame
from tests.members.graphs import recurrent_classifier, several_inputs
from tests.members.test_columns import shop_model
from tests.serve.server import served
from tests.small_models import small_model
from trust.server import children

CHROMIUM = os.environ.get("GATEWISE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
TEXTS = [
    "This is not a bad film; I was never bored, and nothing in it felt cheap.",
    "It was good, not bad at all. It was bad, not good at all.",
    "The first hour is slow, the jokes are flat, yet the last ten minutes are honest.",
]
TEXT = "I was never bored, not a bad film"
SERIES = "#t=1+2%0A2+1%0A0+1"
LINK = "#t=I+was+never+bored%2C+not+a+bad+film"
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}} ${alert(1)} javascript:alert(1)",
    "</script></style></textarea><b>bold</b>",
    "\u202eevil\u202c \u0000\u0007\u001b[2J [PAD] [UNK]",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🎬 e\u0301" + "\u0301" * 300,
    "שלום עולם مرحبا good film",
    "=cmd|'/c calc'!A0 ../../etc/passwd",
    "x" * 30_000,
]


def _facts(*examples: KeptExample) -> ModelMetadata:
    """As training leaves them; the words of the command are hostile, as those of a stranger's model could be."""
    return ModelMetadata(
        recipe="fast",
        seed=3,
        data="texts of a test <img src=x onerror=alert(1)>",
        n_train=40,
        epochs=3,
        best_epoch=2,
        command="gatewise train '</script><script>alert(1)</script>'",
        evaluations=(EvalResult("a held-out part <b>x</b>", 200, 0.875, 0.31),),
        faithfulness={
            "prefix-difference": Faithfulness(0.41, 0.02, 24),
            "integrated-gradients": Faithfulness(0.52, -0.01, 24),
        },
        attribution_method="integrated-gradients",
        examples=examples,
    )


OF_TEXTS = _facts(*(KeptExample("good", text) for text in TEXTS))
HISTORY = "".join(
    f'{{"epoch": {n}, "loss": {0.7 / n:.4f}, "accuracy": {1 - 0.4 / n:.4f}, "val_loss": {0.6 / n + 0.02 * n:.4f}, '
    f'"val_accuracy": {0.9 - 0.2 / n:.4f}, "seconds": 1.5}}\n'
    for n in (1, 2, 3)
)


TRAINED: dict[str, Any] = {"metadata": _facts(), "history_jsonl": HISTORY}
WORDS = TokenEncoding.fit(TEXTS, vocab_size=80, min_count=1)


def text_model(classes: tuple[str, ...] = ("bad", "good"), **shape: Any) -> Model:
    given = TRAINED | ({"metadata": OF_TEXTS} if len(classes) == 2 else {})
    return small_model(WORDS, classes, 7, given=given, units=12, **shape)


@cache
def known_model() -> Model:
    """With a report on its units, so that the unit page has all that it can have."""
    return with_units(text_model(), Labelled.of(TEXTS * 2, ["good", "bad", "good"] * 2, "six texts <b>x</b>"))


def series_model() -> Model:
    scaling = SeriesPreprocessor.fit([np.random.default_rng(1).normal(0, 1, (40, 2)).astype(np.float32)])
    shape: dict[str, Any] = {"units": 7, "layers": 2, "bidirectional": True, "pooling": "mean"}
    return small_model(scaling, ("slow", "fast", "step"), 9, given=TRAINED, **shape)


def number_model() -> Model:
    """One channel, one number, in the unit of the training data, and rows of its own as examples."""
    rows = [np.array([[1.0], [np.nan], [2.5], [4.0]], dtype=np.float32)]
    data = Labelled(rows, np.array([[31.25]]), target_of(("price",), "regression"))
    scaling = SeriesPreprocessor((10.0,), (4.0,))
    model = small_model(scaling, ("price",), 11, task="regression", pooling="mean")
    return with_examples(model, data)


def labels_model() -> Model:
    given = {"thresholds": (0.1, 0.1, 0.9)}
    return small_model(WORDS, ("a", "b", "c"), 12, task="multilabel", given=given)


def tagger() -> Model:
    """A label for each word; the words of the texts are those between spaces."""
    encoding, classes = SpaceEncoding.fit(TEXTS, min_count=1), ("B-X", HOSTILE[0], "O")
    return small_model(encoding, classes, 4, bidirectional=True, pooling="none")


def sales() -> Forecaster:
    """Two shops whose names are hostile, 60 months each."""
    data = frame(60, 60, start="2019").replace({"shop": {"a": HOSTILE[0], "b": HOSTILE[1]}})
    return Forecaster.fit(data, id="shop", time="month", target="sold", horizon=6, **TINY)


@cache
def promoted() -> Forecaster:
    """Two shops, and a column that is known in advance."""
    data = frame(48, 40).assign(sale=lambda rows: np.arange(len(rows)) % 5 == 0)
    return Forecaster.fit(data, id="shop", time="month", target="sold", future=["sale"], horizon=3, **TINY)


MODELS: dict[str, Callable[[], Any]] = {
    "promoted": promoted,
    "sales": sales,
    "tagger": tagger,
    "text": known_model,
    "hostile": lambda: text_model((HOSTILE[0], HOSTILE[1])),
    "series": series_model,
    "number": number_model,
    "stream": lambda: small_model(  # in one direction
        SeriesPreprocessor((0.0, 0.0), (0.5, 0.5)), ("slow", "<b>fast</b>", "step"), given=TRAINED, pooling="mean+max"
    ),
    "many": lambda: text_model(tuple(f"class {k}" for k in range(20))),
    "labels": labels_model,
    "bundled": lambda: load(bundled.folder()),
    "columns": lambda: shop_model(TEXTS),
    "graph": lambda: Model.of_graph(several_inputs(), classes=["no", "yes"]),
    "gru": lambda: Model.of_graph(recurrent_classifier("GRU")),
    "wide": lambda: text_model(pooling="mean+max", bidirectional=True),
}


@pytest.fixture(scope="package")
def address() -> Iterator[Callable[[str], str]]:
    """The address of a server of the model of that name, or of several joined by "+"; each starts once a session."""
    with ExitStack() as running:

        @cache
        def of(name: str) -> str:
            models = {part: MODELS[part]() for part in name.split("+")}
            return f"http://127.0.0.1:{running.enter_context(served(models))}"

        yield of


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """Debian's chromium, without a window."""
    required = os.environ.get("GATEWISE_BROWSER") == "required"
    if CHROMIUM is None or not Path(CHROMIUM).exists():
        if required:
            pytest.fail("GATEWISE_BROWSER=required, and there is no chromium: apt-get install chromium")
        pytest.skip("no chromium here: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api") if not required else __import__("playwright.sync_api").sync_api
    with api.sync_playwright() as play:
        chromium = Chromium(play)
        yield chromium
        chromium.close()


class Chromium:
    """The browser, started again after it was ended."""

    def __init__(self, playwright: Any) -> None:
        self._playwright = playwright
        self._browser: Any = None

    def new_context(self, **options: Any) -> Any:
        if self._browser is None or not self._browser.is_connected():
            self._browser = self._playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        return self._browser.new_context(**options)

    def close(self) -> None:
        if self._browser is not None:
            self._browser.close()


@contextmanager
def limited_browser(seconds: float) -> Iterator[None]:
    """Ends the browser after `seconds`, and fails: `evaluate` of Playwright waits for a page without a limit."""
    is_late = threading.Event()

    def end() -> None:
        is_late.set()
        for pid in descendants(os.getpid()):
            with suppress(OSError):  # it has ended since
                if b"chrom" in Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]:
                    os.kill(pid, signal.SIGKILL)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if is_late.is_set():
            pytest.fail(f"the browser was ended after {seconds:g} s: a page did not answer")


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have started."""
    direct = children(pid)
    return direct + [below for child in direct for below in descendants(child)]


class Watched:
    """A page of Playwright, and everything that it should not do: console lines, errors, dialogs, other requests."""

    def __init__(self, page: Any, home: str) -> None:
        self.page, self.home, self.wrong = page, home, []
        self.expected: list[str] = []
        page.on("console", lambda message: self._note(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: self._note(f"error: {error}"))
        page.on("dialog", lambda dialog: (self._note(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: self._request(request.url))
        page.add_init_script(
            "addEventListener('securitypolicyviolation', e => console.error('CSP ' + e.violatedDirective))"
        )

    def _note(self, line: str) -> None:
        if not any(part in line for part in self.expected):
            self.wrong.append(line)

    def _request(self, url: str) -> None:
        if not url.startswith((self.home, "data:", "blob:")):
            self.wrong.append(f"request to {url}")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.page, name)

    def open(self, fragment: str = "") -> Watched:
        """The page with its first picture drawn."""
        self.page.goto(f"{self.home}/{fragment}")
        self.settle()
        return self

    def state(self, path: str) -> Any:
        """What `path` leads to in the state of the page, as "data.prefix"."""
        return self.page.evaluate(f"() => gatewise.store.get().{path}")

    def until(self, path: str) -> None:
        """Wait until it leads to something, as "data.changed"."""
        self.page.wait_for_function(f"() => gatewise.store.get().{path}")

    def change(self, **state: Any) -> None:
        """Set parts of the state."""
        self.page.evaluate("state => gatewise.store.set(state)", state)

    def open_panels(self, which: str = "main > details") -> None:
        self.page.locator(which).evaluate_all("all => all.forEach(one => { one.open = true; })")

    def settle(self) -> None:
        """Wait until no request is open and the attribution of the current text is there and painted."""
        self.page.wait_for_function(
            "() => { const s = globalThis.gatewise?.store.get();"  # undefined until the page's modules have run
            " return s?.data && !s.busy && s.data.inputText === s.text && s.data.attribution"
            " && !s.data.attribution.stale && s.data.units && s.data.unitOf.has(gatewise.selectedUnit(s)); }",
            timeout=60_000,
        )
        painted(self.page)


def painted(page: Any) -> None:
    """Wait until two frames are drawn, for five seconds at most: after a change of its size chromium once drew none for
    minutes, and `evaluate` has no timeout.
    """
    page.evaluate(
        "() => new Promise(done => {"
        " requestAnimationFrame(() => requestAnimationFrame(done)); setTimeout(done, 5000); })"
    )


def first_of(page: Any, held: list[Any]) -> Any:
    """The first request that a route holds, once it has come."""
    for _ in range(300):
        if held:
            return held[0]
        page.wait_for_timeout(50)
    pytest.fail("no request came")


def choose(page: Any, item: str) -> None:
    """Press a button of the menu."""
    page.click("#menubutton")
    page.click(f"#{item}")


def press_word(page: Any, n: int, tap: bool = False) -> None:
    """Press word n of the text: the editor lies above the words."""
    box = page.locator(f"#words [data-word='{n}']").bounding_box()
    place = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    (page.touchscreen.tap if tap else page.mouse.click)(*place)


SHIFTS = """
    globalThis.shifts = [];  // of the layout, without those right after an input (web.dev/cls)
    new PerformanceObserver(list => { for (const one of list.getEntries()) if (!one.hadRecentInput) shifts.push(
        [one.value, ...one.sources.map(s => s.node?.outerHTML?.slice(0, 90))]); })
        .observe({ type: 'layout-shift', buffered: true });
"""
RULES = (
    "{ resultTypes: ['violations'], rules: { 'target-size': { enabled: true } } }"  # a rule of WCAG 2.2, off by default
)


@pytest.fixture(scope="package")
def axe() -> str:
    package = pytest.importorskip("axe_playwright_python")
    return (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def findings(page: Any, axe: str) -> list[Any]:
    """What axe finds on the page as it is."""
    page.evaluate(axe)
    found: list[dict[str, Any]] = page.evaluate(f"() => axe.run({RULES}).then(result => result.violations)")
    return [(one["id"], one["impact"], [node["html"][:120] for node in one["nodes"]][:3]) for one in found]


def hold(page: Any, *parts: str) -> list[Any]:
    """The requests to /explain whose body has one of the parts; they wait, all others pass."""
    held: list[Any] = []

    def route(one: Any) -> None:
        if any(part in one.request.post_data for part in parts):
            held.append(one)
        else:
            one.continue_()

    page.route("**/explain", route)
    return held


Visit = Callable[..., Watched]


@pytest.fixture
def watch(browser: Any) -> Iterator[Visit]:
    """watch(home, ...): a fresh browser context for a page; at the end nothing may have gone wrong in it."""
    opened: list[tuple[Any, Watched]] = []

    def new(home: str, width: int = 1280, height: int = 900, **more: Any) -> Watched:
        size = {"width": width, "height": height}
        context = browser.new_context(**{"viewport": size, "reduced_motion": "reduce", **more})
        context.set_default_timeout(60_000)
        opened.append((context, Watched(context.new_page(), home)))
        return opened[-1][1]

    with limited_browser(SECONDS):
        yield new
    wrong = [line for _, watched in opened for line in watched.wrong]
    for context, _ in opened:
        context.close()
    assert wrong == []


@pytest.fixture
def visit(watch: Visit, address: Callable[[str], str]) -> Visit:
    """visit(model, width, height, scheme): the page of that model."""

    def new(model: str = "text", width: int = 1280, height: int = 720, scheme: str = "light", **more: Any) -> Watched:
        return watch(address(model), width, height, color_scheme=scheme, **more)

    return new
