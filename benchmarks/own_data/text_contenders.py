"""What is compared on texts. A contender fits on texts and labels and predicts other texts: labels, and probabilities
(n, K) with their classes or None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

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
    """`gw.train` as it comes, `model.predict` and `model.predict_proba`."""
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
