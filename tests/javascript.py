"""JavaScript in Node, and in chromium over the files of a folder; a test skips where one of them is missing."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.children import SECONDS, run_child


def in_node(folder: Path, code: str) -> str:
    """What a module of this code in the folder prints."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here: apt-get install nodejs")
    (folder / "run.mjs").write_text(code, encoding="utf-8")
    done = run_child([node, "run.mjs"], cwd=folder)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@contextmanager
def page_over(folder: Path, head: str = "") -> Iterator[Any]:
    """An empty page in chromium, at the address of the files of the folder. head: HTML of it."""
    sync = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or pytest.skip("no chromium here: apt-get install chromium")
    (folder / "page.html").write_text(f"<!doctype html>{head}", encoding="utf-8")
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, sync.sync_playwright() as playwright:
        Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(SECONDS * 1000)
        page.goto(f"http://127.0.0.1:{server.server_port}/page.html")
        yield page
        browser.close()
        server.shutdown()
