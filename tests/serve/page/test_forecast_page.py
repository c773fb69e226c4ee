"""The page of a forecaster: it draws what the server answers, also for hostile names, and after every control."""

import re
from typing import Any

from tests.serve.page.conftest import HOSTILE, Visit
from tests.serve.server import post


def answer(home: str, series: str, **body: Any) -> Any:
    port = int(home.rpartition(":")[2])
    found = post(port, "/forecast", {"series": series, "include": ["attribution"], **body}).json()
    return found["attribution"][series] | found["series"][series]


def shown(number: float) -> str:
    return f"{float(f'{number:.4g}'):,.10g}"


def sentence(page: Any, start: str) -> str:
    page.wait_for_function("start => document.getElementById('sentence')?.textContent.startsWith(start)", arg=start)
    return str(page.inner_text("#sentence"))


def test_the_page_shows_what_the_server_answers(visit: Visit) -> None:
    page = visit("text+sales")
    home = page.home
    page.goto(f"{home}/#served=sales")
    first = answer(home, HOSTILE[0])
    line = sentence(page, f"Step 1, 2024-01-01: {shown(first['forecast'][0])}, 80% from")
    assert page.url == f"{home}/forecast.html#served=sales"
    assert f"{shown(first['base'])} for a window of means" in line
    assert page.locator("#series option").all_inner_texts() == HOSTILE[:2]
    assert page.locator(".trace, .band").count() == 3
    values = len(first["contributions"]["sold"])
    assert page.locator("rect.plus, rect.minus").count() == values
    rows = page.locator("#numbers tbody tr").count()
    assert rows == 6

    page.locator("#step").fill("3")
    page.locator("#step").dispatch_event("change")
    sentence(page, f"Step 3, 2024-03-01: {shown(first['forecast'][2])}")
    page.select_option("#level", "95")
    page.fill("#horizon", "9")
    page.dispatch_event("#horizon", "change")
    page.wait_for_function("() => document.querySelectorAll('#numbers tbody tr').length === 9")
    wide = answer(home, HOSTILE[0], horizon=9, level=[95])
    line = sentence(page, f"Step 3, 2024-03-01: {shown(wide['forecast'][2])}, 95% from {shown(wide['lo-95'][2])}")
    page.select_option("#series", HOSTILE[1])
    page.wait_for_function("line => document.getElementById('sentence').textContent !== line", arg=line)

    page.route("**/forecast", lambda route: route.abort())
    page.expected.append("ERR_FAILED")
    page.select_option("#level", "50")
    page.wait_for_selector("#error:visible")
    assert "Cannot reach the server" in page.inner_text("#error")
    page.set_viewport_size({"width": 360, "height": 640})
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    page.select_option("#models", "text")
    page.wait_for_url(re.compile("/#.*served=text"))


def test_values_known_in_advance_are_entered(visit: Visit) -> None:
    page = visit("promoted")
    home = page.home
    page.goto(f"{home}/")
    sentence(page, "Enter sale for each step.")
    page.fill("#future input >> nth=0", "1")
    page.press("#future input >> nth=0", "Tab")
    assert page.locator("#future input").evaluate_all("all => all.map(one => one.value)") == ["1", "1", "1"]
    page.fill("#future input >> nth=1", "0")
    page.press("#future input >> nth=1", "Tab")
    months = ["2014-01-01", "2014-02-01", "2014-03-01"]
    assert page.locator("#future tbody th").all_inner_texts() == months
    future = {"shop": ["a"] * 3 + ["b"] * 3, "month": months * 2, "sale": [1, 0, 1] * 2}
    page.locator("#step").fill("2")
    page.locator("#step").dispatch_event("change")
    sentence(page, f"Step 2, 2014-02-01: {shown(answer(home, 'a', future=future)['forecast'][1])}")
