"""What a target answers in place of the callers: each question once, over all tasks."""

import numpy as np
import pytest

from gatewise.data.input_kind import SeriesInputs, TextInputs, input_kind_of
from gatewise.errors import InputError
from gatewise.ragged import Ragged, rows_at
from gatewise.target import Target, target_of

CLASSES = ("O", "PER", "LOC")
TARGETS = {task: target_of(CLASSES, task) for task in ("classification", "multilabel", "regression", "tagging")}


@pytest.mark.parametrize("task", TARGETS)
def test_a_network_without_pooling_is_for_a_prediction_per_step(task: str) -> None:
    fits, other = ("none", "mean+max") if task == "tagging" else ("mean+max", "none")
    TARGETS[task].check_pooling(fits)
    with pytest.raises(InputError, match="tagging"):
        TARGETS[task].check_pooling(other)


@pytest.mark.parametrize("task", TARGETS)
def test_data_of_another_task_are_refused(task: str) -> None:
    for other, target in TARGETS.items():
        if other == task:
            TARGETS[task].check_data(target)
            continue
        with pytest.raises(InputError, match=f"trained for {task}, and the labels of the data are for {other}"):
            TARGETS[task].check_data(target)


def test_the_step_that_is_explained_is_the_first_in_an_entity() -> None:
    tagger = TARGETS["tagging"]
    assert tagger.explained_step(lambda: ["O", "O", "LOC", "PER"]) == 2
    assert tagger.explained_step(lambda: ["O", "O"]) == 0

    def labels() -> list[str]:
        raise AssertionError("a prediction per input has no labels of steps")

    assert all(target.explained_step(labels) is None for target in TARGETS.values() if target is not tagger)


def test_a_rare_class_is_a_finding_of_rows_and_none_of_steps() -> None:
    counts = np.array([70, 3, 41])

    def rivals(target: Target) -> tuple[int, str] | None:
        return target.rivals(counts, 100)

    assert rivals(TARGETS["classification"]) == (70, "of 'O'")
    assert rivals(TARGETS["multilabel"]) == (97, "without it")
    assert rivals(TARGETS["tagging"]) is None


def test_numbers_have_no_unknown_name() -> None:
    assert TARGETS["classification"].unknown_names(["LOC", "XYZ", "ABC"]) == ["ABC", "XYZ"]
    assert TARGETS["regression"].unknown_names(["1.5", "2"]) == []


def test_fingerprints_of_data_differ_by_task_and_those_of_classes_stay() -> None:
    parts = {task: target.fingerprint_parts() for task, target in TARGETS.items()}
    assert parts == {
        "classification": [],
        "multilabel": [b"multilabel"],
        "regression": [b"regression"],
        "tagging": [b"tagging"],
    }


def test_the_kind_of_rows_finds_the_steps_that_are_equal_in_each_series() -> None:
    rng = np.random.default_rng(3)
    series = [rng.standard_normal((steps, 2)).astype(np.float32) for steps in (5, 4, 7)]
    for row in series:
        row[1, 1] = 0.625
    kind = input_kind_of(series)
    assert isinstance(kind, SeriesInputs)
    assert kind.findings(series) == ["step 2 of channel 2 is 0.625 in each series"]
    assert isinstance(input_kind_of([]), TextInputs)
    assert input_kind_of(["same", "same"]).findings(["same", "same"]) == []
    with pytest.raises(InputError, match="texts are needed"):
        kind.texts(series, "texts are needed")


def test_a_row_per_input_is_the_row_of_its_step() -> None:
    values = np.arange(12.0).reshape(6, 2)
    ragged = Ragged(values, np.array([1, 3, 2]))
    assert rows_at(ragged, np.array([0, 2, 1])).tolist() == [values[0].tolist(), values[3].tolist(), values[5].tolist()]
    assert rows_at(values, np.array([0] * 6)) is values
