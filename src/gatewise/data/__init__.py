"""Data sets: tables, folders of texts, time series, IMDB reviews, unlabelled texts; splits and batches."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatewise.data.labelled import Labelled, Splits, Unlabelled
    from gatewise.data.read import read_folder, read_folders, read_series, read_table, read_texts
    from gatewise.data.reviews import embedded_reviews, imdb, imdb_texts, rotten_tomatoes
    from gatewise.data.row_columns import with_columns
    from gatewise.data.rows import Rows
    from gatewise.data.splits import batches, split

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
    "with_columns",
]

_HOME = {
    "labelled": "Labelled Splits Unlabelled",
    "row_columns": "with_columns",
    "rows": "Rows",
    "splits": "batches split",
}


def __getattr__(name: str) -> Any:
    """Imported on first use: a command needs some of them."""
    if name not in __all__:
        raise AttributeError(f"module 'gatewise.data' has no attribute {name!r}")
    other = "read" if name.startswith("read_") else "reviews"
    module = next((module for module, names in _HOME.items() if name in names.split()), other)
    return getattr(import_module(f"gatewise.data.{module}"), name)
