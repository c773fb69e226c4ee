"""Latent directions: the truncated SVD that they claim to be, the same twice, and what they are for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from gatewise.training.lsa import latent


def texts(n: int, seed: int = 0) -> list[np.ndarray]:
    """Two subjects, words of each from its own half of 40, and words of both."""
    rng = np.random.default_rng(seed)
    return [rng.integers(20 * (i % 2), 20 * (i % 2) + 24, rng.integers(5, 30)) for i in range(n)]


def matrix(sequences: list[np.ndarray], minimum: int = 5, barred: Sequence[int] = ()) -> np.ndarray:
    """The matrix of the docstring, number by number."""
    grams = [{tuple(s[i : i + size]) for size in (1, 2) for i in range(len(s) - size + 1)} for s in sequences]
    grams = [{gram for gram in one if not set(gram) & set(barred)} for one in grams]
    held = sorted(gram for gram in set().union(*grams) if sum(gram in one for one in grams) >= minimum)
    a = np.array([[float(gram in one) for gram in held] for one in grams])
    a *= np.log(len(sequences) / a.sum(axis=0)) ** 2
    return np.asarray(a / np.linalg.norm(a, axis=1, keepdims=True))


def test_they_are_the_largest_singular_directions() -> None:
    sequences = texts(60)
    z = latent(sequences, 6, without=[], seed=0).coordinates.astype(np.float64)
    u, s, _ = np.linalg.svd(matrix(sequences), full_matrices=False)
    want = u[:, :6] * s[:6]
    assert z.shape == want.shape
    # A direction's sign is free, and of two that are nearly as large any mixture is as good: 3 and more are here.
    np.testing.assert_allclose(np.abs((z[:, :3] * want[:, :3]).sum(axis=0)), s[:3] ** 2, rtol=1e-2)
    np.testing.assert_allclose(np.linalg.norm(z, axis=0), s[:6], rtol=2e-2)


def test_the_same_twice_and_with_more_threads() -> None:
    one, two, three = (latent(texts(80), 5, without=[], seed=3, threads=t).coordinates for t in (1, 1, 2))
    assert one.tobytes() == two.tobytes()
    np.testing.assert_allclose(np.abs(one), np.abs(three), atol=1e-4)  # a direction's sign is free


def test_subjects_are_told_apart_without_labels() -> None:
    z = latent(texts(200), 3, without=[], seed=0).coordinates
    split = z[:, 1] > np.median(z[:, 1])
    assert max((split == np.arange(200) % 2).mean(), (split != np.arange(200) % 2).mean()) > 0.95


@pytest.mark.parametrize("sequences", [[], [np.arange(3)] * 4, [np.arange(9)] * 6])
def test_where_nothing_varies(sequences: list[np.ndarray]) -> None:
    """No text; too few that share an n-gram; six equal ones, whose every n-gram is in all: log(n/df) is 0."""
    z = latent(sequences, 4, without=[], seed=0).coordinates
    assert z.shape[0] == len(sequences)
    assert np.isfinite(z).all()
    assert not z.any()


def test_barred_tokens_make_no_ngram() -> None:
    sequences = texts(50)
    s = np.linalg.svd(matrix(sequences, barred=range(8)), compute_uv=False)[:4]
    barred, free = (latent(sequences, 4, without=some, seed=0).coordinates for some in (range(8), []))
    np.testing.assert_allclose(np.linalg.norm(barred, axis=0), s, rtol=1e-3)
    other = np.linalg.norm(free, axis=0)
    assert np.abs(other / s - 1).max() > 0.02, "the bar must be one that is felt"
