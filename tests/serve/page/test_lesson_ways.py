"""The lesson at every width and zoom, by keyboard alone, by touch and with reduced motion; axe finds nothing."""

from typing import Any

import pytest

from tests.serve.page.conftest import SHIFTS, Visit, findings
from tests.serve.page.test_lesson import CHAPTERS, open_lesson, settle, turn_to

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
    settle(page)


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
                settle(page)
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
                settle(page)
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
        settle(page)
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
