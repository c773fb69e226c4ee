"""Data sets: tables, folders of texts, time series, IMDB reviews, unlabelled texts; splits and batches."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gatewise.data.labelled import Labelled, Rows, Splits, Unlabelled
from gatewise.data.split import batches, split

if TYPE_CHECKING:
    from gatewise.data.read import read_folder, read_folders, read_series, read_table, read_texts
    from gatewise.data.reviews import embedded_reviews, imdb, imdb_texts, rotten_tomatoes

__all__ = [
    "Labelled",
    "Rows",
    "Splits",
    "Unlabelled",
    "batches",
    "embedded_reviews",
    "imdb",
    "imdb_texts",
    "read_folder",
    "read_folders",
    "read_series",
    "read_table",
    "read_texts",
    "rotten_tomatoes",
    "split",
]


def __getattr__(name: str) -> Any:
    if name in __all__:  # readers, which are imported on first use
        return getattr(import_module(f"gatewise.data.{'read' if name.startswith('read_') else 'reviews'}"), name)
    raise AttributeError(f"module 'gatewise.data' has no attribute {name!r}")
