"""One row of the table each: train on the reviews, measure on the test half, say how long it took."""

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
from gatewise.training.ensemble import fit_ensemble_weights
from gatewise.types import Array

__all__ = ["BASELINES", "ROWS", "Row", "linear", "pretrained_for", "trained"]


@dataclass(frozen=True)
class Row:
    """name; what it is, in a line; run(reviews, seed, folder, out) -> figures by name. folder: of the bases; out: where
    a model of ours is kept, None for nowhere.
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

    token = r"(?u)\b\w+(?:'\w+)?\b|[^\w\s]"  # as gatewise cuts texts: words and punctuation marks
    if kind == "tfidf":
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=token)
        x, z = vectorizer.fit_transform(train.inputs), vectorizer.transform(test.inputs)
        c = 10.0
    else:
        few = len(train) < 2_000  # of few texts nearly every n-gram stands in one alone
        counts = CountVectorizer(ngram_range=(1, 3), binary=True, min_df=1 if few else 2, token_pattern=token)
        x, z = counts.fit_transform(train.inputs).astype(np.float64), counts.transform(test.inputs).astype(np.float64)
        p, q = (1 + np.asarray(x[train.labels == k].sum(axis=0)).ravel() for k in (1, 0))
        ratio = np.log(p / p.sum()) - np.log(q / q.sum())
        x, z = x.multiply(ratio).tocsr(), z.multiply(ratio).tocsr()
        c = 1.0
    model = LogisticRegression(C=c, max_iter=1000, solver="liblinear", dual=True, random_state=0, tol=1e-3)
    right: NDArray[np.bool_] = model.fit(x, train.labels).predict(z) == test.labels
    return float(right.mean())


def pretrained_for(
    reviews: Reviews, seed: int, folder: Path, size: str = "large", **changes: Any
) -> tuple[PretrainedLM, float]:
    """The base of that seed and its seconds, from `folder` where it has been made there."""
    words = "-".join(f"{name}{value:g}" for name, value in sorted(changes.items()))
    path = folder / f"base-{size}{words and '-' + words}-{seed}"
    if not path.exists():
        began = time.perf_counter()
        pretrained = gw.pretrain(reviews.texts, recipe=pretrain_recipe(size, **changes), seed=seed)
        pretrained = replace(
            pretrained, metadata=replace(pretrained.metadata, seconds=round(time.perf_counter() - began, 1))
        )
        pretrained.save(path)
    pretrained = gw.load_pretrained(path)
    return pretrained, pretrained.metadata.seconds


def _baseline(kind: str) -> Callable[[Reviews, int, Path, Path | None], dict[str, Any]]:
    def run(reviews: Reviews, seed: int, folder: Path, out: Path | None) -> dict[str, Any]:
        began = time.perf_counter()
        accuracy = linear(reviews.train, reviews.test, kind)
        return {"accuracy": accuracy, "seconds": round(time.perf_counter() - began, 1)}

    return run


def trained(
    name: str,
    what: str,
    size: str | None,
    *,
    twice: bool = False,
    unlabelled: bool = False,
    recipe: str | None = None,
    **changes: Any,
) -> Row:
    """The row of a recipe of gatewise, from a base of that size that read the texts once or twice, or from nothing."""

    def run(reviews: Reviews, seed: int, folder: Path, out: Path | None) -> dict[str, Any]:
        plan = {"epochs": 2.0} if twice else {}
        pretrained, before = (None, 0.0) if size is None else pretrained_for(reviews, seed, folder, size, **plan)
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as scratch:
            target = out or Path(scratch) / "model"
            more = reviews.texts if unlabelled else None
            how: dict[str, Any] = {
                "recipe": recipe,
                "pretrained": pretrained,
                "unlabelled": more,
                "seed": seed,
            } | changes
            command = f"python -m benchmarks.accuracy --data aclImdb_v1.tar.gz --rows {name} --seeds {seed}"
            gw.train(reviews.train, out=target, command=command, **how)
            model = gw.load(target)
        seconds = time.perf_counter() - began
        _, held = split(reviews.train, 1 - named(model.metadata.recipe).validation_fraction, seed, "group")
        found = measured(model, reviews.test, reviews.train.take(held))
        return found | {"seconds": round(before + seconds, 1), "after_base": round(seconds, 1)}

    return Row(name, what, run)


def measured(model: Model, test: Labelled, held: Labelled) -> dict[str, Any]:
    """Accuracy of a model, loss and calibration error; and where n-grams stand beside its network, accuracy of each
    part alone. Folding keeps one bias for both, so each part alone is weighed anew on `held`, its validation part.
    """
    found = model.evaluate(test)
    out: dict[str, Any] = {"accuracy": found.accuracy, "loss": found.loss, "calibration_error": found.calibration_error}
    if model.ngrams is not None:
        network, ngrams = replace(model, ngrams=None), model.ngrams
        parts: dict[str, Callable[[Labelled], Array]] = {
            "network_alone": lambda data: network.logits(data.inputs),
            "ngrams_alone": lambda data: ngrams.logits(model.preprocessor.encode_batch(data.inputs)),
        }
        for name, logits in parts.items():
            weighing = fit_ensemble_weights(logits(held), None, held.labels[:, None].astype(np.float64), l2=1e-3)
            positive = weighing.network * logits(test)[:, 0] + weighing.shift[0] > 0
            out[name] = float((positive == (test.labels == 1)).mean())
    return out


BASELINES = (
    Row("tfidf12", "TF-IDF of 1- and 2-grams, logistic regression (scikit-learn)", _baseline("tfidf")),
    Row("nb13", "NB-weighted 1- to 3-grams, logistic regression (scikit-learn)", _baseline("nb")),
)
ROWS: tuple[Row, ...] = (
    *BASELINES,
    trained("tutorial", "recipe `tutorial`", None, recipe="tutorial"),
    trained("fast", "no option: recipe `fast`, n-grams beside it", None, recipe="fast"),
    trained("medium", "from a medium base: `train --pretrained`", "medium"),
    trained("large", "from a large base: `train --pretrained`", "large"),
    trained("large+texts", "the same, and texts without labels", "large", unlabelled=True),
    trained("twice", "from a large base that read the texts twice: `train --pretrained`", "large", twice=True),
    trained("twice+texts", "the same, and texts without labels", "large", twice=True, unlabelled=True),
    trained("best", "the same with the recipe `best`", "large", twice=True, unlabelled=True, recipe="best"),
)
