"""The page in a real browser: it shows what the library says, and what becomes of it under a change."""

from typing import Any

import numpy as np
import pytest

from gatewise.explain import Clamp
from gatewise.explain.opening import opening_of
from gatewise.model.model import Model
from tests.serve.page.conftest import LINK, MODELS, TEXT, TEXTS, Visit, choose, first_of, hold, known_model


def number(text: str) -> float:
    return float(text.replace("\u2212", "-").replace("±", ""))


def probability_of(page: Any) -> float:
    """The shown probability of the class `good`."""
    name, shown = page.inner_text("#prediction .of"), number(page.inner_text("#prediction .probability"))
    label = page.inner_text("#prediction .label")
    assert name in ("P(good) =", "P(bad) =")
    assert label == "undecided" or name == f"P({label}) =", "the probability is that of the label"
    return shown if name == "P(good) =" else round(1 - shown, 2)


def predicted_text(model: Model, text: str) -> str:
    """What the page says of a prediction: the label and its probability."""
    p = model.predict_proba([text])[0]
    label = model.classes[int(p.argmax())]
    if abs(p[1] - 0.5) <= 0.05:
        return f"undecided, P({model.classes[1]}) = {p[1]:.2f}"
    return f"{label}, P({label}) = {p.max():.2f}"


def write(page: Any, text: str) -> None:
    page.click("#text")
    page.keyboard.press("Control+a")
    page.keyboard.type(text)
    page.wait_for_function("text => gatewise.store.get().text === text", arg=text)
    page.settle()


def test_the_prediction_does_not_wait_for_the_prefix_predictions(visit: Visit) -> None:
    page = visit().open()
    before, waiting = page.inner_text("#prediction .probability"), hold(page, '"prefix"')
    page.fill("#text", "a bad film, bad")
    page.until("earlyPrediction?.inputText === gatewise.store.get().text")
    page.wait_for_function(
        "before => document.querySelector('#prediction .probability').textContent !== before", arg=before
    )
    early = page.inner_text("#prediction .label"), page.inner_text("#prediction .probability")
    assert page.state("data.inputText !== gatewise.store.get().text")
    first_of(page, waiting)
    page.unroute("**/explain")  # which lets the held requests go
    page.settle()
    assert (page.inner_text("#prediction .label"), page.inner_text("#prediction .probability")) == early
    assert page.state("earlyPrediction") is None


def test_the_line_has_a_point_at_every_word_of_a_long_text(visit: Visit) -> None:
    page, model = visit("wide").open(), MODELS["wide"]()
    text = f"{TEXTS[0]} {TEXTS[2]} " * 8
    page.evaluate(
        "() => { window.strides = []; gatewise.store.subscribe(({data}) => data && strides.push(data.prefix.stride)); }"
    )
    page.fill("#text", text)
    page.settle()
    strides = page.evaluate("() => strides")
    assert max(strides) > 1, "a short text: nothing is left out at first"
    found = page.state("data.prefix")
    trace = model.trace(text)
    assert (found["stride"], len(found["probability"])) == (1, len(trace) + 1)
    np.testing.assert_allclose(found["score"], trace.score(trace.prefix_logits), atol=2e-6)
    assert page.inner_text("#line .caption >> span >> nth=0") == "P(good) after each word"
    assert page.locator("#line circle.dot").count() == 0


def test_the_page_opens_at_the_opening_frame_and_lists_the_most_important_unit_first(visit: Visit) -> None:
    page, model, differ = visit("wide").open(), MODELS["wide"](), 0
    for text in (TEXT, *TEXTS):
        page.fill("#text", text)
        page.settle()
        trace = model.trace(text)
        differ += int(np.abs(trace.contributions).sum(axis=0).argmax()) != trace.top_unit
        opening = opening_of(trace)
        shown = (
            "async () => { const store = await import('./store.js'), state = gatewise.store.get();"
            " return [store.selectedWord(state), store.selectedUnit(state)]; }"
        )
        assert page.evaluate(shown) == [opening.step, opening.unit]
        assert f"unit {opening.unit} of" in page.inner_text("#unit .unitline")
        first = page.locator("#unit select[aria-label=Unit] option").first.inner_text()
        effect = number(first.split("effect ")[1])
        assert first.split()[1] == f"{trace.top_unit},"
        assert effect == pytest.approx(trace.contributions[:, trace.top_unit].sum(), abs=0.0051)
    assert differ, "the absolute sums name the same units: other texts are needed"


