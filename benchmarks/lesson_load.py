"""The weight of the lesson, the time until it can be used on an emulated slow 4G connection, and the time of a frame
while a number is dragged, in Chromium.

    python -m benchmarks.lesson_load

Slow 4G as Lighthouse emulates it: 1.6 Mbit/s down, 150 ms per round trip. Usable: the first
chapter is drawn and computed.
The exported file is served as any web host serves it, gzipped; the served page comes from `gatewise serve`.
"""

from __future__ import annotations

import gzip
import itertools
import math
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from playwright.sync_api import sync_playwright

from gatewise.model.model import load
from gatewise.serve.page_folder import page_files

DOWN, LATENCY = 1.6e6 / 8, 150  # bytes per second; ms
USABLE = "() => document.querySelector('main article') && globalThis.lesson"
RUNS = 3
MOVES = 120


@contextmanager
def served() -> Iterator[str]:
    command = [sys.executable, "-m", "gatewise", "serve", "--lesson", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    address = next(found[0] for line in process.stderr if (found := re.search(r"http://\S+/lesson\.html", line)))
    yield address
    process.terminate()
    process.wait()


@contextmanager
def exported() -> Iterator[str]:
    body = gzip.compress(page_files(load("tutorial"), [])["lesson.html"])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in (("type", "text/html; charset=utf-8"), ("encoding", "gzip"), ("length", str(len(body)))):
                self.send_header(f"Content-{name}", value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/lesson.html"
    server.shutdown()


def visit(browser: Any, address: str) -> tuple[int, int, float, float]:
    """Requests, bytes received, and the seconds until the first paint and until the lesson can be used."""
    page = browser.new_context().new_page()
    client = page.context.new_cdp_session(page)
    client.send("Network.enable")
    client.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": LATENCY, "downloadThroughput": DOWN, "uploadThroughput": 0.75e6 / 8},
    )
    sizes: list[int] = []
    client.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(address, wait_until="commit")
    page.wait_for_function(USABLE, polling="raf", timeout=60_000)
    usable = page.evaluate("() => performance.now()")
    page.wait_for_load_state("networkidle")
    paint = page.evaluate("() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN")
    page.context.close()
    return len(sizes), sum(sizes), paint / 1000, usable / 1000


def frames(browser: Any, address: str, chapter: str) -> tuple[float, float, int]:
    """Median and 95th percentile of the time between frames (ms) while the last number of a chapter is dragged, and the
    number of frames.
    """
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{address}#{chapter}")
    page.wait_for_function("() => globalThis.lesson?.isWhole()")
    box = page.locator(".prose .handle").last.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.evaluate(
        """() => {
            const times = (window.times = []);
            const next = (now) => { times.push(now); if (window.times === times) requestAnimationFrame(next); };
            requestAnimationFrame(next);
        }"""
    )
    page.mouse.move(x, y)
    page.mouse.down()
    for n in range(MOVES):
        page.mouse.move(x + 120 * math.sin(n / 8), y)
        page.wait_for_timeout(12)
    page.mouse.up()
    times = page.evaluate("() => { const found = window.times; window.times = null; return found; }")
    page.close()
    gaps = sorted(later - now for now, later in itertools.pairwise(times[3:]))
    return gaps[len(gaps) // 2], gaps[int(0.95 * len(gaps))], len(gaps)


def main() -> None:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        for name, source in (("gatewise serve", served), ("export-page", exported)):
            with source() as address:
                runs = sorted((visit(browser, address) for _ in range(RUNS)), key=lambda run: run[-1])
            requests, size, paint, usable = runs[RUNS // 2]
            print(f"{name}: {requests} requests, {size:,} bytes, first paint {paint:.2f} s, usable {usable:.2f} s")
        with exported() as address:
            for chapter in ("ids", "pads", "memory", "gates", "answer", "learning", "series"):
                median, p95, count = frames(browser, address, chapter)
                print(f"{chapter}: a frame takes {median:.1f} ms, p95 {p95:.1f} ms, of {count}")
        browser.close()


if __name__ == "__main__":
    main()
