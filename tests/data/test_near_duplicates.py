"""Near-duplicates equal a count of shingles by hand, on rows that were edited a little, much, and not at all."""

import numpy as np
import pytest

from gatewise.data.near_duplicates import WORDS, near_duplicates


def by_hand(one: np.ndarray, other: np.ndarray, unknown: int | None) -> bool:
    sets = []
    for tokens in (one.tolist(), other.tolist()):
        tokens = tokens + [-1] * (WORDS - len(tokens)) if tokens else []
        triples = {tuple(tokens[n : n + WORDS]) for n in range(len(tokens) - WORDS + 1)}
        sets.append({triple for triple in triples if unknown not in triple})
    return bool(sets[0]) and 2 * len(sets[0] & sets[1]) > max(map(len, sets))


@pytest.mark.parametrize("unknown", [None, 1])
def test_the_count_is_that_of_all_pairs(unknown: int | None) -> None:
    rng = np.random.default_rng(4)
    sequences = [rng.integers(1, 9, rng.integers(0, 14)) for _ in range(60)]
    for n in range(60, 120):  # some words of an earlier row changed, left out or added
        row = sequences[int(rng.integers(0, 60))].copy()
        row[rng.random(len(row)) < rng.choice([0.0, 0.1, 0.4])] = n
        sequences.append(np.concatenate([row, rng.integers(1, 9, rng.integers(0, 4))]))
    order = rng.permutation(120)
    among, of = order[:70], order[70:]
    compared, found = near_duplicates(sequences, among, of, unknown)
    has_shingle = [row for row in of if by_hand(sequences[row], sequences[row], unknown)]
    expected = sum(any(by_hand(sequences[a], sequences[b], unknown) for b in among) for a in has_shingle)
    assert 0 < expected < len(has_shingle)
    assert (compared, found) == (len(has_shingle), expected)


def test_many_rows_are_sampled_and_a_shared_template_is_found() -> None:
    rng = np.random.default_rng(5)
    templates = rng.integers(2, 5_000, (3, 30))
    sequences = [np.append(templates[n % 3], rng.integers(2, 5_000, 5)) for n in range(900)]
    sequences += [rng.integers(2, 5_000, 30) for _ in range(900)]
    of = np.concatenate([np.arange(0, 200), np.arange(900, 1100)])
    among = np.setdiff1d(np.arange(1800), of)
    assert near_duplicates(sequences, among, of, most=40) == (40, 20)
    assert near_duplicates(sequences, among, of[200:], most=40) == (40, 0)
    assert near_duplicates([np.zeros(0, dtype=np.int32)] * 4, np.arange(2), np.arange(2, 4)) == (0, 0)