def test_the_prediction_follows_the_text_and_the_attribution_its_method(visit: Visit) -> None:
    page, model = visit().open(), known_model()
    for text in (TEXT, "cheap", TEXTS[2] + " " + TEXTS[1]):
        write(page, text)
        label, p = model.predict([text])[0], model.predict_proba([text])[0]
        assert page.inner_text("#prediction .label") == (label if abs(p[1] - 0.5) > 0.05 else "undecided")
        assert probability_of(page) == pytest.approx(p[1], abs=0.0051)
        words = page.locator(".words .word").all_inner_texts()
        assert [word.strip() for word in words] == model.preprocessor.token_names(text)
        found = model.explain(text)
        scores = page.locator(".words .word").evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
        for label, score in zip(scores, found.scores, strict=True):
            assert number(label.rpartition(", ")[2]) == pytest.approx(score, abs=0.0051)
    assert "none unknown" in page.inner_text("#counts")
    write(page, "good zounds")
    assert "1 not in the vocabulary" in page.inner_text("#counts")
    assert page.locator(".words .unknown").inner_text() == "zounds"
    write(page, TEXT)
    page.click("#details summary >> nth=0")
    method = page.locator("[aria-label='Attribution method']")
    assert "integrated-gradients (default), comprehensiveness 0.52" in method.inner_text()
    assert "cell-decomposition, not measured" in method.inner_text()
    method.select_option("prefix-difference")
    page.until("data.attribution.method === 'prefix-difference'")
    scores = page.state("data.attribution.scores")
    np.testing.assert_allclose(scores, model.explain(TEXT, "prefix-difference").scores, atol=1e-5)
    assert "falls by 0.41" in page.inner_text("#details")
    assert "not a cause" in page.inner_text("#details")
    method.select_option("integrated-gradients")
    page.change(changes=[{"gate": "f", "unit": 3, "value": 1, "from": 2, "to": 2}])
    shown = "Integrated gradients do not support clamps. The attribution shown is prefix-difference."
    page.wait_for_function("shown => document.querySelector('#hint').textContent.includes(shown)", arg=shown)


def test_the_cell_shows_the_trace_its_names_tooltips_and_seven_steps(visit: Visit) -> None:
    page, model = visit().open(f"{LINK}&u=3&w=4&s=1"), known_model()
    trace = model.trace(TEXT).lstms[0]
    page.open_panels("#details, .cellnumbers")
    shown = [number(x) for x in page.locator(".numbers dd").all_inner_texts()]
    c0, h0 = trace.c[3, 3], trace.h[3, 3]
    i, f, g, o = (float(getattr(trace, gate)[4, 3]) for gate in "ifgo")
    want = [c0, h0, f, i, g, o, f * c0, i * g, trace.c[4, 3], trace.h[4, 3]]
    np.testing.assert_allclose(shown, want, atol=5.1e-4)
    boxes = page.locator("#cell g.gate").evaluate_all(
        "all => all.map(one => [...one.querySelectorAll('text')].map(text => text.textContent))"
    )
    named = (("f", "forget gate", f), ("i", "input gate", i), ("g", "candidate", g), ("o", "output gate", o))
    assert boxes == [[name, f"{gate} = {value:.2f}".replace("-", "\u2212")] for gate, name, value in named]
    titles = page.locator("#cell svg title").all_text_contents()
    assert f"forget gate f = σ(z_f) = {f:.2f}" in titles
    kept = f"{f * c0:+.2f}".replace("-", "\u2212")
    assert titles.count(f"kept = f · previous c = {kept}") == 2, "of the line and of the ×"
    assert all(titles)
    assert "to the prediction" in page.locator("#cell svg").text_content()
    # The line itself shows the tooltip, not only its few pixels.
    assert page.locator("#cell .reach").first.evaluate("one => getComputedStyle(one).pointerEvents") == "stroke"
    page.focus("#steps [role=tab] >> nth=0")
    step, reasons = "#steps [aria-selected=true]", set()
    for _ in range(7):
        assert page.evaluate("() => document.activeElement.ariaSelected") == "true"
        reasons.add((page.inner_text(".why"), page.locator(".formula").text_content()))
        page.keyboard.press("ArrowRight")
    assert len(reasons) == 7
    assert page.locator(".formula sub").count() == 6, "of step 1, at the next word"
    assert page.inner_text(step) == "1 Read"  # of the next word
    assert page.state("w") == 5
    page.keyboard.press("End")
    assert page.inner_text(step) == "7 Pass on"


