"""The lesson: each chapter is one screen at every width, hides its answer until a guess, and has an address for
each of its states; by keyboard alone, by touch and with reduced motion; axe finds nothing.
"""

import gzip
import re
from typing import Any

import pytest

from gatewise.model import bundled
from gatewise.model.model import load
from gatewise.serve.lstm_file import lesson_files
from gatewise.serve.page_folder import inline_page
from tests.serve.page.conftest import SHIFTS, Visit, Watched, findings, painted

CHAPTERS = ("mind", "repeat", "fade", "add", "forget", "hide", "whole", "learn", "words", "numbers", "limits")
WORDS = [  # of the tutorial, which a reader finds without docs
    *("sigmoid", "remember", "forget", "candidate", "tanh", "embedding", "gradient", "Adam", "1,000", "2,888,117"),
    *("2,834,816", "53,200", "in gatewise", "series"),
]
SENTENCE = "A boring start, but the end of this film is excellent."
MAX_BYTES = 700_000


def open_lesson(visit: Visit, fragment: str = "", **size: Any) -> Watched:
    page = visit("text", **size)
    page.goto(f"{page.home}/lesson.html#{fragment}")
    page.wait_for_function("() => globalThis.lesson?.isWhole()")
    painted(page)
    return page


def turn_to(page: Any, fragment: str) -> None:
    page.evaluate("address => { location.hash = address; }", fragment)
    page.wait_for_selector(f"article.{fragment.split('&')[0]}")
    painted(page)


def finished(page: Any) -> None:
    """No training of the chapter runs, and its answer has appeared."""
    painted(page)
    page.wait_for_function("() => !document.querySelector('[data-training]')", timeout=60_000)
    painted(page)


def one_screen(page: Any) -> bool:
    fits: bool = page.evaluate("() => document.documentElement.scrollHeight <= innerHeight")
    return fits


def test_each_chapter_is_one_screen_hides_its_answer_and_its_drag_changes_a_number(visit: Visit) -> None:
    page = open_lesson(visit)
    found = ""
    for chapter in CHAPTERS:
        turn_to(page, chapter)
        assert one_screen(page), f"{chapter}, before the guess"
        why = page.locator(".why")
        assert not why.is_visible(), chapter
        assert page.inner_text(".said") == "", chapter
        page.locator(".question .options button").first.click()
        finished(page)
        assert page.inner_text(".said")[:4] in ("Yes.", "No. "), chapter
        assert page.locator(".question .right").count() == 1, chapter
        assert why.is_visible(), chapter
        assert one_screen(page), f"{chapter}, after the guess"
        before = page.inner_text("main")
        handle = page.locator(".prose .handle").last
        box = handle.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(
            box["x"] + (150 if handle.get_attribute("aria-valuenow") == "0" else -150), box["y"] + 8, steps=3
        )
        page.mouse.up()
        painted(page)
        assert page.inner_text("main") != before, chapter
        assert page.wait_for_function("id => new RegExp(`^#${id}&.*g=0`).test(location.hash)", arg=chapter), chapter
        found += page.inner_text("main")
        assert not re.search(r"\b(undefined|null|NaN|false|true)\b", found), chapter
    for word in WORDS:
        assert word in found.replace("\u00a0", " "), word


def test_a_memory_takes_up_what_is_asked_for_and_with_open_input_gates_everything(visit: Visit) -> None:
    """The second figure of chapter 4."""
    page = open_lesson(visit, "add&g=-&v=gate")
    finished(page)
    assert one_screen(page)
    at_mark, elsewhere = (float(page.inner_text(f"[data-part={part}]")) for part in ("atMark", "elsewhere"))
    assert at_mark > 0.9
    assert elsewhere < 0.1
    assert page.inner_text(".add .says").endswith(": right.")
    assert not page.locator("[data-part=distance]").is_visible()
    handle = page.locator("[data-part=value]")
    handle.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("End")
    painted(page)
    assert page.get_attribute("[data-part=mode] button[value=held]", "aria-pressed") == "true"
    assert float(page.inner_text("[data-part=right]")) < 0.6
    assert page.inner_text(".add .says").endswith(": wrong.")
    page.wait_for_function("() => location.hash.includes('m=held')")
    page.click("[data-part=views] button[value=gradient]")
    finished(page)
    assert page.locator("[data-part=distance]").is_visible()
    assert not handle.is_visible()


def test_the_numbers_are_those_of_the_model(visit: Visit) -> None:
    page, model = open_lesson(visit, "mind&g=-"), load(bundled.folder(bundled.TUTORIAL))
    for text in ("I was bored.", SENTENCE, "An excellent start, but the rest of the film is awful."):
        page.fill(".owntext", text)
        painted(page)
        assert page.inner_text("b.p") == f"{model.predict_proba([text])[0, 1]:.2f}"
    for text in ("zounds " * 70, "!!!", "\ud83d film", ""):
        page.fill(".owntext", text)
        painted(page)
        assert 0 < float(page.inner_text("b.p")) < 1
    page.fill(".owntext", "zounds " * 50)
    painted(page)
    assert page.inner_text("[data-part=note]") == "The figure has the last 40 words; 10 stand before them."


