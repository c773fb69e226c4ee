"""The rows of the table: each trains on the reviews and measures accuracy on the test half, and time."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gatewise as gw
from benchmarks.accuracy.data import Reviews
from gatewise.data import Labelled, split
from gatewise.model.model import Model
from gatewise.model.pretrained import PretrainedLM
from gatewise.training import pretrain_recipe
from gatewise.training import recipe as named
from gatewise.training.stack import fit_weights
from gatewise.types import Array


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
        few = len(train) < 2_000  # in few texts nearly every n-gram occurs once
        counts = CountVectorizer(ngram_range=(1, 3), binary=True, min_df=1 if few else 2, token_pattern=token)
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
    trained(
        "large+unlabelled",
        "`large` pretrained model, fine-tuned, student on unlabelled texts",
        "large",
        unlabelled=True,
    ),
    trained("large-2-epochs", "`large` pretrained for 2 epochs, fine-tuned", "large", pretrain_epochs=2),
    trained(
        "large-2-epochs+unlabelled",
        "`large` pretrained for 2 epochs, fine-tuned, student on unlabelled texts",
        "large",
        pretrain_epochs=2,
        unlabelled=True,
    ),
    trained(
        "best",
        "recipe `best`: `large` pretrained for 2 epochs, unlabelled texts, adversarial training",
        "large",
        pretrain_epochs=2,
        unlabelled=True,
        recipe="best",
    ),
    trained("large-3-epochs", "`large` pretrained for 3 epochs, fine-tuned", "large", pretrain_epochs=3),
    trained(
        "best-3-epochs",
        "recipe `best`: `large` pretrained for 3 epochs, unlabelled texts, adversarial training",
        "large",
        pretrain_epochs=3,
        unlabelled=True,
        recipe="best",
    ),
    trained(
        "best-4-epochs",
        "recipe `best`: `large` pretrained for 4 epochs, unlabelled texts, adversarial training",
        "large",
        pretrain_epochs=4,
        unlabelled=True,
        recipe="best",
    ),
)
