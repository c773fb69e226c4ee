"""Ways around the page in a real browser: links, the keyboard, presenting, other pages, widths, series."""

import re

import numpy as np

from tests.serve.page.conftest import LINK, TEXTS, Visit, choose, press_word, series_model


def test_a_link_restores_the_whole_state(visit: Visit) -> None:
    page = visit().open(LINK)
    press_word(page, 5)
    page.change(u=4, s=3, heatmap="f", sort="jump")
    page.select_option("[aria-label='What to change']", "o")
    page.select_option("[aria-label='Where to change it']", "unit word")
    page.focus("input[aria-label='Clamp the output gate o']")
    page.keyboard.press("Home")
    page.locator("#heatmap").scroll_into_view_if_needed()
    drawn = (
        "() => gatewise.store.get().data?.changed && gatewise.store.get().data.heatmaps.has('f')"
        " && document.querySelector('#readout')?.textContent"
    )
    page.wait_for_function(drawn)
    page.settle()
    page.wait_for_function("() => location.hash.includes('x=o4%3A0%405-5')")  # the address follows every 300 ms
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    page.mouse.move(2, 2)
    other = visit()
    other.page.goto(page.url)
    other.settle()
    other.page.locator("#heatmap").scroll_into_view_if_needed()
    other.page.wait_for_function(drawn)
    other.settle()
    names = ["text", "w", "u", "s", "heatmap", "sort", "changes"]
    state = f"() => {{ const state = gatewise.store.get(); return {names}.map(name => [name, state[name]]); }}"
    assert other.page.evaluate(state) == page.evaluate(state)
    assert dict(other.page.evaluate(state))["changes"] == [{"gate": "o", "unit": 4, "from": 5, "to": 5, "value": 0}]
    picture = """() => [
        ...['.words', '#line', '#cell'].map(part => document.querySelector(part).innerHTML),
        document.querySelector('#prediction').innerText, document.querySelector('#steps').innerText,
        ...[...document.querySelectorAll('.map canvas')].map(one => one.toDataURL()),
    ]"""
    assert other.page.evaluate(picture) == page.evaluate(picture), "not what the link was made of, to the pixel"


def test_a_link_says_what_differs_from_the_page_that_it_was_made_on(visit: Visit) -> None:
    page = visit().open()
    long = (TEXTS[0] + " ") * 12
    page.fill("#text", long)
    page.settle()
    page.wait_for_function("() => location.hash.includes('&w=') || location.hash.includes('model=')")
    foreign = visit()
    foreign.page.goto(re.sub("model=[0-9a-f]{8}", "model=00000000", page.url))
    foreign.settle()
    assert foreign.page.input_value("#text") == long
    assert "made with model 00000000" in foreign.page.inner_text("#hint")
    page.fill("#text", "good " * 1900)
    page.wait_for_function("() => location.hash.includes('cut=1')")
    foreign.page.goto(page.url)
    foreign.page.reload()
    foreign.page.wait_for_function("() => document.querySelector('#hint').textContent.includes('too long for a link')")


def test_by_keyboard_alone(visit: Visit) -> None:
    page = visit().open(f"{LINK}&u=3&w=0")
    page.focus("#text")
    page.keyboard.press("Escape")
    assert page.evaluate("() => document.activeElement.dataset.word") == "0"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.state("w") == 2
    page.focus("[aria-label='Clamp the input gate i']")
    page.keyboard.press("Home")
    page.until("data.changed")
    page.keyboard.press("Delete")
    page.locator("#heatmap").scroll_into_view_if_needed()
    page.focus("[aria-label='Gate or state of the heat map']")
    page.keyboard.press("f")
    assert page.state("heatmap") == "f"
    page.focus("text=sort units by >> select")
    page.keyboard.press("ArrowDown")
    assert page.state("sort") == "index"
    page.until("data.heatmaps.has('f')")
    page.focus(".map")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.evaluate("() => [gatewise.store.get().w, gatewise.store.get().u]") == [3, 4]
    choose(page, "comparebutton")
    page.wait_for_function(
        "() => document.activeElement.tagName === 'TEXTAREA' && document.activeElement.id !== 'text'"
    )
    stops = []
    page.focus("a.skip")
    for _ in range(60):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("() => document.activeElement.closest('[id]')?.id"))
    order = [stop for n, stop in enumerate(stops) if n == 0 or stops[n - 1] != stop]
    parts = [part for part in order if part in ("examples", "text", "words", "line", "interventions", "unit", "step5")]
    assert parts[:5] == ["examples", "text", "words", "line", "interventions"]


def test_series_get_the_same_views(visit: Visit) -> None:
    page, model = visit("series"), series_model()
    page.goto(page.home)
    page.wait_for_selector("#hint:has-text('paste a row of your data')")
    assert not page.is_visible("#examples"), "no series is made up"
    rng = np.random.default_rng(2)
    text = "\n".join(f"{a:.3f} {b:.3f}" for a, b in rng.normal(0, 1, (30, 2)))
    page.fill("#text", text)
    page.settle()
    rows = np.array([[float(x) for x in line.split()] for line in text.splitlines()], dtype=np.float32)
    assert page.inner_text("#prediction .label") == model.predict([rows])[0]
    assert page.locator("#line rect.band").count() == len(rows)
    assert "Label: " not in page.inner_text("#prediction")
    assert page.locator("svg.line .channel").count() == 2
    box = page.locator("#line svg.line").bounding_box()
    at = [box["x"] + 28 + (box["width"] - 38) * (n + 0.5) / len(rows) for n in (9, 14)]
    page.mouse.click(at[0], box["y"] + 60)
    assert page.inner_text("#line .readout").startswith("step 10: ")
    assert f"channel 1: {rows[9, 0]:.3f}" in page.inner_text("#line .legend").replace("\u2212", "-")
    page.mouse.move(at[0], box["y"] + 60)
    page.mouse.down()
    page.mouse.move(at[1], box["y"] + 60)
    page.mouse.up()
    assert page.state("range") == {"from": 9, "to": 14}
    where = page.locator("[aria-label='Where to change it']")
    assert where.evaluate("one => one.selectedOptions[0].textContent") == "all units at steps 10–15"
    page.select_option("#unit select >> nth=0", "0")
    page.wait_for_function(
        "() => { const s = gatewise.store.get(); return s.data?.unitOf.get(gatewise.selectedUnit(s))?.layer === 0; }"
    )
    k, c = page.evaluate(
        "() => { const s = gatewise.store.get(), k = gatewise.selectedUnit(s); return [k, s.data.unitOf.get(k).c]; }"
    )
    np.testing.assert_allclose(c, model.trace(rows).lstms[k // 7].c[:, k % 7], atol=1e-5)  # of the first layer
    assert not page.is_visible("#stream"), "a bidirectional LSTM cannot be streamed"
    page.fill("#text", "1 2\n3")
    page.wait_for_selector("#error:has-text('Line 2: expected 2 numbers per line')")
