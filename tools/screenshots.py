"""Take screenshots of every state of the page, to be looked at: three widths, both themes.

    make screenshots                                     writes build/screenshots/*.png and an index.html of them
    python tools/screenshots.py --state error --width 390 --theme dark

Most states show the bundled model; the models of other tasks are those of the page's tests.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gatewise.model import bundled
from tests.serve.page.conftest import CHROMIUM, MODELS, QUIET

HEIGHTS = {390: 844, 1280: 720, 1920: 1080}
LONG = "The first hour is slow, yet the last ten minutes are so honest that I left the cinema happy. " * 30
HEBREW = "זה לא סרט רע. It was a good film, not bad at all."
COMPARED = "() => document.querySelectorAll('#compare .legend:not([hidden])').length === 2"
READY = (
    "() => { const s = gatewise.store.get(); return s.error || s.data?.inputText === s.text && s.data.attribution"
    " && !s.data.attribution.stale && s.data.unitOf.has(gatewise.selectedUnit(s)); }"
)


def settle(page: Any) -> None:
    """Wait until the answers are there and drawn."""
    page.wait_for_function(READY, timeout=60_000)
    page.wait_for_timeout(400)


def _hold_attributions(route: Any) -> None:
    if '"attribution"' not in (route.request.post_data or ""):
        route.continue_()


def _type(page: Any) -> None:
    page.focus("#text")
    page.keyboard.press("Control+a")
    page.route("**/explain", _hold_attributions)
    page.keyboard.type("It is not perfect, but it is nev", delay=30)
    page.wait_for_timeout(500)


def _wait(page: Any) -> None:
    page.route("**/explain", lambda route: None)
    page.fill("#text", "The story is thin. Still, I enjoyed it a lot.")
    page.wait_for_timeout(2500)


def _fail(page: Any) -> None:
    page.route("**/explain", lambda route: route.abort())
    page.fill("#text", "The story is thin. Still, I enjoyed it a lot.")
    page.wait_for_selector("#error:not([hidden])")


def _fail_at_start(page: Any) -> None:
    page.route("**/model", lambda route: route.abort())
    page.reload()
    page.wait_for_selector("#error:not([hidden])")


def _empty(page: Any) -> None:
    page.click("#clear")
    page.wait_for_timeout(300)


def _fill(text: str) -> Callable[[Any], None]:
    def act(page: Any) -> None:
        page.fill("#text", text)
        settle(page)

    return act


def _compare(page: Any) -> None:
    page.click("#comparebutton")
    page.fill("#compare textarea", page.input_value("#text").replace("excellent", "dull"))
    page.wait_for_function(COMPARED, timeout=60_000)


def _compare_models(page: Any) -> None:
    page.click("#comparebutton")
    page.select_option("#compare select", "wide")
    page.wait_for_function(COMPARED, timeout=60_000)
    page.wait_for_timeout(300)


def _clamp(page: Any) -> None:
    page.evaluate("() => { document.querySelector('#interventions').open = true; }")
    page.focus("#interventions input[type=range] >> nth=0")
    page.keyboard.press("Home")
    settle(page)
    page.wait_for_timeout(800)


def _forced_colours(page: Any) -> None:
    page.emulate_media(forced_colors="active")
    page.reload()
    settle(page)


def _open(part: str) -> Callable[[Any], None]:
    def act(page: Any) -> None:
        page.evaluate("part => { document.getElementById(part).open = true; }", part)
        page.locator(f"#{part}").scroll_into_view_if_needed()
        page.wait_for_timeout(1200)

    return act


def _click(button: str) -> Callable[[Any], None]:
    def act(page: Any) -> None:
        page.click(button)
        page.wait_for_timeout(600)

    return act


# What each state does on an opened page, and its models; by default the bundled one.
STATES: dict[str, tuple[Callable[[Any], None], tuple[str, ...]]] = {
    "first": (settle, ("bundled",)),
    "typing": (_type, ("bundled",)),
    "waiting": (_wait, ("bundled",)),
    "error": (_fail, ("bundled",)),
    "error-at-start": (_fail_at_start, ("bundled",)),
    "empty": (_empty, ("bundled",)),
    "long": (_fill(LONG), ("bundled",)),
    "right-to-left": (_fill(HEBREW), ("text",)),
    "long-word": (_fill("good " + "x" * 5000), ("text",)),
    "guess": (lambda page: page.evaluate("() => gatewise.store.set({ guess: true })"), ("bundled",)),
    "compare": (_compare, ("bundled",)),
    "two-models": (_compare_models, ("text", "wide")),
    "interventions": (_clamp, ("bundled",)),
    "heatmap": (_open("heatmap"), ("bundled",)),
    "unit": (_open("unitpanel"), ("text",)),
    "training": (_open("training"), ("text",)),
    "card": (_open("card"), ("bundled",)),
    "link": (_click("#linkbutton"), ("bundled",)),
    "keys": (_click("#keysbutton"), ("bundled",)),
    "present": (_click("#presentbutton"), ("bundled",)),
    "many-classes": (_fill("It was good, not bad at all."), ("many",)),
    "labels": (_fill("It was good, not bad at all."), ("labels",)),
    "series": (settle, ("series",)),
    "regression": (settle, ("number",)),
    "no-examples": (lambda page: page.wait_for_timeout(500), ("many",)),
    "print": (lambda page: page.emulate_media(media="print"), ("bundled",)),
    "forced-colours": (_forced_colours, ("bundled",)),
}


class Servers:
    """A server for each tuple of models that a state needs, started once."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack, self._running = stack, dict[tuple[str, ...], str]()
        self._home = Path(stack.enter_context(tempfile.TemporaryDirectory()))

    def address(self, models: tuple[str, ...]) -> str:
        if models not in self._running:
            folders = [word for name in models for word in ("-m", self._folder(name))]
            command = [sys.executable, "-m", "gatewise", "serve", *folders, "--port", "0"]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self._stack.callback(process.wait)
            self._stack.callback(process.terminate)
            assert process.stdout is not None
            found = (re.search(r"http://[\w.:\[\]]+", line) for line in process.stdout)
            self._running[models] = next(one[0] for one in found if one)
        return self._running[models]

    def _folder(self, name: str) -> str:
        if name == "bundled":
            return str(bundled.folder())
        folder = self._home / name
        if not folder.exists():
            MODELS[name]().save(folder)
        return str(folder)


