"""What the page shows around its figure: waiting, errors, several models; paper, contrast, direction and layout."""

from itertools import pairwise

from tests.serve.page.conftest import LINK, MODELS, TEXT, Visit, first_of, hold, known_model


def test_the_sum_of_the_scores_is_one_sentence_and_close_to_one_half_is_undecided(visit: Visit) -> None:
    page, model = visit().open(f"{LINK}&m=prefix-difference"), known_model()
    page.click("#details summary >> nth=0")
    found = model.explain(TEXT, "prefix-difference")
    terms = [f"{x:+.2f}".replace("-", "\u2212") for x in (found.target_score, found.base_value, found.scores.sum())]
    assert page.inner_text("#details .sum") == "Logit of good {} = base value {}, words {}".format(*terms)
    page.evaluate(
        "() => { const { data } = gatewise.store.get();"
        " const attribution = { ...data.attribution, adds_up: false, residual: 0.02 };"
        " gatewise.store.set({ data: { ...data, attribution } }); }"
    )
    assert page.inner_text("#details .sum").endswith(", residual +0.02")
    for probability, label in ((0.53, "undecided"), (0.56, "good")):
        page.evaluate(
            "prediction => { const { data } = gatewise.store.get();"
            " gatewise.store.set({ data: { ...data, prediction: { ...data.prediction, ...prediction } } }); }",
            {"label": "good", "target": "good", "favours": True}
            | {"probability": probability, "undecided": label == "undecided"},
        )
        assert page.inner_text("#prediction .label") == label
        assert page.inner_text("#prediction .probability") == f"{probability:.2f}"
    held = hold(page, '"attribution"')
    page.fill("#text", "a bad film")
    page.wait_for_function("() => gatewise.store.get().data.inputText === 'a bad film'")
    assert not page.locator("#details .sum").is_visible(), "it belongs to an earlier text"
    first_of(page, held).continue_()
    page.settle()
    assert page.locator("#details .sum").is_visible()


def test_every_request_shows_the_busy_bar(visit: Visit) -> None:
    page = visit().open(f"{LINK}&u=5")
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
    p = MODELS["wide"]().predict_proba([TEXT])[0, 1]
    assert page.inner_text("#prediction .probability") == f"{p:.2f}"
    assert "served=wide" in page.url
    page.select_option("#models", "series")
    page.wait_for_selector("#hint:has-text('paste a row')")
    assert page.input_value("#text") == ""
    page.expected.append("404")
    page.goto(f"{page.home}/{LINK}&served=gone")
    page.wait_for_function("() => document.querySelector('#hint').textContent.includes('not serve the model gone')")
    page.settle()
    assert page.input_value("#models") == "text"


def test_every_animation_rests_after_five_seconds(visit: Visit) -> None:
    page = visit(reduced_motion="no-preference").open(LINK)
    page.route("**/explain", lambda route: None)
    page.fill("#text", "a bad film")
    page.wait_for_selector("#busy", state="visible")
    timings = page.evaluate(
        "() => document.getAnimations().map(one => [one.animationName ?? 'transition',"
        " one.effect.getComputedTiming().endTime])"
    )
    assert {"flow", "fill", "fade"} <= {name for name, _ in timings}
    assert max(end for _, end in timings) <= 5000, timings
    page.unroute("**/explain")
    page.settle()


def test_paper_has_the_figure_and_forced_colours_the_signs_and_lines(visit: Visit) -> None:
    page = visit(scheme="dark").open(LINK)
    page.emulate_media(media="print", color_scheme="dark")
    controls = page.locator("button, select, nav, #interventions").locator("visible=true")
    assert controls.count() == 0
    for part in ("#text", "#prediction .label", "#words .words", "#cell svg", "#words .legend"):
        assert page.locator(part).is_visible()
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(251, 250, 247)"
    page.emulate_media(media="screen", color_scheme="light", forced_colors="active")
    page.evaluate("() => gatewise.store.set({ colourScale: 'relative' })")
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
    p = known_model().predict_proba(["a bad film"])[0, 1]
    page.wait_for_function(
        "wanted => document.querySelector('[data-live]').textContent.endsWith(wanted)", arg=f", P(good) = {p:.2f}"
    )
    page.fill("#text", "זה לא סרט רע בכלל " * 8)
    page.settle()
    assert page.evaluate("() => getComputedStyle(document.querySelector('#text')).direction") == "rtl"
    first, second = (page.locator(f".words [data-word='{n}']").bounding_box() for n in (0, 1))
    assert first["x"] > second["x"]
    page.focus(".words [tabindex='0']")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("() => gatewise.store.get().w") == 1
