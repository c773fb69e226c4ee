"""The default and scikit-learn on texts: a table of the site.

Each run has a process of its own. Seconds are those of fitting and predicting, imports done: one tiny fit comes first.
CPU seconds are those of all threads. Peak memory (RSS) is that of the whole process, with imports and data.
"""

from __future__ import annotations

import resource
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.own_data.text_sets import UNTUNED, Set, sets

__all__ = ["line", "measured", "sets", "summary"]
BINS = 15  # of the calibration error
Texts = list[str]


class Prediction(NamedTuple):
    """labels (n,) of str; probabilities (n, K) in the order of `classes`, None where the model has none."""

    labels: Any
    probabilities: Any
    classes: list[str]


def tfidf_lr(train: Texts, labels: list[str], test: Texts, seed: int) -> Prediction:
    """TF-IDF of 1- and 2-grams, logistic regression, with scikit-learn's defaults."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(ngram_range=(1, 2))
    model = LogisticRegression(max_iter=1000).fit(vectorizer.fit_transform(train), labels)
    p = model.predict_proba(vectorizer.transform(test))
    return Prediction(model.classes_[p.argmax(axis=1)], p, model.classes_.tolist())


def linear_svc(train: Texts, labels: list[str], test: Texts, seed: int) -> Prediction:
    """TF-IDF of words with log counts, LinearSVC."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    vectorizer = TfidfVectorizer(sublinear_tf=True)
    model = LinearSVC(random_state=seed).fit(vectorizer.fit_transform(train), labels)
    return Prediction(model.predict(vectorizer.transform(test)), None, model.classes_.tolist())


def nb_svm(train: Texts, labels: list[str], test: Texts, seed: int) -> Prediction:
    """NB-SVM on 1- and 2-grams (Wang & Manning 2012): presence scaled by log-count ratios, a linear SVM with C = 1 per
    class, its weights interpolated with their mean size by beta = 0.25.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.svm import LinearSVC

    vectorizer = CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=r"\w+|[^\w\s]+", dtype=np.float64)
    x, query, y = vectorizer.fit_transform(train), vectorizer.transform(test), np.array(labels)
    classes = np.unique(y)
    scores = []
    for one in classes[1:] if len(classes) == 2 else classes:
        p, q = 1 + x[y == one].sum(axis=0).A1, 1 + x[y != one].sum(axis=0).A1
        ratio = np.log(p / p.sum()) - np.log(q / q.sum())
        svm = LinearSVC(random_state=seed).fit(x.multiply(ratio).tocsr(), y == one)
        weight = 0.75 * np.abs(svm.coef_[0]).mean() + 0.25 * svm.coef_[0]
        scores.append(query @ (ratio * weight) + svm.intercept_[0])
    score = np.stack(scores, axis=1)
    chosen = (score[:, 0] > 0).astype(int) if len(classes) == 2 else score.argmax(axis=1)
    return Prediction(classes[chosen], None, classes.tolist())


def gatewise(train: Texts, labels: list[str], test: Texts, seed: int) -> Prediction:
    """`gw.train` as it comes, and `model.predict_proba`."""
    import gatewise as gw

    model = gw.train(train, labels, seed=seed)
    p = model.predict_proba(test)
    return Prediction(np.array(model.classes)[p.argmax(axis=1)], p, [str(name) for name in model.classes])


CONTENDERS: dict[str, Callable[[Texts, list[str], Texts, int], Prediction]] = {
    "tfidf-lr": tfidf_lr,
    "nb-svm": nb_svm,
    "linear-svc": linear_svc,
    "gatewise": gatewise,
}
SEEDLESS = ("tfidf-lr", "nb-svm", "linear-svc")  # convex: measured once


def figures(truth: list[str], found: list[Prediction]) -> dict[str, float]:
    """Of the predictions of all cuts: accuracy, macro F1, and where all have probabilities of the same classes log loss
    and expected calibration error (Guo et al. 2017). A label that the model has no class for counts 1e-15.
    """
    from sklearn.metrics import f1_score

    actual, predicted = np.array(truth), np.concatenate([one.labels for one in found])
    right = actual == predicted
    out = {"accuracy": float(right.mean()), "macro_f1": float(f1_score(actual, predicted, average="macro"))}
    classes = found[0].classes
    if any(one.probabilities is None or one.classes != classes for one in found):
        return out
    p = np.concatenate([one.probabilities for one in found]).astype(np.float64)
    places = {name: column for column, name in enumerate(classes)}
    of_truth = [p[row, places[name]] if name in places else 0.0 for row, name in enumerate(truth)]
    top = p.max(axis=1)
    gaps = np.bincount(np.minimum((top * BINS).astype(int), BINS - 1), weights=top - right, minlength=BINS)
    out["log_loss"] = float(-np.log(np.maximum(of_truth, 1e-15)).mean())
    return out | {"calibration_error": float(np.abs(gaps).sum() / len(top))}


def run(given: Set, contender: str, seed: int) -> dict[str, Any]:
    """Fit and predict in this process, which does nothing else."""
    cuts, fit = given.load(), CONTENDERS[contender]
    warnings.simplefilter("ignore")
    few = [f"{word} {n % 7} apple" for n in range(30) for word in ("good", "bad")]
    fit(few, ["a", "b"] * 30, few, 0)
    began, began_cpu = time.perf_counter(), time.process_time()
    found = [fit(*cut.train, cut.test[0], seed) for cut in cuts]
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
    truth = [label for cut in cuts for label in cut.test[1]]
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, kilobytes on Linux
    return figures(truth, found) | {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20),
        "train": sum(len(cut.train[0]) for cut in cuts) // len(cuts),
        "test": len(truth),
        "classes": len(found[0].classes),
    }


def measured(given: Set, seeds: int, peers: Path | None) -> dict[str, Any]:
    """By contender, means over the seeds."""
    results: dict[str, Any] = {}
    for contender in CONTENDERS if peers else ["gatewise"]:
        runs = []
        for seed in range(1 if contender in SEEDLESS else seeds):
            with ProcessPoolExecutor(1, get_context("spawn")) as process:
                runs.append(process.submit(run, given, contender, seed).result())
        mean = {key: round(float(np.mean([one[key] for one in runs])), 4) for key in runs[0]}
        results[contender] = mean | {"accuracy_per_seed": [one["accuracy"] for one in runs]}
    return results | {"versions": {name: version(name) for name in ("numpy", "scikit-learn", "tokenizers")}}


def line(name: str, result: dict[str, Any]) -> str:
    """The row of the table."""
    own, peer = result["gatewise"], result.get("tfidf-lr")
    cells = [name + " *" * (name in UNTUNED), f"{own['train']:,.0f}", f"{own['classes']:.0f}"]
    cells += [f"{own['accuracy']:.4f}", f"{own['macro_f1']:.4f}", f"{own['calibration_error']:.3f}"]
    cells += [f"{result[other]['accuracy']:.4f}" if other in result else "" for other in SEEDLESS]
    cells.append(f"{own['seconds']:.1f}" + (f" ({own['seconds'] / peer['seconds']:.1f}x)" if peer else ""))
    cells.append(f"{own['peak_mb']:,.0f}")
    return f"| {' | '.join(cells)} |"


def summary(results: dict[str, Any]) -> str:
    """The table of all sets."""
    head = "rows | classes | gatewise | macro F1 | calibration error | TF-IDF + LR | NB-SVM | LinearSVC | s | peak MB"
    rows = [line(name, one) for name, one in results.items()]
    return "\n".join([f"| data set | {head} |", "|---|" + "---:|" * (head.count("|") + 1), *rows])
