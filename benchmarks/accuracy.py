"""Accuracy on the IMDB test half, row by row: baselines and recipes.

    python -m benchmarks.accuracy --data aclImdb_v1.tar.gz [--rows NAME ...] [--seeds 0 1 2] [--quick]

Each row trains on the archive's texts alone and is measured once. Results go into results/accuracy.json as they are
measured, with seed, machine, versions and time; docs/accuracy.md is rendered from it (`python -m benchmarks.tables`).
Pretrained models are kept in --pretrained, for all rows of a seed; their time counts in each. --quick takes a
twentieth of the reviews, prints, and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import gatewise as gw
from benchmarks.machine import machine, now, revision
from gatewise.data import Labelled, Unlabelled, imdb, imdb_texts, split
from gatewise.kernels.threads import threads
from gatewise.members.encoded_sequence import steps_of
from gatewise.model.model import Model
from gatewise.model.pretrained import PretrainedLM
from gatewise.training import pretrain_recipe
from gatewise.training import recipe as named
from gatewise.training.dense_solver import fit_shared_weights
from gatewise.training.weighted_targets import WeightedTargets

RESULTS = Path(__file__).with_name("results") / "accuracy.json"


class Reviews(NamedTuple):
    """texts: unlabelled, none of the test half."""

    train: Labelled
    test: Labelled
    texts: Unlabelled


def read(path: Path, quick: bool) -> Reviews:
    """Of the official archive of IMDB or its folder. quick: of a twentieth of the films, and of the texts."""
    splits, texts = imdb(path, progress=False, download=False), imdb_texts(path, progress=False, download=False)
    train, test = splits.train, splits.test
    assert test is not None, "the accuracy rows need the official archive, which has a test half"
    if quick:
        films = np.unique(train.groups)
        chosen = np.random.default_rng(0).permutation(films)[: len(films) // 20]
        train = train.take(np.isin(train.groups, chosen))
        texts = Unlabelled(texts.texts[::20], f"every 20th of {texts.source}")
    return Reviews(train, test, texts)


@dataclass(frozen=True)
class Row:
    """A recipe of gatewise with a pretrained model of a size, or without one. what: the row in a line. epochs: of
    pretraining. unlabelled: whether the recipe gets the unlabelled texts.
    """

    name: str
    what: str
    size: str | None = None
    epochs: float = 1.0
    unlabelled: bool = False
    recipe: str | None = None

    def run(self, reviews: Reviews, seed: int, folder: Path) -> dict[str, Any]:
        """Figures by name. folder: of pretrained models."""
        pretrained = None if self.size is None else pretrained_for(reviews, seed, folder, self.size, self.epochs)
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as scratch:
            target = Path(scratch) / "model"
            gw.train(
                reviews.train,
                recipe=self.recipe,
                pretrained=pretrained,
                unlabelled=reviews.texts if self.unlabelled else None,
                seed=seed,
                out=target,
                command=f"python -m benchmarks.accuracy --data aclImdb_v1.tar.gz --rows {self.name} --seeds {seed}",
            )
            model = gw.load(target)
        train_seconds = time.perf_counter() - start
        model = model.with_lstm(kernel=named(model.metadata.recipe).kernel())  # as in training: faster
        whole = train_seconds + (pretrained.metadata.seconds if pretrained else 0.0)
        _, rows = split(reviews.train, 1 - named(model.metadata.recipe).validation.fraction, seed, "group")
        seconds = {"seconds": round(whole, 1), "train_seconds": round(train_seconds, 1)}
        return measured(model, reviews.test, reviews.train.take(rows)) | seconds


class Baseline(Row):
    """scikit-learn's logistic regression over word n-grams: "tfidf" (1,2), or "nb-lr" (1,3), binary and scaled by the
    log-count ratio (Wang & Manning 2012).
    """

    def run(self, reviews: Reviews, seed: int, folder: Path) -> dict[str, Any]:
        start, (train, test, _) = time.perf_counter(), reviews
        from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        options = {"min_df": 2, "token_pattern": r"(?u)\b\w+(?:'\w+)?\b|[^\w\s]"}  # gatewise's tokens: words and marks
        if self.name == "tfidf":
            vectorizer, c = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, **options), 10.0
        else:
            vectorizer, c = CountVectorizer(ngram_range=(1, 3), binary=True, dtype=np.float64, **options), 1.0
        x, z = vectorizer.fit_transform(train.inputs), vectorizer.transform(test.inputs)
        if self.name == "nb-lr":
            p, q = (1 + np.asarray(x[train.labels == k].sum(axis=0)).ravel() for k in (1, 0))
            ratio = np.log(p / p.sum()) - np.log(q / q.sum())
            x, z = x.multiply(ratio).tocsr(), z.multiply(ratio).tocsr()
        model = LogisticRegression(C=c, max_iter=1000, solver="liblinear", dual=True, random_state=0, tol=1e-3)
        accuracy = float((model.fit(x, train.labels).predict(z) == test.labels).mean())
        return {"accuracy": accuracy, "seconds": round(time.perf_counter() - start, 1)}


def pretrained_for(reviews: Reviews, seed: int, folder: Path, size: str, epochs: float) -> PretrainedLM:
    """The pretrained model of a size and seed, from `folder` if it is there; its metadata has the seconds."""
    path = folder / (f"{size}-{seed}" if epochs == 1 else f"{size}-epochs{epochs:g}-{seed}")
    if not path.exists():
        start = time.perf_counter()
        pretrained = gw.pretrain(reviews.texts, recipe=pretrain_recipe(size, epochs=epochs), seed=seed)
        metadata = replace(pretrained.metadata, seconds=round(time.perf_counter() - start, 1))
        replace(pretrained, metadata=metadata).save(path)
    return gw.load_pretrained(path)


def measured(model: Model, test: Labelled, validation: Labelled) -> dict[str, Any]:
    """Accuracy, loss and calibration error of a model; with n-grams also the accuracy of the network and of the n-gram
    model alone. Each part gets a scale and a shift of its own, fitted on `validation`.
    """
    result = model.evaluate(test)
    figures: dict[str, Any] = {name: getattr(result, name) for name in ("accuracy", "loss", "calibration_error")}
    lstm, ngrams = model.ensemble.lstm, model.ensemble.get("ngrams")
    if ngrams is not None:
        held_out, tested = (steps_of(model.preprocessor.encode_batch(data.inputs)) for data in (validation, test))
        labels = validation.labels[:, None].astype(np.float64)
        targets = WeightedTargets(labels, model.target.each.loss, np.ones(len(labels)))
        for name, member in (("network_accuracy", lstm), ("ngrams_accuracy", ngrams)):
            x = member.logits(held_out)[:, :, None]
            weight, shift = fit_shared_weights(x, targets, np.ones(1), 1e-8)
            positive = (weight[0] * member.logits(tested) + shift)[:, 0] > 0
            figures[name] = float((positive == (test.labels == 1)).mean())
    return figures


def _best(name: str, epochs: int) -> Row:
    what = f"recipe `best`: `large` pretrained for {epochs} epochs, unlabelled texts, adversarial training"
    return Row(name, what, "large", epochs, True, "best")


_TUNED, _STUDENT = "fine-tuned", "fine-tuned, student on unlabelled texts"
ROWS: tuple[Row, ...] = (
    Baseline("tfidf", "TF-IDF of 1- and 2-grams, logistic regression (scikit-learn)"),
    Baseline("nb-lr", "1- to 3-grams scaled by log-count ratios, logistic regression (scikit-learn)"),
    Row("tutorial", "recipe `tutorial`", recipe="tutorial"),
    Row("fast", "recipe `fast`, the default: LSTM and n-gram model", recipe="fast"),
    Row("medium", f"`medium` pretrained model, {_TUNED}", "medium"),
    Row("large", f"`large` pretrained model, {_TUNED}", "large"),
    Row("large+unlabelled", f"`large` pretrained model, {_STUDENT}", "large", 1, True),
    Row("large-2-epochs", f"`large` pretrained for 2 epochs, {_TUNED}", "large", 2),
    Row("large-2-epochs+unlabelled", f"`large` pretrained for 2 epochs, {_STUDENT}", "large", 2, True),
    _best("best", 2),
    Row("large-3-epochs", f"`large` pretrained for 3 epochs, {_TUNED}", "large", 3),
    _best("best-3-epochs", 3),
    _best("best-4-epochs", 4),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the official archive or its folder")
    names = [row.name for row in ROWS]
    parser.add_argument("--rows", nargs="+", metavar="NAME", choices=names, default=names, help=", ".join(names))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--pretrained", type=Path, default=Path("build", "pretrained"), help="pretrained models")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the reviews; write nothing")
    options = parser.parse_args()
    reviews = read(options.data, options.quick)
    folder = options.pretrained / ("quick" if options.quick else "full")
    folder.mkdir(parents=True, exist_ok=True)
    versions = {name: version(name) for name in ("numpy", "scipy", "scikit-learn", "tokenizers")}
    for row in (row for row in ROWS if row.name in options.rows):
        for seed in options.seeds[:1] if isinstance(row, Baseline) else options.seeds:
            figures = row.run(reviews, seed, folder)
            print(row.name, "seed", seed, figures, flush=True)
            if options.quick:
                continue
            about = {"machine": machine(), "threads": threads(), "date": now(), "revision": revision()}
            results = json.loads(RESULTS.read_text(encoding="utf-8"))
            results["rows"].setdefault(row.name, {})[str(seed)] = figures | about | {"versions": versions}
            RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