def test_an_address_holds_a_chapter_and_its_state(visit: Visit) -> None:
    page = open_lesson(visit, "forget&v=0.3&s=4&g=1")
    finished(page)
    assert page.get_attribute(".prose .handle", "aria-valuenow") == "0.3"
    assert page.get_attribute(".options button >> nth=1", "aria-pressed") == "true"
    turn_to(page, "mind&t=a%2Bb+%3D+100%25&g=-")
    assert page.input_value(".owntext") == "a+b = 100%"
    page.wait_for_function(
        "() => location.hash === '#mind&g=-&t=a%2Bb%20%3D%20100%25'"
        " || location.hash === '#mind&t=a%2Bb%20%3D%20100%25&g=-'"
    )
    page.reload()
    page.wait_for_function("() => globalThis.lesson?.isWhole()")
    painted(page)
    assert page.input_value(".owntext") == "a+b = 100%"
    turn_to(page, "forget&v=7&s=x&m=none&g=999&z=1")  # outside of the range, no number, no choice, no such name
    finished(page)
    assert page.get_attribute(".prose .handle", "aria-valuenow") == "1"
    assert not page.locator(".why").is_visible()
    page.evaluate("() => { location.hash = 'nowhere'; }")
    painted(page)
    assert page.locator("article.forget").count() == 1


def test_each_term_opens_its_definition_by_every_way(visit: Visit) -> None:
    page = open_lesson(visit)
    for chapter in CHAPTERS:
        turn_to(page, f"{chapter}&g=-")
        for term in page.locator("[data-term]").all():
            described = page.inner_text("body") if not term.get_attribute("aria-describedby") else ""
            assert described == "", term.inner_text()
            definition = page.evaluate(
                "id => document.getElementById(id).textContent", term.get_attribute("aria-describedby")
            )
            assert definition.endswith("."), f"{chapter}: {term.inner_text()} has no definition"
            term.focus()
            page.keyboard.press("Enter")
            assert page.inner_text(".definition:popover-open") == definition
            assert term.get_attribute("aria-expanded") == "true"
            page.keyboard.press("Escape")
            assert page.locator(".definition:popover-open").count() == 0
    term = page.locator("[data-term]").first
    term.hover()
    page.wait_for_selector(".definition:popover-open")
    page.mouse.move(0, 0)
    page.wait_for_function("() => !document.querySelector('.definition:popover-open')")
    term.click()
    page.wait_for_selector(".definition:popover-open")
    page.mouse.move(0, 0)
    page.wait_for_timeout(400)
    assert page.locator(".definition:popover-open").count() == 1, "a definition that was pressed stays"


def test_curves_have_values_for_a_screen_reader(visit: Visit) -> None:
    page = open_lesson(visit)
    for chapter in CHAPTERS:
        turn_to(page, f"{chapter}&g=-")
        finished(page)
        page.wait_for_function("() => document.querySelector('[data-described] table tbody td')", timeout=5000)


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
    page.goto("about:blank")
    page.goto(f"{page.home}/lesson.html#mind&t=A+zany+film")
    page.wait_for_function("() => globalThis.lesson?.chapter()")
    for chapter in CHAPTERS:  # without an error
        turn_to(page, f"{chapter}&g=-")
    held[0].continue_()
    page.wait_for_function("() => lesson.isWhole()")
    painted(page)
    turn_to(page, "mind&t=A+zany+film&g=-")
    assert page.input_value(".owntext") == "A zany film"


def test_the_exported_lesson_is_small() -> None:
    """As a server sends it, compressed."""
    assert len(gzip.compress(inline_page("lesson.html", lesson_files()))) <= MAX_BYTES


# Parts of the chapter that begin left of the window, where nothing can be scrolled to.
LEFT_OF_THE_WINDOW = """() => [...document.querySelectorAll('main p, main table, main button, main svg, main input')]
    .filter(one => one.checkVisibility() && !one.closest('.visually-hidden') && one.getBoundingClientRect().left < -1)
    .map(one => one.className || one.tagName)"""

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


SIZES = {
    "light": [(820, 1180), (1440, 900), (640, 360), (390, 844)],  # 640 x 360: 1280 x 720 at a zoom of 200%
    "dark": [(820, 1180), (1920, 1080), (390, 844), (1280, 720)],
}


