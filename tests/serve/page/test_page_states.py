"""What the page shows around its figure: waiting, errors, several models, paper, contrast. Answers that come late, for
another text, method or class, are dropped, and what is selected is loaded.
"""

from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

from gatewise.model.model import Model
from gatewise.model.series_preprocessor import SeriesPreprocessor
from tests.serve.page.conftest import LINK, MODELS, TEXT, TEXTS, Visit, choose, first_of, hold, known_model
from tests.serve.page.test_page import predicted_text
from tests.small_models import small_model


def replace(page: Any, part: str, **fields: Any) -> None:
    """Replace fields of a part of the server's answer."""
    page.evaluate(
        "([part, fields]) => { const { data } = gatewise.store.get();"
        " gatewise.store.set({ data: { ...data, [part]: { ...data[part], ...fields } } }); }",
        [part, fields],
    )


def test_the_sum_of_the_scores_is_one_sentence_and_close_to_one_half_is_undecided(visit: Visit) -> None:
    page, model = visit().open(f"{LINK}&m=prefix-difference"), known_model()
    page.click("#details summary >> nth=0")
    found = model.explain(TEXT, "prefix-difference")
    terms = [f"{x:+.2f}".replace("-", "\u2212") for x in (found.target_score, found.base_value, found.scores.sum())]
    assert page.inner_text("#details .sum") == "Logit of good {} = base value {}, words {}".format(*terms)
    replace(page, "attribution", adds_up=False, residual=0.02)
    assert page.inner_text("#details .sum").endswith(", residual +0.02")
    good = {"label": "good", "target": "good", "favours": True}
    for probability, label in ((0.53, "undecided"), (0.56, "good")):
        both = [1 - probability, probability]
        replace(page, "prediction", **good, probability=probability, probabilities=both, undecided=label == "undecided")
        assert page.inner_text("#prediction .label") == label
        assert page.inner_text("#prediction .probability") == f"{probability:.2f}"
    held = hold(page, '"attribution"')
    page.fill("#text", "a bad film")
    page.until("data.inputText === 'a bad film'")
    assert not page.locator("#details .sum").is_visible(), "it belongs to an earlier text"
    first_of(page, held).continue_()
    page.settle()
    assert page.locator("#details .sum").is_visible()


def test_every_request_shows_the_busy_bar_and_its_animations_rest(visit: Visit) -> None:
    page = visit(reduced_motion="no-preference").open(f"{LINK}&u=5")
    for path, act in (
        ("explain", "() => gatewise.store.set({ text: 'a bad film' })"),
        ("units/6?layer=0", "() => gatewise.store.set({ u: 6 })"),
        ("model", "() => void gatewise.api.model(null)"),
    ):
        page.wait_for_selector("#busy", state="hidden")
        page.route(f"**/{path}", lambda route: None)
        page.evaluate(act)
        page.wait_for_selector("body.behind", state="attached" if path == "explain" else "detached")
        page.wait_for_selector("#busy", state="visible")
        if path == "explain":  # every animation rests after five seconds
            timings = page.evaluate(
                "() => document.getAnimations().map(one => [one.animationName ?? 'transition',"
                " one.effect.getComputedTiming().endTime])"
            )
            assert {"flow", "fill", "fade"} <= {name for name, _ in timings}
            assert max(end for _, end in timings) <= 5000, timings
        page.unroute(f"**/{path}")  # which lets the held request go
    page.wait_for_selector("#busy", state="hidden")
    assert page.locator("body.behind").count() == 0


def test_a_server_that_is_lost_at_the_start_leaves_one_message(visit: Visit) -> None:
    page = visit()
    page.expected.append("ERR_FAILED")
    page.route("**/model", lambda route: route.abort())
    page.goto(f"{page.home}/{LINK}")
    page.wait_for_selector("#error:has-text('Cannot reach the server')")
    assert not page.locator("#prediction, #words, #text, details, nav").locator("visible=true").count()
    page.unroute("**/model")
    page.click("#error button")
    page.settle()
    assert page.locator("#text").is_visible()


def test_the_model_can_be_chosen(visit: Visit) -> None:
    page = visit("text+wide+series").open(LINK)
    assert page.locator("#models option").all_inner_texts() == ["text", "wide", "series"]
    page.select_option("#models", "wide")
    page.wait_for_function("() => window.gatewise?.store.get().model?.served === 'wide'")
    page.settle()
    assert page.input_value("#text") == TEXT
    wanted = predicted_text(MODELS["wide"](), TEXT).split()[-1]
    assert page.inner_text("#prediction .probability") == wanted
    assert "served=wide" in page.url
    page.select_option("#models", "series")
    page.wait_for_selector("#hint:has-text('paste a row')")
    assert page.input_value("#text") == ""
    page.expected.append("404")
    page.goto(f"{page.home}/{LINK}&served=gone")
    page.wait_for_function("() => document.querySelector('#hint').textContent.includes('not serve the model gone')")
    page.settle()
    assert page.input_value("#models") == "text"


