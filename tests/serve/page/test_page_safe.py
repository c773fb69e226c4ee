"""Nothing that a user or a stranger's model says is ever at work in the page, and everyone can use it."""

import gzip
import re
import shlex
from pathlib import Path

import pytest

from tests.serve.page.conftest import HOSTILE, Visit, choose, findings
from tests.serve.server import ask

PAGE = Path(__file__).resolve().parents[3] / "src" / "gatewise" / "serve" / "page"

# Tags that the page itself never makes: any of them came out of somebody's text.
_TAGS = "img, iframe, object, embed, b, i, base, form, style, script:not([src]), a:not(.skip, #lesson)"
FOREIGN = f"() => document.querySelectorAll('{_TAGS}').length"


def test_hostile_texts_labels_and_cards_are_text(visit: Visit) -> None:
    page = visit("hostile")
    page.expected.append("status of 4")
    page.open("#t=It+was+good")  # the page has no example texts for its classes
    assert page.inner_text("#prediction .label") in [text[:24] + "…" for text in HOSTILE[:2]]
    page.open_panels("main > details:not([hidden])")
    page.wait_for_selector("#card:has-text('<script>alert(1)</script>')")
    assert "<img src=x onerror=alert(1)>" in page.inner_text("#card")
    for text in HOSTILE:
        page.change(b=text)
        page.fill("#text", text)
        page.wait_for_function(
            "() => { const s = gatewise.store.get();"
            " return !s.busy && (s.error || (s.data?.inputText === s.text && !s.data.attribution?.stale)); }"
        )
        assert page.evaluate(FOREIGN) == 0
        assert page.evaluate("() => [...document.scripts].map(one => one.src).join()").count("http") == 1
        assert page.title() == "gatewise"
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), text


def test_the_page_of_the_api_has_every_route_and_commands_that_work(visit: Visit) -> None:
    page = visit("hostile")
    page.goto(f"{page.home}/docs")
    page.wait_for_selector("section")
    port = int(page.home.rpartition(":")[2])
    paths = ask(port, "GET", "/openapi.json").json()["paths"]
    routes = [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]
    assert page.locator("section > h2").all_inner_texts() == routes
    assert "onerror=alert(1)>" in page.locator("main").text_content(), "a class name is text"
    assert page.locator("main img, main script").count() == 0
    commands = [text for text in page.locator("pre").all_inner_texts() if text.startswith("curl ")]
    assert len(commands) > 10
    for command in commands:
        _, _, where, *rest = shlex.split(command)
        body = rest[rest.index("-d") + 1].encode() if "-d" in rest else None
        path = where.partition(f":{port}")[2].replace("{name}", "hostile").replace("{version}", "1")
        method = "GET" if body is None else "POST"
        assert ask(port, method, path, body, {"Content-Type": "application/json"}).status == 200, command


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_axe_finds_nothing_in_any_state(visit: Visit, axe: str, width: int, scheme: str) -> None:
    page = visit("text+wide+series", width=width, scheme=scheme, bypass_csp=True).open()
    page.change(changes=[{"gate": "h", "unit": 3, "value": 0, "from": None, "to": None}])
    page.settle()
    assert findings(page, axe) == [], "an ablated unit"
    page.expected.append("ERR_FAILED")
    page.route("**/explain", lambda route: route.abort())
    page.fill("#text", "a bad film")
    page.wait_for_selector("body.outdated")
    assert findings(page, axe) == [], "an error"
    choose(page, "clear")
    page.wait_for_function("() => !gatewise.store.get().data")
    assert findings(page, axe) == [], "no text"
    page.unroute("**/explain")
    page.fill("#text", "a bad film")
    page.settle()
    choose(page, "presentbutton")
    page.wait_for_selector("body.present")
    assert findings(page, axe) == [], "presentation mode"


def test_a_visit_loads_little() -> None:
    """HTML, CSS and JavaScript, raw: of the first screen, and of all there is; and all of it compressed."""
    first = {"index.html", "base.css", "cell.css", "style.css", "icon.svg"}
    waiting = ["main.js"]
    while waiting:
        name = waiting.pop()
        if name in first:
            continue
        first.add(name)
        waiting += re.findall(r'^import .*"\./(.*)"', (PAGE / name).read_text(encoding="utf-8"), re.MULTILINE)
    others = ("docs", "forecast", "explanation", "report", "lesson")
    files = [
        path for path in PAGE.iterdir() if path.suffix in (".html", ".css", ".js", ".svg") and path.stem not in others
    ]
    sizes = {path.name: path.stat().st_size for path in files}
    packed = {path.name: len(gzip.compress(path.read_bytes(), 9)) for path in files}
    assert first < set(sizes)
    assert sum(sizes[name] for name in first) <= 166_000, sorted((sizes[name], name) for name in first)
    assert sum(sizes.values()) <= 225_000  # with what is loaded when it is opened
    assert sum(packed.values()) <= 100_000