def take(browser: Any, address: str, state: str, width: int, theme: str, path: Path) -> None:
    """One screenshot of the whole page; of presentation mode and dialogs of the window."""
    act, _ = STATES[state]
    size = {"width": width, "height": HEIGHTS[width]}
    context = browser.new_context(viewport=size, color_scheme=theme, reduced_motion="reduce", has_touch=width < 500)
    page = context.new_page()
    page.goto(f"{address}/")
    page.wait_for_function("() => window.gatewise?.store.get().model")
    if state != "no-examples" and page.evaluate("() => gatewise.store.get().text"):
        settle(page)
    act(page)
    whole = state not in ("present", "link", "keys")
    if whole:  # the heat map is drawn when it is first in view
        page.evaluate("() => scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(600)
    page.evaluate("() => scrollTo(0, 0)")
    page.wait_for_timeout(400)
    page.screenshot(path=path, full_page=whole)
    page.unroute_all(behavior="ignoreErrors")
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/screenshots"))
    parser.add_argument("--state", action="append", choices=STATES, help="only this state; may be repeated")
    parser.add_argument("--width", action="append", type=int, choices=HEIGHTS, help="only this width in pixels")
    parser.add_argument("--theme", action="append", choices=("light", "dark"), help="only this theme")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    options.out.mkdir(parents=True, exist_ok=True)
    names = []
    with ExitStack() as stack, sync_playwright() as play:
        servers = Servers(stack)
        browser = play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        for state in options.state or STATES:
            for width in options.width or HEIGHTS:
                for theme in options.theme or ("light", "dark"):
                    names.append(f"{state}-{width}-{theme}.png")
                    take(browser, servers.address(STATES[state][1]), state, width, theme, options.out / names[-1])
            print(state, flush=True)
        browser.close()
    figures = (f"<figure><figcaption>{name}</figcaption><img src={name} loading=lazy></figure>" for name in names)
    style = "<style>figure { display: inline-block; margin: 8px; vertical-align: top } img { max-width: 640px }</style>"
    (options.out / "index.html").write_text(f"<!doctype html>{style}{''.join(figures)}\n", encoding="utf-8")
    print(f"wrote {len(names)} screenshots and {options.out / 'index.html'}")


if __name__ == "__main__":
    main()