def test_paper_has_the_figure_and_forced_colours_the_signs_and_lines(visit: Visit) -> None:
    page = visit(scheme="dark").open(LINK)
    page.emulate_media(media="print", color_scheme="dark")
    controls = page.locator("button, select, nav, #interventions").locator("visible=true")
    assert controls.count() == 0
    for part in ("#text", "#prediction .label", "#words .words", "#cell svg", "#words .legend"):
        assert page.locator(part).is_visible()
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(251, 250, 247)"
    page.emulate_media(media="screen", color_scheme="light", forced_colors="active")
    page.change(colourScale="relative")
    style = "([part, name]) => getComputedStyle(document.querySelector(part))[name]"

    def get(part: str, name: str) -> str:
        return str(page.evaluate(style, [part, name]))

    signs = {get(f".words [class*=' {sign}']", "outlineStyle") for sign in "pn"}
    assert signs == {"solid", "dashed"}
    canvas = get("body", "backgroundColor")
    assert get(".words .selected", "backgroundColor") != canvas
    for line in (".prefixline", "#cell .edge"):
        assert get(line, "stroke") not in (canvas, "none")


def test_headings_announcements_and_text_from_right_to_left(visit: Visit) -> None:
    page = visit().open(LINK)
    page.click("#unitpanel summary")
    page.wait_for_selector("#unitpanel h3")
    levels = page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(one => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert all(level <= before + 1 for before, level in pairwise(levels))
    names = page.locator("main h2").all_text_contents()
    assert names[:5] == ["Text", "Predictions after each word", "Prediction", "Change it", "Model"]
    page.fill("#text", "a bad film")
    page.settle()
    wanted = predicted_text(known_model(), "a bad film")
    page.wait_for_function("wanted => document.querySelector('[data-live]').textContent === wanted", arg=wanted)
    page.fill("#text", "זה לא סרט רע בכלל " * 8)
    page.settle()
    assert page.evaluate("() => getComputedStyle(document.querySelector('#text')).direction") == "rtl"
    first, second = (page.locator(f".words [data-word='{n}']").bounding_box() for n in (0, 1))
    assert first["x"] > second["x"]
    page.focus(".words [tabindex='0']")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    assert page.state("w") == 1


OTHER = "I was never bored, not a good film"  # as many words


def two_numbers_model() -> Model:
    scaling = SeriesPreprocessor((10.0,), (4.0,))
    return small_model(scaling, ("price", "size"), 11, task="regression", pooling="mean")


MODELS["two"] = two_numbers_model


@pytest.mark.parametrize("lost", [False, True])
def test_nothing_of_a_new_text_enters_the_answer_of_the_old_one(visit: Visit, lost: bool) -> None:
    page, model = visit().open(LINK), known_model()
    page.expected.append("ERR_FAILED")
    held = hold(page, '"prediction"')
    page.fill("#text", OTHER)
    request = first_of(page, held)
    if lost:
        request.abort()
        page.wait_for_selector("body.outdated")
    unit = (page.evaluate("() => gatewise.selectedUnit(gatewise.store.get())") + 1) % 12
    page.change(method="prefix-difference", u=unit, heatmap="f")
    page.wait_for_timeout(300)  # for the answers that must not come
    assert (page.state("data.inputText"), page.state(f"data.unitOf.has({unit})")) == (TEXT, False)
    shown = page.state("data.attribution")
    np.testing.assert_allclose(shown["scores"], model.explain(TEXT, shown["method"]).scores, atol=1e-5)
    assert page.locator("#error").is_visible() == lost
    page.unroute("**/explain")
    if lost:
        page.click("#error button")
    page.settle()
    page.until("data.attribution.method === 'prefix-difference'")
    expected = model.explain(OTHER, "prefix-difference").scores
    np.testing.assert_allclose(page.state("data.attribution.scores"), expected, atol=1e-5)
    expected = model.trace(OTHER).lstms[0].c[:, unit]
    np.testing.assert_allclose(page.state(f"data.unitOf.get({unit}).c"), expected, atol=1e-5)


def test_both_texts_are_explained_for_one_class(visit: Visit) -> None:
    model = MODELS["many"]()
    one, other = TEXTS[0], TEXTS[1]
    page = visit("many").open("#" + urlencode({"t": one, "b": other}))

    def expect(text: str) -> None:
        k = int(model.predict_proba([text])[0].argmax())
        p, q = model.predict_proba([text, other])[:, k]
        page.wait_for_selector(f"#compare .status:has-text(': P(class {k}) = {p:.2f} → {q:.2f} (')")
        heads = page.locator("#compare h3").all_inner_texts()
        both = model.predict_proba([text, other])
        own = [f"P(class {x.argmax()}) = {x.max():.2f}" for x in both]  # each label with its own probability
        assert [head.rpartition(", ")[2] for head in heads] == own

    expect(one)
    held = hold(page, other)
    page.fill("#text", "a bad film")
    first_of(page, held)
    page.until("data.inputText === 'a bad film'")
    assert page.inner_text("#compare .status") == "", "no numbers of two classes in one sentence"
    page.unroute("**/explain")
    expect("a bad film")


def test_two_series_are_compared_by_their_numbers_and_for_one_output(visit: Visit) -> None:
    page = visit("two").open("#" + urlencode({"t": "1\n2\n3", "b": "1\n5\n3", "target": "size"}))
    series = [np.array([[1], [x], [3]], dtype=np.float32) for x in (2, 5)]
    before, after = two_numbers_model().predict(series)[:, 1]
    page.wait_for_selector("#compare .status:has-text('Marked: 1 step of')")
    shown = page.inner_text("#compare .status").replace("\u2212", "-").split(": ")[1].split(" (")[0].split(" → ")
    np.testing.assert_allclose([float(x) for x in shown], [before, after], rtol=1e-3)
    assert page.locator("#compare .marked").all_inner_texts() == ["2", "2"], "the second step of both"


HELD = """
    const real = setTimeout;
    const kept = run => { globalThis.write = run; return 1; };
    globalThis.setTimeout = (run, wait, ...more) => wait === 300 ? kept(run) : real(run, wait, ...more);
"""


def test_a_link_opened_while_the_address_waits_to_be_written_is_followed(visit: Visit) -> None:
    """The address is written 300 ms after a change: here between the new hash and its event."""
    page = visit()
    page.add_init_script(HELD)
    page.open(LINK)
    page.evaluate("() => { write(); gatewise.store.set({ s: 2 }); location.hash = 't=I+was+never+bored'; write(); }")
    page.until("text === 'I was never bored'")


def test_a_link_opened_on_the_page_sets_what_it_leaves_out_to_its_default(visit: Visit) -> None:
    """The comparison is open while there is a second text."""
    page = visit().open(LINK)
    page.goto(f"{page.home}/{LINK}&p=f&s=2&o=jump&b=a+bad+film")
    page.wait_for_selector("#compare .pair:visible")
    pressed = "() => document.querySelector('#comparebutton').getAttribute('aria-pressed')"
    assert page.evaluate(pressed) == "true"
    page.goto(f"{page.home}/#t=I+was+never+bored")
    page.until("text === 'I was never bored'")
    page.settle()
    names = ["heatmap", "s", "sort", "b"]
    assert [page.state(name) for name in names] == ["c", 5, "effect", None]
    assert page.get_attribute("#compare", "open") is None
    page.goto(f"{page.home}/{LINK}&b=a+bad+film")
    page.wait_for_selector("#compare .pair:visible")
    page.click("#compare summary")
    page.wait_for_function(f"() => ({pressed})() === 'false'")
    assert page.state("b") is None
    page.goto(f"{page.home}/{LINK}&u=12&layer=1&m=magic&x=f12:0.5,z3:1,f3:1")
    page.wait_for_selector("#hint:has-text('this model lacks, and it is left out: gate z, layer 1, unit 12,')")
    assert page.state("changes.length") == 1


def test_the_history_has_one_entry_for_each_text(visit: Visit) -> None:
    page = visit().open(LINK)
    page.wait_for_function("() => location.hash.includes('model=')")
    length = page.evaluate("() => history.length")
    page.focus("#text")
    page.keyboard.press("Control+a")
    page.keyboard.type("a bad film", delay=60)
    page.wait_for_function("() => location.hash.includes('t=a+bad+film&')")
    choose(page, "clear")
    page.wait_for_function("() => !location.hash.includes('t=')")
    assert page.evaluate("() => history.length") == length + 2
    for text in ("a bad film", TEXT):
        page.go_back()
        page.wait_for_function("text => gatewise.store.get().text === text", arg=text)
