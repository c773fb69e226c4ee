"""The first minutes of a new user: a slider is dragged, a text typed fast, the server fails, a class watches."""

from itertools import pairwise

import pytest

from tests.serve.page.conftest import LINK, TEXT, Visit, choose, known_model, painted


def test_a_drag_of_one_slider_clamps_one_unit_at_one_word(visit: Visit) -> None:
    page = visit().open(LINK)
    page.select_option("[aria-label='What to change']", "f")
    page.select_option("[aria-label='Where to change it']", "unit word")
    shown = page.evaluate("() => gatewise.selectedUnit(gatewise.store.get())")
    word = int(page.get_attribute(".words .selected", "data-word"))
    slider = page.locator("input[aria-label='Clamp the forget gate f']")
    for start in ("drag", "gate"):
        if start == "gate":
            page.click("#cell g.gate >> nth=0")
        for value in ("0", "1", "0.05"):
            if start == "drag":
                slider.dispatch_event("pointerdown")
            slider.fill(value)
            page.settle()
        changes = page.state("changes")
        assert changes == [{"gate": "f", "unit": shown, "from": word, "to": word, "value": 0.05}], start
        assert f"unit {shown}" in page.inner_text("#unit")
        slider.press("Delete")
        assert page.state("changes") == []


SLOW_FETCH = """
    const real = fetch.bind(globalThis);
    globalThis.counted = { now: 0, most: 0, failed: 0 };
    globalThis.fetch = async (path, options) => {
        const prediction = options?.body && JSON.parse(options.body).include.includes("prediction");
        if (!prediction) return real(path, options);
        counted.most = Math.max(counted.most, ++counted.now);
        try {
            await new Promise(done => setTimeout(done, 120));
            options.signal?.throwIfAborted();
            return await real(path, options);
        } catch (error) {
            counted.failed += 1;
            throw error;
        } finally {
            counted.now -= 1;
        }
    };
"""


def test_fast_typing_paints_predictions_one_request_at_a_time(visit: Visit) -> None:
    page = visit()
    page.add_init_script(SLOW_FETCH)
    page.open("#t=I+was")
    page.evaluate(
        "() => { globalThis.painted = []; gatewise.store.subscribe(({ earlyPrediction, data }) => {"
        " for (const one of [earlyPrediction, data]) if (one) painted.push(one.inputText); }); }"
    )
    page.focus("#text")
    page.keyboard.press("End")
    typed = " never bored, not a bad film"
    page.keyboard.type(typed, delay=60)
    page.settle()
    painted = page.evaluate("() => [...new Set(painted)]")
    assert page.evaluate("() => counted") == {"now": 0, "most": 1, "failed": 0}
    assert "I was" + typed in painted
    assert len(painted) >= len(typed) / 5, painted
    assert painted == sorted(painted, key=len), "an old answer after a newer one"


def test_the_skip_link_and_escape_keep_clamps_word_and_unit(visit: Visit) -> None:
    page = visit().open(f"{LINK}&u=3&w=4&x=f3:0.5")
    kept = "() => { const { changes, u, w, text } = gatewise.store.get(); return [changes.length, u, w, text]; }"
    page.focus("a.skip")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.activeElement.dataset.word === '4'")
    assert page.evaluate(kept) == [1, 3, 4, TEXT]
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    assert page.evaluate(kept) == [1, 3, 4, TEXT]
    page.evaluate("() => { location.hash = 'words'; }")  # the link without JavaScript
    page.settle()
    assert page.evaluate(kept) == [1, 3, 4, TEXT]