def test_hovering_shows_values(visit: Visit) -> None:
    page, model = visit().open(f"{LINK}&u=3&w=4&o=index"), known_model()
    page.locator("#heatmap").scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('#readout')?.textContent")
    page.settle()
    box = page.locator(".map").bounding_box()
    units, words = 12, 9
    unit, word = 7, 2
    x = box["x"] + 46 + (box["width"] - 46) * (word + 0.5) / words
    y = box["y"] + (box["height"] - 20) * (unit + 0.5) / units
    page.mouse.move(x, y)
    page.wait_for_function(
        "() => /^unit 7 ·.*  h /.test(document.querySelector('#readout')?.textContent)"  # of the unit that is asked for
    )
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
    page.evaluate("() => scrollTo(0, 0)")
    box = page.locator("#words [data-word='0']").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert "unit 3 of 12, at word 1 “I”" in page.inner_text("#unit")
    assert page.inner_text("#line .readout").startswith("word 1 “I”: ")
    box = page.locator("#line svg.line").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 15, box["y"] + 60)
    assert page.locator(".words .hovered").inner_text() == "film"


def test_the_first_view_needs_no_click_and_the_heat_map_shows_every_gate_and_state_sorted(visit: Visit) -> None:
    page, model = visit().open(), known_model()
    assert page.inner_text("#prediction .label") in ("bad", "good", "undecided")
    assert page.locator(".words .selected").count() == 1
    assert page.locator("#cell svg").count() == 1
    assert "Label: " in page.inner_text("#prediction .changenote")
    page.locator("#heatmap").scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('#heatmap .readout')?.textContent")
    page.settle()  # which waits for the frame that paints it
    pixel = "() => document.querySelector('.map canvas').getContext('2d').getImageData(5, 7, 1, 1).data[3]"
    assert page.evaluate(pixel) == 255
    page.fill("#text", TEXT)
    page.settle()
    page.locator("#heatmap").scroll_into_view_if_needed()
    trace = model.trace(TEXT)
    for heatmap in "ifgoh":
        page.select_option("[aria-label='Gate or state of the heat map']", heatmap)
        page.until(f"data.heatmaps.has('{heatmap}')")
        values = page.evaluate("p => Array.from(gatewise.store.get().data.heatmaps.get(p).values)", heatmap)
        np.testing.assert_allclose(np.array(values).reshape(12, 9), getattr(trace.lstms[0], heatmap).T, atol=1e-4)
    page.select_option("text=sort units by >> select", "jump")
    page.focus(".map")
    page.keyboard.press("Control+Home")
    shown = page.inner_text("#readout").split()
    first = int(np.abs(trace.lstms[0].memory_changes()).max(axis=0).argmax())
    assert shown[:2] == ["unit", str(first)]
    assert number(shown[shown.index("h") + 1]) == pytest.approx(trace.lstms[0].h[0, first], abs=0.0051)


