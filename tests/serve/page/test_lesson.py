"""The lesson: each chapter is one screen, its first drag changes a printed number, and its numbers are the model's."""

from __future__ import annotations

from typing import Any

import pytest

from gatewise.model import bundled
from gatewise.model.model import load
from gatewise.serve.lstm_file import lstm_file
from tests.serve.page.conftest import Visit, Watched

CHAPTERS = ("ids", "pads", "memory", "gates")


@pytest.fixture(scope="module")
def file() -> bytes:
    return lstm_file(load(bundled.folder("tutorial")))


def open_lesson(visit: Visit, file: bytes, fragment: str = "", **size: Any) -> Watched:
    watched = visit("text", **size)
    watched.page.route("**/tutorial.lstm", lambda route: route.fulfill(body=file))
    watched.page.goto(f"{watched.home}/lesson.html#{fragment}")
    watched.page.wait_for_function("() => globalThis.lesson?.state.chapter")
    settle(watched.page)
    return watched


def settle(page: Any) -> None:
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_each_chapter_is_one_screen_and_its_first_drag_changes_a_number(visit: Visit, file: bytes) -> None:
    watched = open_lesson(visit, file)
    page = watched.page
    for chapter in CHAPTERS:
        page.evaluate("id => { location.hash = id; }", chapter)
        page.wait_for_selector(f"article.{chapter}")
        settle(page)
        assert page.evaluate("() => document.documentElement.scrollHeight <= innerHeight"), chapter
        before = page.inner_text("main") + page.inner_text("#bar")
        box = page.locator(".prose .handle").last.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] - 150, box["y"] + 8, steps=3)
        page.mouse.up()
        settle(page)
        assert page.inner_text("main") + page.inner_text("#bar") != before, chapter