@pytest.mark.parametrize("model", ["text", "series"])
def test_clear_clears_every_number(visit: Visit, model: str) -> None:
    page = visit(model)
    page.goto(page.home)
    page.wait_for_selector("#text:not([readonly])")
    page.fill("#text", "1 2\n2 1\n0 1" if model == "series" else TEXT)
    page.settle()
    page.click("#unitpanel summary")
    page.wait_for_function("() => document.querySelector('#unitpanel').textContent.includes('in this text')")
    page.locator("#heatmap").scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('#heatmap .readout')?.textContent")
    choose(page, "clear")
    page.wait_for_function("() => !gatewise.store.get().data")
    page.wait_for_function("() => !document.querySelector('#unitpanel').textContent.includes('in this text')")
    assert page.inner_text("#prediction .label") == "–"
    assert page.evaluate("() => document.activeElement.id") == "text"
    parts = ["#prediction .predictionrow", "#details .sum", "#unit .unitline", "#steps .steprow", "#line"]
    parts += ["#cell .cellstage", "#heatmap .readout", "#heatmap .status", "#counts"]
    for part in parts:
        assert not any(letter.isdigit() for letter in page.inner_text(part)), part
    assert page.locator("#words .words *, #line svg.line *").count() == 0
    assert page.locator(".save button:enabled, .steps button:enabled").count() == 0, "nothing to save"
    assert not page.locator("#heatmap .map").is_visible()
    page.fill("#text", "1 2\n2 1\n0 1" if model == "series" else TEXT)
    page.settle()
    assert page.inner_text("#unit .unitline")
    assert any(letter.isdigit() for letter in page.inner_text("#cell"))


def test_an_old_prediction_is_marked_after_an_error(visit: Visit) -> None:
    page = visit().open()
    assert page.locator("body.outdated").count() == 0
    page.expected += ["ERR_FAILED", "413", "400 (Bad Request)"]
    message = "a body may have at most 1,000,000 bytes"
    answer = {"status": 413, "json": {"error": {"message": message}}}
    for reason, text, act in (
        ("Cannot reach the server", TEXT, lambda route: route.abort()),
        (message, "a bad film", lambda route: route.fulfill(**answer)),
        ("The answer is incomplete.", TEXT, lambda route: route.fulfill(status=200, body='{"half')),
        ("at most 2,000", "good " * 2001, lambda route: route.continue_()),
    ):
        page.route("**/explain", act)
        page.fill("#text", text)
        page.wait_for_selector("body.outdated")
        shown = page.inner_text("#error")
        at = page.state("data.at.toTimeString().slice(0, 5)")
        assert reason in shown
        assert f" Below: the text as of {at}." in shown
        assert page.inner_text("#prediction .heading") == "Earlier prediction:"
        assert page.inner_text("#counts") == "", "they are of the earlier text"
        page.unroute("**/explain")
        if "2,000" in reason:  # which the server says again
            page.fill("#text", TEXT)
        else:
            page.click("#error button")
        page.settle()
        assert page.locator("body.outdated").count() == 0
        assert not page.locator("#error").is_visible()
        assert page.inner_text("#prediction .heading") == "Prediction:"


UNREACHABLE = "id => document.getElementById(id).textContent.includes('Cannot reach the server')"


