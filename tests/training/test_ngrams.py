"""The fit of the n-gram model: equal to scikit-learn's, soft targets, sample weights, selection."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.kernels.ragged import Ragged
from gatewise.members.ngrams import Ngrams, keys_of
from gatewise.training import linear_solver
from gatewise.training.ngrams import NgramFeatures, fit_ngrams
from tests.members.ngram_keys import tokens_of

ROWS = 30


def made(n: int, classes: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """n sequences of 0 to 30 tokens; each class has frequent tokens of its own, and one pair in a fixed order."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    sequences = []
    for label in labels:
        tokens = rng.integers(2, ROWS, int(rng.integers(0, 30)))
        liked = np.array([5 + label, 9, 4 - label % 2])
        sequences.append(np.concatenate([tokens, liked, tokens[:3]]).astype(np.int32))
    labels = np.where(rng.random(n) < 0.15, rng.integers(0, classes, n), labels)
    return sequences, labels


def features(sequences: list[np.ndarray], minimum: int, without: tuple[int, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Keys and presence (n, K), by sets in plain Python."""
    sets = [{int(k) for keys, _ in keys_of(Ragged.of([s]), 3) for k in keys} for s in sequences]
    counts: dict[int, int] = {}
    for one in sets:
        for key in one:
            counts[key] = counts.get(key, 0) + 1
    keys = sorted(k for k, c in counts.items() if c >= minimum and not set(tokens_of(k)) & set(without))
    return np.array(keys), np.array([[key in one for key in keys] for one in sets], dtype=float)


def ratio(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The log-count ratio (K,) of presence x (n, K), class probability y (n,)."""
    p, q = 1 + (counts * y) @ x, 1 + (counts * (1 - y)) @ x
    return np.log(p / p.sum()) - np.log(q / q.sum())


def test_two_classes_against_scikit_learn() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    sequences, labels = made(300, 2, 1)
    fitted = fit_ngrams(sequences, labels, 2, min_df=3, l2=0.7, exclude=(3,), tol=1e-9, max_iter=2000)
    keys, x = features(sequences, 3, (3,))
    np.testing.assert_array_equal(fitted.ngrams.keys, keys)
    r = ratio(x, labels, np.ones(300))
    theirs = linear.LogisticRegression(C=1 / 0.7, tol=1e-10, max_iter=10_000).fit(x * r, labels)
    np.testing.assert_allclose(fitted.ngrams.weight[:, 0], theirs.coef_[0] * r, atol=1e-3, rtol=1e-3)
    np.testing.assert_allclose(fitted.bias, theirs.intercept_, atol=1e-3, rtol=1e-3)
    logits = fitted.ngrams.logits(sequences)[:, 0] + fitted.bias
    np.testing.assert_allclose(logits, theirs.decision_function(x * r), atol=1e-3, rtol=1e-3)


def test_sample_weights_equal_copies() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    sequences, labels = made(200, 2, 2)
    counts = np.random.default_rng(3).uniform(0, 2, 200)
    fitted = fit_ngrams(sequences, labels, 2, sample_weight=counts, l2=1.0, tol=1e-9, max_iter=2000)
    _, x = features(sequences, 2)
    r = ratio(x, labels, counts)
    theirs = linear.LogisticRegression(tol=1e-10, max_iter=10_000).fit(x * r, labels, counts)
    np.testing.assert_allclose(fitted.ngrams.weight[:, 0], theirs.coef_[0] * r, atol=1e-3, rtol=1e-3)


def test_soft_targets_equal_weighted_labels() -> None:
    """A text that is class 1 with probability p is p of a text of class 1 and 1 - p of one of class 0."""
    linear = pytest.importorskip("sklearn.linear_model")
    sequences, _ = made(150, 2, 4)
    p = np.random.default_rng(5).random(150)
    fitted = fit_ngrams(sequences, p[:, None], 2, l2=1.0, tol=1e-9, max_iter=2000)
    _, x = features(sequences, 2)
    r = ratio(x, p, np.ones(150))
    both = np.concatenate([x, x]) * r
    labels = np.repeat([1, 0], 150)
    theirs = linear.LogisticRegression(tol=1e-10, max_iter=10_000).fit(both, labels, np.concatenate([p, 1 - p]))
    np.testing.assert_allclose(fitted.ngrams.weight[:, 0], theirs.coef_[0] * r, atol=1e-3, rtol=1e-3)
    np.testing.assert_allclose(fitted.bias, theirs.intercept_, atol=1e-3, rtol=1e-3)


def test_each_of_three_classes_is_at_the_optimum_of_its_logistic_regression() -> None:
    """The gradient in float64 is 0 there, and the loss is convex."""
    sequences, labels = made(240, 3, 6)
    l2 = 0.5
    fitted = fit_ngrams(sequences, labels, 3, l2=l2, tol=1e-9, max_iter=2000)
    keys, x = features(sequences, 2)
    y = np.eye(3)[labels]
    r = np.stack([ratio(x, y[:, k], np.ones(240)) for k in range(3)], axis=1)  # (K, 3)
    assert fitted.ngrams.weight.shape == (len(keys), 3)
    w = fitted.ngrams.weight / r
    z = np.stack([(x * r[:, k]) @ w[:, k] for k in range(3)], axis=1) + fitted.bias
    p = 1 / (1 + np.exp(-z))
    slope = np.stack([(x * r[:, k]).T @ (p - y)[:, k] for k in range(3)], axis=1) + l2 * w
    assert np.abs(slope).max() < 2e-2 < 0.01 * np.abs(x.T @ (1 / 3 - y)).max()
    assert np.abs((p - y).sum(axis=0)).max() < 2e-2


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("extension", [True, False])
def test_tfidf_against_linear_svc(classes: int, extension: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machines of unit rows equal scikit-learn's, by dual coordinate descent and by Newton's method."""
    svm = pytest.importorskip("sklearn.svm")
    monkeypatch.setattr(linear_solver, "PASS_TOLERANCE", 1e-6)
    monkeypatch.setattr(linear_solver, "MAX_PASSES", 3000)
    if not extension:
        monkeypatch.setattr(linear_solver, "_machines", lambda *given: None)
    sequences, labels = made(200, classes, 11)
    fitted = fit_ngrams(sequences, labels, classes, scaling="tfidf", tol=1e-6)
    keys, x = features(sequences, 2)
    counts = [
        np.unique(np.concatenate([k for k, _ in keys_of(Ragged.of([s]), 3)]), return_counts=True) for s in sequences
    ]
    tf = np.array([[1 + np.log(dict(zip(*c, strict=True)).get(k, 1)) for k in keys] for c in counts])
    columns = [labels == k for k in range(classes)][-1 if classes == 2 else 0 :]
    ratios = np.max([np.abs(ratio(x, y.astype(float), np.ones(200))) for y in columns], axis=0)
    scaled = x * tf * ratios * (1 + np.log(201 / (1 + x.sum(axis=0))))
    scaled /= np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-12)
    for k, y in enumerate(columns):
        theirs = svm.LinearSVC(tol=1e-8, max_iter=100_000).fit(scaled, y)
        np.testing.assert_allclose(fitted.logits(sequences)[:, k], theirs.decision_function(scaled), atol=2e-3)
    found = NgramFeatures.of(sequences, 3, 2)
    np.testing.assert_allclose(found.logits(fitted, np.arange(200)), fitted.logits(sequences), atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_reproducible(threads: int) -> None:
    sequences, labels = made(400, 3, 8)
    one, two = (fit_ngrams(sequences, labels, 3, threads=threads) for _ in range(2))
    assert one.ngrams.weight.tobytes() == two.ngrams.weight.tobytes()
    assert one.bias.tobytes() == two.bias.tobytes()


def test_no_ngram_in_two_texts() -> None:
    fitted = fit_ngrams([np.array([1, 2]), np.array([3, 4])], np.array([0, 1]), 2)
    assert len(fitted.ngrams) == 0
    assert fitted.bias.tolist() == [0]


def test_excluded_tokens_make_no_ngram() -> None:
    sequences, labels = made(100, 2, 9)
    ngrams: Ngrams = fit_ngrams(sequences, labels, 2, exclude=(5, 9)).ngrams
    assert len(ngrams) > 50
    assert not any({5, 9} & set(tokens_of(int(key))) for key in ngrams.keys)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"order": 4}, "order must be from 1 to 3"),
        ({"l2": 0.0}, "l2 above 0"),
        ({"min_df": 0}, "min_df at least 1"),
        ({"sample_weight": np.full(10, np.nan)}, "finite"),
        ({"sample_weight": np.ones(9)}, "10 texts, 10 labels, 9 weights"),
        ({"labels": np.full(10, 2)}, "from 0 to 1"),
        ({"labels": np.full((10, 2), 0.5)}, r"probabilities \(n, 1\)"),
        ({"labels": np.full((10, 1), 1.5)}, r"probabilities \(n, 1\)"),
        ({"labels": np.zeros(7, int)}, "10 texts, 7 labels"),
    ],
)
def test_refused(changes: dict[str, Any], message: str) -> None:
    sequences, labels = made(10, 2, 10)
    given = {"labels": labels, **changes}
    with pytest.raises(InputError, match=message):
        fit_ngrams(sequences, given.pop("labels"), 2, **given)
