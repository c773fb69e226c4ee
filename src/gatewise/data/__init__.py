"""Data sets: tables, folders of texts, time series, IMDB reviews, unlabelled texts; splits and batches."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatewise.data.batching import batches as batches
    from gatewise.data.labelled import Labelled as Labelled, Splits as Splits, Unlabelled as Unlabelled
    from gatewise.data.read import (
        read_folder as read_folder,
        read_folders as read_folders,
        read_series as read_series,
        read_table as read_table,
        read_texts as read_texts,
    )
    from gatewise.data.reviews import (
        embedded_reviews as embedded_reviews,
        imdb as imdb,
        imdb_texts as imdb_texts,
        rotten_tomatoes as rotten_tomatoes,
    )
    from gatewise.data.row_columns import with_columns as with_columns
    from gatewise.data.rows import Rows as Rows
    from gatewise.data.rules import label_by_rules as label_by_rules, read_rules as read_rules
    from gatewise.data.splits import split as split
    from gatewise.target.label_schemes import convert_scheme as convert_scheme, scheme_of as scheme_of

_HOME = {
    "gatewise.data.batching": "batches",
    "gatewise.data.labelled": "Labelled Splits Unlabelled",
    "gatewise.data.read": "read_folder read_folders read_series read_table read_texts",
    "gatewise.data.reviews": "embedded_reviews imdb imdb_texts rotten_tomatoes",
    "gatewise.data.row_columns": "with_columns",
    "gatewise.data.rows": "Rows",
    "gatewise.data.rules": "label_by_rules read_rules",
    "gatewise.data.splits": "split",
    "gatewise.target.label_schemes": "convert_scheme scheme_of",
}
__all__ = " ".join(_HOME.values()).split()


def __getattr__(name: str) -> Any:
    """Imported on first use: a command needs some of them."""
    for module, names in _HOME.items():
        if name in names.split():
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'gatewise.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
