"""The time of an answer of the page with a clamp and without, for a text of 16 words.

python -m benchmarks.clamps sentiment models/tutorial
"""

from __future__ import annotations

import argparse
import statistics
import time

import gatewise as gw
from gatewise.serve.view.view import View

TEXT = "This is not a bad film ; I was never bored , and nothing in it felt cheap"
PARTS = {"prediction": ["prediction"], "with the line": ["prediction", "prefix"]}
CHANGES: dict[str, dict[str, object]] = {
    "all units, one word": {"gate": "i", "unit": "all", "from": 4, "to": 4},
    "one unit, everywhere": {"gate": "f", "unit": 5},
    "all units, everywhere": {"gate": "f", "unit": "all"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--repeats", type=int, default=31)
    given = parser.parse_args()
    print(f"{'model':16}{'answer':16}{'clamp':24}{'plain ms':>10}{'clamped ms':>12}{'ratio':>7}")
    for name in given.models:
        model = gw.load(None if name == "sentiment" else name)
        for part, include in PARTS.items():
            for words, change in CHANGES.items():
                times: tuple[list[float], list[float]] = [], []
                for n in range(given.repeats):  # in turn: the load of the machine changes
                    for clamped, found in enumerate(times):
                        view = View(model)
                        assert view.about
                        request: dict[str, object] = {"text": TEXT, "include": include}
                        if clamped:  # as in a drag: the run without the clamp is there
                            view.explain(request)
                            request["changes"] = [{**change, "value": n / given.repeats}]
                        started = time.perf_counter()
                        view.explain(request)
                        found.append(1000 * (time.perf_counter() - started))
                plain, clamp = map(statistics.median, times)
                print(f"{name[-15:]:16}{part:16}{words:24}{plain:10.1f}{clamp:12.1f}{clamp / plain:7.2f}")


if __name__ == "__main__":
    main()
