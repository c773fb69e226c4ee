"""What the page opens with, and what its first clamp changes, for the 18 sentences about films.

python -m benchmarks.first_touch tutorial
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import numpy as np

import gatewise as gw
from gatewise.serve.view.model import DEFAULT_CHANGE
from gatewise.serve.view.view import View


def frames(name: str) -> Iterable[tuple[str, dict[str, float]]]:
    """For each sentence the word of the opening frame, and its numbers: the probability and the logit before the clamp
    and their changes, and the change of c of the unit.
    """
    view = View(gw.load(name))
    for example in view.card["examples"]:
        request = {"text": example["text"], "include": ["prediction", "units"]}
        before = view.explain(request)
        opening, tokens = before["units"]["opening"], before["text"]["tokens"]
        step = opening["step"]
        changes = [{**DEFAULT_CHANGE, "from": step, "to": step}]
        after = view.explain({**request, "changes": changes})["prediction"]
        numbers = {
            "P": before["prediction"]["probability"],
            "change of P": after["probability"] - before["prediction"]["probability"],
            "change of the logit": after["score"] - before["prediction"]["score"],
            "unit": opening["unit"],
            "change of c": opening["memory_change"],
        }
        yield example["text"][tokens["start"][step] : tokens["end"][step]], numbers


def main() -> None:
    for name in sys.argv[1:] or ["tutorial", "sentiment"]:
        found = list(frames(name))
        print(f"{name}: {DEFAULT_CHANGE}\n{'word':16}" + "".join(f"{key:>22}" for key in found[0][1]))
        for word, numbers in found:
            print(f"{word:16}" + "".join(f"{value:22.3f}" for value in numbers.values()))
        moved = np.abs([[numbers["change of P"], numbers["change of c"]] for _, numbers in found])
        print(f"median |change of P| {np.median(moved[:, 0]):.3f}, least |change of c| {moved[:, 1].min():.2f}\n")


if __name__ == "__main__":
    main()
