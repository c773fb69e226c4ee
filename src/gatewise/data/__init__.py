"""Labelled data: the IMDB reviews, tables and folders of texts; split without a leak, and cut into batches."""

from gatewise.data.batches import batches
from gatewise.data.embedded import embedded_reviews
from gatewise.data.folder import read_folder
from gatewise.data.imdb import Splits, imdb
from gatewise.data.split import split
from gatewise.data.tables import read_table
from gatewise.labelled import Labelled

__all__ = ["Labelled", "Splits", "batches", "embedded_reviews", "imdb", "read_folder", "read_table", "split"]