def test_a_clamp_shows_before_and_after_and_is_taken_back(visit: Visit) -> None:
    page, model = visit().open(f"{LINK}&u=3"), known_model()
    before = probability_of(page)
    assert before == pytest.approx(model.predict_proba([TEXT])[0, 1], abs=0.0051)
    page.select_option("[aria-label='What to change']", "f")
    page.select_option("[aria-label='Where to change it']", "all all")
    page.focus("input[aria-label='Clamp the forget gate f']")
    page.keyboard.press("End")
    page.until("data.changed")
    page.settle()
    after = model.intervene(TEXT, [Clamp("f", 1.0)]).probabilities()[1][1]
    assert probability_of(page) == pytest.approx(after, abs=0.0051)
    note = page.inner_text(".changenote")
    shown = number(note.split("= ")[1].split(" ")[0])
    assert shown == pytest.approx(before, abs=0.011)
    assert "f of all units clamped to 1.00" in page.inner_text("#changes .chips")
    assert page.locator("#line path.beforeline").count() == 1
    assert page.locator("#cell .clamped").count() == 1
    page.select_option("[aria-label='What to change']", "h")
    page.click("#interventions button:has-text('Ablate unit 3')")
    page.until("data.changed?.applied.length === 2")
    page.settle()
    both = model.intervene(TEXT, [Clamp("f", 1.0), Clamp("o", 0.0, 3, pads=True)]).probabilities()[1][1]
    assert probability_of(page) == pytest.approx(both, abs=0.0051)
    page.click("#changes .chip >> nth=1")
    page.until("changes.length === 1")
    page.click("#changes button:text-is('Clear')")
    page.until("changes.length === 0")
    page.settle()
    assert probability_of(page) == pytest.approx(before, abs=1e-9)


def test_two_texts_side_by_side(visit: Visit) -> None:
    page, model = visit().open(LINK), known_model()
    assert not page.locator("#models").is_visible(), "there is one model"
    assert not page.is_visible("#stream"), "it reads texts"
    choose(page, "comparebutton")
    page.wait_for_function("() => document.querySelector('#compare .status')?.textContent.startsWith('Both texts are')")
    assert not page.locator("#compare select").is_visible()
    assert page.input_value("#compare textarea") == TEXT
    page.fill("#compare textarea", TEXT.replace("bad", "good"))
    page.wait_for_function("() => document.querySelector('#compare .status').textContent.includes('Marked: 1 word of')")
    assert page.locator("#compare .marked").all_inner_texts() == ["bad", "good"]
    other = "The+reviews+were+wonderful,+but+the+film+is+terrible."
    page.goto(f"{page.home}/#t=The+reviews+were+terrible,+but+the+film+is+wonderful.&b={other}")
    page.until("text.startsWith('The reviews')")
    page.settle()  # of the first text; the second may have its prediction before
    page.wait_for_selector("#compare .status:has-text('bag-of-words')")
    for n, (one, two) in enumerate((("terrible", "wonderful"), ("wonderful", "terrible"))):
        text = f"The reviews were {one}, but the film is {two}."
        head = page.locator("#compare h3").nth(n).inner_text()
        assert head.startswith(("First", "Second")[n])
        assert head.endswith(f": {predicted_text(model, text)}")
    assert "a bag-of-words model cannot tell them apart" in page.inner_text("#compare .status")
    marked = page.locator("#compare .pair > div >> nth=1").locator(".marked").all_inner_texts()
    assert set(marked) <= {"terrible", "wonderful", ",", "but", "the", "film", "is"}
    assert marked
    page.select_option("#examples", "0")  # the second text begins again as a copy of the first
    page.wait_for_function("() => document.querySelector('#compare textarea').value === gatewise.store.get().text")
