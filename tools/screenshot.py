"""Take docs/lesson.png, the picture of the README, and docs/page.png, the page with the bundled model, by chromium.

make screenshot
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from tests.serve.page.conftest import CHROMIUM, QUIET
from trust.server import serving

LESSON, PAGE = Path("docs/lesson.png"), Path("docs/page.png")
MAX_BYTES = 300_000
TEXT = "This is not a bad film; I was never bored, and nothing in it felt cheap."


def main() -> None:
    from playwright.sync_api import sync_playwright

    with serving() as server, sync_playwright() as play:
        address = f"http://127.0.0.1:{server.port}"
        browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        looks: dict[str, Any] = {"color_scheme": "light", "reduced_motion": "reduce"}
        take_lesson(browser.new_page(viewport={"width": 1280, "height": 720}, **looks), address)
        page = browser.new_page(viewport={"width": 1280, "height": 1050}, **looks)
        page.goto(f"{address}/#t={quote_plus(TEXT)}")
        page.wait_for_function("() => window.gatewise?.store.get().data?.attribution")
        page.wait_for_timeout(2000)
        page.screenshot(path=PAGE)
    for path in (LESSON, PAGE):
        if (size_of_file := path.stat().st_size) > MAX_BYTES:
            sys.exit(f"{path} has {size_of_file:,} bytes, more than {MAX_BYTES:,}")


def take_lesson(page: Any, address: str) -> None:
    """The chapter on the forget gate, with the gate that the network learned."""
    page.goto(f"{address}/lesson.html#forget&g=2&m=learned")
    page.wait_for_function("() => globalThis.lesson?.isWhole() && !document.querySelector('[data-training]')")
    page.wait_for_timeout(500)
    page.screenshot(path=LESSON)


if __name__ == "__main__":
    main()
