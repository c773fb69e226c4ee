"""From a key to the painted verdict, in a real browser: 400 words in the box, letters typed into the middle of them.

    python -m benchmarks.page_keys models/tutorial models/fast

Measured inside the page: from the `input` event to the first task after the frame in which the verdict of that very
text was drawn, and to that in which the words with their line were. It is the time of everything: the requests, the
network of this machine, the model, and the drawing. Also the longest task of the page's own thread while all that went
on, and what a hover over the heat map costs.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.machine import machine, now

WORDS = [
    "the",
    "film",
    "was",
    "not",
    "a",
    "bad",
    "one",
    "and",
    "nobody",
    "in",
    "it",
    "felt",
    "cheap",
    ",",
    "yet",
    "the",
    "jokes",
    "were",
    "slow",
    "and",
    "the",
    "songs",
    "worse",
]
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
]

WATCH = """
() => {
  window.samples = { verdict: [], line: [] };
  window.longest = 0;
  new PerformanceObserver(list => {
    for (const entry of list.getEntries()) longest = Math.max(longest, entry.duration);
  }).observe({ type: 'longtask' });
  const pressed = {};
  document.querySelector('#text').addEventListener('input', () => {
    pressed.verdict = pressed.line = performance.now();
  }, true);
  const drawn = (what) => {
    const start = pressed[what];
    if (!start) return;
    pressed[what] = 0;
    requestAnimationFrame(() => {
      const painted = new MessageChannel();
      painted.port1.onmessage = () => samples[what].push(performance.now() - start);
      painted.port2.postMessage(0);
    });
  };
  gatewise.store.subscribe((state, keys) => {
    if (keys.has('early') && state.early?.shown === state.text) drawn('verdict');
    if (keys.has('data') && state.data?.shown === state.text) {
      drawn('verdict');
      drawn('line');
    }
  });
}
"""

HOVER = """
async () => {
  const box = document.querySelector('.map'), bounds = box.getBoundingClientRect(), spent = [];
  for (let n = 0; n < 120; n += 1) {
    const at = { clientX: bounds.left + 60 + n * 7, clientY: bounds.top + 10 + n * 2, bubbles: true };
    box.dispatchEvent(new PointerEvent('pointermove', at));
    const start = await new Promise(done => requestAnimationFrame(() => done(performance.now())));
    await new Promise(done => { const c = new MessageChannel(); c.port1.onmessage = done; c.port2.postMessage(0); });
    spent.push(performance.now() - start);
  }
  return spent;
}
"""


@contextmanager
def served(model: str) -> Iterator[str]:
    """The address of a server of that folder."""
    command = [sys.executable, "-m", "gatewise", "serve", model, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://[\w.:\[\]]+", line):
                yield found[0]
                break
    finally:
        process.terminate()
        process.wait()


def percentile(samples: list[float], share: float) -> float:
    return sorted(samples)[min(len(samples) - 1, int(share * len(samples)))]


def measure(model: str, keys: int, words: int, pause: int) -> dict[str, float]:
    """Milliseconds from a key to its verdict and to its line; the longest task; p95 of a hover's frame."""
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("GATEWISE_CHROMIUM") or shutil.which("chromium")
    with served(model) as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.goto(address)
        page.wait_for_function("() => window.gatewise?.store.get().data?.units")
        page.fill("#text", " ".join(WORDS[n % len(WORDS)] for n in range(words)))
        page.wait_for_function("() => { const d = gatewise.store.get().data; return d.units && !d.account?.stale; }")
        page.focus("#text")
        page.evaluate("() => document.querySelector('#text').setSelectionRange(900, 900)")
        page.evaluate(WATCH)
        for n in range(keys):
            page.keyboard.press("abcdefg "[n % 8] if n % 8 < 7 else "Space")
            page.wait_for_timeout(pause)
        page.wait_for_timeout(1500)
        samples, longest = page.evaluate("() => [samples, longest]")
        page.locator("#map").scroll_into_view_if_needed()
        page.wait_for_function("() => gatewise.store.get().data.planes.has('c')", timeout=60_000)
        page.wait_for_timeout(500)
        hovers = page.evaluate(HOVER)
        browser.close()
    return {
        "keys": len(samples["verdict"]),
        "median": statistics.median(samples["verdict"]),
        "p95": percentile(samples["verdict"], 0.95),
        "worst": max(samples["verdict"]),
        "line median": statistics.median(samples["line"]),
        "line p95": percentile(samples["line"], 0.95),
        "longest task": longest,
        "hover p95": percentile(hovers, 0.95),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--keys", type=int, default=80)
    parser.add_argument("--words", type=int, default=400)
    parser.add_argument("--pause", type=int, default=250, help="ms between two keys")
    asked = parser.parse_args()
    print(f"{now()}; {machine()}")
    print(f"{asked.words} words, {asked.keys} keys, one every {asked.pause} ms")
    print("| model | keys | verdict: median ms | p95 | worst | line: median ms | p95 | longest task | hover p95 |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for model in asked.models:
        found = measure(model, asked.keys, asked.words, asked.pause)
        print(
            f"| {os.path.basename(os.path.normpath(model))} | " + " | ".join(f"{x:.0f}" for x in found.values()) + " |"
        )


if __name__ == "__main__":
    main()
