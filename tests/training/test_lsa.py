"""LSA: equal to a truncated SVD, reproducible, and useful."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from gatewise.training import lsa as lsa_module
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
    z = fit_lsa(sequences, 6, 2, 5, denoise=True, exclude=[], seed=0).document_vectors.astype(np.float64)
    a = matrix(sequences)
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    deviation = (a @ vt[:7].T).std(axis=0)
    factor = np.maximum(0, 1 - (deviation[6] / deviation[:6]) ** 2)  # the mean text hardly differs
    expected = u[:, :6] * s[:6] * factor
    assert z.shape == expected.shape
    # A direction's sign is free, and of two that are nearly as large any mixture is as good: the space is unique.
    np.testing.assert_allclose(np.linalg.norm(z, axis=0), s[:6] * factor, rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(np.abs((z[:, :2] * expected[:, :2]).sum(axis=0)), (s[:6] * factor)[:2] ** 2, rtol=1e-3)
    kept = u[:, :6][:, factor > 0]
    np.testing.assert_allclose(z @ np.linalg.pinv(z, rcond=1e-4), kept @ kept.T, atol=2e-2)


def test_with_as_many_components_as_texts_nothing_is_lost() -> None:
    """The distances of document vectors are those of the rows; directions without variance are 0."""
    sequences = [*texts(30), *texts(30)]
    z = fit_lsa(sequences, 60, 2, 5, exclude=[], seed=0).document_vectors.astype(np.float64)
    a = matrix(sequences)
    np.testing.assert_allclose(z @ z.T, a @ a.T, atol=1e-5)
    assert np.linalg.matrix_rank(a) == 30
    assert (np.linalg.norm(z, axis=0) > 0).sum() == 30


def test_reproducible_and_independent_of_threads() -> None:
    one, two, three = (fit_lsa(texts(80), 5, 2, 5, exclude=[], seed=3, threads=t).document_vectors for t in (1, 1, 2))
    assert one.tobytes() == two.tobytes() == three.tobytes()


def test_pieces_of_the_matrix_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of one text, some of them empty, and sums of three rows."""
    sequences = [np.zeros(0, np.int64), *texts(80), np.zeros(0, np.int64)]
    expected = fit_lsa(sequences, 5, 2, 5, exclude=[], seed=3)
    monkeypatch.setattr(lsa_module, "ENTRIES_PER_PIECE", 7)
    monkeypatch.setattr(lsa_module, "ROWS_PER_PIECE", 3)
    found = fit_lsa(sequences, 5, 2, 5, exclude=[], seed=3, threads=2)
    np.testing.assert_allclose(found.document_vectors, expected.document_vectors, atol=1e-5)
    np.testing.assert_allclose(found.components, expected.components, atol=1e-4)
    np.testing.assert_array_equal(found.norms, expected.norms)
    assert not found.document_vectors[[0, -1]].any()


def test_a_component_separates_two_topics() -> None:
    z = fit_lsa(texts(200), 3, 2, 5, exclude=[], seed=0).document_vectors
    split = z[:, 1] > np.median(z[:, 1])
    assert max((split == np.arange(200) % 2).mean(), (split != np.arange(200) % 2).mean()) > 0.95


@pytest.mark.parametrize("sequences", [[], [np.arange(3)] * 4, [np.arange(9)] * 6])
def test_degenerate_collections(sequences: list[np.ndarray]) -> None:
    """No text; too few texts with a common n-gram; six equal texts, in which log(n/df) is 0."""
    z = fit_lsa(sequences, 4, 2, 5, exclude=[], seed=0).document_vectors
    assert z.shape[0] == len(sequences)
    assert np.isfinite(z).all()
    assert not z.any()


def test_excluded_tokens_make_no_ngram() -> None:
    sequences = texts(50)
    _, s, vt = np.linalg.svd(matrix(sequences, exclude=range(8)), full_matrices=False)
    deviation = (matrix(sequences, exclude=range(8)) @ vt[:5].T).std(axis=0)
    s = s[:4] * np.maximum(0, 1 - (deviation[4] / deviation[:4]) ** 2)
    excluded, free = (
        fit_lsa(sequences, 4, 2, 5, denoise=True, exclude=some, seed=0).document_vectors for some in (range(8), [])
    )
    np.testing.assert_allclose(np.linalg.norm(excluded, axis=0), s, rtol=1e-2)
    other = np.linalg.norm(free, axis=0)
    assert np.abs(other / s - 1).max() > 0.02, "the exclusion must matter"
