"""The lesson: each chapter is one screen at every width, its first drag changes a number, and its numbers are the
model's; by keyboard alone, by touch and with reduced motion; axe finds nothing.
"""

import re
from typing import Any

import pytest

from gatewise.model import bundled
from gatewise.model.model import load
from tests.serve.page.conftest import SHIFTS, Visit, Watched, findings, painted

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
    painted(page)
    return page


def turn_to(page: Any, chapter: str) -> None:
    page.evaluate("id => { location.hash = id; }", chapter)
    page.wait_for_selector(f"article.{chapter}")
    painted(page)


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
        painted(page)
        assert shown(page) != before, chapter
        if page.is_visible("#bar"):
            handle.press("Home")
            painted(page)
            assert page.inner_text("#bar b.p") != prediction, chapter
            if chapter in ("ids", "memory"):
                page.click("#bar button")
            else:
                handle.press("Delete")
            painted(page)
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
            found_shares = re.search(r"f alone leaves (0\.\d\d) of it, c has (\d\.\d\d):", page.inner_text(".said"))
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
        painted(page)
        if text.isascii() and "zounds" not in text and text != "!!!":
            assert page.inner_text("#bar b.p") == f"{model.predict_proba([text])[0, 1]:.2f}"
        for chapter in (*CHAPTERS, "memory"):
            turn_to(page, chapter)
    page.fill("#bar input", "zounds " * 70)
    painted(page)
    assert "the last 60 words of this text, without the 10 before" in page.inner_text("#bar .note")
    turn_to(page, "pads")
    page.locator(".question button").first.click()
    assert "939 pads" in page.inner_text(".said")
    page.fill("#bar input", "")
    painted(page)
    assert page.inner_text(".said") == "", "an answer belongs to its text"
    assert page.inner_text("#bar .note") == ""
    turn_to(page, "ids")
    page.select_option("#bar select", label="X_train[5]")
    painted(page)
    assert page.locator(".card").count() == 43
    assert page.inner_text("main").startswith("1 Words as numbers")
    assert page.locator(".card b").all_inner_texts()[:6] == ["1", "778", "128", "74", "12", "630"]


def test_a_link_holds_chapter_and_text_and_a_word_and_a_gate_are_changed_by_keyboard(visit: Visit) -> None:
    page = open_lesson(visit, "gates&t=I+was+never%20bored%20%26%20glad")
    assert page.input_value("#bar input") == "I was never bored & glad"
    page.click("nav a[href='#memory']")
    page.fill("#bar input", "a+b = 100%")
    page.wait_for_function("() => location.hash === '#memory&t=a%2Bb%20%3D%20100%25'")
    page.reload()
    page.wait_for_function("() => globalThis.lesson?.state.chapter === 'memory'")
    assert page.evaluate("() => lesson.text()") == "a+b = 100%"
    page.fill("#bar input", DEFAULT)
    painted(page)
    assert page.inner_text(".prose b >> nth=1") == "start", "the word after the one that changes P most"
    page.focus(".word[aria-checked=true]")
    page.keyboard.press("ArrowRight")
    painted(page)
    assert page.inner_text(".prose b >> nth=1") == "but"
    page.focus(".handle[aria-label^='Forget gate']")
    page.keyboard.press("Home")
    painted(page)
    assert page.evaluate("() => lesson.state.changes") == [{"gate": "f", "unit": "all", "from": 4, "to": 4, "value": 0}]
    assert page.get_attribute(".handle[aria-label^='Forget gate']", "aria-valuetext") == "0.00"


