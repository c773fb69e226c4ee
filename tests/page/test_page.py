"""The page in a real browser: it shows what the library says, by mouse and by keyboard, and a link brings it back."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gatewise.glassbox import Clamp
from tests.page.conftest import TEXTS, Watched, known_model, series_model

Visit = Callable[..., Watched]
TEXT = "I was never bored, not a bad film"


def number(text: str) -> float:
    return float(text.replace("\u2212", "-").replace("±", ""))


def p_of(page: Any) -> float:
    """The probability of the class `good` that is shown."""
    label, shown = page.inner_text("#verdict .label"), number(page.inner_text("#verdict .p"))
    return shown if label == "good" else 1 - shown


def write(watched: Watched, text: str) -> None:
    watched.page.click("#text")
    watched.page.keyboard.press("Control+a")
    watched.page.keyboard.type(text)
    watched.page.wait_for_function("text => gatewise.store.get().text === text", arg=text)
    watched.settle()


def test_the_first_picture_needs_no_click(visit: Visit) -> None:
    page = visit().open()
    assert page.inner_text("#verdict .label") in ("bad", "good")
    assert page.locator(".words .selected").count() == 1
    assert page.locator("#cell svg").count() == 1
    assert "People say" in page.inner_text("#verdict .toldchange")
    page.wait_for_function("() => document.querySelector('#map .readout').textContent")
    assert (
        page.evaluate(
            "() => document.querySelector('.map canvas').getContext('2d').getImageData(200, 50, 1, 1).data[3]"
        )
        == 255
    )


def test_the_verdict_follows_what_is_typed(visit: Visit) -> None:
    watched, model = visit(), known_model()
    page = watched.open()
    for text in (TEXT, "cheap", TEXTS[2] + " " + TEXTS[1]):
        write(watched, text)
        label, p = model.predict([text])[0], model.predict_proba([text])[0]
        assert page.inner_text("#verdict .label") == label
        assert p_of(page) == pytest.approx(p[1], abs=0.0051)
        words = page.locator(".words .word").all_inner_texts()
        assert [word.strip() for word in words] == model.encoder.steps(text)
        found = model.explain(text)
        scores = page.locator(".words .word").evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
        for label, score in zip(scores, found.scores, strict=True):
            assert number(label.rpartition(", ")[2]) == pytest.approx(score, abs=0.0051)
    assert "not in the vocabulary" not in page.inner_text("#counts")
    write(watched, "good zounds")
    assert "1 not in the vocabulary" in page.inner_text("#counts")
    assert page.locator(".words .unknown").inner_text() == "zounds"


def test_the_account_can_be_switched_and_names_its_deletion_score(visit: Visit) -> None:
    watched, model = visit(), known_model()
    page = watched.open()
    write(watched, TEXT)
    method = page.locator(".accountrow select").nth(1)
    assert "integrated-gradients, deletion 0.52 (default)" in method.inner_text()
    assert "cell, not measured" in method.inner_text()
    method.select_option("running")
    page.wait_for_function("() => gatewise.store.get().data.account.method === 'running'")
    scores = page.evaluate("() => gatewise.store.get().data.account.words")
    np.testing.assert_allclose(scores, model.explain(TEXT, "running").scores, atol=1e-5)
    page.click(".about summary")
    assert "falls by 0.41" in page.inner_text(".about")
    assert "not a cause" in page.inner_text(".about")
    page.locator(".accountrow select").nth(0).select_option("unit")
    assert "memory c of unit" in page.inner_text("#words .caption")


def test_the_cell_shows_the_trace_and_its_seven_steps(visit: Visit) -> None:
    watched, model = visit(), known_model()
    page = watched.open("#t=I+was+never+bored%2C+not+a+bad+film&u=3&w=4&s=1")
    trace = model.trace(TEXT).lstms[0]
    page.click(".cellnumbers summary")
    shown = [number(x) for x in page.locator(".numbers dd").all_inner_texts()]
    c0, h0 = trace.c[3, 3], trace.h[3, 3]
    i, f, g, o = (float(getattr(trace, gate)[4, 3]) for gate in "ifgo")
    want = [c0, h0, f, i, g, o, f * c0, i * g, trace.c[4, 3], trace.h[4, 3]]
    np.testing.assert_allclose(shown, want, atol=5.1e-4)
    seen = []
    page.focus("#steps button >> nth=0")
    for _ in range(7):
        seen.append(page.inner_text(".stepname"))
        page.keyboard.press("ArrowRight")
    assert [name.lower() for name in seen] == [
        "1 look", "2 forget", "3 propose", "4 keep", "5 write", "6 show", "7 hand on",
    ]  # fmt: skip
    assert page.inner_text(".stepname").lower() == "1 look"  # of the next word
    assert page.evaluate("() => gatewise.store.get().w") == 5
    page.keyboard.press("End")
    assert page.inner_text(".stepname").lower() == "7 hand on"


def test_hovering_shows_values_and_lets_go(visit: Visit) -> None:
    watched, model = visit(), known_model()
    page = watched.open("#t=I+was+never+bored%2C+not+a+bad+film&u=3&w=4&o=index")
    page.wait_for_function("() => gatewise.store.get().data.planes.has('c')")
    page.locator(".map").scroll_into_view_if_needed()
    box = page.locator(".map").bounding_box()
    units, words = 12, 9
    unit, word = 7, 2
    x = box["x"] + 46 + (box["width"] - 46) * (word + 0.5) / words
    y = box["y"] + (box["height"] - 20) * (unit + 0.5) / units
    page.mouse.move(x, y)
    page.wait_for_function("() => document.querySelector('#readout').textContent.includes('  h ')")
    trace = model.trace(TEXT).lstms[0]
    line = page.inner_text("#readout")
    assert line.startswith(f"unit {unit} · word {word + 1} “never” ·")
    for gate in "ifgoch":
        value = float(getattr(trace, gate)[word, unit])
        assert number(line.split(f"{gate} ")[-1].split()[0]) == pytest.approx(value, abs=0.0051)
    assert page.locator(".words .hovered").inner_text() == "never"
    page.mouse.move(5, 5)
    page.wait_for_function("() => !gatewise.store.get().hover")
    assert page.locator(".words .hovered").count() == 0
    page.hover(".words .word >> nth=0")
    assert "word 1 “I” · unit 3" in page.inner_text("#unit")


def test_the_map_shows_every_plane_sorted_and_as_a_table(visit: Visit) -> None:
    watched, model = visit(), known_model()
    page = watched.open("#t=I+was+never+bored%2C+not+a+bad+film")
    trace = model.trace(TEXT)
    for plane in "ifgoh":
        page.click(f".choice button:text-is('{plane}')")
        page.wait_for_function("p => gatewise.store.get().data.planes.has(p)", arg=plane)
        values = page.evaluate("p => Array.from(gatewise.store.get().data.planes.get(p).values)", plane)
        np.testing.assert_allclose(np.array(values).reshape(12, 9), getattr(trace.lstms[0], plane).T, atol=1e-4)
    page.select_option(".tools select", "jump")
    page.click("#map button:has-text('As a table')")
    first = page.locator(".tablebox tbody th").first.inner_text()
    assert int(first) == int(np.abs(trace.lstms[0].moves()).max(axis=0).argmax())
    cells = page.locator(".tablebox tbody tr").first.locator("td").all_inner_texts()
    np.testing.assert_allclose([number(x) for x in cells], trace.lstms[0].h[:, int(first)], atol=0.0051)
    page.select_option(".tools select", "alike")
    page.wait_for_function("() => gatewise.store.get().data.alike")


def test_a_clamp_shows_old_and_new_and_undo_takes_it_back(visit: Visit) -> None:
    watched, model = visit(), known_model()
    page = watched.open("#t=I+was+never+bored%2C+not+a+bad+film&u=3")
    before = p_of(page)
    assert before == pytest.approx(model.predict_proba([TEXT])[0, 1], abs=0.0051)
    page.select_option("#change select >> nth=0", "all")
    page.focus("input[aria-label='Hold the forget gate f']")
    page.keyboard.press("End")
    page.wait_for_function("() => gatewise.store.get().data.changed")
    watched.settle()
    after = model.intervene(TEXT, [Clamp("f", 1.0)]).probabilities()[1][1]
    assert p_of(page) == pytest.approx(after, abs=0.0051)
    told = page.inner_text(".toldchange")
    shown = number(told.split("” ")[1].split(" ")[0])
    assert shown == pytest.approx(before, abs=0.011)
    assert "f of all units held at 1.00" in page.inner_text("#change .chips")
    assert page.locator("#words path.ghost").count() == 1
    assert page.locator("#cell .isheld").count() == 1
    page.click("#change button:has-text('Silence unit 3')")
    page.wait_for_function("() => gatewise.store.get().data.changed?.applied.length === 2")
    watched.settle()
    both = model.intervene(TEXT, [Clamp("f", 1.0), Clamp("o", 0.0, 3, pads=True)]).probabilities()[1][1]
    assert p_of(page) == pytest.approx(both, abs=0.0051)
    page.click("#change button:text-is('undo')")
    page.wait_for_function("() => gatewise.store.get().changes.length === 1")
    assert "Undid: unit 3 silenced." in page.inner_text("#change .told")
    page.keyboard.press("Control+z")
    page.wait_for_function("() => gatewise.store.get().changes.length === 0")
    watched.settle()
    assert p_of(page) == pytest.approx(before, abs=1e-9)
    page.click("#change button:text-is('redo')")
    page.wait_for_function("() => gatewise.store.get().changes.length === 1")


def test_two_texts_side_by_side(visit: Visit) -> None:
    watched, model = visit(), known_model()
    page = watched.open()
    page.click("#examples button:has-text('Order')")
    page.wait_for_selector("#compare .pair:visible")
    page.wait_for_function("() => document.querySelectorAll('#compare .word').length > 14")
    for n, text in enumerate(("It was good, not bad at all.", "It was bad, not good at all.")):
        head = page.locator("#compare h3").nth(n).inner_text()
        assert f"“good” {model.predict_proba([text])[0, 1]:.2f}" in head or "bad” " in head
    assert "a bag of words cannot tell them apart" in page.inner_text("#compare .told")
    marked = page.locator("#compare .pair > div >> nth=1").locator(".marked").all_inner_texts()
    assert set(marked) <= {"bad", "good", "not", ","}
    assert marked


def test_a_link_restores_the_whole_state(visit: Visit) -> None:
    watched = visit()
    page = watched.open("#t=I+was+never+bored%2C+not+a+bad+film")
    page.click(".words .word >> nth=5")
    page.evaluate("() => gatewise.store.set({u: 4, s: 3, plane: 'f', sort: 'jump', by: 'unit'})")
    page.select_option("#change select >> nth=1", "word")
    page.focus("input[aria-label='Hold the output gate o']")
    page.keyboard.press("Home")
    page.wait_for_function("() => gatewise.store.get().data.changed && gatewise.store.get().data.planes.has('f')")
    watched.settle()
    page.wait_for_timeout(500)  # the address follows every 300 ms
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    page.mouse.move(2, 2)
    other = visit()
    other.page.goto(page.url)
    other.settle()
    other.page.wait_for_function("() => gatewise.store.get().data.planes.has('f')")
    names = ["text", "w", "u", "s", "plane", "sort", "by", "changes"]
    state = f"() => {{ const state = gatewise.store.get(); return {names}.map(name => [name, state[name]]); }}"
    assert other.page.evaluate(state) == page.evaluate(state)
    assert dict(other.page.evaluate(state))["changes"] == [{"gate": "o", "unit": 4, "from": 5, "to": 5, "value": 0}]
    picture = """() => [
        document.querySelector('#words').innerHTML, document.querySelector('#cell').innerHTML,
        document.querySelector('#verdict').innerText, document.querySelector('#steps').innerText,
        ...[...document.querySelectorAll('.map canvas')].map(one => one.toDataURL()),
    ]"""
    assert other.page.evaluate(picture) == page.evaluate(picture), "not what the link was made of, to the pixel"


def test_a_long_text_travels_packed_and_a_broken_link_says_so(visit: Visit) -> None:
    watched = visit()
    page = watched.open()
    long = (TEXTS[0] + " ") * 12
    page.fill("#text", long)
    watched.settle()
    page.wait_for_function("() => location.hash.includes('z=')")
    other = visit()
    other.page.goto(page.url)
    other.settle()
    assert other.page.input_value("#text") == long
    foreign = visit()
    foreign.page.goto(re.sub("model=[0-9a-f]{8}", "model=00000000", page.url))
    foreign.settle()
    assert "made with model 00000000" in foreign.page.inner_text("#look")
    broken = visit()
    broken.page.goto(page.url.replace("z=", "z=AAAA"))
    broken.settle()
    broken.page.wait_for_function("() => document.querySelector('#look').textContent.includes('cut on its way')")


def test_by_keyboard_alone(visit: Visit) -> None:
    watched = visit()
    page = watched.open("#t=I+was+never+bored%2C+not+a+bad+film&u=3&w=0")
    page.focus("#text")
    page.keyboard.press("Escape")
    assert page.evaluate("() => document.activeElement.dataset.word") == "0"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => gatewise.store.get().w") == 2
    page.keyboard.press("x")
    page.wait_for_function("() => gatewise.store.get().data.changed")
    page.keyboard.press("Control+z")
    page.keyboard.press("f")
    assert page.evaluate("() => gatewise.store.get().plane") == "f"
    page.keyboard.press("s")
    assert page.evaluate("() => gatewise.store.get().sort") == "index"
    page.locator("#map").scroll_into_view_if_needed()
    page.wait_for_function("() => gatewise.store.get().data.planes.has('f')")
    page.focus(".words [tabindex='0']")
    page.keyboard.press("q")
    assert page.inner_text("#verdict .label") == "?"
    page.keyboard.press("q")
    page.focus(".map")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.evaluate("() => [gatewise.store.get().w, gatewise.store.get().u]") == [3, 4]
    page.keyboard.press("t")
    page.wait_for_selector(".tablebox table")
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("l")
    page.wait_for_selector("#link[open]")
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    page.wait_for_function(
        "() => document.activeElement.tagName === 'TEXTAREA' && document.activeElement.id !== 'text'"
    )
    page.focus("#text")
    page.keyboard.press("End")
    page.keyboard.type("f")
    assert page.evaluate("() => gatewise.store.get().plane") == "f", "a letter in a field is a letter"
    stops = []
    page.focus("a.skip")
    for _ in range(60):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("() => document.activeElement.closest('[id]')?.id"))
    order = [stop for n, stop in enumerate(stops) if n == 0 or stops[n - 1] != stop]
    assert [part for part in order if part in ("examples", "text", "words", "unit", "steps")][:3] == [
        "examples",
        "text",
        "words",
    ]


def test_guess_first_holds_the_answer_back(visit: Visit) -> None:
    page = visit().open("#g=1")
    assert page.inner_text("#verdict .label") == "?"
    assert page.locator("#words path.verdictline").count() == 0
    assert page.locator(".words [class*=' p'], .words [class*=' n']").count() == 0
    page.click("text=Show the verdict")
    assert "You guessed 50%" in page.inner_text(".toldchange")
    page.wait_for_selector("#words path.verdictline", state="attached")


def test_present_mode_and_lessons_hide_what_is_asked(visit: Visit) -> None:
    watched = visit(width=1920, height=1080)
    page = watched.open("#present=1&hide=map,change")
    assert not page.locator("header").is_visible()
    sizes = page.evaluate(
        "() => [...document.querySelectorAll('.stepline, .unitline, .words, #verdict .label, .presentkeys')]"
        ".map(one => parseFloat(getComputedStyle(one).fontSize))"
    )
    assert min(sizes) >= 24
    assert page.evaluate("() => document.documentElement.scrollHeight <= innerHeight + 1")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => gatewise.store.get().s") == 6
    page.keyboard.press("Escape")
    page.wait_for_selector("header", state="visible")
    assert not page.locator("#change").is_visible()
    assert not page.locator("#map").is_visible()


def test_the_unit_page_the_training_and_the_card(visit: Visit) -> None:
    watched, model = visit(), known_model()
    page = watched.open("#u=5")
    for part in ("unitpage", "training", "card"):
        page.click(f"#{part} summary")
    page.wait_for_selector("#unitpage .passages li")
    assert model.units is not None
    facts = model.units.unit(5)
    assert f"without this unit {100 * facts.without:.1f}%" in page.inner_text("#unitpage")
    assert (
        page.locator("#unitpage .passages >> nth=0").locator("mark").first.inner_text()
        == facts.up[0].words[facts.up[0].place]
    )
    assert "2 (kept)" in page.inner_text("#training")
    assert page.locator("#training svg").count() == 2
    card = page.inner_text("#card")
    assert "gatewise train '</script><script>alert(1)</script>'" in card
    assert "0.8750" in card


@pytest.mark.parametrize(("width", "height"), [(390, 844), (320, 640), (1280, 720), (1920, 1080)])
def test_nothing_scrolls_sideways(visit: Visit, width: int, height: int) -> None:
    watched = visit(width=width, height=height)
    page = watched.open()
    page.evaluate(
        "() => { for (const one of document.querySelectorAll('main > details, .left > details')) one.open = true; }"
    )
    page.wait_for_timeout(400)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    if width <= 390:
        small = page.evaluate(
            "() => [...document.querySelectorAll('main button, nav button, main select, main summary')]"
            ".filter(one => one.checkVisibility() && one.getBoundingClientRect().height < 43.5)"
            ".map(one => one.outerHTML.slice(0, 80))"
        )
        assert small == []


def test_series_get_the_same_views(visit: Visit) -> None:
    watched, model = visit("series"), series_model()
    page = watched.open()
    text = page.input_value("#text")
    rows = np.array([[float(x) for x in line.split()] for line in text.splitlines()], dtype=np.float32)
    assert page.inner_text("#verdict .label") == model.predict([rows])[0]
    assert page.locator(".words .word").count() == len(rows)
    assert "People say" not in page.inner_text("#verdict")
    assert page.locator(".series .channel").count() == 2
    page.click(".words .word >> nth=9")
    page.wait_for_function("() => document.querySelector('.series + p').textContent.startsWith('step 10')")
    assert f"channel 1: {rows[9, 0]:.3f}" in page.inner_text(".series + p").replace("\u2212", "-")
    page.select_option("#unit select >> nth=0", "0")
    page.wait_for_function(
        "() => { const s = gatewise.store.get(); return s.data?.unitOf.get(gatewise.unitNow(s))?.layer === 0; }"
    )
    k, c = page.evaluate(
        "() => { const s = gatewise.store.get(), k = gatewise.unitNow(s); return [k, s.data.unitOf.get(k).c]; }"
    )
    np.testing.assert_allclose(c, model.trace(rows).lstms[k // 7].c[:, k % 7], atol=1e-5)  # of the first layer
    watched.expected.append("400 (Bad Request)")
    page.fill("#text", "1 2\n3")
    page.wait_for_function("() => document.querySelector('#problem').textContent.includes('Line 2: 2 numbers a line')")


def test_what_is_wrong_is_said_where_it_is(visit: Visit) -> None:
    watched = visit()
    page = watched.open()
    page.click("#clear")
    page.wait_for_function("() => document.querySelector('#words .caption').textContent.includes('Write something')")
    assert page.inner_text("#verdict .label") == "–"
    assert page.evaluate("() => document.activeElement.id") == "text"
    watched.expected.append("400 (Bad Request)")
    page.fill("#text", "good " * 2001)
    page.wait_for_function("() => document.querySelector('#problem').textContent.includes('at most 2,000')")
    watched.expected.append("ERR_FAILED")
    page.route("**/explain", lambda route: route.abort())
    page.fill("#text", TEXT)
    page.wait_for_function("() => document.querySelector('#problem').textContent.includes('The server has gone')")
    page.unroute("**/explain")
    page.evaluate("() => document.querySelector('#problem button')?.click()")
    watched.settle()
    assert not page.locator("#problem").is_visible()
