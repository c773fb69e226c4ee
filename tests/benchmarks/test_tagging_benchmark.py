"""The sets and the figures of the benchmark of taggers."""

import re

import numpy as np
import pytest

from benchmarks.own_data.tagging import arrays_of, figures, in_iob2
from benchmarks.own_data.tagging_sets import SETS
from gatewise.data.labels import convert_labels


@pytest.mark.parametrize("name", ["products", "logs"])
def test_made_rows_are_the_same_in_each_call_and_no_row_is_on_two_sides(name: str) -> None:
    first, second = SETS[name].cut(), SETS[name].cut()
    assert first == second
    tuning = SETS[name].cut(tune=True)
    sides = [{tuple(words) for words, _ in rows} for rows in (first.test, tuning.train, tuning.test)]
    assert all(len(side) > 800 for side in sides)
    assert sum(map(len, sides)) == len(set().union(*sides))
    train = {tuple(words) for words, _ in first.train}
    assert sides[1] | sides[2] <= train


@pytest.mark.parametrize("name", ["products", "logs"])
def test_words_of_made_rows_are_ambiguous(name: str) -> None:
    rows = SETS[name].cut().train
    convert_labels([labels for _, labels in rows], "tagging")
    labels_of: dict[str, set[str]] = {}
    n_words = 0
    for words, labels in rows:
        assert len(words) == len(labels)
        n_words += len(words)
        for word, label in zip(words, labels, strict=True):
            labels_of.setdefault(_form(word), set()).add(label)
    n_ambiguous = sum(len(labels_of[_form(word)]) > 1 for words, _ in rows for word in words)
    assert n_ambiguous / n_words > 0.2


def _form(word: str) -> str:
    return re.sub("[0-9]+", "0", word.lower())


def test_a_label_without_a_prefix_names_an_entity_by_its_runs() -> None:
    assert in_iob2(["Number", "Street", "Street", "Place", "Street"]) == [
        "B-Number",
        "B-Street",
        "I-Street",
        "B-Place",
        "B-Street",
    ]
    assert in_iob2(["O", "B-X", "B-X"]) == ["O", "B-X", "B-X"]


def test_the_figures_of_known_predictions() -> None:
    test = [(["a", "b", "c"], ["O", "B-X", "I-X"]), (["d"], ["B-Y"])]
    arrays = arrays_of(test, test)
    assert arrays["query_lengths"].tolist() == [3, 1]
    marginals = np.array([[0.9, 0.05, 0.05], [0.1, 0.6, 0.3], [0.5, 0.1, 0.4], [0.2, 0.7, 0.1]], dtype=np.float32)
    result = {
        "labels": np.array(["O", "B-X", "O", "B-X"]),
        "marginals": marginals,
        "classes": np.array(["O", "B-X", "I-X"]),
        "seconds": np.array([2.0, 3.0, 0.5]),
        "peak_mb": np.array(64.0),
    }
    found = figures(test, result, has_entities=True)
    assert found["token"] == 0.5
    assert found["row"] == 0.0
    assert found["entity"] == 0.0
    assert found["ece"] == pytest.approx((0.1 + 0.4 + 0.5 + 0.7) / 4)
    assert found["labels_per_second"] == 8
    result["labels"] = np.array(["O", "B-X", "I-X", "B-X"])
    found = figures(test, result, has_entities=True)
    assert found["row"] == 0.5
    assert found["entity"] == 0.5
    assert "entity" not in figures(test, result, has_entities=False)