def test_a_missing_model_is_said_and_the_lesson_starts_before_the_embeddings_of_rare_words(visit: Visit) -> None:
    held: list[Any] = []
    page = visit("text")
    page.expected += ["404"]
    page.route("**/tutorial.lstm", lambda route: route.fulfill(status=404))
    page.goto(f"{page.home}/lesson.html")
    page.wait_for_selector("[role=alert]")
    assert "tutorial.lstm is missing: the server answered 404" in page.inner_text("[role=alert]")
    page.unroute("**/tutorial.lstm")
    page.route("**/tutorial-rest.lstm", lambda route: held.append(route))
    page.goto(f"{page.home}/lesson.html")
    page.wait_for_function("() => globalThis.lesson?.state.chapter")
    assert page.evaluate("() => lesson.isReview()")
    for chapter in CHAPTERS:  # without an error
        page.evaluate("id => { location.hash = id; }", chapter)
        page.wait_for_selector(f"article.{chapter}")
        painted(page)
    page.evaluate("() => { location.hash = 'memory'; }")
    page.wait_for_selector("article.memory")
    wanted = page.evaluate("() => `A ${lesson.model.words.at(-1)} film`")
    page.evaluate("text => lesson.set({ text })", wanted)
    painted(page)
    assert page.evaluate("() => [lesson.isWhole(), lesson.text()]") == [False, DEFAULT]
    held[0].continue_()
    page.wait_for_function("() => lesson.isWhole()")
    painted(page)
    assert page.input_value("#bar input") == wanted
    assert 0 < page.evaluate("() => lesson.run().probability") < 1


# Texts that stand over another text of the same picture, or leave the window.
COLLISIONS = """() => {
    const found = [];
    const box = node => node.getBoundingClientRect();
    for (const picture of document.querySelectorAll('main svg')) {
        const texts = [...picture.querySelectorAll('text')].filter(one => one.textContent.trim() && box(one).width);
        texts.forEach((a, n) => {
            const [p, words] = [box(a), a.textContent];
            if (p.left < -1 || p.right > innerWidth + 1) found.push(`${words} leaves the window`);
            for (const b of texts.slice(n + 1)) {
                const q = box(b);
                const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
                const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
                if (wide > 3 && high > 7) found.push(`${words} over ${b.textContent}`);
            }
        });
    }
    return found;
}"""


def finished(page: Any) -> None:
    """The training of the chapter has ended."""
    page.wait_for_function("() => !document.querySelector('[data-training]')", timeout=60_000)
    painted(page)


SIZES = {
    "light": [(820, 1180), (1440, 900), (640, 360), (390, 844)],  # 640 x 360: 1280 x 720 at a zoom of 200%
    "dark": [(820, 1180), (1920, 1080), (390, 844), (1280, 720)],
}


@pytest.mark.parametrize(("scheme", "scale"), [("light", 3), ("dark", 1)])
def test_every_chapter_at_every_width(visit: Visit, axe: str, scheme: str, scale: int) -> None:
    """In the last size the lesson is opened, its chapters are turned, and axe looks at it."""
    *others, (width, height) = SIZES[scheme]
    more = {"scheme": scheme, "device_scale_factor": scale, "bypass_csp": True}  # axe itself is an inline script
    page = open_lesson(visit, width=width, height=height, **more)
    page.evaluate(SHIFTS)  # buffered: also those of loading
    for chapter in CHAPTERS:
        page.click(f"nav a[href='#{chapter}']")  # the shifts after an input do not count
        page.wait_for_selector(f"article.{chapter}")
        finished(page)
        assert findings(page, axe) == [], chapter
        smallest = "all => Math.min(...all.map(one => parseFloat(getComputedStyle(one).fontSize)))"
        assert page.locator("main *, header *").evaluate_all(smallest) >= 14, chapter
    assert page.evaluate("() => window.shifts") == []
    for text in (None, "X_train[5]"):
        if text:
            turn_to(page, "ids")
            page.select_option("#bar select", label=text)
        for chapter in CHAPTERS:
            turn_to(page, chapter)
            for size in (*others, (width, height)):
                page.set_viewport_size({"width": size[0], "height": size[1]})
                painted(page)
                where = f"{chapter} at {size}, {text}"
                assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), where
                assert page.evaluate("() => chapters.scrollWidth <= chapters.clientWidth"), f"{where}: a link is cut"
                if size[0] >= 1280 and not text:
                    assert page.evaluate("() => document.documentElement.scrollHeight <= innerHeight"), where
                assert text or page.evaluate(COLLISIONS) == [], where