@pytest.mark.parametrize("state", ["", "&g=-"])
@pytest.mark.parametrize(("scheme", "scale"), [("light", 3), ("dark", 1)])
def test_every_chapter_at_every_width(visit: Visit, axe: str, scheme: str, scale: int, state: str) -> None:
    """In the last size the lesson is opened, and axe looks at its chapters; before and after the guess."""
    *others, (width, height) = SIZES[scheme]
    more = {"scheme": scheme, "device_scale_factor": scale, "bypass_csp": True}  # axe itself is an inline script
    page = open_lesson(visit, width=width, height=height, **more)
    page.evaluate(SHIFTS)  # buffered: also those of loading
    for chapter in CHAPTERS:
        turn_to(page, chapter + state)
        finished(page)
        assert findings(page, axe) == [], chapter
        smallest = (
            "all => Math.min(...all.filter(one => one.isConnected)"
            ".map(one => parseFloat(getComputedStyle(one).fontSize)))"
        )
        assert page.locator("main *, header *").evaluate_all(smallest) >= 14, chapter
        for size in (*others, (width, height)):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            painted(page)
            where = f"{chapter}{state} at {size}"
            assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), where
            assert page.evaluate(LEFT_OF_THE_WINDOW) == [], where
            assert page.evaluate("() => chapters.scrollWidth <= chapters.clientWidth"), f"{where}: a link is cut"
            if size[0] >= 1280:
                assert one_screen(page), where
            assert page.evaluate(COLLISIONS) == [], where
            if size == (390, 844):
                room = page.evaluate(
                    "() => { const all = document.querySelectorAll('.prose .handle');"
                    " const figure = document.querySelector('.figure').getBoundingClientRect();"
                    " return figure.bottom - all[all.length - 1].getBoundingClientRect().top; }"
                )
                assert room <= 844, f"{where}: figure and handle are not on one screen"


def test_by_keyboard_alone(visit: Visit) -> None:
    page = open_lesson(visit, CHAPTERS[0])
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the link that skips to the chapter
    for chapter in CHAPTERS:
        page.wait_for_selector(f"article.{chapter}")
        finished(page)
        page.focus(".question .options button")
        page.keyboard.press("Space")
        finished(page)
        assert page.inner_text(".said"), chapter
        page.evaluate("() => document.querySelector('main').focus()")
        seen = {"slider": 0, "term": 0}
        for _ in range(150):
            page.keyboard.press("Tab")
            kind, label = page.evaluate(
                "() => { const one = document.activeElement; return [one.getAttribute('role') === 'slider' ? 'slider' :"
                " one.matches('.term') ? 'term' :"
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
                assert page.evaluate("() => document.activeElement.matches(':focus-visible')")
                page.keyboard.press(way[end])
            seen[kind] = seen.get(kind, 0) + 1
        assert kind == "next", f"{chapter}: Tab does not reach the next chapter"
        assert seen["slider"], chapter
        if chapter != CHAPTERS[-1]:
            page.keyboard.press("Enter")


def test_by_touch(visit: Visit) -> None:
    page = open_lesson(visit, CHAPTERS[0], width=390, height=844, has_touch=True, is_mobile=True)
    session = page.context.new_cdp_session(page.page)
    for chapter in CHAPTERS:
        turn_to(page, chapter)
        page.locator(".question button").first.tap()
        page.wait_for_function("() => document.querySelector('.said').textContent")
        finished(page)
        slider = page.locator(".prose .handle").last
        slider.scroll_into_view_if_needed()
        before, top = slider.get_attribute("aria-valuenow"), page.evaluate("() => scrollY")
        box = slider.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        way = 1 if before == slider.get_attribute("aria-valuemin") else -1
        for kind, *points in (
            ("touchStart", (x, y)),
            ("touchMove", (x + 40 * way, y + 4)),
            ("touchMove", (x + 110 * way, y + 30)),
            ("touchMove", (x + 111 * way, y + 30)),  # at rest: after a fling the browser ignores the next tap
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
    page = open_lesson(visit)
    moving = "() => document.getAnimations().length"
    for chapter in CHAPTERS:
        turn_to(page, chapter)
        page.locator(".question button").first.click()
        painted(page)
        assert page.evaluate(moving) == 0, chapter


def test_an_answer_appears_by_degrees(visit: Visit) -> None:
    page = open_lesson(visit, "mind", reduced_motion="no-preference")
    page.locator(".question button").last.click()
    page.wait_for_function("() => { const share = lesson.of('mind').reveal; return 0 < share && share < 1; }")
    page.wait_for_function("() => lesson.of('mind').reveal === 1")
    assert page.inner_text("b.p") == "0.73"


FRAMES = """() => new Promise(done => {
    const times = [];
    const count = now => { times.push(now); if (now - times[0] < 2000) requestAnimationFrame(count);
        else done((times.length - 1) / (now - times[0]) * 1000); };
    requestAnimationFrame(count);
})"""


def test_two_networks_in_training_leave_the_page_its_frames(visit: Visit) -> None:
    """While they train, the browser still draws. The limit leaves room for what else runs on the machine."""
    page = open_lesson(visit, "add&g=-", reduced_motion="no-preference")
    page.wait_for_selector("[data-training]")
    assert page.evaluate(FRAMES) > 15
