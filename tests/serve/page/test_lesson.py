"""The lesson: each chapter is one screen, its first drag changes a printed number, and its numbers are the model's."""

import re
from typing import Any

from gatewise.model import bundled
from gatewise.model.model import load
from tests.serve.page.conftest import Visit, Watched

WORDS = [  # of the tutorial, which a reader finds without docs
    *("sigmoid", "remember", "forget", "new memory", "tanh", "id", "START", "UNK", "PAD", "1,000 steps", "embedding"),
    *("2,834,816", "53,200", "101", "P = σ(w · h + b)", "cross-entropy", "Adam", "in Keras", "in gatewise"),
    *("batch 64", "0.81556", "time series", "pip install gatewise"),
]
DEFAULT = "A boring start, but the end of this film is excellent."
CHAPTERS = ("ids", "pads", "memory", "gates", "answer", "learning", "series")


def open_lesson(visit: Visit, fragment: str = "", **size: Any) -> Watched:
    page = visit("text", **size)
    page.goto(f"{page.home}/lesson.html#{fragment}")
    page.wait_for_function("() => globalThis.lesson?.state.chapter")
    settle(page)
    return page


def settle(page: Any) -> None:
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def turn_to(page: Any, chapter: str) -> None:
    page.evaluate("id => { location.hash = id; }", chapter)
    page.wait_for_selector(f"article.{chapter}")
    settle(page)


def shown(page: Any) -> str:
    return f"{page.inner_text('#bar')}\n{page.inner_text('main')}"


def test_each_chapter_is_one_screen_and_its_first_drag_changes_a_number(visit: Visit) -> None:
    page = open_lesson(visit)
    found = ""
    for chapter in CHAPTERS:
        turn_to(page, chapter)
        assert page.evaluate("() => document.documentElement.scrollHeight <= innerHeight"), chapter
        before, prediction = shown(page), page.inner_text("#bar b.p")
        handle = page.locator(".prose .handle").last
        box = handle.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] - 150, box["y"] + 8, steps=3)
        page.mouse.up()
        settle(page)
        assert shown(page) != before, chapter
        if page.is_visible("#bar"):
            handle.press("Home")
            settle(page)
            assert page.inner_text("#bar b.p") != prediction, chapter
            if chapter in ("ids", "memory"):
                page.click("#bar button")
            else:
                handle.press("Delete")
            settle(page)
            assert shown(page) == before, chapter
            assert page.is_disabled("#bar button")
        for term in page.locator(".term").all():
            term.hover()
            assert page.locator(".lit").count(), f"{chapter}: {term.inner_text()}"
        page.mouse.move(0, 0)
        options = page.locator(".question .options button")
        options.first.click()
        assert page.inner_text(".said")[:4] in ("Righ", "No. "), chapter
        assert page.locator(".question .right").count() == 1
        if chapter == "memory":  # the measured unit holds what the word changed, seven words later
            found_shares = re.search(r"f alone leaves (0\.\d\d) of it. c has (\d\.\d\d) of", page.inner_text(".said"))
            assert found_shares
            assert float(found_shares[1]) < 0.3
            assert float(found_shares[2]) > 0.9
        assert page.evaluate("() => document.documentElement.scrollHeight <= innerHeight"), f"{chapter}, answered"
        found += shown(page)
        assert not re.search(r"\b(undefined|null|NaN|false|true)\b", found), chapter
    for word in WORDS:
        assert word in found.replace("\u00a0", " "), word


