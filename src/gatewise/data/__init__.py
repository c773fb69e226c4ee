"""Data: IMDB reviews, tables and folders of texts, with labels or without; split without a leak, cut into batches."""

from gatewise.data.batches import batches
from gatewise.data.embedded import embedded_reviews
from gatewise.data.folder import read_folder
from gatewise.data.imdb import Splits, imdb
from gatewise.data.labelled import Labelled
from gatewise.data.split import split
from gatewise.data.tables import read_table
from gatewise.data.unlabelled import Unlabelled, imdb_texts, read_texts

__all__ = [
    "Labelled",
    "Splits",
    "Unlabelled",
    "batches",
    "embedded_reviews",
    "imdb",
    "imdb_texts",
    "read_folder",
    "read_table",
    "read_texts",
    "split",
]
