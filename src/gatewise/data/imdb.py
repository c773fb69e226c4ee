"""The Large Movie Review Dataset (Maas et al. 2011): 25,000 reviews to train on and 25,000 to test with.

The archive numbers the reviews of each class from 0, and line i of urls_pos.txt names the film of positive review i. So
a review's group is its film, and a part held out by group shares no film with the rest; the official halves share one
film of thousands.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gatewise.data.archive import labelled_files
from gatewise.data.download import Remote, Unreachable, cache_folder, fetch, offline
from gatewise.data.embedded import CLASSES, embedded_reviews
from gatewise.data.labelled import Labelled
from gatewise.data.split import split
from gatewise.errors import DataError, quote

__all__ = ["EMBEDDED", "OFFICIAL", "Splits", "imdb"]

# Size and SHA-256 as in huggingface/datasets, datasets/imdb/dataset_infos.json, "download_checksums".
OFFICIAL = Remote(
    url="https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
    size=84_125_825,
    sha256="c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
)
_REVIEW = re.compile(r"(train|test)/(pos|neg)/([0-9]{1,9})_([0-9]{1,2})\.txt")
_FILM = re.compile(r"/title/tt([0-9]{1,9})(/|$)")
_HELD_OUT_SEED = 0
EMBEDDED = "embedded"


@dataclass(frozen=True, eq=False)
class Splits:
    """What to train on and what to test with; note: one line that says what kind of test that is."""

    train: Labelled
    test: Labelled | None
    note: str


def imdb(path: str | Path | None = None, *, progress: bool = True, download: bool = True) -> Splits:
    """The reviews: from `path`, else the cache, else the official address, else the embedded train half.

    Args:
        path: the official archive or its unpacked folder; the word "embedded" stands for the embedded train half.
        progress: show a download on stderr.
        download: False leaves the network alone, as the environment's GATEWISE_OFFLINE=1 does.

    Rows come in the archive's numbering, positive ones first. Where it comes to the embedded half, 80 % of it are
    `train` and 20 % `test`, split by a fixed seed with equal texts together; `note`, `source` and, where it was not
    asked for, a line on stderr say so. DataError for a missing, damaged or different archive, a download that broke off
    or has the wrong checksum; MissingExtra where the embedded half is needed and not installed.
    """
    if path == EMBEDDED:
        return _embedded(None)
    if path is not None:
        return _halves(Path(path).expanduser())
    cached = cache_folder() / OFFICIAL.name
    if cached.exists():
        return _halves(cached)
    if not download or offline():
        why = "GATEWISE_OFFLINE forbids to load the official archive" if download else "no download was wanted"
    else:
        try:
            return _halves(fetch(OFFICIAL, cached, progress))
        except Unreachable as error:
            why = str(error)
    return _embedded(why)


def _embedded(why: str | None) -> Splits:
    """The embedded half as train and hold-out. why: what kept the official archive away; None if it was not wanted."""
    whole = embedded_reviews(f"{why}; what is left, the embedded reviews," if why else "the embedded reviews")
    if why:
        print(f"gatewise: {why}; taking the embedded train half of the reviews", file=sys.stderr)
    train, test = split(whole, 0.8, _HELD_OUT_SEED)
    parts = []
    for rows, part in ((train, "80 % to train on"), (test, "20 % held out of the train half, not the IMDB test half")):
        taken = whole.take(rows)
        source = f"{whole.source}; {part} ({len(rows):,} reviews)"
        source += f"; the official archive was not used: {why}" if why else ""
        parts.append(Labelled(taken.inputs, taken.labels, taken.classes, taken.groups, source))
    note = "a hold-out of the embedded train half, not the IMDB test half: not to be called IMDB test accuracy"
    return Splits(parts[0], parts[1], note)


def _halves(path: Path) -> Splits:
    reviews: dict[tuple[str, str], dict[int, str]] = {(h, c): {} for h in ("train", "test") for c in ("pos", "neg")}
    films: dict[tuple[str, str], list[int]] = {}
    for name, raw in labelled_files(path):
        where = f"{quote(path, 200)}: {name}"
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: not valid UTF-8 at byte {error.start}") from None
        half, rest = name.split("/", 1)
        if rest.startswith("urls_"):
            films[half, rest[5:8]] = _films(text, where)
            continue
        parts = _REVIEW.fullmatch(name)
        if not parts:
            raise DataError(f"{where}: not a review's name, such as 0_9.txt")
        of_class = reviews[half, parts[2]]
        if int(parts[3]) in of_class:
            raise DataError(f"{where}: there are two reviews {parts[3]}")
        of_class[int(parts[3])] = text
    for (half, label), found in reviews.items():
        if not found:
            raise DataError(
                f"{quote(path, 200)}: no reviews in {half}/{label}; want train/pos, train/neg, test/pos, test/neg"
            )
    train, test = (_half(path, half, reviews, films) for half in ("train", "test"))
    return Splits(train, test, "the official test half")


def _half(
    path: Path, half: str, reviews: dict[tuple[str, str], dict[int, str]], films: dict[tuple[str, str], list[int]]
) -> Labelled:
    texts: list[str] = []
    groups: list[int] = []
    by_film = all((half, label) in films for label in ("pos", "neg"))
    for label in ("pos", "neg"):
        of_class = reviews[half, label]
        numbers = sorted(of_class)
        texts += [of_class[number] for number in numbers]
        if by_film:
            known = films[half, label]
            if numbers[-1] >= len(known):
                where = f"{quote(path, 200)}: {half}/urls_{label}.txt"
                raise DataError(f"{where} has {len(known):,} lines, none for review {numbers[-1]}")
            groups += [known[number] for number in numbers]
    positive, negative = (len(reviews[half, label]) for label in ("pos", "neg"))
    labels = np.array([1] * positive + [0] * negative, dtype=np.int64)
    source = f"IMDB reviews, the {half} half: {positive:,} positive and {negative:,} negative, from {quote(path.name)}"
    if (positive, negative) != (12_500, 12_500):
        source += " (officially 12,500 of each)"
    if not by_film:
        return Labelled(texts, labels, CLASSES, source=f"{source}, without the films' numbers")
    return Labelled(texts, labels, CLASSES, np.array(groups, dtype=np.int64), source)


def _films(text: str, where: str) -> list[int]:
    films = []
    lines: Iterable[str] = text.removesuffix("\n").split("\n")
    for number, line in enumerate(lines, start=1):
        found = _FILM.search(line.strip())
        if not found:
            raise DataError(f"{where}:{number}: no film in {quote(line)}")
        films.append(int(found[1]))
    return films