def test_panels_opened_without_the_server_recover_and_show_unit_training_and_card(visit: Visit) -> None:
    page, model = visit(), known_model()
    page.expected += ["ERR_FAILED"]
    page.route("**/below.js", lambda route: route.abort())
    page.open(f"{LINK}&u=5")
    for part in ("training", "card", "compare", "unitpanel"):
        page.click(f"#{part} summary")
        page.wait_for_function(UNREACHABLE, arg=part)
    page.unroute("**/below.js")
    # The click loads the page again, with its texts. It changes the history first, which counts as a navigation too.
    page.evaluate("() => { globalThis.isOldPage = true; }")
    page.click("#unitpanel button:has-text('Retry')")
    page.wait_for_function("() => !globalThis.isOldPage")
    page.settle()
    assert page.input_value("#text") == TEXT
    page.wait_for_function("() => document.querySelector('#compare textarea')?.value")
    for part in ("unitpanel", "training", "card"):
        page.click(f"#{part} summary")
    page.wait_for_selector("#unitpanel .excerpts li")
    page.wait_for_selector(".aboutunit:has-text('Half-life')")
    summary = model.units.unit(5)
    assert f"{100 * summary.accuracy_ablated:.1f}% with this unit ablated" in page.inner_text("#unitpanel")
    marked = page.locator("#unitpanel .excerpts >> nth=0").locator("mark").first.inner_text()
    assert marked == summary.rises[0].words[summary.rises[0].place]
    assert "2 (best)" in page.inner_text("#training")
    assert page.locator("#training svg").count() == 2
    card = page.inner_text("#card")
    assert "gatewise train '</script><script>alert(1)</script>'" in card
    assert "0.8750" in card
    page.fill("#compare textarea", TEXT)
    page.wait_for_function("() => document.querySelectorAll('#compare .word').length > 8")
    # With its modules there, but not the server.
    page.route("**/*", lambda route: route.abort())
    page.change(u=7, b="a bad film")
    for part in ("unitpanel", "compare"):
        page.wait_for_function(UNREACHABLE, arg=part)
    page.unroute("**/*")
    page.fill("#text", "not a good film")  # the next answer brings the panels back
    page.wait_for_function("() => document.querySelector('#unitpanel h3')?.textContent.startsWith('Unit 7')")
    page.wait_for_function("() => document.querySelectorAll('#compare .word').length === 7")
    assert "Cannot reach" not in page.inner_text("#compare")
    half_life = model.trace("not a good film").lstms[0].half_life()[7]
    page.wait_for_selector(f"#unitpanel p:has-text('in this text: {half_life:.1f} steps')")


def test_presentation_mode_fits_and_is_left_by_touch(visit: Visit) -> None:
    page = visit().open(f"{LINK}&s=3")
    for width, height in ((1280, 720), (1920, 1080)):
        page.set_viewport_size({"width": width, "height": height})
        choose(page, "presentbutton")
        page.wait_for_selector("body.present")
        page.wait_for_function("() => document.documentElement.scrollHeight <= innerHeight")
        half = width / 2
        for part in ("#prediction .label", "#words .legend", "#line", "#examples", "#unit", "#cell svg", "#steps .why"):
            box = page.locator(part).first.bounding_box()
            assert box["height"] > 20, part
            assert 0 <= box["x"] <= width - box["width"], (part, width)
            assert 0 <= box["y"] <= height - box["height"], (part, height)
        assert page.locator("#line").bounding_box()["x"] < half < page.locator("#cell svg").bounding_box()["x"] + 200
        assert page.locator("#cell svg").bounding_box()["width"] > 0.45 * width
        assert page.evaluate(SMALL_TEXT) == []
        names = page.locator("#steps [role=tab]").all_inner_texts()
        assert names == ["1 Read", "2 Forget", "3 Input", "4 Keep", "5 Write", "6 Output", "7 Pass on"]
        page.click("#steps [role=tab] >> nth=3")
        page.keyboard.press("ArrowRight")
        assert page.state("s") == 5
        page.click("#leavebutton")
        page.wait_for_selector("#menubutton", state="visible")
        assert page.evaluate("() => document.activeElement.id") == "menubutton"


SMALL_TEXT = """() => [...document.querySelectorAll('body *')]
    .filter(one => one.checkVisibility() && one.clientWidth > 1 && !one.closest('#cell, .skip')
        && [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim())
        && parseFloat(getComputedStyle(one).fontSize) < 24)
    .map(one => one.outerHTML.slice(0, 90))"""