def test_by_keyboard_alone(visit: Visit) -> None:
    page = open_lesson(visit, "ids")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the link that skips to the chapter
    active = "() => document.activeElement"
    for chapter in CHAPTERS:
        finished(page)
        seen = {"slider": 0, "term": 0, "option": 0}
        for _ in range(150):
            page.keyboard.press("Tab")
            kind, label = page.evaluate(
                "() => { const one = document.activeElement; return [one.getAttribute('role') === 'slider' ? 'slider' :"
                " one.matches('.term') ? 'term' : one.matches('.question button') ? 'option' :"
                " one.matches('.turn .next') ? 'next' : '', one.textContent || one.getAttribute('aria-label')]; }"
            )
            if kind == "next":
                break
            if kind == "slider":
                value = page.get_attribute(":focus", "aria-valuenow")
                way = ("ArrowLeft", "ArrowRight")
                end = float(page.get_attribute(":focus", "aria-valuemax")) - float(value) < 0.01
                page.keyboard.press(way[not end])
                painted(page)
                assert page.get_attribute(":focus", "aria-valuenow") != value, f"{chapter}: {label}"
                assert page.evaluate(f"{active}.matches(':focus-visible')")
                page.keyboard.press(way[end])
            if kind == "term":
                assert page.locator(".lit").count(), f"{chapter}: {label}"
            if kind == "option" and not seen["option"]:
                page.keyboard.press("Space")
                assert page.inner_text(".said"), chapter
            seen[kind] = seen.get(kind, 0) + 1
        assert kind == "next", f"{chapter}: Tab does not reach the next chapter"
        assert all(seen[name] for name in ("slider", "term", "option")), (chapter, seen)
        if chapter != CHAPTERS[-1]:
            page.keyboard.press("Enter")
            page.wait_for_selector(f"article.{CHAPTERS[CHAPTERS.index(chapter) + 1]}")


def test_by_touch(visit: Visit) -> None:
    page = open_lesson(visit, "ids", width=390, height=844, has_touch=True, is_mobile=True)
    session = page.context.new_cdp_session(page.page)
    for chapter in CHAPTERS:
        turn_to(page, chapter)
        finished(page)
        page.locator(".term").first.tap()
        assert page.locator(".lit").count(), chapter
        page.locator(".question button").first.tap()
        page.wait_for_function("() => document.querySelector('.said').textContent")
        finished(page)  # the answer can train a network anew
        slider = page.locator(".prose .handle").last
        slider.scroll_into_view_if_needed()
        before, top = slider.get_attribute("aria-valuenow"), page.evaluate("() => scrollY")
        box = slider.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for kind, *points in (
            ("touchStart", (x, y)),
            ("touchMove", (x - 40, y + 4)),
            ("touchMove", (x - 110, y + 30)),
            ("touchMove", (x - 111, y + 30)),  # at rest: after a fling the browser ignores the next tap
            ("touchEnd",),
        ):
            touches = [{"x": a, "y": b} for a, b in points]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
            page.wait_for_timeout(60)
        painted(page)
        assert slider.get_attribute("aria-valuenow") != before, chapter
        assert page.evaluate("() => scrollY") == top, chapter


def test_with_reduced_motion_nothing_moves_by_itself(visit: Visit) -> None:
    """The contexts of these tests ask for it."""
    page = open_lesson(visit, "learning")
    assert page.inner_text(".progressline") == "not trained yet"
    page.click("button:text-is('Train')")
    page.wait_for_function("() => document.querySelector('.progressline').textContent.startsWith('step 200')")
    assert "accuracy 1.00" in page.inner_text(".progressline")
    moving = "() => document.getAnimations().length"
    for chapter in CHAPTERS:
        turn_to(page, chapter)
        page.locator(".term").first.hover()
        assert page.evaluate(moving) == 0, chapter
    page = open_lesson(visit, "learning", reduced_motion="no-preference")
    page.wait_for_function("() => document.querySelector('.progressline').textContent.startsWith('step')")
    page.click("text=Pause")
