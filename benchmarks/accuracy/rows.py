"""The reviews, and the rows of the table, which train on the reviews and measure time and accuracy on the test half."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gatewise as gw
from gatewise.data import Labelled, Splits, Unlabelled, imdb, imdb_texts, split
from gatewise.model.model import Model
from gatewise.model.pretrained import PretrainedLM
from gatewise.training import pretrain_recipe
from gatewise.training import recipe as named
from gatewise.training.stack import fit_weights
from gatewise.types import Array


@dataclass(frozen=True, eq=False)
class Reviews:
    """path: the official archive of IMDB or its folder. part: fraction of the training reviews."""

    path: Path
    part: float = 1.0

    @cached_property
    def splits(self) -> Splits:
        return imdb(self.path, progress=False, download=False)

    @cached_property
    def train(self) -> Labelled:
        """The train half, or whole films of it."""
        whole = self.splits.train
        if self.part >= 1:
            return whole
        films = np.unique(whole.groups)
        kept = np.random.default_rng(0).permutation(films)[: max(2, int(self.part * len(films)))]
        return whole.take(np.isin(whole.groups, kept))

    @cached_property
    def test(self) -> Labelled:
        assert self.splits.test is not None, "the accuracy rows need the official archive, which has a test half"
        return self.splits.test

    @cached_property
    def texts(self) -> Unlabelled:
        """The unlabelled texts: nothing of the test half."""
        found = imdb_texts(self.path, progress=False, download=False)
        if self.part >= 1:
            return found
        texts = found.texts[:: round(1 / self.part)]
        return Unlabelled(texts, f"every {round(1 / self.part)}th of {found.source}")


@dataclass(frozen=True)
class Row:
    """name; what: the row in a line; run(reviews, seed, folder, out) -> figures by name. folder: of pretrained models;
    out: where gatewise's model is saved, None for nowhere.
    """

    name: str
    what: str
    run: Callable[[Reviews, int, Path, Path | None], dict[str, Any]]


def linear(train: Labelled, test: Labelled, kind: str) -> float:
    """Accuracy of scikit-learn's logistic regression over word n-grams: "tfidf" (1,2), or "nb" (1,3), binary and scaled
    by the log-count ratio (Wang & Manning 2012).
    """
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    token = r"(?u)\b\w+(?:'\w+)?\b|[^\w\s]"  # gatewise's tokens: words and punctuation marks
    if kind == "tfidf":
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=token)
        x, z = vectorizer.fit_transform(train.inputs), vectorizer.transform(test.inputs)
        c = 10.0
    else:
        counts = CountVectorizer(ngram_range=(1, 3), binary=True, min_df=2, token_pattern=token)
        x, z = counts.fit_transform(train.inputs).astype(np.float64), counts.transform(test.inputs).astype(np.float64)
        p, q = (1 + np.asarray(x[train.labels == k].sum(axis=0)).ravel() for k in (1, 0))
        ratio = np.log(p / p.sum()) - np.log(q / q.sum())
        x, z = x.multiply(ratio).tocsr(), z.multiply(ratio).tocsr()
        c = 1.0
    model = LogisticRegression(C=c, max_iter=1000, solver="liblinear", dual=True, random_state=0, tol=1e-3)
    correct: NDArray[np.bool_] = model.fit(x, train.labels).predict(z) == test.labels
    return float(correct.mean())


def pretrained_for(
    reviews: Reviews, seed: int, folder: Path, size: str = "large", **changes: Any
) -> tuple[PretrainedLM, float]:
    """The pretrained model of a size and seed, from `folder` if it is there, and the seconds that pretraining took."""
    suffix = "".join(f"-{name}{value:g}" for name, value in sorted(changes.items()))
    path = folder / f"{size}{suffix}-{seed}"
    if not path.exists():
        start = time.perf_counter()
        pretrained = gw.pretrain(reviews.texts, recipe=pretrain_recipe(size, **changes), seed=seed)
        metadata = replace(pretrained.metadata, seconds=round(time.perf_counter() - start, 1))
        replace(pretrained, metadata=metadata).save(path)
    pretrained = gw.load_pretrained(path)
    return pretrained, pretrained.metadata.seconds


def _baseline(kind: str) -> Callable[[Reviews, int, Path, Path | None], dict[str, Any]]:
    def run(reviews: Reviews, seed: int, folder: Path, out: Path | None) -> dict[str, Any]:
        start = time.perf_counter()
        accuracy = linear(reviews.train, reviews.test, kind)
        return {"accuracy": accuracy, "seconds": round(time.perf_counter() - start, 1)}

    return run


def trained(
    name: str,
    what: str,
    size: str | None,
    *,
    pretrain_epochs: float = 1.0,
    unlabelled: bool = False,
    recipe: str | None = None,
    **changes: Any,
) -> Row:
    """The row of a recipe of gatewise with a pretrained model of a size, or without one. changes: of the recipe."""

    def run(reviews: Reviews, seed: int, folder: Path, out: Path | None) -> dict[str, Any]:
        pretrain_changes = {"epochs": pretrain_epochs} if pretrain_epochs != 1 else {}
        pretrained, pretrain_seconds = None, 0.0
        if size is not None:
            pretrained, pretrain_seconds = pretrained_for(reviews, seed, folder, size, **pretrain_changes)
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as scratch:
            target = out or Path(scratch) / "model"
            gw.train(
                reviews.train,
                recipe=recipe,
                pretrained=pretrained,
                unlabelled=reviews.texts if unlabelled else None,
                seed=seed,
                out=target,
                overwrite=True,
                command=f"python -m benchmarks.accuracy --data aclImdb_v1.tar.gz --rows {name} --seeds {seed}",
                **changes,
            )
            model = gw.load(target)
        train_seconds = time.perf_counter() - start
        _, rows = split(reviews.train, 1 - named(model.metadata.recipe).validation.fraction, seed, "group")
        seconds = {"seconds": round(pretrain_seconds + train_seconds, 1), "train_seconds": round(train_seconds, 1)}
        return measured(model, reviews.test, reviews.train.take(rows)) | seconds

    return Row(name, what, run)


def measured(model: Model, test: Labelled, validation: Labelled) -> dict[str, Any]:
    """Accuracy, loss and calibration error of a model; with n-grams also the accuracy of the network and of the n-gram
    model alone. Each part gets a scale and a shift of its own, fitted on `validation`.
    """
    result = model.evaluate(test)
    figures: dict[str, Any] = {
        "accuracy": result.accuracy,
        "loss": result.loss,
        "calibration_error": result.calibration_error,
    }
    lstm, ngrams = model.ensemble.lstm, model.ensemble.get("ngrams")
    if ngrams is not None:
        parts: dict[str, Callable[[Labelled], Array]] = {
            "network_accuracy": lambda data: lstm.logits(model.preprocessor.encode_batch(data.inputs)),
            "ngrams_accuracy": lambda data: ngrams.logits(model.preprocessor.encode_batch(data.inputs)),
        }
        for name, logits in parts.items():
            targets = validation.labels[:, None].astype(np.float64)
            weight, shift = fit_weights(logits(validation)[:, :, None], targets, np.ones(1), 1e-8, 1e-8)
            positive = (weight[0] * logits(test) + shift)[:, 0] > 0
            figures[name] = float((positive == (test.labels == 1)).mean())
    return figures


def _student(name: str, epochs: int) -> Row:
    pretrained = "`large` pretrained model" if epochs == 1 else f"`large` pretrained for {epochs} epochs"
    what = f"{pretrained}, fine-tuned, student on unlabelled texts"
    return trained(f"{name}+unlabelled", what, "large", pretrain_epochs=epochs, unlabelled=True)


def _best(name: str, epochs: int) -> Row:
    what = f"recipe `best`: `large` pretrained for {epochs} epochs, unlabelled texts, adversarial training"
    return trained(name, what, "large", pretrain_epochs=epochs, unlabelled=True, recipe="best")


BASELINES = (
    Row("tfidf", "TF-IDF of 1- and 2-grams, logistic regression (scikit-learn)", _baseline("tfidf")),
    Row("nb-lr", "1- to 3-grams scaled by log-count ratios, logistic regression (scikit-learn)", _baseline("nb")),
)
ROWS: tuple[Row, ...] = (
    *BASELINES,
    trained("tutorial", "recipe `tutorial`", None, recipe="tutorial"),
    trained("fast", "recipe `fast`, the default: LSTM and n-gram model", None, recipe="fast"),
    trained("medium", "`medium` pretrained model, fine-tuned", "medium"),
    trained("large", "`large` pretrained model, fine-tuned", "large"),
    _student("large", 1),
    trained("large-2-epochs", "`large` pretrained for 2 epochs, fine-tuned", "large", pretrain_epochs=2),
    _student("large-2-epochs", 2),
    _best("best", 2),
    trained("large-3-epochs", "`large` pretrained for 3 epochs, fine-tuned", "large", pretrain_epochs=3),
    _best("best-3-epochs", 3),
    _best("best-4-epochs", 4),
)
