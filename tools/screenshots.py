"""Take screenshots of the served page.

    make screenshots                                     every state of the page at three widths in both themes, to be
                                                         looked at: build/screenshots/*.png and an index.html of them
    python tools/screenshots.py --state error --width 390 --theme dark
    make screenshot                                      docs/page.png, the picture of the README

Most states show the bundled model; the models of other tasks are those of the page's tests.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gatewise.model import bundled
from tests.serve.page.conftest import CHROMIUM, MODELS, QUIET

HEIGHTS = {390: 844, 1280: 720, 1920: 1080}
README = "This is not a bad film; I was never bored, and nothing in it felt cheap."
MAX_BYTES = 300_000  # of the picture of the README
LONG = "The first hour is slow, yet the last ten minutes are so honest that I left the cinema happy. " * 30
HEBREW = "זה לא סרט רע. It was a good film, not bad at all."
NEW = "The story is thin. Still, I enjoyed it a lot."
READY = (
    "() => { const s = gatewise.store.get(); return s.error || s.data?.inputText === s.text && s.data.attribution"
    " && !s.data.attribution.stale && s.data.unitOf.has(gatewise.selectedUnit(s)); }"
)

Call = tuple[Any, ...]  # a method of the page and its arguments
SETTLED: list[Call] = [("wait_for_function", READY), ("wait_for_timeout", 400)]  # the answers are there and drawn
COMPARED: Call = (
    "wait_for_function",
    "() => document.querySelectorAll('#compare .legend:not([hidden])').length === 2",
)


def _hold_attributions(route: Any) -> None:
    if '"attribution"' not in (route.request.post_data or ""):
        route.continue_()


def _fill(text: str) -> list[Call]:
    return [("fill", "#text", text), *SETTLED]


def _open(part: str) -> list[Call]:
    opened = f"() => {{ const part = document.getElementById('{part}'); part.open = true; part.scrollIntoView(); }}"
    return [("evaluate", opened), ("wait_for_timeout", 1200)]


def _click(button: str) -> list[Call]:
    return [("click", button), ("wait_for_timeout", 600)]


BUNDLED = ("bundled",)
# What each state does on an opened page, and its models.
STATES: dict[str, tuple[tuple[str, ...], list[Call]]] = {
    "first": (BUNDLED, SETTLED),
    "typing": (
        BUNDLED,
        [
            ("focus", "#text"),
            ("press", "#text", "Control+a"),
            ("route", "**/explain", _hold_attributions),
            ("type", "#text", "It is not perfect, but it is nev"),
            ("wait_for_timeout", 500),
        ],
    ),
    "waiting": (
        BUNDLED,
        [("route", "**/explain", lambda _: None), ("fill", "#text", NEW), ("wait_for_timeout", 2500)],
    ),
    "error": (
        BUNDLED,
        [
            ("route", "**/explain", lambda route: route.abort()),
            ("fill", "#text", NEW),
            ("wait_for_selector", "#error:not([hidden])"),
        ],
    ),
    "error-at-start": (
        BUNDLED,
        [
            ("route", "**/model", lambda route: route.abort()),
            ("reload",),
            ("wait_for_selector", "#error:not([hidden])"),
        ],
    ),
    "empty": (BUNDLED, _click("#clear")),
    "long": (BUNDLED, _fill(LONG)),
    "right-to-left": (("text",), _fill(HEBREW)),
    "long-word": (("text",), _fill("good " + "x" * 5000)),
    "guess": (BUNDLED, [("evaluate", "() => gatewise.store.set({ guess: true })")]),
    "compare": (BUNDLED, [("click", "#comparebutton"), ("fill", "#compare textarea", "A dull film."), COMPARED]),
    "two-models": (
        ("text", "wide"),
        [("click", "#comparebutton"), ("select_option", "#compare select", "wide"), COMPARED],
    ),
    "interventions": (
        BUNDLED,
        [
            ("evaluate", "() => { document.querySelector('#interventions').open = true; }"),
            ("press", "#interventions input[type=range] >> nth=0", "Home"),
            *SETTLED,
        ],
    ),
    "heatmap": (BUNDLED, _open("heatmap")),
    "unit": (("text",), _open("unitpanel")),
    "training": (("text",), _open("training")),
    "card": (BUNDLED, _open("card")),
    "link": (BUNDLED, _click("#linkbutton")),
    "keys": (BUNDLED, _click("#keysbutton")),
    "present": (BUNDLED, _click("#presentbutton")),
    "many-classes": (("many",), _fill("It was good, not bad at all.")),
    "labels": (("labels",), _fill("It was good, not bad at all.")),
    "series": (("series",), SETTLED),
    "regression": (("number",), SETTLED),
    "no-examples": (("many",), [("wait_for_timeout", 500)]),
    "print": (BUNDLED, []),
    "forced-colours": (BUNDLED, SETTLED),
}
MEDIA: dict[str, dict[str, str]] = {"print": {"media": "print"}, "forced-colours": {"forced_colors": "active"}}
WINDOWS = ("present", "link", "keys")  # states of which the window is taken, not the whole page


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
    size = {"width": width, "height": HEIGHTS[width]}
    context = browser.new_context(viewport=size, color_scheme=theme, reduced_motion="reduce", has_touch=width < 500)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.emulate_media(**MEDIA.get(state, {}))
    page.goto(f"{address}/")
    page.wait_for_function("() => window.gatewise?.store.get().model")
    has_text = state != "no-examples" and page.evaluate("() => gatewise.store.get().text")
    for method, *arguments in [*(SETTLED if has_text else []), *STATES[state][1]]:
        getattr(page, method)(*arguments)
    if state not in WINDOWS:  # the heat map is drawn when it is first in view
        page.evaluate("() => scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(600)
    page.evaluate("() => scrollTo(0, 0)")
    page.wait_for_timeout(400)
    page.screenshot(path=path, full_page=state not in WINDOWS)
    page.unroute_all(behavior="ignoreErrors")
    context.close()


def take_readme(browser: Any, address: str, path: Path) -> None:
    """The picture of the README. Exits with an error where it is too large."""
    size = {"width": 1280, "height": 1255}
    page = browser.new_page(viewport=size, color_scheme="light", reduced_motion="reduce")
    page.goto(f"{address}/#t={quote_plus(README)}")
    page.wait_for_function("() => window.gatewise?.store.get().data?.attribution")
    page.wait_for_function("() => gatewise.store.get().data.heatmaps.size")
    page.wait_for_timeout(1000)
    page.screenshot(path=path)
    if (taken := path.stat().st_size) > MAX_BYTES:
        sys.exit(f"{path} has {taken:,} bytes, more than {MAX_BYTES:,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/screenshots"))
    parser.add_argument("--readme", type=Path, metavar="FILE", help="take the picture of the README alone")
    parser.add_argument("--state", action="append", choices=STATES, help="only this state; may be repeated")
    parser.add_argument("--width", action="append", type=int, choices=HEIGHTS, help="only this width in pixels")
    parser.add_argument("--theme", action="append", choices=("light", "dark"), help="only this theme")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    names = []
    with ExitStack() as stack, sync_playwright() as play:
        servers, browser = Servers(stack), play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        if options.readme:
            take_readme(browser, servers.address(BUNDLED), options.readme)
            return
        options.out.mkdir(parents=True, exist_ok=True)
        for state in options.state or STATES:
            for width in options.width or HEIGHTS:
                for theme in options.theme or ("light", "dark"):
                    names.append(f"{state}-{width}-{theme}.png")
                    take(browser, servers.address(STATES[state][0]), state, width, theme, options.out / names[-1])
            print(state, flush=True)
    figures = (f"<figure><figcaption>{name}</figcaption><img src={name} loading=lazy></figure>" for name in names)
    style = "<style>figure { display: inline-block; margin: 8px; vertical-align: top } img { max-width: 640px }</style>"
    (options.out / "index.html").write_text(f"<!doctype html>{style}{''.join(figures)}\n", encoding="utf-8")
    print(f"wrote {len(names)} screenshots and {options.out / 'index.html'}")


if __name__ == "__main__":
    main()
