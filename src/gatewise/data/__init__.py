"""Data sets: IMDB reviews, tables, folders of texts, time series, unlabelled texts; splits and batches."""

from gatewise.data.files import read_folder, read_table
from gatewise.data.imdb import imdb
from gatewise.data.labelled import Labelled
from gatewise.data.movie_reviews import embedded_reviews, rotten_tomatoes
from gatewise.data.series_files import read_series
from gatewise.data.split import batches, split
from gatewise.data.splits import Splits, read_folders
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
    "read_folders",
    "read_series",
    "read_table",
    "read_texts",
    "rotten_tomatoes",
    "split",
]