def test_the_numbers_are_those_of_the_model(visit: Visit) -> None:
    page, model = open_lesson(visit, "memory"), load(bundled.folder(bundled.TUTORIAL))
    for text in (
        "I was bored.",
        "An excellent start, but the rest of the film is awful.",
        "zounds " * 70,
        "!!!",
        "\ud83d film",
    ):
        page.fill("#bar input", text)
        settle(page)
        if text.isascii() and "zounds" not in text and text != "!!!":
            assert page.inner_text("#bar b.p") == f"{model.predict_proba([text])[0, 1]:.2f}"
        for chapter in (*CHAPTERS, "memory"):
            turn_to(page, chapter)
    page.fill("#bar input", "zounds " * 70)
    settle(page)
    assert "the last 60 words of this text, without the 10 before" in page.inner_text("#bar .note")
    turn_to(page, "pads")
    page.locator(".question button").first.click()
    assert "939 pads" in page.inner_text(".said")
    page.fill("#bar input", "")
    settle(page)
    assert page.inner_text(".said") == "", "an answer belongs to its text"
    assert page.inner_text("#bar .note") == ""
    turn_to(page, "ids")
    page.select_option("#bar select", label="X_train[5]")
    settle(page)
    assert page.locator(".card").count() == 43
    assert page.inner_text("main").startswith("1 Words as numbers")
    assert page.locator(".card b").all_inner_texts()[:6] == ["1", "778", "128", "74", "12", "630"]


def test_a_word_and_a_gate_by_keyboard(visit: Visit) -> None:
    page = open_lesson(visit, "memory")
    page.focus(".word[aria-checked=true]")
    page.keyboard.press("ArrowRight")
    settle(page)
    assert page.inner_text(".prose b >> nth=1") == "start"
    page.focus(".handle[aria-label^='Forget gate']")
    page.keyboard.press("Home")
    settle(page)
    assert page.evaluate("() => lesson.state.changes") == [{"gate": "f", "unit": "all", "from": 3, "to": 3, "value": 0}]
    assert page.get_attribute(".handle[aria-label^='Forget gate']", "aria-valuetext") == "0.00"


def test_a_model_that_does_not_load_is_said(visit: Visit) -> None:
    page = visit("text")
    page.expected += ["404"]
    page.route("**/tutorial.lstm", lambda route: route.fulfill(status=404))
    page.goto(f"{page.home}/lesson.html")
    page.wait_for_selector("[role=alert]")
    assert "tutorial.lstm is missing: the server answered 404" in page.inner_text("[role=alert]")


def test_a_link_holds_the_chapter_and_the_text(visit: Visit) -> None:
    page = open_lesson(visit, "gates&t=I+was+never%20bored%20%26%20glad")
    assert page.input_value("#bar input") == "I was never bored & glad"
    page.click("nav a[href='#memory']")
    page.fill("#bar input", "a+b = 100%")
    page.wait_for_function("() => location.hash === '#memory&t=a%2Bb%20%3D%20100%25'")
    page.reload()
    page.wait_for_function("() => globalThis.lesson?.state.chapter === 'memory'")
    assert page.evaluate("() => lesson.text()") == "a+b = 100%"


def test_it_starts_before_the_embeddings_of_rare_words_are_there(visit: Visit) -> None:
    held: list[Any] = []
    page = visit("text")
    page.route("**/tutorial-rest.lstm", lambda route: held.append(route))
    page.goto(f"{page.home}/lesson.html")
    page.wait_for_function("() => globalThis.lesson?.state.chapter")
    assert page.evaluate("() => lesson.isReview()")
    for chapter in CHAPTERS:  # without an error
        page.evaluate("id => { location.hash = id; }", chapter)
        page.wait_for_selector(f"article.{chapter}")
        settle(page)
    page.evaluate("() => { location.hash = 'memory'; }")
    page.wait_for_selector("article.memory")
    wanted = page.evaluate("() => `A ${lesson.model.words.at(-1)} film`")
    page.evaluate("text => lesson.set({ text })", wanted)
    settle(page)
    assert page.evaluate("() => [lesson.isWhole(), lesson.text()]") == [False, DEFAULT]
    held[0].continue_()
    page.wait_for_function("() => lesson.isWhole()")
    settle(page)
    assert page.input_value("#bar input") == wanted
    assert 0 < page.evaluate("() => lesson.run().probability") < 1
