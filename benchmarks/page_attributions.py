"""What attributions cost the other users of a server: the predictions of another user meanwhile, and the memory after.

    python -m benchmarks.page_attributions src/gatewise/model/bundled/sentiment models/tutorial

For each method, one user asks for attributions of a text of 400 words, one after the other. Meanwhile another user asks
for the prediction of a text of 40 words, ten times per second, as the page does (`/explain`) and as a program does
(`/predict`). Reported: the time of an attribution, the p95 of the other user's predictions, and the resident memory of
the server above that before the first attribution.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, now
from benchmarks.page_keys import WORDS, percentile, served

METHODS = ("prefix-difference", "cell-decomposition", "integrated-gradients", "leave-one-out")


def text_of(words: int, shift: int = 0) -> str:
    return " ".join(WORDS[(n + shift) % len(WORDS)] for n in range(words))


def ask(address: str, path: str, body: dict[str, Any]) -> float:
    """Seconds from the request to the whole response."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/{path}", json.dumps(body).encode(), headers)
    start = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as response:
        response.read()
    return time.perf_counter() - start


def resident(address: str) -> float:
    """Resident megabytes of the server that listens at this address, found by its port."""
    port = f":{int(address.rpartition(':')[2]):04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()
    [inode] = [line.split()[9] for line in lines if line.split()[1].endswith(port) and line.split()[3] == "0A"]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(one) == f"socket:[{inode}]" for one in (folder / "fd").iterdir()):
                pages = int((folder / "statm").read_text().split()[1])
                return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        except OSError:
            continue
    raise RuntimeError(f"no process listens at {address}")


def measure(address: str, method: str, count: int, words: int) -> tuple[float, dict[str, list[float]]]:
    """Seconds of one attribution, and of the other user's predictions meanwhile, by path."""
    stop = threading.Event()
    samples: dict[str, list[float]] = {"explain": [], "predict": []}

    def other() -> None:
        n = 0
        while not stop.wait(0.05):
            n += 1
            text = {"text": text_of(40, n)}
            samples["explain"].append(ask(address, "explain", {**text, "include": ["prediction"]}))
            samples["predict"].append(ask(address, "predict", text))

    thread = threading.Thread(target=other)
    thread.start()
    try:
        seconds = [
            ask(address, "explain", {"text": text_of(words, n), "include": ["attribution"], "method": method})
            for n in range(count)
        ]
    finally:
        stop.set()
        thread.join()
    return sum(seconds) / count, samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--count", type=int, default=20, help="attributions per method")
    parser.add_argument("--words", type=int, default=400)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    options = parser.parse_args()
    print(f"{now()}; {machine()}")
    print(f"{options.words} words, {options.count} attributions per method")
    print("| model | method | attribution, s | /explain p95, ms | /predict p95, ms | predictions | memory, MB |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for model in options.models:
        with served(model) as address:
            ask(address, "explain", {"text": text_of(options.words), "include": ["prediction"]})
            before = resident(address)
            for method in options.methods:
                seconds, samples = measure(address, method, options.count, options.words)
                p95 = {path: 1e3 * percentile(found, 0.95) for path, found in samples.items()}
                cells = [os.path.basename(os.path.normpath(model)), method, f"{seconds:.2f}"]
                cells += [f"{p95[path]:.0f}" for path in ("explain", "predict")]
                cells += [str(len(samples["predict"])), f"{resident(address) - before:+.0f}"]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
