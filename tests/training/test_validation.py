"""The validation set: separate, by groups, by time; what the card says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import gatewise as gw
from gatewise.data import Labelled
from gatewise.errors import DataWarning, InputError
from gatewise.training import recipe
from gatewise.training.train import train
from gatewise.training.training_data import prepare
from tests.training.texts import made_reviews

SMALL: dict[str, Any] = {"units": 6, "embedding_dim": 6, "batch_size": 16, "vocab_size": 80, "epochs": 1, "seed": 4}


def test_validation_data_of_their_own() -> None:
    data, held = made_reviews(150, 1), made_reviews(130, 2)
    model = train(data, validation=held, **SMALL)
    assert (model.metadata.n_train, model.metadata.n_validation) == (150, 130)
    assert model.metadata.validation == "a separate validation set: 130 made reviews"
    assert model.metadata.fingerprint == data.fingerprint()
    assert model.metadata.evaluations[-1].loss == pytest.approx(model.evaluate(held).loss, rel=1e-4)
    assert "a separate validation set" in model.card()
    pair = (held.inputs, [held.classes[k] for k in held.labels])
    again = train(data, validation=pair, **SMALL)
    for name, array in model.parameters.items():
        assert array.tobytes() == again.parameters[name].tobytes(), name


def test_rows_with_times_and_validation_data_of_their_own() -> None:
    data, held = made_reviews(60, 9), made_reviews(40, 10)
    dated = replace(data, time=np.arange(60.0))
    assert train(dated, validation=held, **SMALL).metadata.n_validation == 40
    one, two = (
        prepare(replace(data, time=time), recipe("fast", vocab_size=80, validation__split="time"), 0)
        for time in (np.arange(60.0), -np.arange(60.0))
    )
    assert one.validation.tolist() == list(range(54, 60))
    assert two.validation.tolist() == list(range(6))
    assert one.identity != two.identity


def test_a_run_is_not_resumed_with_other_groups_times_or_class_weights() -> None:
    data = made_reviews(60, 9)
    groups = np.arange(60) // 4
    cases: list[dict[str, Any]] = [{}, {"groups": groups}, {"groups": groups[::-1].copy()}, {"time": np.arange(60.0)}]
    for by in ("group", "row"):
        chosen = recipe("fast", vocab_size=80, validation__split=by)
        found = [prepare(replace(data, **case), chosen, 0) for case in cases]
        assert len({one.identity for one in found}) == len(cases)
        assert {one.fingerprint for one in found} == {data.fingerprint()}  # evaluate reads neither
    assert found[0].identity == data.fingerprint() != prepare(data, chosen, 0, class_weight="balanced").identity


def test_what_only_validation_data_have_is_not_learnt() -> None:
    data = made_reviews(80, 3)
    held = Labelled.of(["unseen words"] * 3 + ["word1 word2"], ["positive", "negative"] * 2)
    found = prepare(data, recipe("fast", vocab_size=5000), 0, validation=held)
    assert (
        found.preprocessor.encoding.vocab_size
        == prepare(  # type: ignore[union-attr]
            data, recipe("fast", vocab_size=5000), 0, validation=made_reviews(20, 4)
        ).preprocessor.encoding.vocab_size
    )
    assert found.labels[found.validation].tolist() == [1, 0, 1, 0]
    assert found.train.tolist() == list(range(80))


def test_validation_data_that_do_not_fit_are_refused() -> None:
    data = made_reviews(60, 5)
    for wrong, message in (
        (
            Labelled.of(["a b"], ["neutral"]),
            "training data has no class 'neutral'; its classes are 'negative', 'positive'",
        ),
        (Labelled.of(["a b"], [1.5], task="regression"), "text for regression"),
        (Labelled.of([np.zeros(4)], ["negative"]), "series for classification"),
        (["a"], r"\(inputs, labels\)"),
    ):
        with pytest.raises(InputError, match=message):
            train(data, validation=wrong, **SMALL)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="one is given"):
        train(data, validation=data, times=range(60), split="time", **SMALL)
    with pytest.raises(InputError, match="60 inputs but 59 times"):
        train(replace(data, sample_weight=np.arange(60.0)), times=range(59), split="time", **SMALL)


def test_duplicates_of_training_rows_are_said() -> None:
    data = made_reviews(60, 6)
    with pytest.warns(DataWarning, match="of 20 rows of the validation set are equal to training rows"):
        train(data, validation=data.take(range(20)), **SMALL)


def test_groups_and_time() -> None:
    data = made_reviews(120, 7)
    labels = [data.classes[k] for k in data.labels]
    groups = [f"writer {n % 12}" for n in range(120)]
    model = gw.train(data.inputs, labels, groups=groups, **SMALL)
    assert model.metadata.n_validation == 10
    late = gw.train(data.inputs, labels, split="time", times=[f"2024-{n % 12 + 1:02}" for n in range(120)], **SMALL)
    assert late.metadata.n_validation == 10
    assert "the last rows in the order of time" in late.metadata.validation


def test_a_class_of_one_row_is_said() -> None:
    data = made_reviews(90, 8)
    labels = [data.classes[k] for k in data.labels]
    with pytest.warns(DataWarning, match="1 of 3 classes has one row .'odd'., in the training part"):
        model = gw.train([*data.inputs, "one odd text"], [*labels, "odd"], **SMALL)
    assert model.classes == ("negative", "odd", "positive")


def test_groups_do_not_count_in_a_split_by_row() -> None:
    data = replace(made_reviews(60, 9), groups=np.zeros(60, dtype=np.int64))
    found = prepare(data, recipe("fast", vocab_size=80, validation__split="row"), 0)
    assert len(found.validation)
    assert (found.data.groups == data.keys).all()


@pytest.mark.parametrize("options", [{"split": "row"}, {"recipe": "tutorial"}, {"split": "time", "times": range(60)}])
def test_groups_that_nothing_reads_are_refused(options: dict[str, Any]) -> None:
    data = made_reviews(60, 7)
    with pytest.raises(InputError, match=r"groups are for a split by group, and this one is by (row|time)"):
        gw.train(data.inputs, data.labels, groups=np.arange(60) // 2, **options)


@pytest.mark.parametrize("dtypes", [(float, int), (int, float)])
def test_validation_labels_may_be_the_same_numbers_in_another_dtype(dtypes: tuple[type, type]) -> None:
    """pandas makes whole numbers floats as soon as one is missing."""
    data, held = made_reviews(60, 7), made_reviews(30, 8)
    train_labels, labels = data.labels.astype(dtypes[0]), held.labels.astype(dtypes[1])
    model = gw.train(data.inputs, train_labels, validation=(held.inputs, labels), **SMALL)
    assert model.metadata.n_validation == 30
