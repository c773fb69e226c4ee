"""LSA: equal to a truncated SVD, reproducible, and useful."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from gatewise.training import unlabelled as module
from gatewise.training.members.ngrams import NgramFeatures
from gatewise.training.unlabelled import LSA, fit_lsa


def texts(n: int, seed: int = 0) -> list[np.ndarray]:
    """Two topics, with words of their own and common ones."""
    rng = np.random.default_rng(seed)
    return [rng.integers(20 * (i % 2), 20 * (i % 2) + 24, rng.integers(5, 30)) for i in range(n)]


def lsa_of(sequences: list[np.ndarray], components: int, exclude: Sequence[int] = (), **options: Any) -> LSA:
    """Of the words and word pairs in at least five texts."""
    return fit_lsa(NgramFeatures.of(sequences, 2, 5, exclude), components, **{"seed": 0, **options})


def matrix(sequences: list[np.ndarray], min_df: int = 5, exclude: Sequence[int] = ()) -> np.ndarray:
    """The matrix of the module's docstring, entry by entry."""
    grams = [{tuple(s[i : i + size]) for size in (1, 2) for i in range(len(s) - size + 1)} for s in sequences]
    grams = [{gram for gram in one if not set(gram) & set(exclude)} for one in grams]
    terms = sorted(gram for gram in set().union(*grams) if sum(gram in one for one in grams) >= min_df)
    a = np.array([[float(gram in one) for gram in terms] for one in grams])
    a *= np.log(len(sequences) / a.sum(axis=0)) ** 2
    return np.asarray(a / np.linalg.norm(a, axis=1, keepdims=True))


@pytest.mark.parametrize("exclude", [(), range(8)], ids=["all tokens", "without eight tokens"])
def test_document_vectors_are_those_of_the_truncated_svd(exclude: Sequence[int]) -> None:
    sequences = texts(60)
    z = lsa_of(sequences, 6, exclude, denoise=True).document_vectors.astype(np.float64)
    a = matrix(sequences, exclude=exclude)
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
    z = lsa_of(sequences, 60).document_vectors.astype(np.float64)
    a = matrix(sequences)
    np.testing.assert_allclose(z @ z.T, a @ a.T, atol=1e-5)
    assert np.linalg.matrix_rank(a) == 30
    assert (np.linalg.norm(z, axis=0) > 0).sum() == 30


def test_reproducible_and_independent_of_threads() -> None:
    one, two, three = (lsa_of(texts(80), 5, seed=3, threads=t).document_vectors for t in (1, 1, 2))
    assert one.tobytes() == two.tobytes() == three.tobytes()


def test_pieces_of_the_matrix_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of one text, some of them empty, and sums of three rows."""
    sequences = [np.zeros(0, np.int64), *texts(80), np.zeros(0, np.int64)]
    expected = lsa_of(sequences, 5, seed=3)
    monkeypatch.setattr(module, "ENTRIES_PER_PIECE", 7)
    monkeypatch.setattr(module, "ROWS_PER_PIECE", 3)
    found = lsa_of(sequences, 5, seed=3, threads=2)
    np.testing.assert_allclose(found.document_vectors, expected.document_vectors, atol=1e-5)
    np.testing.assert_allclose(found.components, expected.components, atol=1e-4)
    np.testing.assert_array_equal(found.norms, expected.norms)
    assert not found.document_vectors[[0, -1]].any()


def test_a_component_separates_two_topics() -> None:
    z = lsa_of(texts(200), 3).document_vectors
    split = z[:, 1] > np.median(z[:, 1])
    assert max((split == np.arange(200) % 2).mean(), (split != np.arange(200) % 2).mean()) > 0.95


def test_equal_texts_have_no_directions() -> None:
    """log(n/df) is 0."""
    z = lsa_of([np.arange(9)] * 6, 4).document_vectors
    assert z.shape[0] == 6
    assert not z.any()
