"""LSA: equal to a truncated SVD, reproducible, and useful."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from gatewise.training.lsa import fit_lsa


def texts(n: int, seed: int = 0) -> list[np.ndarray]:
    """Two topics, with words of their own and common ones."""
    rng = np.random.default_rng(seed)
    return [rng.integers(20 * (i % 2), 20 * (i % 2) + 24, rng.integers(5, 30)) for i in range(n)]


def matrix(sequences: list[np.ndarray], min_df: int = 5, exclude: Sequence[int] = ()) -> np.ndarray:
    """The matrix of the module's docstring, entry by entry."""
    grams = [{tuple(s[i : i + size]) for size in (1, 2) for i in range(len(s) - size + 1)} for s in sequences]
    grams = [{gram for gram in one if not set(gram) & set(exclude)} for one in grams]
    terms = sorted(gram for gram in set().union(*grams) if sum(gram in one for one in grams) >= min_df)
    a = np.array([[float(gram in one) for gram in terms] for one in grams])
    a *= np.log(len(sequences) / a.sum(axis=0)) ** 2
    return np.asarray(a / np.linalg.norm(a, axis=1, keepdims=True))


def test_document_vectors_are_those_of_the_truncated_svd() -> None:
    sequences = texts(60)
    z = fit_lsa(sequences, 6, exclude=[], seed=0).document_vectors.astype(np.float64)
    u, s, _ = np.linalg.svd(matrix(sequences), full_matrices=False)
    expected = u[:, :6] * s[:6]
    assert z.shape == expected.shape
    # A direction's sign is free, and of two that are nearly as large any mixture is as good: 3 and more are here.
    np.testing.assert_allclose(np.abs((z[:, :3] * expected[:, :3]).sum(axis=0)), s[:3] ** 2, rtol=1e-2)
    np.testing.assert_allclose(np.linalg.norm(z, axis=0), s[:6], rtol=2e-2)


def test_reproducible_and_independent_of_threads() -> None:
    one, two, three = (fit_lsa(texts(80), 5, exclude=[], seed=3, threads=t).document_vectors for t in (1, 1, 2))
    assert one.tobytes() == two.tobytes()
    np.testing.assert_allclose(np.abs(one), np.abs(three), atol=1e-4)  # a direction's sign is free


def test_a_component_separates_two_topics() -> None:
    z = fit_lsa(texts(200), 3, exclude=[], seed=0).document_vectors
    split = z[:, 1] > np.median(z[:, 1])
    assert max((split == np.arange(200) % 2).mean(), (split != np.arange(200) % 2).mean()) > 0.95


@pytest.mark.parametrize("sequences", [[], [np.arange(3)] * 4, [np.arange(9)] * 6])
def test_degenerate_collections(sequences: list[np.ndarray]) -> None:
    """No text; too few texts with a common n-gram; six equal texts, in which log(n/df) is 0."""
    z = fit_lsa(sequences, 4, exclude=[], seed=0).document_vectors
    assert z.shape[0] == len(sequences)
    assert np.isfinite(z).all()
    assert not z.any()


def test_excluded_tokens_make_no_ngram() -> None:
    sequences = texts(50)
    s = np.linalg.svd(matrix(sequences, exclude=range(8)), compute_uv=False)[:4]
    excluded, free = (fit_lsa(sequences, 4, exclude=some, seed=0).document_vectors for some in (range(8), []))
    np.testing.assert_allclose(np.linalg.norm(excluded, axis=0), s, rtol=1e-3)
    other = np.linalg.norm(free, axis=0)
    assert np.abs(other / s - 1).max() > 0.02, "the exclusion must matter"
