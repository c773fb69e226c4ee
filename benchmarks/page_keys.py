"""The time from a key to the painted prediction, in a real browser: letters typed into a text of 400 words.

    python -m benchmarks.page_keys models/tutorial models/fast

Measured inside the page: from the `input` event to the first task after the frame that shows the prediction for that
text, and to the first task after the frame that shows its prefix predictions. The time includes the requests, the model
and the drawing. Also measured: the longest task of the page's main thread meanwhile, and the time per hover over the
heat map.
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
  window.samples = { prediction: [], prefix: [] };
  window.longest = 0;
  new PerformanceObserver(list => {
    for (const entry of list.getEntries()) longest = Math.max(longest, entry.duration);
  }).observe({ type: 'longtask' });
  const pressed = { prediction: new Map(), prefix: new Map() };  // the time of each text's key
  document.querySelector('#text').addEventListener('input', ({ target }) => {
    for (const what in pressed) pressed[what].set(target.value, performance.now());
  }, true);
  const drawn = (what, text) => {
    const start = pressed[what].get(text);
    if (!start) return;
    pressed[what].delete(text);
    requestAnimationFrame(() => {
      const painted = new MessageChannel();
      painted.port1.onmessage = () => samples[what].push(performance.now() - start);
      painted.port2.postMessage(0);
    });
  };
  gatewise.store.subscribe((state, keys) => {
    if (keys.has('earlyPrediction') && state.earlyPrediction) drawn('prediction', state.earlyPrediction.inputText);
    if (keys.has('data') && state.data) {
      drawn('prediction', state.data.inputText);
      drawn('prefix', state.data.inputText);
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
    """The URL of a server of that model folder."""
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
    """Milliseconds from a key to its prediction and to its prefix predictions; the longest task; p95 of a hover."""
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("GATEWISE_CHROMIUM") or shutil.which("chromium")
    with served(model) as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=QUIET)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.goto(address)
        page.wait_for_function("() => window.gatewise?.store.get().data?.units")
        page.fill("#text", " ".join(WORDS[n % len(WORDS)] for n in range(words)))
        attributed = "gatewise.store.get().data.units && !gatewise.store.get().data.attribution?.stale"
        page.wait_for_function(f"() => {attributed}")
        page.focus("#text")
        page.evaluate("() => document.querySelector('#text').setSelectionRange(900, 900)")
        page.evaluate(WATCH)
        for n in range(keys):
            page.keyboard.press("abcdefg "[n % 8] if n % 8 < 7 else "Space")
            page.wait_for_timeout(pause)
        page.wait_for_timeout(1500)
        samples, longest = page.evaluate("() => [samples, longest]")
        page.locator("#heatmap").scroll_into_view_if_needed()
        page.wait_for_function("() => gatewise.store.get().data.heatmaps.has('c')", timeout=60_000)
        page.wait_for_timeout(500)
        hovers = page.evaluate(HOVER)
        browser.close()
    return {
        "keys": len(samples["prediction"]),
        "median": statistics.median(samples["prediction"]),
        "p95": percentile(samples["prediction"], 0.95),
        "worst": max(samples["prediction"]),
        "prefix median": statistics.median(samples["prefix"]),
        "prefix p95": percentile(samples["prefix"], 0.95),
        "longest task": longest,
        "hover p95": percentile(hovers, 0.95),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--keys", type=int, default=80)
    parser.add_argument("--words", type=int, default=400)
    parser.add_argument("--pause", type=int, default=250, help="ms between two keys")
    options = parser.parse_args()
    print(f"{now()}; {machine()}")
    print(f"{options.words} words, {options.keys} keys, one every {options.pause} ms")
    print("| model | keys | prediction: median ms | p95 | worst | prefix: median ms | p95 | longest task | hover p95 |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for model in options.models:
        found = measure(model, options.keys, options.words, options.pause)
        print(
            f"| {os.path.basename(os.path.normpath(model))} | " + " | ".join(f"{x:.0f}" for x in found.values()) + " |"
        )


if __name__ == "__main__":
    main()
