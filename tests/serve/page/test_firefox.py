"""Lesson and page in Firefox, driven by Marionette, the protocol that every Firefox has (Debian: firefox-esr)."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serve.page.test_lesson import CHAPTERS, COLLISIONS

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")


class Firefox:
    """A window without a screen. Marionette sends and reads lists in JSON, each after its length and a colon."""

    def __init__(self, profile: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = {"marionette.port": port, "ui.prefersReducedMotion": 1}
        lines = (f"user_pref({json.dumps(name)}, {value});\n" for name, value in settings.items())
        (profile / "user.js").write_text("".join(lines), encoding="utf-8")
        command = [str(FIREFOX), "--marionette", "--headless", "--profile", str(profile)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(300):
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
                break
            except OSError:
                time.sleep(0.2)
        self.answers = self.socket.makefile("rb")
        self._read()  # who it is
        self("WebDriver:NewSession")

    def _read(self) -> Any:
        size = b""
        while (byte := self.answers.read(1)) != b":":
            assert byte, "Firefox closed the connection"
            size += byte
        return json.loads(self.answers.read(int(size)))

    def __call__(self, name: str, **params: Any) -> Any:
        message = json.dumps([0, 1, name, params])
        self.socket.sendall(f"{len(message)}:{message}".encode())
        _, _, error, result = self._read()
        assert error is None, error
        return result

    def run(self, script: str) -> Any:
        return self("WebDriver:ExecuteScript", script=f"return {script}", args=[])["value"]

    def wait(self, condition: str) -> None:
        for _ in range(300):
            if self.run(condition):
                return
            time.sleep(0.1)
        pytest.fail(f"never true: {condition}")

    def drag(self, x: float, y: float, by: int) -> None:
        moves = [
            {"type": "pointerMove", "x": round(x), "y": round(y)},
            {"type": "pointerDown", "button": 0},
            *({"type": "pointerMove", "x": round(x) + by * n // 4, "y": round(y), "duration": 20} for n in (1, 2, 4)),
            {"type": "pointerUp", "button": 0},
        ]
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": moves}
        self("WebDriver:PerformActions", actions=[mouse])


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    if FIREFOX is None:
        pytest.skip("no Firefox here: apt-get install firefox-esr")
    found = Firefox(tmp_path_factory.mktemp("profile"))
    yield found
    found.answers.close()
    found.socket.close()
    found.process.terminate()
    found.process.wait(timeout=30)


def test_the_lesson(firefox: Firefox, address: Callable[[str], str]) -> None:
    for width in (1280, 390):
        firefox("WebDriver:SetWindowRect", width=width, height=900)
        firefox("WebDriver:Navigate", url=f"{address('text')}/lesson.html")
        firefox.wait("globalThis.lesson?.isWhole() === true")
        for chapter in CHAPTERS:
            firefox.run(f"void (location.hash = {chapter + '&g=-'!r})")
            firefox.wait(
                f"document.querySelector('article.{chapter}') !== null && !document.querySelector('[data-training]')"
            )
            firefox.wait("document.documentElement.scrollWidth <= innerWidth")
            assert firefox.run(f"({COLLISIONS})()") == [], chapter
            if width > 390:  # a drag is the same at every width
                continue
            handle = "[...document.querySelectorAll('.prose .handle')].at(-1)"
            firefox.run(f"{handle}.scrollIntoView({{ block: 'center' }})")
            before = firefox.run(f"{handle}.textContent")
            box = firefox.run(
                f"(({{ x, y, width, height }}) => [x + width / 2, y + height / 2])({handle}.getBoundingClientRect())"
            )
            firefox.drag(*box, by=-100 if box[0] > 120 else 100)
            firefox.wait(f"{handle}.textContent !== {before!r}")


def test_the_page(firefox: Firefox, address: Callable[[str], str]) -> None:
    firefox("WebDriver:SetWindowRect", width=1280, height=900)
    firefox("WebDriver:Navigate", url=f"{address('text')}/#t=I+was+never+bored")
    firefox.wait("globalThis.gatewise?.store.get().data?.attribution != null")
    assert firefox.run("document.documentElement.scrollWidth <= innerWidth")
    assert firefox.run("document.querySelector('#cell svg text') !== null")
    firefox.run("gatewise.store.set({ text: 'not a bad film' })")
    firefox.wait("gatewise.store.get().data.inputText === 'not a bad film' && !gatewise.store.get().busy")