@pytest.mark.parametrize("name", ["many", "stream"])
def test_presentation_mode_fits_720_pixels_with_all_that_it_can_show(visit: Visit, name: str) -> None:
    """A long text or a series, many classes, the longest step, and a change with its note."""
    start = "#t=" + ("This+is+not+a+bad+film+" * 12 if name == "many" else "1+2%0A2+1%0A0+1")
    page = visit(name, width=1280, height=720).open(start)
    change = {"gate": "f", "unit": "all", "value": 0, "from": 0, "to": 2}
    page.change(present=True, s=6, changes=[change])
    page.wait_for_selector("#prediction .changenote:not([hidden])")
    painted(page)
    assert page.evaluate("() => document.documentElement.scrollHeight <= innerHeight")
    boxes = [page.locator(part).bounding_box() for part in ("#words", "#line", "#prediction", "#steps")]
    for above, below in pairwise(boxes):
        assert above["y"] + above["height"] <= below["y"] + 1, "no part lies over another one"
    assert boxes[-1]["y"] + boxes[-1]["height"] <= 720
    assert page.locator("#words .legend").bounding_box()["height"] > 20
    scale = page.evaluate("() => document.querySelector('#cell svg').getScreenCTM().a")
    assert 31 * scale >= 23.9, "the text of the cell has 24 px"
    line = page.locator("#words .words").evaluate("one => parseFloat(getComputedStyle(one).lineHeight)")
    shown = page.locator("#words").bounding_box()["height"] - page.locator("#words .legend").bounding_box()["height"]
    assert name == "stream" or shown >= line, "one line of words, the others scroll"


def test_one_probability_and_one_meaning_of_a_colour(visit: Visit) -> None:
    page = visit().open(f"{LINK}&s=7&w=8")
    explained = f"P(good) = {page.state('data.prediction.probability'):.2f}"
    assert explained in page.inner_text("#steps .stepline"), "after the last word the cell names the same probability"
    shown = page.inner_text("#prediction .of") + " " + page.inner_text("#prediction .probability")
    choose(page, "comparebutton")
    page.fill("#compare textarea", "a bad film")
    page.wait_for_selector("#compare h3")
    assert shown in page.inner_text("#compare h3 >> nth=0")
    words, cell = page.inner_text("#words .legend"), page.inner_text("#cell .legend")
    assert "▲ towards “good”" in words
    assert "▼ towards “bad”" in words
    assert "above 0" in cell
    assert "gate" in cell
    colours = page.evaluate(
        "() => { const style = getComputedStyle(document.documentElement), probe = document.createElement('i');"
        " document.body.append(probe); const out = {};"
        " for (const name of ['for', 'against', 'plus', 'minus', 'gate']) {"
        " probe.style.setProperty('color', `var(--${name})`); out[name] = getComputedStyle(probe).color; }"
        " probe.remove(); return out; }"
    )
    assert len(set(colours.values())) == 5
    strokes = page.evaluate(
        "() => [...document.querySelectorAll('#cell .edge')].map(one => getComputedStyle(one).stroke)"
    )
    assert not {colours["for"], colours["against"]} & set(strokes)
    assert {colours["plus"], colours["minus"], colours["gate"]} & set(strokes)


def test_wrong_examples_are_a_group_and_a_short_text_has_a_notice(visit: Visit) -> None:
    page = visit("bundled").open()
    line = page.state("data.prefix.probability")
    assert min(line) < 0.2, "the first example has a visible turn"
    assert line[-1] > 0.9
    assert "correct" in page.inner_text("#prediction .changenote")
    groups = page.locator("#examples optgroup").evaluate_all("all => all.map(one => one.label)")
    assert groups[-1] == "Where it fails"
    page.select_option("#examples", label="Sarcasm: The most enjoyable film that I have never finished.")
    page.wait_for_function("() => document.querySelector('#prediction .changenote').textContent.endsWith('wrong.')")
    page.fill("#text", "Wonderful.")
    page.wait_for_selector("#hint:has-text('Short text (2 words and marks; training median ')")
    page.fill("#text", "The story is good and the acting is fine. " * 20)
    page.wait_for_function("() => document.querySelector('#hint').textContent === ''")
